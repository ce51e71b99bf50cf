"""How fast a server may be used: a pace of messages and bytes per second, shared by the lanes of a mailbox."""

import threading
import time


class Pace:
    """Lets through at most so many messages and bytes per second; 0: no limit."""

    def __init__(self, messages_per_second: int = 0, bytes_per_second: int = 0) -> None:
        self._messages, self._bytes = messages_per_second, bytes_per_second
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self, messages: int, octets: int) -> None:
        """Wait until this much may pass."""
        if not self._messages and not self._bytes:
            return
        cost = max(messages / self._messages if self._messages else 0.0, octets / self._bytes if self._bytes else 0.0)
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + cost
        if begin > now:
            time.sleep(begin - now)
