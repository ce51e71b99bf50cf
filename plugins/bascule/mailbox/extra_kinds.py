"""Access rights and annotations as one kind of thing: asked of a server, told to it, compared, named in problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bascule.ledger.carried import What
from bascule.mailbox.annotations import Annotations
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.merging import Value, Values
from bascule.mailbox.rights import People, Rights
from bascule.mailbox.session import Pending, Session

CALLED = {"acl": "access rights (ACL, RFC 4314)", "metadata": "annotations (METADATA, RFC 5464)"}


class Kind(Protocol):
    """Rights or annotations: how a server is asked for them and told them."""

    what: What
    capability: str

    def begin(self, session: Session, raw: bytes) -> Pending: ...
    def values(self, session: Session, pending: Pending, *, is_old: bool) -> dict[str, Value]: ...
    def fit(self, wanted: Value, session: Session) -> Value: ...
    def begin_put(self, session: Session, raw: bytes, name: str, wanted: Value) -> Pending: ...
    def begin_remove(self, session: Session, raw: bytes, name: str) -> Pending: ...
    def unite(self, old: Value, new: Value) -> Value: ...


@dataclass(frozen=True)
class Failed:
    """What could not be carried, and why, in the server's words or ours."""

    folder: str
    name: str
    old: Value
    words: str


def kinds_of(job: MailboxJob) -> list[Kind]:
    """What the site file asks for."""
    asked: list[Kind] = []
    if job.options.acl:
        asked.append(Rights(people_of(job)))
    if job.options.metadata:
        asked.append(Annotations())
    return asked


def people_of(job: MailboxJob) -> People:
    owners = {job.account, job.old.login.authorize_as or job.account, f"{job.account}@{job.options.domain}"}
    return People(frozenset(owners), job.options.identifiers, job.options.domain)


def missing_on(kind: Kind, old: Session, new: Session) -> str:
    """Which server can't be asked, as a sentence; empty when both can."""
    lacking = [side for side, session in (("old", old), ("new", new)) if not has(kind, session)]
    if not lacking:
        return ""
    who = "neither server has them" if len(lacking) == 2 else f"the {lacking[0]} server does not have them"
    return f"{CALLED[kind.what]} are not carried: {who}"


def has(kind: Kind, session: Session) -> bool:
    return session.has(kind.capability)


def fitted(kind: Kind, values: Values, new: Session) -> dict[str, Value]:
    """Old's values as new can have them; what new has no words for at all is not among them."""
    found = {name: kind.fit(value, new) for name, value in values.items()}
    return {name: value for name, value in found.items() if value.token}


def problem_of(what: What, failed: Failed) -> tuple[str, str]:
    """The kind and the subject of the problem that this would be: one for each person, one for each annotation."""
    return ("acl-unknown", failed.name) if what == "acl" else ("metadata-refused", f"{failed.folder}: {failed.name}")


def covers(what: What, facts: Mapping[str, Any], failed: Failed) -> bool:
    """Whether what a decision was taken about is this very value."""
    return (
        facts["rights"].get(failed.folder) == failed.old.token if what == "acl" else facts["value"] == failed.old.token
    )
