"""What all folders of one pass share."""

from collections.abc import Callable
from dataclasses import dataclass

from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.lanes import WorkQueue
from bascule.mailbox.limits import Pace
from bascule.mailbox.state import Counts
from bascule.mailbox.trouble import Troubles

Progress = Callable[[dict[str, int]], None]


class Tell:
    """Tells the caller's progress function, if there is one, of what was copied."""

    def __init__(self, counts: Counts, progress: Progress | None) -> None:
        self._counts, self._progress = counts, progress

    def copied(self, messages: int, octets: int) -> None:
        self._counts.add(copied=messages, bytes=octets)
        if self._progress:
            self._progress({"copied": self._counts.copied, "bytes": self._counts.bytes})


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
