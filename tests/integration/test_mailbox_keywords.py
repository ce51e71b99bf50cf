"""A keyword that new does not take: named, left behind by decision, and never asked about again."""

from pathlib import Path

from bascule.ledger import Ledger, journal, problems
from bascule.ledger.problems import Option
from bascule.mailbox import MailboxJob, Options, sync_mailbox

from tests.mail_servers import dovecot, mail_directory
from tests.mailbox_states import Account

ORIGIN = journal.Origin("problems", "test", "settle", "postmaster")
LONG = "observation-campaign-of-2009-with-a-name-that-goes-on-and-on"


def states(ledger: Ledger) -> list[tuple[str, str]]:
    every: tuple[problems.State, ...] = ("open", "decided", "settled", "withdrawn")
    return [(each.kind, each.state) for each in problems.problems(ledger, account="anna", states=every)]


def test_a_keyword_left_behind_by_decision_is_settled_and_stays_so(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with (
        mail_directory() as home,
        dovecot(home / "old", extra="mail_max_keyword_length = 100\n") as old,
        dovecot(home / "new", extra="mail_max_keyword_length = 50\n") as new,
    ):
        with Account(old.port, "anna", ".") as account:
            account.client.append('"INBOX"', f"({LONG} short)", None, b"Subject: x\r\n\r\nx\r\n")
        job = MailboxJob("anna", old.server("anna"), new.server("anna"), Options(verify="content"))
        assert sync_mailbox(job, ledger).problems == 1
        (problem,) = problems.problems(ledger)
        with ledger.session() as session:
            problems.decide(
                session, problem.id, Option.APPLY, problem.proposal, decided_by="ann", source="page", origin=ORIGIN
            )
        for _ in range(2):
            assert sync_mailbox(job, ledger).problems == 0
            assert states(ledger) == [("keyword-refused", "settled")]
        with Account(new.port, "anna", ".") as account:
            account.client.select("INBOX")
            flags = b" ".join(row for row in account.client.fetch("1:*", "(FLAGS)")[1] if row)
        assert b"short" in flags and LONG.encode() not in flags
