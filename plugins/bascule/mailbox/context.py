"""What all folders of one pass share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bascule.mailbox.imap.errors import FolderBusy
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.quota import HeldCopies
from bascule.mailbox.state.folder import Counts
from bascule.mailbox.throttle import Pace
from bascule.mailbox.workers import WorkQueue

Report = Callable[..., None]  # called with copied= and bytes=, so far in this pass

PROGRESS_SECONDS = 1.0  # at most one call in this time
NOTED_SECONDS = 10.0  # at most one write into the ledger in this time


class Progress:
    """Counts what was copied, calls the caller's function for it, if there is one, and has it noted in the ledger."""

    def __init__(self, counts: Counts, report: Report | None, note: Report | None = None) -> None:
        self._counts, self._report, self._note = counts, report, note
        self._reported_at = self._noted_at = time.monotonic()

    def copied(self, messages: int, octets: int) -> None:
        """So much more has arrived."""
        self._counts.add(copied=messages, bytes=octets)
        if self._report and time.monotonic() - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = time.monotonic()
            self._report(copied=self._counts.copied, bytes=self._counts.bytes)
        if self._note and time.monotonic() - self._noted_at >= NOTED_SECONDS:
            self._noted_at = time.monotonic()
            self._note(copied=self._counts.copied, bytes=self._counts.bytes)


@dataclass
class PassContext:
    """What all folders of one pass share."""

    job: MailboxJob
    queue: WorkQueue
    problems: PassProblems
    counts: Counts
    pace: Pace
    dry_run: bool
    progress: Progress
    put_off: list[FolderBusy] = field(default_factory=list)  # of folders that are tried again when all others are done
    held: HeldCopies | None = None  # copies wait here while it is not known whether new has the space for all of them
