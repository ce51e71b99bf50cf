"""Each reason for which a folder has not old's UIDs on new: nobody can mix up anything, and it is told by name."""

import imaplib
import socket
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import CHANGED, KEPT, FolderRow
from bascule.mailbox import MailboxJob, Options, TransientError, sync, sync_mailbox
from bascule.mailbox.carry_back import NOT_RAISED, carry_back
from bascule.mailbox.doveadm import opener
from bascule.mailbox.folders import uids
from bascule.mailbox.forecast import forecast
from bascule.mailbox.job import Uids
from bascule.mailbox.verify.audit import audit
from bascule.problems.evidence import evidence_lines
from structlog.testing import capture_logs

from tests.imap_relay import relayed, replaced
from tests.kept_uids import deliver, lay_out, remove, shown
from tests.local_host import LocalHost
from tests.mail_servers import PASSWORD, Dovecot

HIGHEST = 2**32 - 1
Altered = Callable[[MailboxJob, Dovecot], MailboxJob]


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


def job(servers: tuple[Dovecot, Dovecot], user: str) -> MailboxJob:
    old, new = servers
    return MailboxJob(user, old.server(user), new.server(user), doveadm=new.doveadm(user))


def row_of(ledger: Ledger, user: str, folder: str = "INBOX") -> FolderRow:
    with ledger.reading() as session:
        (row,) = [row for row in mailboxes.folders_of(session, user) if row.old_name == folder]
        session.expunge_all()
    return row


def gave_before(work: MailboxJob, new: Dovecot) -> MailboxJob:
    for subject in ("one", "two", "three"):
        deliver(new, work.account, subject)
    remove(new, work.account, "1:3")
    return work


def no_dovecot(work: MailboxJob, _: Dovecot) -> MailboxJob:
    """A host as Cyrus' or Courier's: the command that asks Dovecot for its sockets is not there."""
    host = LocalHost("new", changed=lambda command: ["env", "PATH=/nowhere", "/usr/bin/python3", *command[1:]])
    return replace(work, doveadm=opener(host, work.account))  # type: ignore[arg-type]


def no_service(work: MailboxJob, new: Dovecot) -> MailboxJob:
    return replace(work, doveadm=opener(LocalHost("new"), work.account, base_dir=str(new.home / "nothing")))  # type: ignore[arg-type]


NOT_KEPT: dict[str, tuple[Altered, str]] = {
    "no way": (lambda work, _: replace(work, doveadm=None), "knows no way to command"),
    "no Dovecot": (no_dovecot, "the new server can't be commanded: from new: doveconf"),
    "no doveadm service": (no_service, "the new server can't be commanded: from new: "),
    "no UIDPLUS": (
        lambda work, _: replace(work, new=replace(work.new, without=frozenset({"UIDPLUS"}))),
        "does not say which UIDs it gives",
    ),
    "given before": (gave_before, uids.GIVEN_BEFORE),
}


@pytest.mark.parametrize("why", NOT_KEPT)
def test_where_new_can_not_keep_them_all_mail_is_there_and_the_reason_is_told(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str, why: str
) -> None:
    old, new = servers
    altered, reason = NOT_KEPT[why]
    lay_out(old, user, "", [2, 3, 7], uidvalidity=77)
    work = altered(job(servers, user), new)
    assert sync_mailbox(work, ledger).problems == 0
    assert sync_mailbox(work, ledger).copied == 0
    after = shown(new, user)
    assert after.uidvalidity != 77
    assert sorted(after.messages.values()) == ["2", "3", "7"]
    assert row_of(ledger, user).uids == CHANGED
    assert reason in row_of(ledger, user).uids_reason


