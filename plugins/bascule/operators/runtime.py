"""What every task of Bascule has in its hands: the site, its hosts, the ledger, and who asked for it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bascule.access import Access
    from bascule.ledger import Ledger
    from bascule.ledger.journal import Origin
    from bascule.site import Site


@dataclass(frozen=True)
class Run:
    """One task's view of the day."""

    site: "Site"
    access: "Access"
    ledger: "Ledger"
    origin: "Origin"
    dry_run: bool
    selection: str | Sequence[str]  # of accounts, as `bascule.directory.accounts` takes it

    @property
    def owner(self) -> str:
        """Who holds leases: this task, whichever try it is, so that its next try takes its own over at once."""
        return f"{self.origin.phase}/{self.origin.run}/{self.origin.task}"


@contextlib.contextmanager
def opened_run(context: "Context") -> Iterator[Run]:
    """Open what the task needs; every refusal ends the task with one sentence in its log."""
    from bascule import directory, site
    from bascule.access import Access
    from bascule.ledger import Ledger
    from bascule.operators.connections import AirflowConnections, connect_ssh

    params = context["params"]
    loaded = site.from_environment()
    ledger = Ledger.from_environment()
    access = Access(loaded, AirflowConnections(), connect_ssh)
    try:
        yield Run(
            site=loaded,
            access=access,
            ledger=ledger,
            origin=origin_of(context),
            dry_run=bool(params.get("dry_run", False)),
            selection=directory.parse_selection(str(params.get("accounts", "all"))),
        )
    finally:
        access.close()


def origin_of(context: "Context") -> "Origin":
    """Where a row of the journal comes from: phase (the DAG), run, task with its mapped name, and who triggered it."""
    from bascule.ledger.journal import Origin

    ti, dag_run = context["ti"], context["dag_run"]
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    asked_by = getattr(dag_run, "triggering_user_name", None) or str(getattr(dag_run, "run_type", "") or "")
    return Origin(ti.dag_id, ti.run_id, f"{ti.task_id}{index}", str(asked_by))


class BasculeOperator(BaseOperator):
    """An operator with a Run in its hands. Subclasses define `act`.

    What a person must mend fails at once and is not tried again; what may pass by itself (a host that can't be
    reached) is tried again as the task's `retries` say.
    """

    needs_phase = True  # the journal must allow the phase (the DAG) to run

    def act(self, run: Run, context: "Context") -> Any:
        raise NotImplementedError

    def execute(self, context: "Context") -> Any:
        with sentences(), opened_run(context) as run:
            if self.needs_phase:
                check_phase(run)
            return self.act(run, context)


def check_phase(run: Run) -> None:
    """See that the journal allows this phase now; a dry run only says what would be refused. Raises PhaseRefused."""
    import structlog

    from bascule.ledger import phases

    try:
        phases.require(run.ledger, run.origin.phase)
    except phases.PhaseRefused as refusal:
        if not run.dry_run:
            raise
        structlog.get_logger(__name__).warning("dry run: this phase would refuse to start", reason=str(refusal))


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Turn the rooms' errors into one sentence of the task log, and into Airflow's words for `again` and `never`."""
    import structlog

    from bascule.access import AccessError, CommandFailed
    from bascule.changes.base import ChangeFailed
    from bascule.directory import DirectoryError
    from bascule.ledger import LedgerError
    from bascule.ledger.leases import LeaseHeld
    from bascule.site import SiteError

    log = structlog.get_logger(__name__)
    try:
        yield
    except (CommandFailed, DirectoryError, AccessError, LeaseHeld) as error:
        log.error(str(error))
        raise
    except (SiteError, LedgerError, ChangeFailed) as error:
        log.error(str(error))
        raise AirflowFailException(str(error)) from None
