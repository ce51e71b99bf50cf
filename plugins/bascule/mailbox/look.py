"""Has anything changed since the last verified pass? Both servers are asked, no message is read, nothing is written.

A look asks what a pass asks first (LIST and STATUS of both sides, rights and annotations of old) and compares it with
what the last pass left in the ledger. Where it is not sure, it says that a pass is needed.
"""

import itertools
import threading
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bascule.ledger import Ledger, LedgerError, mailboxes
from bascule.mailbox.attributes.carry import changed_attributes
from bascule.mailbox.context import PassContext, Progress
from bascule.mailbox.folders.plan import Planner
from bascule.mailbox.imap.errors import MailboxFailed, Refused, TransientError
from bascule.mailbox.imap.folders import list_folders
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import Counts, FolderState
from bascule.mailbox.throttle import Pace
from bascule.mailbox.workers import Sessions, WorkQueue, in_parallel
from bascule.problems import store
from bascule.problems.model import State
from bascule.text.logs import get_logger
from bascule.text.reason import mistake_of

log = get_logger(__name__)

NAMED = 3  # folders in a reason
NOT_LOOKED_AT = "it can't be looked at: {why}"
AT_ONCE = 50  # accounts of which the ledger is asked together; few enough that what it says is seconds old


@dataclass(frozen=True)
class LookResult:
    """What a look found. `reason`: why a pass is needed; empty: nothing has changed since the last verified one."""

    account: str
    reason: str = ""

    @property
    def unchanged(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class _Known:
    """What the ledger knows of some accounts, read for all of them at once."""

    states: dict[str, str]  # of their mailboxes
    set_aside: set[str]
    problems: dict[str, set[State]]  # of those who ever had one

    @classmethod
    def of(cls, ledger: Ledger, accounts: Collection[str]) -> "_Known":
        with ledger.reading() as session:
            return cls(
                mailboxes.last_states(session, accounts),
                mailboxes.accounts_with_set_aside(session, accounts),
                store.states_of(session, accounts),
            )

    def reason(self, account: str) -> str:
        """Why a pass is needed, whatever the servers say."""
        state = self.states.get(account)
        if state not in ("verified", "waiting"):
            return "no pass has ended yet" if state is None else f"its last pass left it in the state `{state}`"
        if account in self.set_aside:
            return "messages of it wait to be tried again"
        if not self.problems.get(account, set()).isdisjoint(("open", "decided")):
            return "a person is asked about it, or what was decided waits to be carried out"
        return ""


def look_at(job: MailboxJob, ledger: Ledger) -> LookResult:
    """Look at one mailbox. A server that can't be asked is a reason for a pass, which finds out what to do about it."""
    return _look(job, ledger, _Known.of(ledger, [job.account]))


def needs_a_pass(ledger: Ledger, accounts: Sequence[str]) -> set[str]:
    """Those of which the ledger alone knows that a look would find a reason for a pass."""
    found: set[str] = set()
    for first in range(0, len(accounts), AT_ONCE):
        some = accounts[first : first + AT_ONCE]
        known = _Known.of(ledger, some)
        found |= {account for account in some if known.reason(account)}
    return found


def look_over(jobs: Iterable[MailboxJob], ledger: Ledger, *, connections: int) -> list[LookResult]:
    """Look at many mailboxes, so many at a time. A mistake of Bascule's at one of them is its reason for a pass."""
    coming = list(jobs)
    slices = _Slices(ledger, [job.account for job in coming])
    with ThreadPoolExecutor(connections) as pool:
        return list(pool.map(lambda place, job: _look(job, ledger, slices.around(place)), itertools.count(), coming))


class _Slices:
    """What the ledger knows, by slices of the accounts: each is read when the first look of it begins."""

    def __init__(self, ledger: Ledger, accounts: Sequence[str]) -> None:
        self._ledger, self._accounts = ledger, accounts
        self._known: dict[int, _Known] = {}
        self._lock = threading.Lock()

    def around(self, place: int) -> _Known:
        first = place - place % AT_ONCE
        with self._lock:
            if first not in self._known:
                self._known[first] = _Known.of(self._ledger, self._accounts[first : first + AT_ONCE])
            return self._known[first]


def _look(job: MailboxJob, ledger: Ledger, known: _Known) -> LookResult:
    try:
        return LookResult(job.account, known.reason(job.account) or _on_the_servers(job, ledger, known))
    except (TransientError, MailboxFailed, Refused) as error:
        return LookResult(job.account, NOT_LOOKED_AT.format(why=error))
    except LedgerError:  # it concerns all
        raise
    except Exception as error:  # a mistake of ours at one odd mailbox must not hold back the others
        log.exception("not looked at", account=job.account)
        return LookResult(job.account, NOT_LOOKED_AT.format(why=mistake_of(error)))


def _on_the_servers(job: MailboxJob, ledger: Ledger, known: _Known) -> str:
    sessions = Sessions(job.old, job.new)
    sessions.open()
    try:
        reason = _compare(job, ledger, sessions, known)
    except BaseException:
        sessions.close(cut=True)
        raise
    sessions.close()
    return reason


def _compare(job: MailboxJob, ledger: Ledger, sessions: Sessions, known: _Known) -> str:
    problems = PassProblems(ledger, job.account)
    if job.account in known.problems:
        problems.load()
    old, new = in_parallel(lambda: list_folders(sessions.source), lambda: list_folders(sessions.destination))
    planner = Planner(job, ledger, old, new, problems)
    planned = planner.plan()
    if reason := _changed_folders(planner, planned):
        return reason
    if problems.found:
        return f"there is something to ask: {problems.found[0].kind}: {problems.found[0].subject}"
    context = PassContext(job, WorkQueue(), problems, Counts(), Pace([], []), True, Progress(Counts(), None))
    return "access rights or annotations have changed on old" if changed_attributes(context, sessions, planned) else ""


def _changed_folders(planner: Planner, planned: list[FolderState]) -> str:
    changed = [state.name for state in planned if not state.is_unchanged]
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        return f"something has changed in {', '.join(changed[:NAMED])}{more}"
    if planner.known.gone():
        return "folders are gone from old, or have another name there"
    if any(state.old.subscribed != state.row.subscribed for state in planned):
        return "subscriptions have changed on old"
    return "old has folders without messages that new does not have" if planner.missing_parents() else ""
