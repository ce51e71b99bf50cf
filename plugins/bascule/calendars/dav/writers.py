"""Several connections of one account to new, since a server works at many items at once and takes long for each."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bascule.calendars.dav.client import Session
from bascule.calendars.dav.http import DavRefused
from bascule.calendars.dav.model import Kind

CONNECTIONS = 4  # of one account
FEW = 4  # items that are written through one connection


@dataclass(frozen=True)
class Put:
    """One item to be written: over the version `if_match`, or as a new one."""

    href: str
    kind: Kind
    text: str
    if_match: str | None


class Writers:
    """Writes items side by side. `permits`: how many may be written at once, by all accounts together."""

    def __init__(self, first: Session, make: Callable[[], Session], permits: threading.Semaphore | None = None) -> None:
        self._first, self._make = first, make
        self.permits = permits or threading.Semaphore(CONNECTIONS)
        self._own = threading.local()
        self._sessions: list[Session] = []
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        for session in self._sessions:
            session.close()

    def put(self, puts: Sequence[Put]) -> list[DavRefused | None]:
        """Write all; for each the refusal, or None. Raises DavError, when some of the others may have been written."""
        if len(puts) < FEW:
            return [self._one(self._first, put) for put in puts]
        self._pool = self._pool or ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="writing")
        return list(self._pool.map(lambda put: self._one(self._session(), put), puts))

    def _session(self) -> Session:
        """The session of this thread."""
        if not hasattr(self._own, "session"):
            self._own.session = self._make()
            self._sessions.append(self._own.session)
        found: Session = self._own.session
        return found

    def _one(self, session: Session, put: Put) -> DavRefused | None:
        with self.permits:
            try:
                session.put(put.href, put.kind, put.text, if_match=put.if_match)
            except DavRefused as error:
                return error
        return None
