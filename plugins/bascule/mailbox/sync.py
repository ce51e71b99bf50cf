"""One pass over one mailbox: the entry point of the engine. It knows nothing of Airflow."""

import random
import time

from sqlalchemy.orm import Session as LedgerSession

from bascule.ledger import Ledger, leases, mailboxes, passes
from bascule.mailbox.attributes.carry import begin_anew, carry_attributes
from bascule.mailbox.context import PassContext, Progress, Report
from bascule.mailbox.folder_sync.one_folder import FolderSync
from bascule.mailbox.folders.deleted_on_old import remove_folders
from bascule.mailbox.folders.plan import Planner, carry_subscriptions
from bascule.mailbox.folders.problems import report_changed_uids, was_incomplete
from bascule.mailbox.folders.shared import tell_shared
from bascule.mailbox.imap.errors import (
    DestinationBroke,
    LoginBroken,
    MailboxFailed,
    NoMailbox,
    NotUnderstood,
    QuotaReached,
    Refused,
    SourceBroke,
    TransientError,
)
from bascule.mailbox.imap.folders import FolderList, list_folders, sizes_together
from bascule.mailbox.imap.quota import Quota, get_quota
from bascule.mailbox.imap.session import Session
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.messages.own_date import report_dates
from bascule.mailbox.messages.placeholders import fit
from bascule.mailbox.messages.problems import dropped_keywords, open_keywords
from bascule.mailbox.problems import NobodyIsAsked, PassProblems
from bascule.mailbox.quota import HeldCopies, Shortage, carry_out_decision, report_full, report_shortage
from bascule.mailbox.result import PassResult
from bascule.mailbox.state.folder import Counts, FolderState
from bascule.mailbox.state.turn import turn
from bascule.mailbox.throttle import pace_of
from bascule.mailbox.workers import Sessions, WorkQueue, in_parallel, work_off
from bascule.text.logs import get_logger

log = get_logger(__name__)

ATTEMPTS = 6  # of one pass, with growing pauses; an attempt that copied something is not counted
LOGIN_ATTEMPTS = 3  # of logins that a server does not refuse and does not let in either
MOST_BROKEN = 40  # connections to new that messages may cost in one pass: a message is found with about ten
FIRST_PAUSE = 0.5  # seconds
MANY = 20  # messages of a mailbox of which half may not be gone at once on the way back
SECOND_PAIR_FROM = 200  # messages in changed folders: fewer are not worth another connection


class ManyGone(MailboxFailed):
    """Raised on the way back when most of what was on new is not there any more."""


def sync_mailbox(
    job: MailboxJob, ledger: Ledger, *, owner: str = "", dry_run: bool = False, progress: Report | None = None
) -> PassResult:
    """Carry one mailbox from old to new, or what has changed of it since the last pass, under its lease for `owner`.

    Problems and the mailbox's state are written to the ledger. Raises TransientError (run it again), MailboxFailed (a
    person is needed first) and LeaseHeld (somebody else is at this mailbox).
    """
    with leases.lease(ledger, job.account, owner or leases.this_process("sync")):
        return _sync(job, ledger, dry_run, progress)


def _sync(job: MailboxJob, ledger: Ledger, dry_run: bool, progress: Report | None) -> PassResult:
    began = time.monotonic()
    counts = Counts()
    attempt = 0
    while True:
        copied_before = counts.copied
        try:
            return MailboxPass(job, ledger, counts, dry_run, progress, began).run()
        except MailboxFailed as error:
            _note(ledger, job, dry_run, "failed", str(error), counts, began)
            raise
        except (TransientError, Refused) as error:
            learned = isinstance(error, NotUnderstood) and error.learned
            at_once = (
                learned
                or isinstance(error, SourceBroke)
                or (isinstance(error, DestinationBroke) and counts.destination_broken <= MOST_BROKEN)
            )
            attempt = 0 if counts.copied > copied_before or at_once else attempt + 1
            if isinstance(error, LoginBroken) and attempt >= LOGIN_ATTEMPTS:
                _note(ledger, job, dry_run, "failed", str(error), counts, began)
                raise
            if attempt >= ATTEMPTS:
                _note(ledger, job, dry_run, "copying", str(error), counts, began)
                raise TransientError(str(error)) from error
            pause = FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311
            log.warning("pass interrupted, going on", account=job.account, reason=str(error), pause=round(pause, 1))
            # New may still be storing what it got before its connection was lost, so that it is given a moment.
            time.sleep(pause if attempt or not isinstance(error, SourceBroke) else 0.0)


