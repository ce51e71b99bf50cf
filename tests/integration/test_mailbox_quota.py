"""Quotas of the new server: looked at before anything is copied, on a real Dovecot that keeps them."""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from bascule.ledger import Ledger, mailboxes
from bascule.mailbox import MailboxJob, Options, TransientError, quota, sync, sync_mailbox
from bascule.problems import store
from bascule.problems.model import Problem

from tests.deciding import decide
from tests.imap_relay import Faults, relay
from tests.ledgers import empty_ledger
from tests.mail_servers import Dovecot, dovecot, mail_directory
from tests.mailbox_cases import Pair
from tests.mailbox_states import Account

QUOTA = """
mail_plugins = $mail_plugins quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:%s
}
protocol imap {
  mail_plugins = $mail_plugins imap_quota
}
"""
FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
STEP = 1 if FULL else 4  # by default every fourth command is cut
BODY = b"x" * 9_950
FOLDERS = ("INBOX", "Archive", "Sent")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with mail_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def old(home: Path) -> Iterator[Dovecot]:
    with dovecot(home / "old", extra=QUOTA % "storage=1G") as server:
        yield server


def new(home: Path, rule: str) -> AbstractContextManager[Dovecot]:
    """The new server, with this quota for everybody; its mail stays between starts."""
    return dovecot(home / "new", location="sdbox:~/sdbox", separator="/", extra=QUOTA % rule if rule else "")


@pytest.fixture
def user(old: Dovecot, request: pytest.FixtureRequest) -> str:
    """An account with ten messages of about 10 kB in each of three folders."""
    name = re.sub(r"[^a-z0-9]", "", request.node.name.lower())[:40]
    with Account(old.port, name, ".") as account:
        for folder in FOLDERS:
            account.client.create(folder)
            for number in range(10):
                append(account, folder, f"{folder} {number}")
    return name


def append(account: Account, folder: str, subject: str) -> None:
    answer = account.client.append(folder, None, None, f"Subject: {subject}\r\n\r\n".encode() + BODY + b"\r\n")
    assert answer[0] == "OK", answer


@contextmanager
def as_user(server: Dovecot, user: str) -> Iterator[Account]:
    with Account(server.port, user, "/") as account:
        yield account


def counts(server: Dovecot, user: str) -> dict[str, int]:
    with as_user(server, user) as account:
        return {
            folder: int(re.search(rb"MESSAGES (\d+)", account.client.status(folder, "(MESSAGES)")[1][0])[1])  # type: ignore[index]
            for folder in account.folders()
        }


def job(old: Dovecot, server: Dovecot, user: str) -> MailboxJob:
    return MailboxJob(user, old.server(user), server.server(user), Options())


def open_problems(ledger: Ledger, user: str) -> list[Problem]:
    return store.problems(ledger, account=user, room="mailbox")


def test_a_mailbox_that_does_not_fit_is_named_before_anything_is_copied(
    old: Dovecot, home: Path, user: str, ledger: Ledger
) -> None:
    with new(home, "storage=200K") as server:
        with as_user(server, user) as account:
            append(account, "INBOX", "mine")
        result = sync_mailbox(job(old, server, user), ledger)
        assert (result.copied, result.problems) == (0, 1)
        assert counts(server, user) == {"INBOX": 1, "Archive": 0, "Sent": 0}
        (problem,) = open_problems(ledger, user)
        assert problem.kind == "quota"
        assert problem.facts["limit"] == 204_800
        assert 299_000 < problem.details["bytes to copy"] < 301_000
        assert problem.details["messages to copy"] == 30
        assert 9_900 < problem.details["bytes used on new"] < 11_300
        assert problem.details["quota on old in bytes"] == 2**30
        assert problem.proposal.stored() == {"action": "raise the quota", "bytes": 2**30}
        assert mailboxes.mailbox_states(ledger)[user].state == "problems"
    with new(home, "storage=1G") as server:
        result = sync_mailbox(job(old, server, user), ledger)
        assert (result.copied, result.problems, open_problems(ledger, user)) == (30, 0, [])
        assert counts(server, user) == {"INBOX": 11, "Archive": 10, "Sent": 10}
        assert sync_mailbox(job(old, server, user), ledger).copied == 0


