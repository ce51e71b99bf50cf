"""Somebody who works through the service name all the time while numbered mail comes, by programs that know no moves.

What a program was told was done is written down; what was not answered may be there or not.
"""

import imaplib
import smtplib
import ssl
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

SECONDS = 40.0
BETWEEN_ACTS, BETWEEN_MAILS = 0.05, 0.25
BROKEN = (imaplib.IMAP4.error, OSError)


class Worker:
    """A thread that acts until the end of the `with`. A break of its own fails the test there."""

    def __init__(self) -> None:
        self.broken: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def act(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(SECONDS * 2)
        if self.broken is not None and error is None:
            raise self.broken

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self.act()
        except BaseException as error:
            self.broken = error


class Program(Worker):
    """A mail program: it appends, flags and expunges. `gaps`: seconds from a refused act to the next that worked."""

    def __init__(self, account: str, password: str, trusted: ssl.SSLContext) -> None:
        super().__init__()
        self.account, self.password, self.trusted = account, password, trusted
        self.saved: list[str] = []
        self.flagged: set[str] = set()
        self.expunged: set[str] = set()
        self.uncertain: set[str] = set()
        self.gaps: list[float] = []
        self._session: imaplib.IMAP4_SSL | None = None
        self._broken_at: float | None = None
        self._number = 0

    def act(self) -> None:
        try:
            if self._session is None:
                self._session = self._log_in()
            self._one_act(self._session)
        except BROKEN:
            self._session = None
            self._broken_at = self._broken_at or time.monotonic()
            time.sleep(BETWEEN_ACTS)
            return
        if self._broken_at is not None:
            self.gaps.append(round(time.monotonic() - self._broken_at, 2))
            self._broken_at = None
        time.sleep(BETWEEN_ACTS)

    def _log_in(self) -> imaplib.IMAP4_SSL:
        session = imaplib.IMAP4_SSL("imap.obs.test", ssl_context=self.trusted, timeout=SECONDS)
        session.login(self.account, self.password)
        session.select("INBOX")
        return session

    def _one_act(self, session: imaplib.IMAP4_SSL) -> None:
        self._number += 1
        if self._number % 3 == 2 and self.saved:
            self._store(session, self.saved[-1], r"\Flagged", self.flagged)
        elif self._number % 6 == 0 and len(self.saved) > 3:
            self._expunge(session, self.saved[-3])
        else:
            self._append(session)

    def _append(self, session: imaplib.IMAP4_SSL) -> None:
        name = f"{uuid.uuid4()}@saved"
        self.uncertain.add(name)
        message = f"Message-ID: <{name}>\r\nFrom: moi@obs.test\r\nSubject: brouillon\r\n\r\nEnregistr\xe9.\r\n".encode()
        _done(session.append("INBOX", None, None, message))
        self.uncertain.discard(name)
        self.saved.append(name)

    def _store(self, session: imaplib.IMAP4_SSL, name: str, flag: str, told: set[str]) -> None:
        uid = self._uid_of(session, name)
        self.uncertain.add(name)
        _done(session.uid("STORE", uid, "+FLAGS.SILENT", f"({flag})"))
        self.uncertain.discard(name)
        told.add(name)

    def _expunge(self, session: imaplib.IMAP4_SSL, name: str) -> None:
        if name in self.expunged:
            return
        uid = self._uid_of(session, name)
        self.uncertain.add(name)
        _done(session.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)"))
        _done(session.uid("EXPUNGE", uid))
        self.uncertain.discard(name)
        self.expunged.add(name)

    def _uid_of(self, session: imaplib.IMAP4_SSL, name: str) -> str:
        found = _done(session.uid("SEARCH", None, "HEADER", "Message-ID", f"<{name}>"))[0].split()
        assert len(found) < 2, f"{name} is there {len(found)} times"
        if not found:
            raise imaplib.IMAP4.error(f"{name} is not there (yet)")
        return found[0].decode()


class Sender(Worker):
    """Numbered mail through the MX. `accepted`: Message-Id -> when the MX had taken it."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.accepted: dict[str, datetime] = {}

    def act(self) -> None:
        name = f"{uuid.uuid4()}@sent"
        message = (
            f"Message-ID: <{name}>\r\nFrom: dehors@outside.test\r\nSubject: {len(self.accepted)}\r\n\r\nBonjour.\r\n"
        )
        with smtplib.SMTP("mx.obs.test", 25, timeout=SECONDS) as session:
            session.sendmail("dehors@outside.test", [self.address], message)
        self.accepted[name] = datetime.now(UTC)
        time.sleep(BETWEEN_MAILS)


@dataclass
class Found:
    """What one server's INBOX has. `times`: how often each Message-Id; `dates`: INTERNALDATE."""

    times: Counter[str] = field(default_factory=Counter)
    flagged: set[str] = field(default_factory=set)
    dates: dict[str, datetime] = field(default_factory=dict)

    def delays(self, accepted: dict[str, datetime]) -> list[float]:
        """Seconds from acceptance to delivery at most: IMAP tells the second in which that was."""
        return [(self.dates[name] - at) / timedelta(seconds=1) + 1.0 for name, at in accepted.items()]


def read(host: str, account: str, password: str, trusted: ssl.SSLContext) -> Found:
    """Past the proxy."""
    session = imaplib.IMAP4_SSL(host, ssl_context=trusted, timeout=SECONDS)
    session.login(account, password)
    session.select("INBOX", readonly=True)
    found = Found()
    answer = _done(session.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))
    for item in answer:
        if isinstance(item, tuple):
            name = item[1].decode().partition("<")[2].partition(">")[0]
            found.times[name] += 1
            stamp = imaplib.Internaldate2tuple(item[0])
            assert stamp is not None
            found.dates[name] = datetime.fromtimestamp(time.mktime(stamp), UTC)
            if b"\\Flagged" in item[0]:
                found.flagged.add(name)
    session.logout()
    return found


def wait_for(look: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what}"
        time.sleep(0.3)


def _done(answer: tuple[str, list[bytes]]) -> list[bytes]:
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(str(answer))
    return answer[1]
