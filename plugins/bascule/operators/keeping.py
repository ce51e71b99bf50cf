"""Mailboxes that stay on the old server by decision: their mail goes there again."""

from typing import TYPE_CHECKING

from bascule.operators.mailbox import leave_on_old
from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class SendKeptMailToOld(BasculeOperator):
    """Give the accounts of this run that are kept on old their old mail destination back, in directory and alias map.

    What the MX has queued for them on new is looked up again, so that it flows to old. Returns the accounts.
    """

    ui_color = "#fde8c8"

    def act(self, run: Run, context: "Context") -> list[str]:
        from bascule import changes, directory, queues
        from bascule.changes import base
        from bascule.ledger import problems

        chosen = {account.name for account in directory.accounts(run.access, run.selection)}
        kept = sorted(chosen & problems.kept_on_old(run.ledger).keys())
        if not kept:
            self.log.info("no mailbox is kept on the old server")
            return []
        for account in kept:
            leave_on_old(run, account)
        destination = changes.kind("directory_kept")(run.access, accounts=kept)  # type: ignore[call-arg]
        base.run(destination, run.ledger, run.origin, dry_run=run.dry_run)
        aliases = changes.kind("aliases")(run.access, sent_back=kept)  # type: ignore[call-arg]
        base.run(aliases, run.ledger, run.origin, dry_run=run.dry_run)
        if not run.dry_run:
            queues.requeue_all(run.access.remote(run.site.queues.mx))
        self.log.info("kept on the old server, and their mail goes there: %s", ", ".join(kept))
        return kept
