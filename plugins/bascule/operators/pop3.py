"""POP3 UIDLs, carried at the end of the transfer, when both servers can be reached by Bascule alone."""

from typing import TYPE_CHECKING

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class CarryUidls(BasculeOperator):
    """Give the messages on new the UIDLs that POP3 programs know. Names who fetches anew; nothing fails by it."""

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        from bascule.directory import accounts
        from bascule.ledger import journal
        from bascule.pop3.carry import carry_uidls

        if run.site.mailboxes.pop3 is None:
            return tell_who_fetches_anew(run)
        names = [account.name for account in accounts(run.access, run.selection)]
        found = carry_uidls(run.access, run.ledger, names, run.owner, dry_run=run.dry_run)
        anew = {result.account: result.reason for result in found if result.reason}
        counts = {"accounts": len(found), "messages": sum(result.kept for result in found), "anew": len(anew)}
        if not run.dry_run:
            entry = journal.Entry("note", "pop3", "UIDLs carried", run.origin, after={**counts, "fetch_anew": anew})
            journal.append(run.ledger, entry)
        return counts


def tell_who_fetches_anew(run: Run) -> dict[str, int]:
    """Without `mailboxes.pop3`: who has used POP3 lately, into the log and the journal, for the report."""
    import structlog

    from bascule.ledger import journal
    from bascule.pop3.usage import recent_users

    users = recent_users(run.access)
    structlog.get_logger(__name__).warning(
        "the site file has no `mailboxes.pop3`: programs of who uses POP3 fetch everything once more", accounts=users
    )
    counts = {"accounts": 0, "messages": 0, "anew": len(users)}
    if not run.dry_run:
        reasons = dict.fromkeys(users, "the site file has no `mailboxes.pop3`")
        after = {**counts, "fetch_anew": reasons}
        journal.append(run.ledger, journal.Entry("note", "pop3", "UIDLs not carried", run.origin, after=after))
    return counts