def _note(
    ledger: Ledger,
    job: MailboxJob,
    dry_run: bool,
    state: mailboxes.MailboxState,
    note: str,
    counts: Counts,
    began: float,
) -> None:
    if not dry_run:
        with ledger.session() as session:
            mailboxes.set_mailbox(session, job.account, state, note=note)
            seconds = time.monotonic() - began
            passes.note(
                session, job.account, seconds, copied=counts.copied, octets=counts.bytes, state=state, ended=True
            )


class MailboxPass:
    """One attempt at one pass."""

    def __init__(
        self, job: MailboxJob, ledger: Ledger, counts: Counts, dry_run: bool, progress: Report | None, began: float
    ) -> None:
        self.job, self.ledger, self.counts, self.dry_run, self.began = job, ledger, counts, dry_run, began
        self.problems = (PassProblems if job.source == "old" else NobodyIsAsked)(ledger, job.account)
        pace = pace_of(job, ledger)
        self.context = PassContext(
            job, WorkQueue(), self.problems, counts, pace, dry_run, Progress(counts, progress, self._note)
        )

    def run(self) -> PassResult:
        if not self.dry_run:
            turn(self.ledger, self.job.account, self.job.source)
        self.problems.load()
        kept = self.problems.keep_on_old()
        if kept is not None:
            return self._kept_on_old(kept.decided_by)
        sessions = self._open()
        try:
            return self._run(sessions)
        except BaseException:
            sessions.close(cut=True)
            raise

    def _run(self, sessions: Sessions) -> PassResult:
        old, new = in_parallel(lambda: list_folders(sessions.source), lambda: list_folders(sessions.destination))
        _insist_on_mailbox(sessions.source, old)
        _insist_on_mailbox(sessions.destination, new)
        if self.job.source == "new":
            _insist_on_messages(self.ledger, self.job.account, old)
        planner = Planner(self.job, self.ledger, old, new, self.problems)
        if not self.dry_run and planner.renames.carry_out(sessions.destination):
            new = list_folders(sessions.destination)
            planner = Planner(self.job, self.ledger, old, new, self.problems)
        planned = planner.plan()
        if not self.dry_run:
            tell_shared(self.ledger, self.job.account, old)
            if not all(state.is_unchanged for state in planned):
                self._mark_copying()
            begin_anew(self.context, planned)
            planned = planner.create(sessions.destination, planned)
            carry_subscriptions(sessions.destination, planned)
        carry_attributes(self.context, sessions, old, planned)
        complete = self._work(sessions, planned)
        if not self.dry_run:
            complete = remove_folders(self.context, sessions, old, new, planned, planner.renames.held) and complete
        sessions.close()
        return self._result(planned, complete)

    def _work(self, sessions: Sessions, planned: list[FolderState]) -> bool:
        with self.ledger.reading() as session:
            waiting = mailboxes.folders_with_set_aside(session, self.job.account)
        busy = [state for state in planned if state.row.id in waiting or not self._at_rest(state)]
        for state in sorted(busy, key=_messages, reverse=True):
            self.context.queue.add(FolderSync(self.context, state).run)
        workers = [sessions]
        if self.job.options.connections > 1 and sum(_messages(state) for state in busy) >= SECOND_PAIR_FROM:
            workers += [
                Sessions(self.job.old, self.job.new, self.job.doveadm) for _ in range(self.job.options.connections - 1)
            ]
        try:
            return self._work_off(workers, busy)
        except QuotaReached as error:
            if any(state.placeholders for state in busy):
                self.counts.placeholders_fit = False
                raise TransientError(f"the quota on new is full, with messages that go again: {error}") from None
            report_full(self.problems, str(error), get_quota(sessions.destination))
            return False
        finally:
            for more in workers[1:]:
                more.close()

    def _work_off(self, workers: list[Sessions], busy: list[FolderState]) -> bool:
        """Compare the folders and copy; False when the copies wait because new has no space for all of them."""
        new = get_quota(workers[0].destination) if busy else Quota()
        if new.is_limited:
            self._look_at_quota(workers, busy, new)
        work_off(self.context.queue, workers)
        held = self.context.held
        messages, octets = (held.messages, held.octets) if held else (0, 0)
        if self.dry_run:
            messages, octets = self.counts.copied, self.counts.bytes
        if not new.fits(octets, messages):
            report_shortage(self.problems, Shortage(octets, messages, get_quota(workers[0].source), new))
            return False
        if held is not None:
            self._leave_room(new, octets, messages, workers)
            held.release()
            work_off(self.context.queue, workers)
        if self.context.put_off:
            raise self.context.put_off[0]
        carry_out_decision(self.problems)
        return True

    def _look_at_quota(self, workers: list[Sessions], busy: list[FolderState], new: Quota) -> None:
        """Hold the copies unless there is space for all that these folders hold on old, copied already or not."""
        octets = sizes_together(workers[0].source, [state.old for state in busy])
        messages = sum(_messages(state) for state in busy)
        if octets is None or not new.fits(octets, messages):
            self.context.held = HeldCopies()
        else:
            self._leave_room(new, octets, messages, workers)

    def _leave_room(self, new: Quota, octets: int, messages: int, workers: list[Sessions]) -> None:
        if not fit(new, octets, messages, len(workers)):
            self.counts.placeholders_fit = False

    def _at_rest(self, state: FolderState) -> bool:
        asked = open_keywords(self.problems, state.name) or was_incomplete(self.problems, state.name)
        if asked or not state.is_unchanged:
            return False
        dropped_keywords(self.problems, state.name)  # nothing is left to do for what was decided about these
        return True

    def _open(self) -> Sessions:
        sessions = Sessions(self.job.old, self.job.new, self.job.doveadm)
        sessions.open()
        return sessions

    def _kept_on_old(self, decided_by: str) -> PassResult:
        log.info("mailbox is kept on the old server by decision", account=self.job.account, decided_by=decided_by)
        if not self.dry_run:
            with self.ledger.session() as session:
                mailboxes.set_mailbox(session, self.job.account, "kept on old", note=f"decided by {decided_by}")
        return PassResult(self.job.account, 0, 0, 0, 0, 0, 0, 0, 0, self._seconds(), self.dry_run)

    def _mark_copying(self) -> None:
        with self.ledger.session() as session:
            mailboxes.set_mailbox(session, self.job.account, "copying", note="")
            self._note_in(session, self.counts.copied, self.counts.bytes)

    def _note(self, copied: int, bytes: int) -> None:
        """The pass is under way, and so much has arrived."""
        if not self.dry_run:
            with self.ledger.session() as session:
                self._note_in(session, copied, bytes)

    def _note_in(self, session: LedgerSession, copied: int, octets: int) -> None:
        account, seconds = self.job.account, self._seconds()
        passes.note(session, account, seconds, copied=copied, octets=octets, state="copying", ended=False)

    def _seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)

    def _result(self, planned: list[FolderState], complete: bool) -> PassResult:
        report_dates(self.problems)
        if self.job.options.uids == "keep":
            for state in planned:
                if state.row.uids == mailboxes.CHANGED:
                    report_changed_uids(self.problems, state.name, state.row.uids_reason)
        open_problems = len(self.problems.found) if self.dry_run else self.problems.write(complete)
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
            passes.note(
                session, self.job.account, result.seconds, copied=result.copied, octets=result.bytes, state=state,
                ended=True,
            )  # fmt: skip


def _insist_on_mailbox(session: Session, found: FolderList) -> None:
    """Raises NoMailbox when the server lists no folder that can be opened, and does not open an INBOX either."""
    if any(folder.selectable for folder in found.folders.values()):
        return
    try:
        session.select(b"INBOX")
    except Refused as error:
        raise NoMailbox(session.server, error.text) from None


def _insist_on_messages(ledger: Ledger, account: str, found: FolderList) -> None:
    """On the way back what its user has removed is removed on old, unless so much is gone that nobody may have.

    Raises ManyGone.
    """
    with ledger.reading() as session:
        known = sum(row.old_messages for row in mailboxes.folders_of(session, account))
    there = sum(folder.status.messages for folder in found.folders.values() if folder.status)
    if known >= MANY and there < known / 2:
        raise ManyGone(f"new has {there} messages of {account}, and had {known} at the last pass")


def _messages(state: FolderState) -> int:
    return state.old.status.messages if state.old.status else 0
