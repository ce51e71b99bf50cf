"""How far a count is that takes its time: on the standard error, since the standard output may be JSON."""

import sys
import time

QUIET_SECONDS = 2  # after which one says how far it is, and between two lines


class Counting:
    """Says `counted N of M mailboxes`, where counting takes longer than two seconds."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._said_at = time.monotonic()

    def one_more(self) -> None:
        self._done += 1
        if time.monotonic() - self._said_at > QUIET_SECONDS:
            self._said_at = time.monotonic()
            print(f"lab: {self._what}: counted {self._done} of {self._total} mailboxes", file=sys.stderr, flush=True)
