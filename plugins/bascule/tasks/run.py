"""What every task has in its hands: the site, its hosts, the ledger, who asked for it; and how a task ends early."""

import contextlib
import getpass
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from bascule import site
from bascule.changes.base import ChangeFailed
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError, Connection, Connections, EnvironmentConnections
from bascule.hosts.ssh import connect_ssh
from bascule.ledger import Ledger, LedgerAway, LedgerError, phases, task_log
from bascule.ledger.base import now
from bascule.ledger.journal import Origin
from bascule.ledger.leases import LEASE_SECONDS, LeaseHeld, of_this_process, this_process
from bascule.ledger.task_log import NOT_BEGUN, TaskState, Try
from bascule.site import Site, SiteError
from bascule.tasks import notify
from bascule.text.logs import get_logger

if TYPE_CHECKING:
    import paramiko

log = get_logger(__name__)

BROKE_OFF = "The task broke off in a way that nobody has foreseen: its log says where."


class NeedsPerson(Exception):
    """Raised when a task can't go on before a person has mended something; the text says what."""


class TryAgain(Exception):
    """Raised when what stopped a task may pass by itself."""


class NotBegun(TryAgain):
    """Raised when others keep an account from its work; the text says who. It is no failure of the account itself."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{NOT_BEGUN}{why}")


class LeftForLater(Exception):
    """Raised when a task leaves its work to a later run; the text says why. Nothing was begun."""


@dataclass
class Outcome:
    """How far a try of a task is when its work comes back without an error."""

    state: TaskState = "done"
    sentence: str = ""

    def becomes(self, state: TaskState, sentence: str) -> None:
        self.state, self.sentence = state, sentence


@dataclass(frozen=True)
class Run:
    """One task's view of the day. `selection` of accounts: as `bascule.hosts.directory.parse_selection` takes it.

    `asked_at`: when the command was given, or the run of Airflow triggered (UTC), however long it has waited since.
    """

    site: Site
    access: Access
    ledger: Ledger
    origin: Origin
    dry_run: bool = False
    selection: str = "all"
    holder: str = ""  # who holds leases, where this is no task
    asked_at: datetime | None = None
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def owner(self) -> str:
        """Who holds leases: this process of this task.

        Airflow may give a task out again while the process of its last try is still at work, cut off from the API
        server: the next one goes on when that one has ended.
        """
        return self.holder or of_this_process(f"{self.origin.phase}/{self.origin.run}/{self.origin.task}")

    @property
    def is_for_all(self) -> bool:
        """Whether nobody is left out, as `parse_selection` says it: its module would cost every task its imports."""
        return self.selection.strip() in ("", "all")

    @property
    def patience(self) -> float:
        """Seconds that a lease is waited for: as long as a dead process may keep it. A command line says so at once."""
        return 0 if self.holder else LEASE_SECONDS


@contextlib.contextmanager
def opened(
    connections: Connections,
    ssh: "Callable[[Connection], paramiko.SSHClient]",
    origin: Origin,
    *,
    dry_run: bool = False,
    selection: str = "all",
    asked_at: datetime | None = None,
) -> Iterator[Run]:
    """A task's Run, for the site and the ledger of the environment. Raises SiteError and LedgerError."""
    access = Access(site.from_environment(), connections, ssh)
    try:
        yield Run(access.site, access, Ledger.from_environment(), origin, dry_run, selection, asked_at=asked_at)
    finally:
        access.close()


@contextlib.contextmanager
def at_command_line(
    loaded: Site, ledger: Ledger, command: str, *, dry_run: bool = False, selection: str = "all"
) -> Iterator[Run]:
    """The Run of a command line, with connections from the environment."""
    access = Access(loaded, EnvironmentConnections(), connect_ssh)
    at = now()
    origin = Origin("command line", f"by_hand__{at.isoformat()}", command, getpass.getuser())
    try:
        yield Run(loaded, access, ledger, origin, dry_run, selection, holder=this_process(command), asked_at=at)
    finally:
        access.close()


@contextlib.contextmanager
def noted(run: Run, this: Try, *, last_try: bool) -> Iterator[None]:
    """The ledger knows that this try runs, then how it ended."""
    if run.dry_run:
        yield
        return
    task_log.note(run.ledger, this, "running")
    state: TaskState = "failed" if last_try else "again"
    sentence = BROKE_OFF
    try:
        yield
        state, sentence = run.outcome.state, run.outcome.sentence
    except TryAgain as error:
        sentence = str(error)
        raise
    except LeftForLater as error:
        state, sentence = "skipped", str(error)
        raise
    except (NeedsPerson, SystemExit) as error:
        state, sentence = "failed", str(error)
        raise
    finally:
        task_log.note(run.ledger, this, state, sentence)
        notify.outcome(run, this, state, sentence)


@contextlib.contextmanager
def in_sentences() -> Iterator[None]:
    """Raises TryAgain or NeedsPerson, with one sentence, for every error that the rooms foresee."""
    try:
        yield
    except (AccessError, LeaseHeld, LedgerAway) as error:
        raise TryAgain(str(error)) from None
    except (SiteError, LedgerError, ChangeFailed) as error:
        raise NeedsPerson(str(error)) from None


def check_phase(run: Run) -> None:
    """See that this phase may run now, for those for whom it was triggered. Raises NeedsPerson and PhaseRefused.

    A dry run only says what the journal would refuse.
    """
    if run.origin.phase in phases.FOR_EVERYBODY and not run.is_for_all:
        raise NeedsPerson(
            f"`{run.origin.phase}` is for everybody, since it stops services and moves addresses that are everybody's, "
            f"and was triggered for {run.selection!r} alone: nothing was done. Trigger it without `accounts`; who is "
            "to move before the others is moved by `move`"
        )
    try:
        phases.require(run.ledger, run.origin.phase)
    except phases.PhaseRefused as refusal:
        if not run.dry_run:
            raise
        log.warning("dry run: this phase would refuse to start", reason=str(refusal))
