"""What hosts say of themselves and hardly ever change, known for a minute: asked each time, it costs more than the act.

A minute, since no change of such a setting is there at once anyway: Postfix's processes read `main.cf` when they begin,
and live for a minute and more.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

SECONDS = 60.0

Answer = TypeVar("Answer")


class Remembered(Generic[Answer]):
    """One answer of each object that was asked, for as long as that lives and a minute at most."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[object, tuple[float, Answer]] = WeakKeyDictionary()

    def of(self, asked: object, ask: Callable[[], Answer]) -> Answer:
        """What is known of it, or what `ask` says now."""
        known = self._known.get(asked)
        if known is None or time.monotonic() - known[0] > SECONDS:
            known = time.monotonic(), ask()
            self._known[asked] = known
        return known[1]