def test_flags_and_removals_are_carried_while_the_copies_wait(
    old: Dovecot, home: Path, user: str, ledger: Ledger
) -> None:
    with new(home, "storage=1G") as server:
        sync_mailbox(job(old, server, user), ledger)
    with Account(old.port, user, ".") as account:
        for number in range(20):
            append(account, "INBOX", f"late {number}")
        account.client.select("INBOX")
        account.client.store("1", "+FLAGS", "(\\Flagged)")
        account.client.store("2", "+FLAGS", "(\\Deleted)")
        account.client.expunge()
    with new(home, "storage=400K") as server:
        for _ in range(2):
            result = sync_mailbox(job(old, server, user), ledger)
            assert (result.copied, result.problems) == (0, 1)
        with as_user(server, user) as account:
            account.client.select("INBOX")
            assert len(account.client.search(None, "FLAGGED")[1][0].split()) == 1
        assert counts(server, user)["INBOX"] == 9
    with new(home, "storage=1G") as server:
        assert sync_mailbox(job(old, server, user), ledger).copied == 20
        assert counts(server, user) == {"INBOX": 29, "Archive": 10, "Sent": 10}


def test_only_what_is_still_to_be_copied_must_fit(old: Dovecot, home: Path, user: str, ledger: Ledger) -> None:
    """The folders hold more than new has left; what is new in them is less."""
    with new(home, "storage=1G") as server:
        sync_mailbox(job(old, server, user), ledger)
    with Account(old.port, user, ".") as account:
        append(account, "INBOX", "late")
    with new(home, "storage=320K") as server:
        result = sync_mailbox(job(old, server, user), ledger)
        assert (result.copied, result.problems) == (1, 0)


def test_what_is_on_new_already_needs_no_space(old: Dovecot, home: Path, user: str, tmp_path: Path) -> None:
    with new(home, "storage=1G") as server:
        sync_mailbox(job(old, server, user), Ledger(empty_ledger(tmp_path / "lost.db")))
    with new(home, "storage=320K") as server:
        result = sync_mailbox(job(old, server, user), Ledger(empty_ledger(tmp_path / "anew.db")))
        assert (result.copied, result.problems) == (0, 0)


def test_a_limit_of_messages_is_looked_at_too(old: Dovecot, home: Path, user: str, ledger: Ledger) -> None:
    with new(home, "storage=1G:messages=25") as server:
        result = sync_mailbox(job(old, server, user), ledger)
        assert (result.copied, result.problems) == (0, 1)
        (problem,) = open_problems(ledger, user)
        assert "30 messages" in problem.explanation
        assert problem.proposal.stored() == {"action": "look again"}


def test_a_dry_run_names_the_shortage_and_writes_nothing(old: Dovecot, home: Path, user: str, ledger: Ledger) -> None:
    with new(home, "storage=200K") as server:
        result = sync_mailbox(job(old, server, user), ledger, dry_run=True)
        assert result.problems == 1
        assert open_problems(ledger, user) == []
    with new(home, "storage=1G") as server:
        assert sync_mailbox(job(old, server, user), ledger, dry_run=True).problems == 0


def test_a_decision_that_has_helped_is_settled(old: Dovecot, home: Path, user: str, ledger: Ledger) -> None:
    with new(home, "storage=200K") as server:
        sync_mailbox(job(old, server, user), ledger)
    (problem,) = open_problems(ledger, user)
    decide(ledger, problem)
    with new(home, "") as server:  # without any quota
        assert sync_mailbox(job(old, server, user), ledger).problems == 0
    (settled,) = store.problems(ledger, account=user, states=("settled",))
    assert settled.id == problem.id


@pytest.mark.parametrize("killed", [False, True], ids=["connection lost", "task killed"])
def test_interrupted_while_copies_are_held(
    old: Dovecot, home: Path, tmp_path: Path, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is on old is more than new has left, what is new in it fits: cut after commands, and resumed."""
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(sync, "ATTEMPTS", 1 if killed else 6)
    waited, release = [], quota.HeldCopies.release
    monkeypatch.setattr(quota.HeldCopies, "release", lambda held: (waited.append(held.messages), release(held)))
    faults, commands, at = Faults(), 1, 0
    with (
        new(home, "storage=100K") as server,
        relay(old.port, faults) as old_port,
        relay(server.port, faults) as new_port,
    ):
        pair = Pair(old, server, old_port, new_port, faults)
        while at <= commands:
            user, ledger = f"gate{killed:d}{at}", Ledger(empty_ledger(tmp_path / f"{at}.db"))
            job = pair.job(user, Options(connections=1))
            with Account(old.port, user, ".") as account:
                for number in range(6):
                    append(account, "INBOX", f"{number}")
                sync_mailbox(job, ledger)
                append(account, "INBOX", "late")
            faults.arm(at or None)
            try:
                sync_mailbox(job, ledger)
            except TransientError:
                assert sync_mailbox(job, ledger).problems == 0
            commands = commands if at else faults.count
            faults.arm(None)
            assert counts(server, user) == {"INBOX": 7}, f"cut after {at}"
            assert at or waited == [1]
            again = sync_mailbox(job, ledger)
            assert (again.copied, again.problems) == (0, 0), f"cut after {at}"
            at += 1 + 2 * killed if not at and not FULL else STEP
