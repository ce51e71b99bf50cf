"""What all folders of one pass share."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.lanes import WorkQueue
from bascule.mailbox.limits import Pace
from bascule.mailbox.quota import Gate
from bascule.mailbox.state import Counts
from bascule.mailbox.trouble import Troubles

Progress = Callable[..., None]  # called with copied= and bytes=, so far in this pass

PROGRESS_SECONDS = 1.0  # at most one call in this time


class Tell:
    """Counts what was copied, and tells the caller's progress function, if there is one."""

    def __init__(self, counts: Counts, progress: Progress | None) -> None:
        self._counts, self._progress = counts, progress
        self._told_at = time.monotonic()

    def copied(self, messages: int, octets: int) -> None:
        """So much more has arrived."""
        self._counts.add(copied=messages, bytes=octets)
        if self._progress and time.monotonic() - self._told_at >= PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self._progress(copied=self._counts.copied, bytes=self._counts.bytes)


@dataclass
class PassContext:
    """What all folders of one pass share."""

    job: MailboxJob
    queue: WorkQueue
    troubles: Troubles
    counts: Counts
    pace: Pace
    dry_run: bool
    tell: Tell
    gate: Gate | None = None  # copies wait here while it is not known whether new has the space for all of them
