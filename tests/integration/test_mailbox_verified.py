"""Verification proves or names: each kind of difference is planted behind the copier's back, and seen."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from bascule.mailbox.job import VerifyLevel
from bascule.mailbox.verify.audit import Audit

from tests.imap_places import Box, Places
from tests.imap_relay import relayed, replaced
from tests.mailbox_states import Account, date, text

STATE = "INBOX: a b/S c/SF+work d e; Sent: f g; Empty:"

Plant = Callable[[Account], None]


def edit(folder: str, uid: str, item: str, flags: str) -> Plant:
    def plant(account: Account) -> None:
        account.client.select(account.wire_name(folder))
        assert account.client.uid("STORE", uid, item, flags)[0] == "OK"
        account.client.expunge()

    return plant


def put(folder: str, body: bytes, when: str, flags: str = "()") -> Plant:
    def plant(account: Account) -> None:
        assert account.client.append(account.wire_name(folder), flags, when, body)[0] == "OK"

    return plant


def instead(folder: str, uid: str, body: bytes, when: str) -> Plant:
    def plant(account: Account) -> None:
        edit(folder, uid, "+FLAGS", "(\\Deleted)")(account)
        put(folder, body, when)(account)

    return plant


def delete(folder: str) -> Plant:
    return lambda account: account.client.delete(account.wire_name(folder))


def create(folder: str) -> Plant:
    return lambda account: account.client.create(account.wire_name(folder))


def other(name: str) -> bytes:
    """As long as the message itself, with its header, and not its octets."""
    return text(name)[:-12] + b"z" * 10 + b"\r\n"


REMOVED = edit("INBOX", "1", "+FLAGS", "(\\Deleted)")

# what is planted on which side, the least level that sees it, and what is said of it
DIFFERENCES: dict[str, tuple[str, list[Plant], VerifyLevel, str]] = {
    "absent on new": ("new", [REMOVED], "counts", "missing on new"),
    "never copied": ("old", [put("INBOX", text("n"), date("n"))], "counts", "missing on new"),
    "one removed and one never copied": (
        "old", [REMOVED, put("INBOX", text("n"), date("n"))], "counts", "missing on new",
    ),
    "as large and as old, never copied": ("old", [instead("INBOX", "1", other("a"), date("a"))], "content", "content"),
    "other octets": ("new", [instead("INBOX", "4", other("d"), date("d"))], "content", "content"),
    "other octets of another size": (
        "new", [instead("INBOX", "4", text("d") + b"x\r\n", date("d"))], "attributes", "size",
    ),
    "date": ("new", [instead("INBOX", "4", text("d"), date("x"))], "attributes", "date"),
    "flags on old": ("old", [edit("INBOX", "4:5", "+FLAGS", "(\\Seen)")], "attributes", "flags '\\\\Seen' on old"),
    "flags on new": ("new", [edit("INBOX", "2", "-FLAGS", "(\\Seen)")], "attributes", "flags '\\\\Seen' on old"),
    "keywords on old": ("old", [edit("INBOX", "1", "+FLAGS", "(todo)")], "attributes", "keywords 'todo' on old"),
    "keywords on new": ("new", [edit("INBOX", "3", "-FLAGS", "(work)")], "attributes", "keywords 'work' on old"),
    "folder on new": ("new", [delete("Sent")], "counts", "not on new"),
    "empty folder on new": ("new", [delete("Empty")], "counts", "not on new"),
    "folder never copied": ("old", [create("More")], "counts", "not on new"),
    "in another folder on new": (
        "new", [edit("Sent", "1", "+FLAGS", "(\\Deleted)"), put("INBOX", text("f"), date("f"))],
        "counts", "missing on new",
    ),
}  # fmt: skip

COUNTED: dict[str, tuple[str, list[Plant], str]] = {
    "removed on old": (
        "old", [edit("INBOX", "1:2", "+FLAGS", "(\\Deleted)")], "2 message(s) are on new and not on old",
    ),
    "folder gone from old": ("old", [delete("Sent")], "'Sent' is gone from old"),
    "three more on new": ("new", [put("INBOX", text("a"), date("a"))] * 3, "3 message(s) are on new and not on old"),
    "folder of new alone": ("new", [create("Mine")], "on new alone: 'Mine'"),
}  # fmt: skip


def said(audit: Audit) -> tuple[str, str]:
    differences = [words for folder in audit.folders for words in folder.differences]
    counted = [words for folder in audit.folders for words in folder.counted] + audit.counted
    return "\n".join(differences), "\n".join(counted)


@pytest.fixture
def carried(box: Box) -> Box:
    box.fill(STATE)
    assert box.sync().problems == 0
    assert not box.verify("content").differences
    return box


def plant(box: Box, side: str, plants: list[Plant]) -> None:
    with box.on_old() if side == "old" else box.on_new() as account:
        for each in plants:
            each(account)


@pytest.mark.parametrize("level", ["counts", "attributes", "content"])
@pytest.mark.parametrize("kind", DIFFERENCES)
def test_a_difference_is_named(carried: Box, kind: str, level: VerifyLevel) -> None:
    side, plants, least, words = DIFFERENCES[kind]
    plant(carried, side, plants)
    differences, _ = said(carried.verify(level))
    levels = ["counts", "attributes", "content"]
    if levels.index(level) < levels.index(least):
        assert not differences
    elif kind == "other octets of another size" and level == "content":
        assert "content" in differences
    else:
        assert words in differences


@pytest.mark.parametrize("level", ["counts", "attributes", "content"])
@pytest.mark.parametrize("kind", COUNTED)
def test_what_is_no_difference_is_counted_in_a_line(carried: Box, kind: str, level: VerifyLevel) -> None:
    side, plants, words = COUNTED[kind]
    plant(carried, side, plants)
    differences, counted = said(carried.verify(level))
    assert not differences and words in counted


@pytest.mark.parametrize("level", ["counts", "attributes", "content"])
def test_a_pass_names_the_messages_that_new_gives_another_date(box: Box, level: VerifyLevel) -> None:
    box.fill(STATE)
    box.options = replace(box.options, verify=level)
    year = replaced(rb'INTERNALDATE "([^"]{7})\d{4}', rb'INTERNALDATE "\g<1>1999')
    with relayed(box.new.port, answers=year) as box.new_port:
        found = box.sync()
    assert found.problems == (0 if level == "counts" else 7)
    assert all(problem.kind == "message-altered" for problem in box.problems())
    assert all("another date: 1999" in problem.explanation for problem in box.problems())


def test_what_users_do_between_passes_is_explained_and_not_hidden(carried: Box) -> None:
    with carried.on_new() as account:
        edit("INBOX", "3", "+FLAGS", "(\\Answered)")(account)
        edit("INBOX", "2", "+FLAGS", "(\\Deleted)")(account)
    assert carried.verify().differences, "no pass has seen it yet"
    carried.sync()
    carried.settled()
    differences, counted = said(carried.verify())
    assert not differences
    assert "1 message(s) were removed on new by their owner" in counted
    assert "1 message(s) have other flags on new" in counted


def test_wrong_sizes_are_told_from_other_octets(carried: Box) -> None:
    more = replaced(rb"RFC822\.SIZE (\d+)", lambda found: b"RFC822.SIZE %d" % (int(found[1]) + 29))
    with relayed(carried.old.port, answers=more) as carried.old_port:
        for level in ("attributes", "content"):
            differences, counted = said(carried.verify(level))  # type: ignore[arg-type]
            assert not differences and "have another size than old tells" in counted


@pytest.mark.parametrize("kind", ["courier", "cyrus"])
@pytest.mark.parametrize("level", ["counts", "attributes", "content"])
def test_servers_of_other_kinds_prove_the_same(places: Places, box: Box, kind: str, level: VerifyLevel) -> None:
    box.old = places[kind]
    box.fill(STATE)
    box.sync()
    assert not box.verify(level).differences
    plant(box, "old", [REMOVED, put("INBOX", text("n"), date("n"))])
    differences, counted = said(box.verify(level))
    assert "missing on new" in differences and "1 message(s) are on new and not on old" in counted
