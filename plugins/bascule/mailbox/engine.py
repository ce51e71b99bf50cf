"""One pass over one mailbox: the entry point of the engine. It knows nothing of Airflow."""

import random
import time

from bascule.ledger import Ledger, mailboxes
from bascule.logs import get_logger
from bascule.mailbox.context import PassContext, Progress, Tell
from bascule.mailbox.copying import QuotaReached
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.errors import (
    LoginBroken,
    MailboxFailed,
    NoMailbox,
    Refused,
    SourceBroke,
    TransientError,
)
from bascule.mailbox.extras import begin_anew, carry_extras
from bascule.mailbox.folders import Surroundings, look_around
from bascule.mailbox.folderwork import FolderWork
from bascule.mailbox.lanes import Lane, WorkQueue, in_parallel, work_off
from bascule.mailbox.limits import pace_of
from bascule.mailbox.looking import unchanged
from bascule.mailbox.planning import Planner, carry_subscriptions
from bascule.mailbox.quota import Gate, Quota, Shortage, ask, at_most
from bascule.mailbox.removed import remove_folders
from bascule.mailbox.session import Session
from bascule.mailbox.state import Counts, FolderState
from bascule.mailbox.trouble import Troubles
from bascule.mailbox.types import PassResult

log = get_logger(__name__)

ATTEMPTS = 6  # of one pass, with growing pauses; an attempt that copied something is not counted
LOGIN_ATTEMPTS = 3  # of logins that a server does not refuse and does not let in either
FIRST_PAUSE = 0.5  # seconds
SECOND_LANE_FROM = 200  # messages to look through: fewer are not worth another connection


def sync_mailbox(
    job: MailboxJob, ledger: Ledger, *, dry_run: bool = False, progress: Progress | None = None
) -> PassResult:
    """Carry one mailbox from old to new, or what has changed of it since the last pass.

    Problems and the mailbox's state are written to the ledger. Raises TransientError (run it again) and
    MailboxFailed (a person is needed first).
    """
    began = time.monotonic()
    counts = Counts()
    attempt = 0
    while True:
        copied_before = counts.copied
        try:
            return MailboxPass(job, ledger, counts, dry_run, progress, began).run()
        except MailboxFailed as error:
            _note(ledger, job, dry_run, "failed", str(error))
            raise
        except (TransientError, Refused) as error:
            attempt = 0 if counts.copied > copied_before or isinstance(error, SourceBroke) else attempt + 1
            if isinstance(error, LoginBroken) and attempt >= LOGIN_ATTEMPTS:
                _note(ledger, job, dry_run, "failed", str(error))
                raise
            if attempt >= ATTEMPTS:
                _note(ledger, job, dry_run, "copying", str(error))
                raise TransientError(str(error)) from error
            pause = FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311
            log.warning("pass interrupted, going on", account=job.account, reason=str(error), pause=round(pause, 1))
            time.sleep(pause if attempt or not isinstance(error, SourceBroke) else 0.0)


def _note(ledger: Ledger, job: MailboxJob, dry_run: bool, state: mailboxes.MailboxState, words: str) -> None:
    if not dry_run:
        with ledger.session() as session:
            mailboxes.set_mailbox(session, job.account, state, note=words)


