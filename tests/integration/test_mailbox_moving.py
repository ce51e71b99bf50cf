"""Both sides move while a pass runs, or have begun anew since the last one: nothing lost, nothing twice."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, context, copying, sync_mailbox

from tests.mail_servers import Dovecot, dovecot, mail_directory
from tests.mailbox_states import Account, parse

USER = "ann"


@pytest.fixture
def servers() -> Iterator[tuple[Dovecot, Dovecot]]:
    with (
        mail_directory() as home,
        dovecot(home / "old", separator=".") as old,
        dovecot(home / "new", separator="/", location="sdbox:~/sdbox") as new,
    ):
        yield old, new


@pytest.fixture
def job(servers: tuple[Dovecot, Dovecot]) -> MailboxJob:
    old, new = servers
    return MailboxJob(USER, old.server(USER), new.server(USER), Options(verify="content"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def test_mail_that_arrives_on_either_side_while_a_pass_copies_is_on_new_once(
    servers: tuple[Dovecot, Dovecot], job: MailboxJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH_MESSAGES", 1)
    monkeypatch.setattr(context, "PROGRESS_SECONDS", 0.0)
    late, own, one_at_a_time = list("mnopq"), list("uvwyz"), threading.Lock()

    def deliver(**_: int) -> None:
        with one_at_a_time:
            if late:
                with Account(servers[0].port, USER, ".") as old, Account(servers[1].port, USER, "/") as new:
                    old.append("INBOX", late.pop(0))
                    new.append("INBOX", own.pop(0))

    with Account(servers[0].port, USER, ".") as account:
        account.make(parse("INBOX: a b c d e f/S; Sent: g h"))
    first = sync_mailbox(job, ledger, progress=deliver)
    assert late == [], "all of it came while the pass was copying"
    assert (first.problems, first.removed) == (0, 0)
    expected = parse("INBOX: a b c d e f/S m n o p q u v w y z; Sent: g h")
    with Account(servers[1].port, USER, "/") as new:
        assert all(count == 1 for folder in new.read().values() for count in folder.values())
        second = sync_mailbox(job, ledger)
        assert new.read() == expected
    assert first.copied + second.copied == 13
    assert sync_mailbox(job, ledger).copied == 0


def make(server: Dovecot, state: str) -> object:
    """Bring old into this state; returns the UIDVALIDITY of Plans, if there is one."""
    with Account(server.port, USER, ".") as account:
        account.make(parse(state))
        return account.client.status(account.wire_name("Plans"), "(UIDVALIDITY)")[1]


def test_a_folder_that_began_anew_on_old_with_the_same_mail_is_not_copied_twice(
    servers: tuple[Dovecot, Dovecot], job: MailboxJob, ledger: Ledger
) -> None:
    before = make(servers[0], "INBOX: x; Plans: a b/S c c")
    assert sync_mailbox(job, ledger).copied == 5
    make(servers[0], "INBOX: x")
    assert make(servers[0], "INBOX: x; Plans: d a b/S c c") != before
    again = sync_mailbox(job, ledger)
    assert (again.copied, again.removed, again.problems) == (1, 0, 0)
    with Account(servers[1].port, USER, "/") as new:
        assert new.read() == parse("INBOX: x; Plans: d a b/S c c")
    once_more = sync_mailbox(job, ledger)
    assert (once_more.copied, once_more.removed, once_more.flags_changed) == (0, 0, 0)
