"""Keeps an account's user out until its last pass has ended, however long that takes.

Logins that wait come in at the instant that they were told when they came. So, while the pass goes on, the instant is
put off for those who come later, and who comes in meanwhile is sent out again: they would see half a mailbox, and what
they did in it could meet what the pass still brings.
"""

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from bascule.hosts.connections import AccessError
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

AHEAD = 0.5  # seconds before the instant in which it is put off: two looks, and a modify
FURTHER = 1.0  # seconds at least by which it is put off: who comes then waits all of them
LONGEST_DELAY = 25.0  # seconds: a login waits 30 in a Dovecot proxy
LOOK_EVERY = 0.2
SEND_OUT_EVERY = 1.0  # proxies let those who wait in once a second, each at its own time


class Proxies(Protocol):
    """Where the account's sessions come through. Both raise AccessError."""

    def led(self) -> int:
        """How many sessions they lead now."""

    def send_out(self) -> None:
        """End them."""


class KeptOut:
    """During the `with`. `until`: when logins are let in (Unix time); `at_most`: seconds in which that is put off.

    `put_off` writes another instant, which took `modify_seconds` the last time. `came_in`: how many sessions were seen
    before the end, each once a look. `open_for`: for how many seconds nothing kept logins waiting, as an instant came
    before it could be put off; who came in then and went again within a second was seen by no look.
    """

    def __init__(
        self,
        until: float,
        at_most: float,
        put_off: Callable[[int], None],
        proxies: Proxies,
        modify_seconds: float = 0.0,
    ) -> None:
        self.until = self._first = until
        self.came_in = 0
        self.open_for = 0.0
        self._latest = until + at_most
        self._sent_out_at = self._round_seconds = 0.0
        self._put_off, self._proxies, self._modify_seconds = put_off, proxies, modify_seconds
        self._ended, self._ended_at = threading.Event(), math.inf
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def longer(self) -> float:
        """By how many seconds they were kept out longer than they were told at first."""
        return self.until - self._first

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended_at = time.time()  # a look, or a kick, of the thread may go on for seconds
        self._ended.set()
        self._thread.join()
        self._note_gap()
        self._tried(self._see_who_came_in)

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY) and (now := time.time()) < self._latest:
            for act in (self._put_off_in_time, self._send_out_who_came_in):
                self._tried(act)
            self._round_seconds = time.time() - now

    def _tried(self, act: Callable[[float], None]) -> None:
        """What is away now may come back, and a mistake in one act must not end the others."""
        try:
            act(time.time())
        except AccessError as error:
            log.warning("the user is perhaps not kept out", reason=reason(error))
        except Exception as error:
            log.exception("the user is perhaps not kept out", reason=reason(error))

    def _put_off_in_time(self, now: float) -> None:
        """Before the instant by what a round takes here: else it comes during the next one, and they come in."""
        ahead = max(AHEAD, 2 * LOOK_EVERY + self._modify_seconds) + self._round_seconds
        if now > self.until - ahead:
            until = math.ceil(now + min(LONGEST_DELAY, ahead + max(FURTHER, self._round_seconds)))
            self._put_off(until)
            self._note_gap()
            self.until, self._modify_seconds = until, time.time() - now

    def _note_gap(self) -> None:
        """Who comes after the end may come in."""
        self.open_for += max(0.0, min(time.time(), self._ended_at) - self.until)

    def _send_out_who_came_in(self, now: float) -> None:
        if now > self._first and now - self._sent_out_at > SEND_OUT_EVERY:
            self._sent_out_at = now
            try:
                self._see_who_came_in(now)
            finally:
                self._proxies.send_out()

    def _see_who_came_in(self, now: float) -> None:
        """Nobody before the first instant: proxies lead none between the kick and that."""
        if now > self._first:
            self.came_in += self._proxies.led()
