"""The way back: undo the day's changes, the newest first, as the journal has them, and see to the mail meanwhile."""

from collections.abc import Sequence

from bascule import changes
from bascule.changes import acts, base
from bascule.changes.acts import Act
from bascule.changes.aliases import AliasMap
from bascule.changes.base import Effect
from bascule.hosts import directory
from bascule.hosts.postfix import queue
from bascule.ledger import journal, phases
from bascule.tasks.run import Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


def undo_cutover(run: Run) -> int:
    """Take the new server out of production, if a go was given: undo what has been changed since.

    What new has accepted for its own mailboxes is delivered first. Afterwards new is as it was at the gate: no mail
    comes in, and IMAP is open for the copy alone. Returns how many changes were undone.
    """
    go = phases.marked(run.ledger, "cutover", "go")
    if go is None:
        log.info("no go was given: the new server has taken nothing over")
        return 0
    since = [act for act in acts.in_force(journal.entries(run.ledger)) if act.number > go.number]
    log.info("changes in force since the go", count=len(since), go=f"{go.at} UTC")
    return undo(run, since)


def undo_changes(run: Run) -> int:
    """Put back what every change in force found before it, down to the state before the freeze.

    Before new takes mail again, what waits for it at the MX is sent to old. Stops at the first change that can't be
    put back; run again, it goes on from there. Returns how many were undone.
    """
    found = acts.in_force(journal.entries(run.ledger))
    log.info("changes in force", count=len(found))
    count = undo(run, found)
    if not any(Effect.NEW_TAKES_NO_MAIL in changes.again(run.access, act).effects for act in found):
        send_waiting_mail_back(run)
    return count


def undo(run: Run, found: Sequence[Act]) -> int:
    """Undo these acts in this order, and see to the mail that would be left behind where reception is switched."""
    for act in found:
        change = changes.again(run.access, act)
        if Effect.NEW_TAKES_MAIL in change.effects:
            deliver_what_new_accepted(run)
        if Effect.NEW_TAKES_NO_MAIL in change.effects:
            send_waiting_mail_back(run)
        base.undo(change, act.before, run.ledger, run.origin, dry_run=run.dry_run)
    return len(found)


def deliver_what_new_accepted(run: Run) -> None:
    """Wait until mail that new has accepted for its own mailboxes lies in them: from there it can be carried back.

    What waits there for other servers stays in its queue until reception on new runs again. Raises QueueNotEmpty.
    """
    if run.dry_run:
        return
    new, destination = run.access.remote(run.site.services.reception_new.host), run.site.directory.destination.after
    own = {directory.render(destination, account) for account in directory.accounts(run.access)}
    queue.flush(new)
    queue.wait_until_sent_on(new, own, "run `postqueue -p` there, see why it is not delivered, then clear this task")


def send_waiting_mail_back(run: Run) -> None:
    """Let the mail that the MX has accepted for new go to old: the directory says old again for who comes now.

    Postfix never looks an address up again that it has expanded once, so that for this moment a map sends new's
    addresses to old. Safe to run again. Raises QueueNotEmpty when Postfix does not follow it.
    """
    mx = run.access.remote(run.site.queues.mx)
    names = [account.name for account in directory.accounts(run.access)]
    aliases = AliasMap(run.access, sent_back=names)
    waiting = queue.recipients(mx) & {address.lower() for address in aliases.ways()}
    log.info("mail waits at the MX for addresses of new", addresses=len(waiting), host=mx.name)
    if not waiting or run.dry_run:
        return
    done = base.run(aliases, run.ledger, run.origin)
    queue.requeue_all(mx)
    queue.wait_until_sent_on(mx, waiting, "it was requeued all the same: look at the alias map there")
    base.undo(aliases, done.before, run.ledger, run.origin)
