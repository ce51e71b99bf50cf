"""Mailboxes that stay on the old server by decision: their mail goes there again."""

from bascule import changes
from bascule.changes import base
from bascule.hosts.postfix import queue
from bascule.ledger import moves
from bascule.problems import store
from bascule.tasks import accounts
from bascule.tasks.mailbox import leave_on_old
from bascule.tasks.run import Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


def send_mail_to_old(run: Run) -> list[str]:
    """Give the accounts of this run that are kept on old their old mail destination back, in directory and alias map.

    What the MX has queued for them on new is looked up again, so that it flows to old. Returns the accounts.
    Raises ChangeFailed and AccessError.
    """
    kept = sorted(moves.not_moved(run.ledger, store.kept_on_old(run.ledger).keys() & {*accounts.names(run)}))
    if not kept:
        log.info("no mailbox is kept on the old server")
        return []
    for account in kept:
        leave_on_old(run, account)
    destination = changes.kind("directory_kept")(run.access, accounts=kept)  # type: ignore[call-arg]
    base.run(destination, run.ledger, run.origin, dry_run=run.dry_run)
    aliases = changes.kind("aliases")(run.access, sent_back=kept)  # type: ignore[call-arg]
    base.run(aliases, run.ledger, run.origin, dry_run=run.dry_run)
    if not run.dry_run:
        queue.requeue_all(run.access.remote(run.site.queues.mx))
    log.info("kept on the old server, and their mail goes there", accounts=kept)
    return kept