class MailboxPass:
    """One attempt at one pass."""

    def __init__(
        self, job: MailboxJob, ledger: Ledger, counts: Counts, dry_run: bool, progress: Progress | None, began: float
    ) -> None:
        self.job, self.ledger, self.counts, self.dry_run, self.began = job, ledger, counts, dry_run, began
        self.troubles = Troubles(ledger, job.account)
        pace = pace_of(job, ledger)
        self.context = PassContext(job, WorkQueue(), self.troubles, counts, pace, dry_run, Tell(counts, progress))

    def run(self) -> PassResult:
        self.troubles.load()
        kept = self.troubles.keep_on_old()
        if kept is not None:
            return self._kept_on_old(kept.decided_by)
        lane = self._first_lane()
        try:
            return self._run(lane)
        except BaseException:
            lane.close(cut=True)
            raise

    def _run(self, lane: Lane) -> PassResult:
        old, new = in_parallel(lambda: look_around(lane.old), lambda: look_around(lane.new))
        _insist_on_mailbox(lane.old, old)
        _insist_on_mailbox(lane.new, new)
        planner = Planner(self.job, self.ledger, old, new, self.troubles)
        if not self.dry_run and planner.renames.carry_out(lane.new):
            new = look_around(lane.new)
            planner = Planner(self.job, self.ledger, old, new, self.troubles)
        planned = planner.plan()
        if not self.dry_run:
            if not all(unchanged(state) for state in planned):
                _mark_copying(self.ledger, self.job.account)
            begin_anew(self.context, planned)
            planned = planner.create(lane.new, planned)
            carry_subscriptions(lane.new, planned)
        carry_extras(self.context, lane, old, planned)
        complete = self._work(lane, planned)
        if not self.dry_run:
            complete = remove_folders(self.context, lane, old, new, planned, planner.renames.held) and complete
        lane.close()
        return self._result(planned, complete)

    def _work(self, lane: Lane, planned: list[FolderState]) -> bool:
        busy = [state for state in planned if not self._at_rest(state)]
        for state in sorted(busy, key=_messages, reverse=True):
            self.context.queue.add(FolderWork(self.context, state).look)
        lanes = [lane]
        if self.job.options.lanes > 1 and sum(_messages(state) for state in busy) >= SECOND_LANE_FROM:
            lanes += [Lane(self.job) for _ in range(self.job.options.lanes - 1)]
        try:
            return self._work_off(lanes, busy)
        except QuotaReached as error:
            self.troubles.quota(str(error), ask(lane.new))
            return False
        finally:
            for extra in lanes[1:]:
                extra.close()

    def _work_off(self, lanes: list[Lane], busy: list[FolderState]) -> bool:
        """Look at the folders and copy; False when the copies wait because new has no space for all of them."""
        new = ask(lanes[0].new) if busy else Quota()
        if new.is_limited and not self._surely_fits(lanes[0].old, busy, new):
            self.context.gate = Gate()
        work_off(self.context.queue, lanes)
        gate = self.context.gate
        messages, octets = (gate.messages, gate.octets) if gate else (0, 0)
        if self.dry_run:
            messages, octets = self.counts.copied, self.counts.bytes
        if not new.fits(octets, messages):
            self.troubles.shortage(Shortage(octets, messages, ask(lanes[0].old), new))
            return False
        if gate is not None:
            gate.open()
            work_off(self.context.queue, lanes)
        self.troubles.has_space()
        return True

    def _surely_fits(self, old: Session, busy: list[FolderState], new: Quota) -> bool:
        """Whether there is space for all that these folders hold on old, copied already or not."""
        octets = at_most(old, [state.old for state in busy])
        return octets is not None and new.fits(octets, sum(_messages(state) for state in busy))

    def _at_rest(self, state: FolderState) -> bool:
        if not unchanged(state) or self.troubles.open_keywords(state.shown) or state.has_exceptions():
            return False
        self.troubles.dropped_keywords(state.shown)  # nothing is left to do for what was decided about these
        return True

    def _first_lane(self) -> Lane:
        lane = Lane(self.job)
        lane.open()
        return lane

    def _kept_on_old(self, decided_by: str) -> PassResult:
        log.info("mailbox is kept on the old server by decision", account=self.job.account, decided_by=decided_by)
        if not self.dry_run:
            with self.ledger.session() as session:
                mailboxes.set_mailbox(session, self.job.account, "kept on old", note=f"decided by {decided_by}")
        return PassResult(self.job.account, 0, 0, 0, 0, 0, 0, 0, 0, self._seconds(), self.dry_run)

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)

    def _result(self, planned: list[FolderState], complete: bool) -> PassResult:
        open_problems = len(self.troubles.found) if self.dry_run else self.troubles.write(complete)
        messages = sum(_messages(state) for state in planned)
        result = PassResult(
            self.job.account, len(planned), messages, self.counts.bytes, self.counts.copied, self.counts.flags,
            self.counts.removed, open_problems, self.counts.verified, self._seconds(), self.dry_run,
        )  # fmt: skip
        if not self.dry_run:
            self._write_mailbox(result, planned)
        log.info("pass ended", **vars(result))
        return result

    def _write_mailbox(self, result: PassResult, planned: list[FolderState]) -> None:
        verified = self.job.options.verify != "none"
        state: mailboxes.MailboxState = "problems" if result.problems else "verified" if verified else "copying"
        with self.ledger.session() as session:
            mailboxes.finish_mailbox(
                session, self.job.account, state, folders=result.folders, messages=result.messages,
                octets=sum(state.row.bytes for state in planned), problems=result.problems, seconds=result.seconds,
                verified=verified,
            )  # fmt: skip


def _insist_on_mailbox(session: Session, found: Surroundings) -> None:
    """Raises NoMailbox when the server lists no folder that can be opened, and does not open an INBOX either."""
    if any(folder.selectable for folder in found.folders.values()):
        return
    try:
        session.select(b"INBOX")
    except Refused as error:
        raise NoMailbox(session.server, error.words) from None


def _mark_copying(ledger: Ledger, account: str) -> None:
    with ledger.session() as session:
        mailboxes.set_mailbox(session, account, "copying", note="")


def _messages(state: FolderState) -> int:
    return state.old.status.messages if state.old.status else 0
