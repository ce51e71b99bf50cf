"""POP3 UIDLs, carried at the end of the transfer, when both servers can be reached by Bascule alone."""

from collections.abc import Collection

from bascule.checks.preflight import uids
from bascule.ledger import journal
from bascule.ledger.journal import UIDLS_OF_MOVES
from bascule.pop3 import usage
from bascule.pop3.carry import carry_uidls as carry_all
from bascule.tasks import accounts
from bascule.tasks.run import Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


def carry_uidls(run: Run) -> dict[str, int]:
    """Give the messages on new the UIDLs that POP3 programs know. Names who fetches anew; nothing fails by it."""
    if run.site.mailboxes.pop3 is None:
        return tell_who_fetches_anew(run)
    found = carry_all(run.access, run.ledger, accounts.names(run), run.owner, dry_run=run.dry_run)
    anew = {result.account: result.reason for result in found if result.reason}
    counts = {"accounts": len(found), "messages": sum(result.kept for result in found), "anew": len(anew)}
    if not run.dry_run:
        after = {**counts, "fetch_anew": anew, "kept": {result.account: result.kept for result in found}}
        journal.append(run.ledger, journal.Entry("note", "pop3", "UIDLs carried", run.origin, after=after))
    return counts


def tell_who_fetches_anew(run: Run) -> dict[str, int]:
    """Without `mailboxes.pop3`: who has used POP3 lately, into the log and the journal, for the report."""
    users = usage.recent_users(run.access)
    log.warning(
        "the site file has no `mailboxes.pop3`: programs of who uses POP3 fetch everything once more", accounts=users
    )
    counts = {"accounts": 0, "messages": 0, "anew": len(users)}
    if not run.dry_run:
        reasons = dict.fromkeys(users, "the site file has no `mailboxes.pop3`")
        after = {**counts, "fetch_anew": reasons}
        journal.append(run.ledger, journal.Entry("note", "pop3", "UIDLs not carried", run.origin, after=after))
    return counts


def tell_who_fetches_anew_after_a_move(run: Run, accounts: Collection[str]) -> list[str]:
    """Of these, who has used POP3 lately where the two servers make UIDLs in different ways: a move carries none."""
    if uids.make_uidls(run.access):
        return []
    users = sorted({*accounts}.intersection(usage.recent_users(run.access)))
    if users:
        log.warning("POP3 programs of these accounts fetch everything once more after their move", accounts=users)
    if users and not run.dry_run:
        reasons = dict.fromkeys(users, "the servers make UIDLs in different ways")
        entry = journal.Entry("note", "pop3", UIDLS_OF_MOVES, run.origin, after={"fetch_anew": reasons})
        journal.append(run.ledger, entry)
    return users
