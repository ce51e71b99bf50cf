"""After the day: the owners of mailboxes are told what was decided in them, and the helpdesk gets the list."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bascule.decisions.letters import Told


class TellOwners(BasculeOperator):
    """One letter into the new INBOX of everybody in whose mailbox something was decided, exactly once.

    Returns {"letters": n now, "accounts": n with something to tell}.
    """

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        from bascule import directory
        from bascule.decisions import letters

        chosen = {account.name for account in directory.accounts(run.access, run.selection)}
        things = [each for each in letters.told(run.ledger) if each.account in chosen]
        try:
            count = self._send(run, things) if run.site.letters.owners else 0
        finally:
            write_helpdesk_list(run, things)
        return {"letters": count, "accounts": len({each.account for each in things})}

    def _send(self, run: Run, things: Sequence["Told"]) -> int:
        """Write to everybody who has not been written to; who can't be reached stops nobody else's letter."""
        from bascule.access import AccessError
        from bascule.ledger import letters

        by_account: dict[str, list[Told]] = {}
        for each in things:
            if each.sort != "kept_on_old":  # they don't read their mail on new
                by_account.setdefault(each.account, []).append(each)
        waiting = sorted(by_account.keys() - letters.sent(run.ledger).keys())
        if run.dry_run:
            self.log.info("dry run: %d letter(s) would be written, to %s", len(waiting), ", ".join(waiting))
            return 0
        failed = []
        for account in waiting:
            try:
                deliver(run, account, by_account[account])
            except AccessError as error:
                self.log.error(str(error))
                failed.append(account)
        if failed:
            raise AirflowException(f"{len(failed)} letter(s) could not be written: {', '.join(failed[:20])}")
        self.log.info("%d letter(s) written", len(waiting))
        return len(waiting)


def deliver(run: Run, account: str, things: Sequence["Told"]) -> None:
    """One letter, under the mailbox's lease. Raises AccessError."""
    import structlog

    from bascule.decisions import letters as making
    from bascule.decisions import post
    from bascule.ledger import leases, letters
    from bascule.mailbox import job_for

    new = job_for(run.access, account).new
    message_id = making.message_id(run.site, account)
    with leases.lease(run.ledger, account, run.owner):
        message = making.letter(run.site, account, things)
        appended = post.append_once(new.endpoint, new.login, message_id, message)
        letters.mark_sent(run.ledger, account, message_id)
    outcome = "written" if appended else "was there already"
    structlog.get_logger(__name__).info("letter", account=account, things=len(things), outcome=outcome)


def write_helpdesk_list(run: Run, things: Sequence["Told"]) -> None:
    """The helpdesk's list, as text in the log, as text and CSV beside the reports."""
    import os
    from pathlib import Path

    import structlog

    from bascule.decisions import letters as making
    from bascule.decisions.table import with_mark
    from bascule.ledger import letters

    log = structlog.get_logger(__name__)
    sent = letters.sent(run.ledger)
    text = making.helpdesk_text(run.site, things, sent)
    for line in text.splitlines():
        log.info(line)
    folder = os.environ.get("BASCULE_REPORTS")
    if folder and not run.dry_run:
        base = Path(folder) / f"{run.site.name}-helpdesk"
        base.parent.mkdir(parents=True, exist_ok=True)
        base.with_suffix(".txt").write_text(text, encoding="utf-8")
        base.with_suffix(".csv").write_bytes(with_mark(making.helpdesk_csv(things, sent)))
        log.info("the helpdesk's list lies beside the reports", files=f"{base}.txt, {base}.csv")