def test_a_doveadm_service_that_starts_again_is_waited_for(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = servers
    lay_out(old, user, "", [2, 4], uidvalidity=77)
    work = job(servers, user)
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    with socket.socket(socket.AF_UNIX) as nobody_listens:
        nobody_listens.bind(str(tmp_path / "doveadm-server"))
        starting = opener(LocalHost("new"), user, base_dir=str(tmp_path))  # type: ignore[arg-type]
        with pytest.raises(TransientError, match="Connection refused"):
            sync_mailbox(replace(work, doveadm=starting), ledger)
    sync_mailbox(work, ledger)
    assert shown(new, user) == shown(old, user)


def test_uids_so_high_that_new_mail_would_find_none(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str
) -> None:
    old, new = servers
    lay_out(old, user, "", [5, HIGHEST - 50_000], uidvalidity=77)
    lay_out(old, user, "Last", [5, HIGHEST - uids.ROOM - 1], uidvalidity=78)
    sync_mailbox(job(servers, user), ledger)
    assert "so high" in row_of(ledger, user).uids_reason
    assert shown(new, user).uidnext < 100 and len(shown(new, user).messages) == 2
    assert shown(new, user, "Last") == shown(old, user, "Last")
    deliver(new, user, "after the go", "Last")
    assert shown(new, user, "Last").messages[HIGHEST - uids.ROOM] == "after the go"


def test_an_old_server_that_tells_no_uidnext(servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str) -> None:
    old, new = servers
    lay_out(old, user, "", [2, 4], uidvalidity=77)
    with relayed(old.port, answers=replaced(rb"UIDNEXT \d+", b"UIDNEXT 0")) as port:
        assert sync_mailbox(job((replace(old, port=port), new), user), ledger).problems == 0
    assert "tells no UIDVALIDITY or no UIDNEXT" in row_of(ledger, user).uids_reason
    assert sorted(shown(new, user).messages.values()) == ["2", "4"]


def test_a_folder_that_was_copied_before_uids_were_kept(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str
) -> None:
    old, new = servers
    lay_out(old, user, "", [2, 4], uidvalidity=77)
    sync_mailbox(replace(job(servers, user), doveadm=None), ledger)
    with ledger.session() as session:  # as the ledger of an earlier version
        (row,) = mailboxes.folders_of(session, user)
        row.uids = row.uids_reason = ""
    before = shown(new, user)
    deliver(old, user, "more")
    sync_mailbox(job(servers, user), ledger)
    assert row_of(ledger, user).uids_reason == uids.COPIED_BEFORE
    assert shown(new, user).uidvalidity == before.uidvalidity
    assert before.messages.items() <= shown(new, user).messages.items()


@pytest.mark.parametrize("wanted", ["keep where possible", "new"])
def test_mail_of_its_own_under_the_same_uidvalidity_by_chance(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str, wanted: Uids
) -> None:
    old, new = servers
    lay_out(old, user, "", [1, 4], uidvalidity=77)
    deliver(new, user, "own")
    new.doveadm(user)().update(b"INBOX", uidvalidity=77)
    work = replace(job(servers, user), options=Options(uids=wanted))
    assert sync_mailbox(work, ledger).problems == 0
    after = shown(new, user)
    assert after.uidvalidity != 77
    assert sorted(after.messages.values()) == ["1", "4", "own"]
    assert row_of(ledger, user).uids == CHANGED
    assert sync_mailbox(work, ledger).copied == 0
    assert shown(new, user) == after


def test_they_end_when_old_gives_one_that_new_has_given_to_a_message_that_is_gone(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str
) -> None:
    old, new = servers
    lay_out(old, user, "", [2, 4], uidvalidity=77)
    sync_mailbox(job(servers, user), ledger)
    deliver(new, user, "on new")
    remove(new, user, "5")  # a program on new has seen UID 5
    deliver(old, user, "on old")
    sync_mailbox(job(servers, user), ledger)
    assert row_of(ledger, user).uids_reason == uids.GIVEN_FIRST
    assert shown(new, user).uidvalidity != 77
    assert sorted(shown(new, user).messages.values()) == ["2", "4", "on old"]


def test_they_end_when_the_folder_is_made_anew_on_old(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str
) -> None:
    old, new = servers
    lay_out(old, user, "Work", [2, 4], uidvalidity=77)
    sync_mailbox(job(servers, user), ledger)
    with imaplib.IMAP4("127.0.0.1", old.port) as client:
        client.login(user, PASSWORD)
        assert client.delete("Work")[0] == "OK"
        assert client.create("Work")[0] == "OK"
    deliver(old, user, "4", "Work")
    deliver(old, user, "new", "Work")
    sync_mailbox(job(servers, user), ledger)
    row, after = row_of(ledger, user, "Work"), shown(new, user, "Work")
    assert (row.uids, row.uids_reason, bool(row.uids_ended_at)) == (CHANGED, uids.MADE_ANEW, True)
    assert after.uidvalidity != shown(old, user, "Work").uidvalidity
    assert sorted(after.messages.values()) == ["4", "new"]


def test_a_folder_that_is_renamed_on_old_keeps_them(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str
) -> None:
    old, new = servers
    lay_out(old, user, "Work", [2, 4], uidvalidity=77)
    sync_mailbox(job(servers, user), ledger)
    with imaplib.IMAP4("127.0.0.1", old.port) as client:
        client.login(user, PASSWORD)
        assert client.rename("Work", "Renamed")[0] == "OK"
    deliver(old, user, "more", "Renamed")
    sync_mailbox(job(servers, user), ledger)
    assert shown(new, user, "Renamed") == shown(old, user, "Renamed")
    assert row_of(ledger, user, "Renamed").uids == KEPT


def test_verify_finds_a_message_under_another_uid(servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str) -> None:
    old, new = servers
    lay_out(old, user, "", [2, 4], uidvalidity=77)
    work = job(servers, user)
    sync_mailbox(work, ledger)
    with imaplib.IMAP4("127.0.0.1", new.port) as client:  # the map's 4 is now another message: 5
        client.login(user, PASSWORD)
        client.select("INBOX")
        assert client.uid("COPY", "4", "INBOX")[0] == "OK"
    remove(new, user, "4")
    (folder,) = audit(work, ledger).folders
    assert "1 message(s) of old are on new under no UID or another one: 4" in folder.differences


def test_before_the_day_it_is_told_by_folder_what_gaps_there_are_and_what_can_not_be_kept(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str
) -> None:
    old, new = servers
    lay_out(old, user, "", [3, 4, 7, 9], uidvalidity=77, uidnext=20)
    lay_out(old, user, "Other", [5, 7], uidvalidity=78)
    deliver(new, user, "own")
    work = job(servers, user)
    (before,) = forecast([work], ledger)
    assert (before.gaps, before.changed_uids) == (4, {})  # before 7, before 9, before 20; in Other before 7
    assert forecast([replace(work, doveadm=None)], ledger)[0].gaps == 0
    with capture_logs() as lines:
        sync_mailbox(work, ledger, dry_run=True)
    assert [(line["folder"], line["reason"]) for line in lines if line["event"] == "UIDs would not be kept"] == [
        ("INBOX", uids.OWN_MAIL)
    ]
    sync_mailbox(work, ledger)
    for subject in ("20", "21", "22"):
        deliver(old, user, subject, "Other")
    remove(old, user, "8,10", "Other")
    (after,) = forecast([work], ledger)
    assert (after.gaps, after.changed_uids) == (2, {"INBOX": uids.OWN_MAIL})  # before 9, and behind it
    told = evidence_lines(ledger)
    assert "UIDs: mail programs notice nothing of the move in 1 of 2 folders" in told
    assert f"UIDs: mail programs download 1 folder(s) of 1 account(s) anew: {uids.OWN_MAIL}" in told
    assert f"downloaded anew: {user}: INBOX" in told


@pytest.mark.parametrize(
    ("takes_no_commands", "reason"),
    [("no way", "Bascule knows no way to command it"), ("no Dovecot", "doveconf"), ("no doveadm service", "nothing")],
)
def test_where_old_takes_no_commands_after_a_rollback_mail_is_carried_and_the_folders_are_named(
    servers: tuple[Dovecot, Dovecot], ledger: Ledger, user: str, takes_no_commands: str, reason: str
) -> None:
    old, new = servers
    for folder in ("", "Other"):
        lay_out(old, user, folder, [3, 4], uidvalidity=77)
    work = job(servers, user)
    sync_mailbox(work, ledger)
    for folder in (b"INBOX", b"Other"):
        new.doveadm(user)().update(folder, modseq=50_000)
    deliver(new, user, "on new")
    altered, _ = NOT_KEPT[takes_no_commands]
    with capture_logs() as lines:
        done = carry_back(work, ledger, altered(work, old).doveadm)
    assert done.copied == 1
    assert sorted(done.not_raised) == ["INBOX", "Other"]
    assert all(reason in why for why in done.not_raised.values())
    assert [line["folders"] for line in lines if line["event"] == NOT_RAISED] == [done.not_raised]
