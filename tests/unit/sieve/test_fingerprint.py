"""What is known of an account's folders has one fingerprint, in which nothing of it is forgotten."""

from dataclasses import fields, replace
from typing import Any

import pytest
from bascule.ledger import Ledger
from bascule.sieve import sync
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.mailbox_folders import fingerprint

from tests.unit.sieve.test_sync import Servers, job, serving

KNOWN = FolderMap({"INBOX.A": "A", "INBOX.B": "B"}, ".", "/", "INBOX.", "", asked=frozenset({"INBOX.A", "INBOX.B"}))
OTHER: dict[str, Any] = {
    "names": {"INBOX.A": "A", "INBOX.B": "C"},
    "old_separator": "/",
    "new_separator": ".",
    "old_prefix": "",
    "new_prefix": "INBOX.",
    "replace": {"/": "-"},
    "modified_utf7": True,
    "shared": ("user.",),
    "asked": frozenset({"INBOX.A"}),
}


@pytest.mark.parametrize("field", [each.name for each in fields(FolderMap) if each.init])
def test_whatever_is_known_of_folders_changes_it(field: str) -> None:
    changed = replace(KNOWN, **{field: OTHER[field]})
    assert fingerprint(changed, frozenset()) != fingerprint(KNOWN, frozenset())


def test_folders_that_are_left_out_change_it() -> None:
    left_out = [frozenset[str](), frozenset({"INBOX.A"}), frozenset({"INBOX.B"}), frozenset({"INBOX.A", "INBOX.B"})]
    assert len({fingerprint(KNOWN, each) for each in left_out}) == 4


def test_the_same_knowledge_has_the_same_one() -> None:
    """In whatever order it comes, and whatever was looked up in it."""
    again = replace(KNOWN, names=dict(reversed(KNOWN.names.items())), asked=frozenset(["INBOX.B", "INBOX.A"]))
    again.new_name("INBOX.C")
    assert fingerprint(again, frozenset("ab")) == fingerprint(KNOWN, frozenset("ba"))


def test_a_pass_tells_by_what_it_converted_and_what_it_would_go_by_now(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = {"anne": KNOWN, "bob": replace(KNOWN, names={}), "carl": KNOWN}
    left_out = {"anne": frozenset[str](), "bob": frozenset[str](), "carl": frozenset({"INBOX.B"})}
    servers = Servers({name: serving() for name in maps})
    one = job(ledger, servers, Servers(), folder_maps=maps.__getitem__, left_out=left_out.__getitem__)
    done = sync.run(one, [*maps]).folders
    assert done == {name: fingerprint(maps[name], left_out[name]) for name in maps}
    monkeypatch.setattr(sync, "job_for", lambda *_: one)
    assert sync.folders_known_now(None, ledger, [*maps]) == done  # type: ignore[arg-type]
