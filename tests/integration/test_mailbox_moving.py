"""Both sides move while a pass runs, or have begun anew since the last one: nothing lost, nothing twice."""

import threading
import uuid

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, context, sync_mailbox
from bascule.mailbox.messages import bulk_copy

from tests.mail_servers import Dovecot
from tests.mailbox_states import Account, parse


@pytest.fixture
def job(servers: tuple[Dovecot, Dovecot]) -> MailboxJob:
    old, new = servers
    user = f"u{uuid.uuid4().hex[:12]}"
    return MailboxJob(user, old.server(user), new.server(user), Options(verify="content"))


@pytest.mark.one_pass(because="mail comes during the first one, and is the second one's work")
def test_mail_that_arrives_on_either_side_while_a_pass_copies_is_on_new_once(
    servers: tuple[Dovecot, Dovecot], job: MailboxJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_copy, "BATCH_MESSAGES", 1)
    monkeypatch.setattr(context, "PROGRESS_SECONDS", 0.0)
    late, own, one_at_a_time = list("mnopq"), list("uvwyz"), threading.Lock()

    def deliver(**_: int) -> None:
        with one_at_a_time:
            if late:
                with (
                    Account(servers[0].port, job.account, ".") as old,
                    Account(servers[1].port, job.account, "/") as new,
                ):
                    old.append("INBOX", late.pop(0))
                    new.append("INBOX", own.pop(0))

    with Account(servers[0].port, job.account, ".") as account:
        account.make(parse("INBOX: a b c d e f/S; Sent: g h"))
    first = sync_mailbox(job, ledger, progress=deliver)
    assert late == [], "all of it came while the pass was copying"
    assert (first.problems, first.removed) == (0, 0)
    expected = parse("INBOX: a b c d e f/S m n o p q u v w y z; Sent: g h")
    with Account(servers[1].port, job.account, "/") as new:
        assert all(count == 1 for folder in new.read().values() for count in folder.values())
        second = sync_mailbox(job, ledger)
        assert new.read() == expected
    assert first.copied + second.copied == 13
    assert sync_mailbox(job, ledger).copied == 0


def make(server: Dovecot, user: str, state: str) -> object:
    """Bring old into this state; returns the UIDVALIDITY of Plans, if there is one."""
    with Account(server.port, user, ".") as account:
        account.make(parse(state))
        return account.client.status(account.wire_name("Plans"), "(UIDVALIDITY)")[1]


def test_a_folder_that_began_anew_on_old_with_the_same_mail_is_not_copied_twice(
    servers: tuple[Dovecot, Dovecot], job: MailboxJob, ledger: Ledger
) -> None:
    before = make(servers[0], job.account, "INBOX: x; Plans: a b/S c c")
    assert sync_mailbox(job, ledger).copied == 5
    make(servers[0], job.account, "INBOX: x")
    assert make(servers[0], job.account, "INBOX: x; Plans: d a b/S c c") != before
    again = sync_mailbox(job, ledger)
    assert (again.copied, again.removed, again.problems) == (1, 0, 0)
    with Account(servers[1].port, job.account, "/") as new:
        assert new.read() == parse("INBOX: x; Plans: d a b/S c c")
    once_more = sync_mailbox(job, ledger)
    assert (once_more.copied, once_more.removed, once_more.flags_changed) == (0, 0, 0)
