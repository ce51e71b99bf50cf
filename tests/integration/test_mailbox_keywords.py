"""A keyword that new does not take: named, left behind by decision, and never asked about again."""

from bascule.ledger import Ledger, journal
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.problems import store
from bascule.problems.model import State

from tests.deciding import decide
from tests.mail_servers import two_dovecots
from tests.mailbox_states import Account

ORIGIN = journal.Origin("problems", "test", "settle", "postmaster")
LONG = "observation-campaign-of-2009-with-a-name-that-goes-on-and-on"


def states(ledger: Ledger) -> list[tuple[str, str]]:
    every: tuple[State, ...] = ("open", "decided", "settled", "withdrawn")
    return [(each.kind, each.state) for each in store.problems(ledger, account="anna", states=every)]


def test_a_keyword_left_behind_by_decision_is_settled_and_stays_so(ledger: Ledger) -> None:
    longest = "mail_max_keyword_length = "
    with two_dovecots({"extra": f"{longest}100"}, {"extra": f"{longest}50"}) as (old, new):
        with Account(old.port, "anna", ".") as account:
            account.client.append('"INBOX"', f"({LONG} short)", None, b"Subject: x\r\n\r\nx\r\n")
        job = MailboxJob("anna", old.server("anna"), new.server("anna"), Options(verify="content"))
        assert sync_mailbox(job, ledger).problems == 1
        (problem,) = store.problems(ledger)
        decide(ledger, problem)
        for _ in range(2):
            assert sync_mailbox(job, ledger).problems == 0
            assert states(ledger) == [("keyword-refused", "settled")]
        with Account(new.port, "anna", "/") as account:
            account.client.select("INBOX")
            flags = b" ".join(row for row in account.client.fetch("1:*", "(FLAGS)")[1] if row)
        assert b"short" in flags and LONG.encode() not in flags
