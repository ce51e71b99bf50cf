"""UIDVALIDITY, UIDs, gaps and UIDNEXT on new are those of old, for as long as that can be; what is told when not."""

import imaplib
import os
import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import CHANGED, KEPT, FolderRow
from bascule.mailbox import MailboxJob, Options, TransientError, sync, sync_mailbox
from bascule.mailbox.carry_back import carry_back
from bascule.mailbox.doveadm import Doveadm
from bascule.mailbox.folders import uids as kept_uids
from bascule.mailbox.folders.uids import KeptUids
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.verify.audit import audit
from bascule.problems import store
from bascule.problems.questions import of_mailbox

from tests.deciding import decide
from tests.imap_relay import Faults, relay, relayed, replaced
from tests.kept_uids import changed_since, deliver, flag, highest_modseq, lay_out, remove, shown
from tests.mail_servers import PASSWORD, Dovecot, dovecot, mail_directory
from tests.mailbox_cases import Pair

HIGHEST = 2**32 - 1
FORMATS = ["sdbox:~/sdbox", "mdbox:~/mdbox", "maildir:~/Maildir"]
FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"


@pytest.fixture(scope="module")
def old(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[0]


@pytest.fixture(scope="module", params=FORMATS)
def new(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    with mail_directory() as home, dovecot(home / "new", separator="/", location=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def sdbox(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[1]


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


def job(old: Dovecot, new: Dovecot, user: str, **options: object) -> MailboxJob:
    return MailboxJob(user, old.server(user), new.server(user), Options(**options), new.doveadm(user))  # type: ignore[arg-type]


def rows(ledger: Ledger, user: str) -> dict[str, FolderRow]:
    with ledger.reading() as session:
        found = {row.old_name: row for row in mailboxes.folders_of(session, user)}
        session.expunge_all()
    return found


@pytest.mark.parametrize(
    ("uids", "uidvalidity", "uidnext"),
    [
        ([1, 2, 3], 1_600_000_000, 0),
        ([7, 8, 20, 21, 90], 1_600_000_001, 0),
        ([2, 4], 1_600_000_002, 300),
        ([], 1_600_000_003, 40),
        ([5, 6], 1, 0),
        ([5, 6], HIGHEST, 0),
        ([HIGHEST - 200_000, HIGHEST - 150_000], 2, 0),
    ],
)
def test_new_has_what_old_has(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, uids: list[int], uidvalidity: int, uidnext: int
) -> None:
    for folder in ("", "Envoyés"[:3], "Archives"):
        lay_out(old, user, folder, uids, uidvalidity=uidvalidity, uidnext=uidnext)
    result = sync_mailbox(job(old, new, user), ledger)
    assert result.problems == 0
    for folder in ("INBOX", "Env", "Archives"):
        assert shown(new, user, folder) == shown(old, user, folder), folder
        assert shown(new, user, folder).uidvalidity == uidvalidity
    assert {row.uids for row in rows(ledger, user).values()} == {KEPT}
    assert sync_mailbox(job(old, new, user), ledger).copied == 0


def test_messages_that_did_not_come_in_the_order_of_their_dates(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str
) -> None:
    dice = random.Random(7)
    uids = sorted(dice.sample(range(1, 2000), 900))
    lay_out(old, user, "", uids, uidvalidity=77, dates=[dice.randrange(10**9, 15 * 10**8) for _ in uids])
    sync_mailbox(job(old, new, user), ledger)
    assert shown(new, user) == shown(old, user)


@pytest.mark.skipif(not FULL, reason="minutes: make test-deep")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("messages", "gap"), [(20_000, 1), (50_000, 2)], ids=["20,000 messages", "50,000 gaps"])
def test_a_large_folder(old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, messages: int, gap: int) -> None:
    dice = random.Random(7)
    uids = range(gap, messages * gap + 1, gap)
    lay_out(old, user, "", uids, uidvalidity=77, dates=[dice.randrange(10**9, 15 * 10**8) for _ in uids])
    sync_mailbox(job(old, sdbox, user), ledger)
    assert shown(sdbox, user) == shown(old, user)


def test_an_old_server_without_uidvalidity(old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str) -> None:
    lay_out(old, user, "", [3, 4], uidvalidity=77)
    with relayed(old.port, answers=replaced(rb"UIDVALIDITY \d+", b"UIDVALIDITY 0")) as port:
        work = job(replace(old, port=port), sdbox, user)
        assert sync_mailbox(work, ledger).problems == 0
    assert sorted(shown(sdbox, user).messages.values()) == ["3", "4"]
    assert "tells no UIDVALIDITY" in rows(ledger, user)["INBOX"].uids_reason


def test_later_passes_keep_them_and_new_counts_on_from_where_old_stood(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [1, 2, 5], uidvalidity=77)
    sync_mailbox(job(old, new, user), ledger)
    for subject in ("x", "6", "y"):
        deliver(old, user, subject)
    remove(old, user, "2,6,8")
    sync_mailbox(job(old, new, user), ledger)
    assert shown(new, user) == shown(old, user)
    assert shown(new, user).uidnext == 9
    deliver(new, user, "after the go")
    assert shown(new, user).messages == {1: "1", 5: "5", 7: "6", 9: "after the go"}


def test_programs_that_ask_for_changes_only_are_told_all_of_them(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [3, 5, 7, 9], uidvalidity=77)
    for _ in range(20):
        flag(old, user, "3", "\\Flagged")
        flag(old, user, "3", "-\\Flagged")
    sync_mailbox(job(old, new, user), ledger)
    for _ in range(20):  # old's counter runs ahead of new's
        flag(old, user, "3", "\\Flagged")
        flag(old, user, "3", "-\\Flagged")
    seen = highest_modseq(old, user)  # by a program, the last time that it connected
    flag(old, user, "7", "\\Answered")
    remove(old, user, "5")
    sync_mailbox(job(old, new, user), ledger)
    flag(new, user, "9", "\\Flagged")  # by another program, after the go
    assert {5, 7, 9} <= changed_since(new, user, 77, seen, "3,5,7,9")


@pytest.mark.parametrize("came", [False, True], ids=["nothing came", "mail came to new"])
def test_programs_that_ask_for_changes_only_are_told_all_of_them_on_old_after_a_rollback(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, came: bool
) -> None:
    lay_out(old, user, "", [3, 5, 7, 9], uidvalidity=77)
    lay_out(old, user, "Sent", [4], uidvalidity=78)
    work = job(old, new, user)
    sync_mailbox(work, ledger)
    for _ in range(20):
        flag(old, user, "3", "\\Flagged")
        flag(old, user, "3", "-\\Flagged")
    sync_mailbox(work, ledger)
    flag(new, user, "9", "\\Flagged")  # after the go
    if came:
        deliver(new, user, "on new")
    seen = highest_modseq(new, user)  # by a program, the last time that it connected
    assert seen > highest_modseq(old, user)
    done = carry_back(work, ledger, old.doveadm(user))
    assert (done.copied, done.not_raised) == (int(came), {})
    flag(old, user, "7", "\\Answered")
    remove(old, user, "5")
    assert {5, 7} <= changed_since(old, user, 77, seen, "3,5,7,9")
    assert carry_back(work, ledger, no_channel).copied == 0, "once is enough"


def no_channel() -> Doveadm:
    raise AssertionError("a channel was opened")


def test_a_rollback_raises_no_modseq_where_uids_are_not_kept_or_nothing_is_to_be_done(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [3], uidvalidity=77)
    lay_out(old, user, "Kept", [4], uidvalidity=78)
    deliver(sdbox, user, "own")
    work = job(old, sdbox, user)
    sync_mailbox(work, ledger)
    assert {name: row.uids for name, row in rows(ledger, user).items()} == {"INBOX": CHANGED, "Kept": KEPT}
    sdbox.doveadm(user)().update(b"INBOX", modseq=50_000)
    sdbox.doveadm(user)().update(b"Kept", modseq=50_000)
    before = highest_modseq(old, user), highest_modseq(old, user, "Kept")
    carry_back(work, ledger, no_channel, dry_run=True)
    assert (highest_modseq(old, user), highest_modseq(old, user, "Kept")) == before
    carry_back(work, ledger, old.doveadm(user))
    assert highest_modseq(old, user) == before[0]
    assert highest_modseq(old, user, "Kept") > 50_000


def test_a_pass_over_a_few_changes_gives_new_no_command(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> None:
    """Each channel for one is a login on new's host."""
    lay_out(old, user, "", [3, 5, 7, 9], uidvalidity=77)
    sync_mailbox(job(old, new, user), ledger)
    for _ in range(20):
        flag(old, user, "3", "\\Flagged")
        flag(old, user, "3", "-\\Flagged")
    deliver(old, user, "10")
    seen = highest_modseq(old, user)
    flag(old, user, "7", "\\Answered")
    assert sync_mailbox(replace(job(old, new, user), doveadm=no_channel), ledger).copied == 1
    assert rows(ledger, user)["INBOX"].uids == KEPT
    assert {7} <= changed_since(new, user, 77, seen, "3,5,7,9")


def test_they_end_when_new_has_given_one_that_old_gives_to_another_message(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    lay_out(old, user, "", [1, 2], uidvalidity=77)
    lay_out(old, user, "Other", [4], uidvalidity=78)
    sync_mailbox(job(old, sdbox, user), ledger)
    deliver(sdbox, user, "on new")
    sync_mailbox(job(old, sdbox, user), ledger)
    assert shown(sdbox, user).uidvalidity == 77  # nobody can mix up anything yet
    assert rows(ledger, user)["INBOX"].uids == KEPT
    deliver(old, user, "on old")
    sync_mailbox(job(old, sdbox, user), ledger)
    after = shown(sdbox, user)
    assert after.uidvalidity != 77
    assert sorted(after.messages.values()) == ["1", "2", "on new", "on old"]
    row = rows(ledger, user)["INBOX"]
    assert (row.uids, row.uids_reason, bool(row.uids_ended_at)) == (CHANGED, kept_uids.BOTH_GAVE, True)
    assert rows(ledger, user)["Other"].uids == KEPT
    assert sync_mailbox(job(old, sdbox, user), ledger).copied == 0


@pytest.mark.parametrize(("in_gap", "reason"), [(False, kept_uids.PUT_INTO), (True, kept_uids.NOT_THE_SAME)])
def test_a_message_that_comes_while_the_folder_is_copied(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch, in_gap: bool, reason: str
) -> None:
    """It takes the UID of old's next message, or one of a message that was removed on old, as only the lists show."""
    lay_out(old, user, "", [1, 2, 25, 26, 29], uidvalidity=77)
    leave_out = KeptUids.leave_out

    def between(self: KeptUids, uid: int) -> None:
        if not in_gap:
            leave_out(self, uid)
        if uid == 25:
            deliver(sdbox, user, "between")
        if in_gap:
            leave_out(self, uid)

    monkeypatch.setattr(KeptUids, "leave_out", between)
    result = sync_mailbox(job(old, sdbox, user), ledger)
    assert (result.copied, result.problems) == (5, 0)
    after = shown(sdbox, user)
    assert after.uidvalidity != 77
    assert sorted(after.messages.values()) == ["1", "2", "25", "26", "29", "between"]
    assert rows(ledger, user)["INBOX"].uids_reason == reason


def test_a_folder_with_mail_of_its_own_gets_other_uids_and_says_so(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [3, 4], uidvalidity=77)
    lay_out(old, user, "Other", [4], uidvalidity=78)
    deliver(sdbox, user, "own")
    sync_mailbox(job(old, sdbox, user), ledger)
    assert shown(sdbox, user).uidvalidity != 77
    assert shown(sdbox, user, "Other") == shown(old, user, "Other")
    row = rows(ledger, user)["INBOX"]
    assert (row.uids, row.uids_reason, row.uids_ended_at) == (CHANGED, kept_uids.OWN_MAIL, None)


def test_a_message_that_new_does_not_take_leaves_its_place_empty(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [1, 2, 3, 4], uidvalidity=77, empty=[2])
    assert sync_mailbox(job(old, sdbox, user), ledger).problems == 1
    deliver(old, user, "5")
    assert sync_mailbox(job(old, sdbox, user), ledger).problems == 1
    assert shown(sdbox, user).messages == {1: "1", 3: "3", 4: "4", 5: "5"}
    assert rows(ledger, user)["INBOX"].uids == KEPT


def test_new_uids_where_the_site_file_wants_them(old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str) -> None:
    lay_out(old, user, "", [3, 4], uidvalidity=77)
    sync_mailbox(job(old, sdbox, user, uids="new"), ledger)
    assert shown(sdbox, user).uidvalidity != 77
    assert rows(ledger, user)["INBOX"].uids == CHANGED


def test_both_lists_are_compared_whatever_the_copy_believes(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", [1, 2, 25], uidvalidity=77)
    work = job(old, sdbox, user)
    with monkeypatch.context() as patched:
        patched.setattr(KeptUids, "leave_out", lambda *_: None)
        patched.setattr(FolderState, "_note_uids", lambda *_: None)
        sync_mailbox(work, ledger)
    assert rows(ledger, user)["INBOX"].uids_reason == kept_uids.NOT_THE_SAME
    assert shown(sdbox, user).uidvalidity != 77


def test_a_session_that_was_cut_may_write_once_more_what_it_had_read(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [2, 5], uidvalidity=77)
    stale = [b"UIDVALIDITY 76"]

    def answer(line: bytes) -> bytes:
        return line.replace(b"UIDVALIDITY 77", stale.pop()) if stale and b"UIDVALIDITY 77" in line else line

    with relayed(sdbox.port, answers=answer) as port:
        sync_mailbox(replace(job(old, sdbox, user), new=replace(sdbox, port=port).server(user)), ledger)
    assert not stale
    assert rows(ledger, user)["INBOX"].uids == KEPT
    assert shown(sdbox, user) == shown(old, user)


def test_new_must_count_on_from_where_old_stands(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", [1, 2], uidvalidity=77, uidnext=9)
    monkeypatch.setattr(KeptUids, "complete", lambda *_: None)
    sync_mailbox(job(old, sdbox, user), ledger)
    assert rows(ledger, user)["INBOX"].uids_reason == kept_uids.NOT_THE_SAME


def test_verify_compares_them(old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str) -> None:
    lay_out(old, user, "", [1, 2, 5], uidvalidity=77)
    work = job(old, sdbox, user)
    sync_mailbox(work, ledger)
    (folder,) = audit(work, ledger).folders
    assert not folder.differences
    assert "its UIDVALIDITY and all its UIDs were compared with those of old" in folder.counted
    sdbox.doveadm(user)().update(b"INBOX", uidvalidity=78)
    assert audit(work, ledger).folders[0].differences == ["UIDVALIDITY is 77 on old and 78 on new"]


def test_a_person_is_asked_where_the_site_file_insists(old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str) -> None:
    for folder in ("", "A", "B"):
        lay_out(old, user, folder, [3], uidvalidity=77)
    with imaplib.IMAP4("127.0.0.1", sdbox.port) as client:
        client.login(user, PASSWORD)
        client.create("A")
    deliver(sdbox, user, "own")
    deliver(sdbox, user, "own", "A")
    work = job(old, sdbox, user, uids="keep")
    assert sync_mailbox(work, ledger).problems == 2
    (question,) = of_mailbox(store.problems(ledger, account=user))
    assert [problem.subject for problem in question.problems] == ["INBOX", "A"]
    assert sync_mailbox(work, ledger).problems == 2
    for problem in question.problems:
        decide(ledger, problem)
    assert sync_mailbox(work, ledger).problems == 0
    assert sync_mailbox(work, ledger).problems == 0


def test_mail_that_is_carried_back_leaves_the_uids_of_old_alone(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [3, 4], uidvalidity=77)
    work = job(old, sdbox, user)
    sync_mailbox(work, ledger)
    before = shown(old, user)
    deliver(sdbox, user, "on new")
    carry_back(work, ledger, old.doveadm(user))
    after = shown(old, user)
    assert after.uidvalidity == 77
    assert after.messages == {**before.messages, 5: "on new"}
    assert sync_mailbox(work, ledger).copied == 0
    assert shown(sdbox, user) == after
    assert rows(ledger, user)["INBOX"].uids == KEPT


# -- interrupted after every command, those to doveadm among them

STEP = 1 if FULL else 9
GAPS = {"": [2, 3, 7, 9, 10, 40], "Other": [], "Third": [5, 800]}


@pytest.fixture(scope="module", params=FORMATS if FULL else FORMATS[:1])
def pair(request: pytest.FixtureRequest, old: Dovecot) -> Iterator[Pair]:
    faults = Faults()
    with (
        mail_directory() as home,
        dovecot(home / "new", separator="/", location=request.param) as new,
        relay(old.port, faults) as old_port,
        relay(new.port, faults) as new_port,
    ):
        yield Pair(old, new, old_port, new_port, faults, keeps_uids=True)


@pytest.mark.one_pass(because="its commands are counted and cut; the pass that follows is its own")
@pytest.mark.parametrize("killed", [False, True], ids=["connection lost", "task killed"])
@pytest.mark.parametrize("passes", ["first pass", "later pass", "they end"])
def test_interrupted_after_every_command(
    pair: Pair, tmp_path: Path, passes: str, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    undisturbed = one_run(pair, tmp_path, passes, None, killed, monkeypatch)
    commands = pair.faults.count
    assert undisturbed["INBOX"][0] == (CHANGED if passes == "they end" else KEPT)
    for at in range(1 + killed, commands + 1, STEP):
        assert one_run(pair, tmp_path, passes, at, killed, monkeypatch) == undisturbed, f"cut after command {at}"


def one_run(
    pair: Pair, tmp_path: Path, passes: str, at: int | None, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[str, object]]:
    """What is there at the end: whether UIDs are kept, and the folder, of which only the mail where they are not."""
    user, ledger = f"u{uuid.uuid4().hex[:12]}", Ledger(f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db")
    for number, (folder, uids) in enumerate(GAPS.items()):
        lay_out(pair.old, user, folder, uids, uidvalidity=1_500_000_000 + number, uidnext=max(uids, default=0) + 3)
    work = pair.job(user, Options(connections=1))
    pair.faults.arm(None)
    if passes != "first pass":
        sync_mailbox(work, ledger)
        if passes == "they end":
            deliver(pair.new, user, "on new")
            sync_mailbox(work, ledger)
        for subject in ("more", "and more"):
            deliver(pair.old, user, subject)
        remove(pair.old, user, "3,43")
    pair.faults.arm(at)
    if killed and at:
        sync_killed(work, ledger, monkeypatch)
    else:
        sync_mailbox(work, ledger)
    if at:
        pair.faults.arm(None)
        assert sync_mailbox(work, ledger).copied == 0
    found: dict[str, tuple[str, object]] = {}
    for name, row in rows(ledger, user).items():
        on_old, on_new = shown(pair.old, user, name), shown(pair.new, user, name)
        if row.uids == KEPT:
            assert on_new == on_old
        else:
            assert on_new.uidvalidity != on_old.uidvalidity
        mail = on_new if row.uids == KEPT else sorted(on_new.messages.values())
        found[name] = row.uids, mail
    return found


def sync_killed(work: MailboxJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that ends at its first trouble, and another one that knows only what is in the ledger."""
    with monkeypatch.context() as patched:
        patched.setattr(sync, "ATTEMPTS", 1)
        try:
            sync_mailbox(work, ledger)
        except TransientError:
            sync_mailbox(work, ledger)
