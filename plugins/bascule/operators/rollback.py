"""The way back: undo the day's changes, the newest first, as the journal has them, and carry new's mail to old."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bascule.changes.acts import Act


class UndoCutover(BasculeOperator):
    """Take the new server out of production, if a go was given: undo what has been changed since.

    What new has accepted for its own mailboxes is delivered first. Afterwards new is as it was at the gate: no mail
    comes in, and IMAP is open for the copy alone. Returns how many changes were undone.
    """

    ui_color = "#fde8c8"

    def act(self, run: Run, context: "Context") -> int:
        from bascule.changes import acts
        from bascule.ledger import journal, phases

        go = phases.marked(run.ledger, "cutover", "go")
        if go is None:
            self.log.info("no go was given: the new server has taken nothing over")
            return 0
        since = [act for act in acts.in_force(journal.entries(run.ledger)) if act.number > go.number]
        self.log.info("%d change(s) are in force since the go at %s UTC", len(since), go.at)
        return undo(run, since)


class ListAccountsToCarryBack(BasculeOperator):
    """The accounts whose mail may have reached new since the go: carried by passes, not kept on old."""

    ui_color = "#e3eef9"

    def act(self, run: Run, context: "Context") -> list[str]:
        from bascule import directory
        from bascule.ledger import mailboxes, phases, problems

        if phases.marked(run.ledger, "cutover", "go") is None:
            self.log.info("no go was given: no mail has reached the new server since the freeze")
            return []
        carried = {name for name, state in mailboxes.mailbox_states(run.ledger).items() if state.passes}
        carried -= problems.kept_on_old(run.ledger).keys()
        found = carried & {account.name for account in directory.accounts(run.access)}
        self.log.info("mail of %d account(s) is looked for on the new server", len(found))
        if gone := sorted(carried - found):
            self.log.warning("no mail is looked for of %s: the directory does not know them any more", ", ".join(gone))
        return sorted(found)


class CarryBack(BasculeOperator):
    """Bring the mail of one account that reached new since the last pass to old. Safe to run again.

    Returns {"copied": n, "bytes": n, "there": n}.
    """

    template_fields = ("account",)
    ui_color = "#d9efdf"

    def __init__(self, *, account: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.account = account

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        from bascule.ledger import leases
        from bascule.mailbox import MailboxFailed, TransientError, job_for
        from bascule.mailbox.carry_back import carry_back

        with leases.lease(run.ledger, self.account, run.owner):
            try:
                done = carry_back(job_for(run.access, self.account), run.ledger, dry_run=run.dry_run)
            except TransientError as error:
                raise AirflowException(str(error)) from None
            except MailboxFailed as error:
                raise AirflowFailException(f"{error}. {self._what_to_do()}") from None
        if done.refused:
            raise AirflowFailException(
                f"old does not take some mail of {self.account}; everything else has been carried back. "
                f"{self._what_to_do()}\n" + "\n".join(done.refused[:50])
            )
        return {"copied": done.copied, "bytes": done.bytes, "there": done.there}

    def _what_to_do(self) -> str:
        return (
            "Mend it on old and clear this task; or mark it as success: the mail then stays on the new server, and the "
            "next migration finds it there."
        )


class UndoChanges(BasculeOperator):
    """Put back what every change in force found before it, down to the state before the freeze.

    Before new takes mail again, what waits for it at the MX is sent to old. Stops at the first change that can't be
    put back; run again, it goes on from there. Returns how many were undone.
    """

    ui_color = "#fde8c8"

    def act(self, run: Run, context: "Context") -> int:
        from bascule.changes import acts
        from bascule.ledger import journal

        found = acts.in_force(journal.entries(run.ledger))
        self.log.info("%d change(s) are in force", len(found))
        count = undo(run, found)
        if not any(takes_mail_again(act) for act in found):
            send_waiting_mail_back(run)
        return count


def undo(run: Run, found: "Sequence[Act]") -> int:
    """Undo these acts in this order, and see to the mail that would be left behind where reception is switched."""
    from bascule import changes
    from bascule.changes import base

    for act in found:
        if stops_mail(act):
            deliver_what_new_accepted(run)
        if takes_mail_again(act):
            send_waiting_mail_back(run)
        change = changes.kind(act.kind).from_parameters(run.access, act.parameters)
        base.undo(change, act.before, run.ledger, run.origin, dry_run=run.dry_run)
    return len(found)


def stops_mail(act: "Act") -> bool:
    """Whether undoing this stops the new server's mail reception."""
    return (act.parameters.get("service"), act.parameters.get("state")) == ("reception_new", "running")


def takes_mail_again(act: "Act") -> bool:
    """Whether undoing this lets the new server take mail again, as it did before the freeze."""
    return (act.parameters.get("service"), act.parameters.get("state")) == ("reception_new", "stopped")


def deliver_what_new_accepted(run: Run) -> None:
    """Wait until mail that new has accepted for its own mailboxes lies in them: from there it can be carried back.

    What waits there for other servers stays in its queue until reception on new runs again. Raises QueueNotEmpty.
    """
    from bascule import directory, queues

    if run.dry_run:
        return
    new, destination = run.access.remote(run.site.services.reception_new.host), run.site.directory.destination.after
    own = {directory.render(destination, account) for account in directory.accounts(run.access)}
    queues.flush(new)
    queues.wait_until_sent_on(new, own, "run `postqueue -p` there, see why it is not delivered, then clear this task")


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
    queues.wait_until_sent_on(mx, waiting, "it was requeued all the same: look at the alias map there")
    base.undo(aliases, done.before, run.ledger, run.origin)
