"""Beginning and end of a phase."""

from bascule.ledger import moves, phases
from bascule.tasks import forecast, notify
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


def begin(run: Run) -> None:
    """The site file is right, and the journal allows the phase to run: write down that it starts.

    Raises NeedsPerson when the freeze would come into the move of an account.
    """
    if run.dry_run:
        log.info("dry run: everything is looked at, nothing is changed", phase=run.origin.phase)
        return
    if run.origin.phase == "freeze":
        _see_that_nobody_moves(run)
    phases.mark(run.ledger, run.origin.phase, "started", run.origin, asked_at=run.asked_at)
    if run.origin.phase == "freeze":
        _see_that_nobody_moves(run)  # one that began between look and mark; the next one sees the mark
    if run.origin.phase in ("migrate", "freeze"):
        for line in forecast.lines(run.ledger):
            log.info(line)
    notify.phase(run, "begins")
    log.info("the phase begins", phase=run.origin.phase, asked_by=run.origin.asked_by, site=run.site.name)


def _see_that_nobody_moves(run: Run) -> None:
    """The freeze stops what a move needs, and the account's mail would wait at the MX without an end."""
    if left := moves.all_under_way(run.ledger):
        named = ", ".join(f"{move.account} ({move.state})" for move in left)
        raise NeedsPerson(
            f"{len(left)} account(s) are being moved on their own: {named}. Stop the moves (page *Moves*) and wait "
            "until they have ended, or end what broke off by `python -m bascule.moves end`; then clear this task"
        )


def finish(run: Run) -> None:
    """All tasks before have done their work: the journal gets to know."""
    if run.dry_run:
        log.info("dry run: the end of the phase, nothing was changed", phase=run.origin.phase)
        return
    phases.mark(run.ledger, run.origin.phase, "finished", run.origin)
    notify.phase(run, "ends")
    log.info("the phase is finished", phase=run.origin.phase)
