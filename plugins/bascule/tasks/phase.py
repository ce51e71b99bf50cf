"""Beginning and end of a phase."""

from bascule.ledger import phases
from bascule.tasks import forecast, notify
from bascule.tasks.run import Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


def begin(run: Run) -> None:
    """The site file is right, and the journal allows the phase to run: write down that it starts."""
    if run.dry_run:
        log.info("dry run: everything is looked at, nothing is changed", phase=run.origin.phase)
        return
    phases.mark(run.ledger, run.origin.phase, "started", run.origin)
    if run.origin.phase in ("migrate", "freeze"):
        for line in forecast.lines(run.ledger):
            log.info(line)
    notify.phase(run, "begins")
    log.info("the phase begins", phase=run.origin.phase, asked_by=run.origin.asked_by, site=run.site.name)


def finish(run: Run) -> None:
    """All tasks before have done their work: the journal gets to know."""
    if run.dry_run:
        log.info("dry run: the end of the phase, nothing was changed", phase=run.origin.phase)
        return
    phases.mark(run.ledger, run.origin.phase, "finished", run.origin)
    notify.phase(run, "ends")
    log.info("the phase is finished", phase=run.origin.phase)
