"""Undo the day's changes, the newest first, as the journal has them."""

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class UndoChanges(BasculeOperator):
    """Put back what every change in force found before it, down to the state before the freeze.

    Before new takes mail again, what waits for it at the MX is sent to old. Stops at the first change that can't be
    put back; run again, it goes on from there. Returns how many were undone.
    """

    ui_color = "#fde8c8"

    def act(self, run: Run, context: "Context") -> int:
        from bascule import changes
        from bascule.changes import acts, base
        from bascule.ledger import journal, phases

        refuse_after_go(phases.marked_at(run.ledger, "cutover", "go") is not None)
        found = acts.in_force(journal.entries(run.ledger))
        self.log.info("%d change(s) are in force", len(found))
        sent_back = False
        for act in found:
            if act.parameters.get("service") == "reception_new" and not sent_back:
                send_waiting_mail_back(run)
                sent_back = True
            change = changes.kind(act.kind).from_parameters(run.access, act.parameters)
            base.undo(change, act.before, run.ledger, run.origin, dry_run=run.dry_run)
        if not sent_back:
            send_waiting_mail_back(run)
        return len(found)


def send_waiting_mail_back(run: Run) -> None:
    """Let the mail that the MX has accepted for new go to old: the directory says old again for who comes now.

    Postfix never looks an address up again that it has expanded once, so that for this moment a map sends new's
    addresses to old. Safe to run again. Raises QueueNotEmpty when Postfix does not follow it.
    """
    import structlog

    from bascule import directory, queues
    from bascule.changes import base
    from bascule.changes.aliases import AliasMap

    log = structlog.get_logger(__name__)
    mx = run.access.remote(run.site.queues.mx)
    names = [account.name for account in directory.accounts(run.access)]
    aliases = AliasMap(run.access, sent_back=names)
    waiting = queues.recipients(mx) & {address.lower() for address in aliases.ways()}
    log.info("mail waits at the MX for addresses of new", addresses=len(waiting), host=mx.name)
    if not waiting or run.dry_run:
        return
    done = base.run(aliases, run.ledger, run.origin)
    queues.requeue_all(mx)
    queues.wait_until_sent_on(mx, waiting)
    base.undo(aliases, done.before, run.ledger, run.origin)


def refuse_after_go(gone: bool) -> None:
    """After the go mail has reached the new server, and putting the addresses back would leave it behind."""
    if gone:
        raise AirflowFailException(
            "the cutover was decided, and mail has reached the new server since: this rollback ends where the go was "
            "given, because it does not carry that mail back. See docs/day.md for what to do instead."
        )
