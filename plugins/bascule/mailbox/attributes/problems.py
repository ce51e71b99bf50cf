"""The problems of access rights and annotations, as people read them, and what they have decided to leave out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.ledger.carried import What
from bascule.mailbox.attributes.three_way import Value
from bascule.mailbox.problems import PassProblems
from bascule.problems.model import LEAVE_OUT


@dataclass(frozen=True)
class Failed:
    """What could not be carried, and why, as the server says or we do."""

    folder: str
    name: str
    old: Value
    reason: str


def problem_of(what: What, failed: Failed) -> tuple[str, str]:
    """The kind and the subject of the problem that this would be: one for each person, one for each annotation."""
    return ("acl-unknown", failed.name) if what == "acl" else ("metadata-refused", f"{failed.folder}: {failed.name}")


def covers(what: What, facts: Mapping[str, Any], failed: Failed) -> bool:
    """Whether what a decision was taken about is this very value."""
    return (
        facts["rights"].get(failed.folder) == failed.old.token if what == "acl" else facts["value"] == failed.old.token
    )


def report_identifier(problems: PassProblems, name: str, rights: Mapping[str, str], reason: str) -> None:
    """Access rights for somebody whom the directory or the new server does not know. `rights`: by folder."""
    problems.add(
        "acl-unknown", name,
        f"{name!r} has rights on {len(rights)} folder(s) of this mailbox and can't be given them on the new "
        "server. Everything else of the folders is carried.",
        facts={"identifier": name, "rights": dict(rights)},
        details={"rights": "; ".join(f"{folder}: {letters}" for folder, letters in list(rights.items())[:10])},
        server_words=reason, proposal=LEAVE_OUT,
    )  # fmt: skip


def report_annotation(problems: PassProblems, failed: Failed) -> None:
    problems.add(
        "metadata-refused", f"{failed.folder}: {failed.name}",
        f"The annotation {failed.name!r} of the folder {failed.folder!r} can't be carried to the new server.",
        facts={"folder": failed.folder, "entry": failed.name, "value": failed.old.token},
        server_words=failed.reason, proposal=LEAVE_OUT,
    )  # fmt: skip
