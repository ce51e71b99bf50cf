"""How fast a server may be used: messages and bytes per second, shared by all tasks by way of the ledger."""

import threading
import time
from collections.abc import Callable

from bascule.ledger import Ledger, rates
from bascule.mailbox.job import MailboxJob

AHEAD = 0.5  # seconds of a rate that are reserved at once: the ledger is asked about twice a second, not per message

Reserve = Callable[[float], float]  # so many seconds of a schedule -> after how many seconds they begin


class Rate:
    """What one pass may use of one rate. `reserve` asks the schedule that all tasks share."""

    def __init__(self, per_second: int, reserve: Reserve) -> None:
        self._per_second, self._reserve = per_second, reserve
        self._left = 0.0
        self._begins = 0.0

    def take(self, amount: int) -> float:
        """Use so much of it; returns the instant (time.monotonic) from which on that is allowed."""
        if amount > self._left:
            more = max(amount - self._left, self._per_second * AHEAD)
            self._begins = time.monotonic() + self._reserve(more / self._per_second)
            self._left += more
        self._left -= amount
        return self._begins


class Pace:
    """Lets through what the limits of both servers allow; all sessions of a mailbox share it."""

    def __init__(self, messages: list[Rate], octets: list[Rate]) -> None:
        self._messages, self._octets = messages, octets
        self._lock = threading.Lock()

    @property
    def is_limited(self) -> bool:
        return bool(self._messages or self._octets)

    def wait(self, *, messages: int = 0, octets: int = 0) -> None:
        """Wait until this much may pass."""
        if not self.is_limited:
            return
        with self._lock:
            instants = [rate.take(messages) for rate in self._messages if messages]
            instants += [rate.take(octets) for rate in self._octets if octets]
        wait = max(instants, default=0.0) - time.monotonic()
        if wait > 0:
            time.sleep(wait)


def pace_of(job: MailboxJob, ledger: Ledger) -> Pace:
    """The limits of both servers, each known to all tasks by the server's address."""
    messages, octets = [], []
    for server in (job.old, job.new):
        address = f"{server.endpoint.host}:{server.endpoint.port}"
        if server.messages_per_second:
            messages.append(Rate(server.messages_per_second, _reserve(ledger, f"{address} messages")))
        if server.bytes_per_second:
            octets.append(Rate(server.bytes_per_second, _reserve(ledger, f"{address} bytes")))
    return Pace(messages, octets)


def _reserve(ledger: Ledger, name: str) -> Reserve:
    return lambda seconds: rates.reserve(ledger, name, seconds)
