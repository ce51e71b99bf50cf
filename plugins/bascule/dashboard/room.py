"""What all pages share: the ledger, the site file, and what was found of the day some moments ago."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import Request

from bascule.dashboard.visitor import Door
from bascule.ledger import Ledger, journal
from bascule.site import Site
from bascule.views import language
from bascule.views.day import Day, Scene, day
from bascule.views.language import Reader
from bascule.views.progress import Mailboxes, mailboxes

FRESH_SECONDS = 3.0  # many who look cost as much as one
CHAIN_SECONDS = 60.0  # the whole journal is read to check the chain

Made = TypeVar("Made")


class Fresh:
    """Things that are made at most once in some seconds, by one thread at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[Any, tuple[float, Any]] = {}
        self._lock = threading.RLock()  # what is made may need something else that is made

    def get(self, key: Any, make: Callable[[], Made], seconds: float = FRESH_SECONDS) -> Made:
        with self._lock:
            at, made = self._made.get(key, (-seconds, None))
            if key not in self._made or self._clock() - at >= seconds:
                made = make()
                self._made[key] = (self._clock(), made)
            return made

    def forget(self) -> None:
        """What somebody has just changed is seen at once."""
        with self._lock:
            self._made.clear()


@dataclass(frozen=True)
class Chain:
    """Whether the journal's chain held when it was last checked (UTC), and where it ended then."""

    head: journal.Head
    broken_at: int | None
    checked_at: datetime


@dataclass
class Room:
    """The control room of one process."""

    open_ledger: Callable[[], Ledger]
    read_site: Callable[[], Site]
    door: Door
    fresh: Fresh = field(default_factory=Fresh)
    _ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        """Raises LedgerError."""
        if self._ledger is None:
            self._ledger = self.open_ledger()
        return self._ledger

    @property
    def site(self) -> Site:
        """Raises SiteError."""
        return self.fresh.get("site", self.read_site, 30.0)

    def reader(self, request: Request) -> Reader:
        chosen = language.chosen(request.headers.get("accept-language", ""), self.site.languages)
        return Reader.of(chosen, self.site.timezone)

    def mailboxes(self) -> Mailboxes:
        return self.fresh.get("mailboxes", lambda: mailboxes(self.ledger))

    def day(self, scene: Scene | None = None) -> Day:
        return self.fresh.get(("day", scene), lambda: day(self.ledger, self.mailboxes(), scene))

    def chain(self) -> Chain:
        return self.fresh.get("chain", self._checked, CHAIN_SECONDS)

    def _checked(self) -> Chain:
        return Chain(
            journal.head(self.ledger), journal.broken_link(self.ledger), datetime.now(UTC).replace(tzinfo=None)
        )
