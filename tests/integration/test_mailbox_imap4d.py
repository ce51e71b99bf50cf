"""GNU mailutils' imap4d as source: what it tells of a message changes (octets, sizes), and UIDVALIDITY with it."""

import re
import threading
import time
from dataclasses import replace

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import Options, sync
from bascule.mailbox.folder_sync import copy
from bascule.mailbox.verify.folder import FIELDS as SAME_BUT_FOR_FIELDS

from tests.imap4d_server import FIELDS
from tests.imap_places import Box, Places
from tests.imap_relay import Faults, relay, relayed
from tests.mailbox_cases import CASES, Case
from tests.mailbox_states import parse

# A file holds messages, or a directory folders. What is removed on new has a test of its own below.
SOME = [case for case in CASES if case.name not in ("hierarchy", "removed on new")]
OPENED = {"new mail", "flags on both sides", "flags of before stay", "removed on old", "removed on old, changed on new"}
STATES = [(case, False) for case in SOME] + [(case, True) for case in SOME if case.name in OPENED]


@pytest.fixture
def box(places: Places, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    new = replace(places["sdbox"], server_fields=FIELDS)
    return Box(places["imap4d"], new, ledger)


def plain(notation: str) -> str:
    """It has no keywords."""
    return notation.replace("+work", "").replace("+new", "")


def opened_by_its_owner(box: Box) -> None:
    """The server writes UIDs into the files."""
    with box.on_old() as account:
        for folder in account.folders():
            account.client.select(account.wire_name(folder))
            account.client.unselect()


def uidvalidity(box: Box) -> bytes:
    with box.on_old() as account:
        return bytes(account.client.status("INBOX", "(UIDVALIDITY)")[1][0])


@pytest.mark.parametrize(
    ("case", "opened"), STATES, ids=[f"{case.name}{', opened before' * opened}" for case, opened in STATES]
)
def test_state_is_as_expected(box: Box, case: Case, opened: bool) -> None:
    box.fill(plain(case.old), plain(case.new))
    if opened:
        opened_by_its_owner(box)
    if case.old_then is not None or case.new_then is not None:
        box.sync()
    box.fill(plain(case.old_then or ""), plain(case.new_then or ""))
    box.sync()
    assert box.read_new() == parse(plain(case.expected))
    box.settled()
    assert not box.problems()
    assert not box.verify("content").differences


def test_what_the_server_writes_into_messages_later_makes_no_other_mail_of_them(box: Box) -> None:
    box.fill("INBOX: a b c; Sent: d", "INBOX: b")
    box.sync()
    opened_by_its_owner(box)
    assert box.sync().copied == 0
    box.fill("INBOX: a/S b/F c e; Sent: d/A")
    assert box.sync().copied == 1
    assert box.read_new() == parse("INBOX: a/S b/F c e; Sent: d/A")
    box.settled()
    assert not box.problems()
    verified = box.verify("content")
    assert verified.differences == 0
    counted = {folder.folder: folder.counted for folder in verified.folders}
    assert f"3 {SAME_BUT_FOR_FIELDS}" in counted["INBOX"]
    assert f"1 {SAME_BUT_FOR_FIELDS}" in counted["Sent"]


def test_what_was_removed_on_new_comes_back_with_the_next_uidvalidity(box: Box) -> None:
    """Nobody knows any more which message of old it was."""
    box.fill("INBOX: a b")
    box.sync()
    before = uidvalidity(box)
    box.fill("INBOX: a b c", "INBOX: a")
    while uidvalidity(box) == before:
        time.sleep(0.05)
    box.sync()
    assert box.read_new() == parse("INBOX: a b c")
    box.settled()


@pytest.mark.one_pass(because="a message goes during the first one, and may be the second one's work")
@pytest.mark.parametrize("pairs", [1, 2])
def test_a_file_that_is_written_anew_between_list_and_copy_gives_no_message_the_flags_of_another(
    box: Box, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program on the old host removes the first message: each UID is another one's now, under another UIDVALIDITY.

    With two pairs of sessions the second one copies by it, else the verification would compare by it.
    """
    monkeypatch.setattr(sync, "SECOND_PAIR_FROM", 1)
    monkeypatch.setattr(copy, "MESSAGES_PER_UNIT", 1)
    box.options = Options(connections=pairs)
    box.fill("INBOX: a b/S c/F d e; Sent: f")
    inbox = box.old.server.home / box.user / "inbox"
    opened, opened_again = list[int](), threading.Event()  # by which connections: each has its thread

    def write_anew(line: bytes) -> bytes:
        if pairs == 2 and b"BODY.PEEK[]" in line and opened == [threading.get_ident()]:
            opened_again.wait(10)  # else the first pair may have copied all before the second one is there
        if re.search(rb'EXAMINE "?INBOX', line):
            opened.append(threading.get_ident())
            if len(opened) == 2:
                opened_again.set()
                before = uidvalidity(box)
                inbox.write_bytes(b"From " + inbox.read_bytes().split(b"\nFrom ", 1)[1])
                while uidvalidity(box) == before:
                    time.sleep(0.05)
        return line

    with relayed(box.old.port, commands=write_anew) as box.old_port:
        box.sync()
    assert len(opened) >= 2, "it was written anew"
    box.old_port = 0
    box.sync()
    assert box.read_new() == parse("INBOX: b/S c/F d e; Sent: f")
    box.settled()
    assert not box.problems()


@pytest.mark.parametrize("cut", [9, 15])
def test_a_copy_that_was_cut_off_goes_on_with_messages_that_the_server_has_written_into_since(
    box: Box, cut: int
) -> None:
    faults = Faults()
    box.fill("INBOX: a b/S c d/F; Sent: e f", "INBOX: b z")
    with relay(box.old.port, faults) as box.old_port, relay(box.new.port, faults) as box.new_port:
        faults.arm(cut)
        box.sync()
        assert faults.count > cut
        opened_by_its_owner(box)
        box.sync()
    box.old_port = box.new_port = 0
    assert box.read_new() == parse("INBOX: a b/S c d/F z; Sent: e f")
    box.settled()
    assert not box.problems()
