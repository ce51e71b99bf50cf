"""Undo the day's changes, the newest first, as the journal has them."""

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class UndoChanges(BasculeOperator):
    """Put back what every change in force found before it, down to the state before the freeze.

    Stops at the first change that can't be put back; run again, it goes on from there. Returns how many were undone.
    """

    ui_color = "#fde8c8"

    def act(self, run: Run, context: "Context") -> int:
        from bascule import changes
        from bascule.changes import acts, base
        from bascule.ledger import journal, phases

        refuse_after_go(phases.marked_at(run.ledger, "cutover", "go") is not None)
        found = acts.in_force(journal.entries(run.ledger))
        self.log.info("%d change(s) are in force", len(found))
        for act in found:
            change = changes.kind(act.kind).from_parameters(run.access, act.parameters)
            base.undo(change, act.before, run.ledger, run.origin, dry_run=run.dry_run)
        return len(found)


def refuse_after_go(gone: bool) -> None:
    """After the go mail has reached the new server, and putting the addresses back would leave it behind."""
    if gone:
        raise AirflowFailException(
            "the cutover was decided, and mail has reached the new server since: this rollback ends where the go was "
            "given, because it does not carry that mail back. See docs/day.md for what to do instead."
        )
