"""Mail programs of people who work all the time, and numbered mail for them: they know nothing of Bascule.

What a program was told was done is written down; what was not answered may be done or not.
"""

import contextlib
import imaplib
import random
import select
import smtplib
import ssl
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from imapclient import IMAPClient, SocketTimeout

from lab.facts import DOMAIN

SERVICE = f"imap.{DOMAIN}"
SECONDS = 60.0  # that an answer is waited for
TRY_AGAIN = 0.2  # seconds until a program that was refused tries again
INBOX, FOLDER, DRAFTS = "INBOX", "Suivi", "Drafts"
PLACES = (INBOX, FOLDER, DRAFTS)
SEEN, FLAGGED, DELETED, RECENT, KEYWORD = b"\\Seen", b"\\Flagged", b"\\Deleted", b"\\Recent", b"$Travail"
BROKEN = (imaplib.IMAP4.error, OSError)
NUMBERED, SAVED = "@numbered.test", "@saved.test"  # how their Message-Ids end


class NotThere(imaplib.IMAP4.error):
    """Raised when a message is not where it was left; while that lasts, the mailbox does not work for its user."""


class Worker:
    """A thread that acts until the end of the `with`. A break of its own is raised there."""

    def __init__(self) -> None:
        self.broken: BaseException | None = None
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def act(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self._thread.join(SECONDS * 2)
        if self.broken is not None:
            raise self.broken

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        if error is None:
            self.finish()

    def _run(self) -> None:
        try:
            while not self.ended.is_set():
                self.act()
        except BaseException as error:
            self.broken = error


@dataclass(frozen=True)
class Outage:
    """From the lost connection or the first refused act (Unix time) to the next act that worked."""

    account: str
    began: float
    seconds: float
    words: str


@dataclass
class Told:
    """What a program was told of one message: where it is, and its flags."""

    folder: str
    flags: set[bytes] = field(default_factory=set)
    gone: bool = False


class Program(Worker):
    """A mail program: it reads, saves, flags, moves and expunges through the service name.

    `uncertain`: messages of which an act was not answered, with that act. `clashes`: a UID that meant another message.
    """

    def __init__(self, account: str, password: str, trusted: ssl.SSLContext, pause: float = 0.05) -> None:
        super().__init__()
        self.account, self.password, self.trusted, self.pause = account, password, trusted, pause
        self.told: dict[str, Told] = {}
        self.uncertain: dict[str, str] = {}
        self.outages: list[Outage] = []
        self.done: Counter[str] = Counter()
        self.slowest = 0.0  # seconds, of an act that was not broken
        self.clashes: list[str] = []
        self.changed_uids: set[str] = set()
        self._uids: dict[tuple[str, int, int], str] = {}
        self._places: dict[str, tuple[str, int, int]] = {}
        self.reads = True  # numbered mail, and flags and files it then
        self._client: IMAPClient | None = None
        self._prefix = ""
        self._validity = 0
        self._broken_at: float | None = None
        self._words = ""
        self._random = random.Random(account)

    def act(self) -> None:
        began = time.time()
        try:
            client = self._client or self._logged_in()
            self._one_act(client)
        except BROKEN as error:
            self._is_broken(error)
            time.sleep(TRY_AGAIN)
            return
        if self._broken_at is not None:
            seconds = round(time.time() - self._broken_at, 3)
            self.outages.append(Outage(self.account, self._broken_at, seconds, self._words))
            self._broken_at = None
        else:
            self.slowest = max(self.slowest, time.time() - began)
        self._wait()

    @property
    def is_out(self) -> bool:
        return self._broken_at is not None

    def _is_broken(self, error: BaseException) -> None:
        if self._broken_at is None:
            self._broken_at, self._words = time.time(), f"{type(error).__name__}: {error}"[:200]
        if self._client is not None:
            with contextlib.suppress(*BROKEN):
                self._client.shutdown()
        self._client = None

    def _wait(self) -> None:
        """Until the next act; a connection that is lost meanwhile is noticed at once."""
        pause = self.pause * self._random.uniform(0.5, 1.5)
        client = self._client
        if client is None or not select.select([client.socket()], [], [], pause)[0]:
            return
        try:
            client.noop()
        except BROKEN as error:
            self._is_broken(error)

    def _logged_in(self) -> IMAPClient:
        client = IMAPClient(SERVICE, ssl_context=self.trusted, timeout=SocketTimeout(SECONDS, SECONDS))
        client.login(self.account, self.password)
        self._prefix = str(client.namespace().personal[0][0])
        for place in PLACES[1:]:
            if not client.folder_exists(self._name(place)):
                client.create_folder(self._name(place))
        self._client = client
        return client

    def _name(self, place: str) -> str:
        return place if place == INBOX else f"{self._prefix}{place}"

    def _one_act(self, client: IMAPClient) -> None:
        acts = (self._save, self._save, self._read, self._read, self._flag, self._move, self._expunge)
        act = self._random.choice(acts)
        act(client)
        self.done[act.__name__.strip("_")] += 1

    def _save(self, client: IMAPClient) -> None:
        name, place = f"{uuid.uuid4()}{SAVED}", self._random.choice((INBOX, DRAFTS))
        message = f"Message-ID: <{name}>\r\nFrom: moi@{DOMAIN}\r\nSubject: brouillon\r\n\r\nEnregistr\xe9.\r\n".encode()
        with self._unanswered(name, "save"):
            client.append(self._name(place), message, [SEEN])
        self.told[name] = Told(place, {SEEN})

    def _read(self, client: IMAPClient) -> None:
        """The newest numbered mail that was not read."""
        if not self.reads:
            return
        self._select(client, INBOX)
        unseen = client.search(["UNSEEN", "HEADER", "Message-ID", NUMBERED])
        if not unseen:
            return
        field_name = b"BODY[HEADER.FIELDS (MESSAGE-ID)]"
        uid, said = max(client.fetch(unseen[-1:], ["FLAGS", "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"]).items())
        name = said[field_name].decode().partition("<")[2].partition(">")[0]
        if name in self.uncertain:
            return
        with self._unanswered(name, "read"):
            client.fetch([uid], [b"BODY[]"])
        # One that nobody here has touched may have flags of the day before.
        self.told.setdefault(name, Told(INBOX, {*said[b"FLAGS"]} - {RECENT})).flags.add(SEEN)

    def _flag(self, client: IMAPClient) -> None:
        if (name := self._one_of_mine()) is None:
            return
        uid, told, flag = self._find(client, name), self.told[name], self._random.choice((FLAGGED, KEYWORD, SEEN))
        with self._unanswered(name, "flag"):
            if flag in told.flags:
                client.remove_flags([uid], [flag], silent=True)
            else:
                client.add_flags([uid], [flag], silent=True)
        told.flags ^= {flag}

    def _move(self, client: IMAPClient) -> None:
        if (name := self._one_of_mine()) is None:
            return
        uid, told = self._find(client, name), self.told[name]
        place = self._random.choice([place for place in PLACES if place != told.folder])
        with self._unanswered(name, "move"):
            client.move([uid], self._name(place))
        told.folder = place
        del self._places[name]  # it has another UID there

    def _expunge(self, client: IMAPClient) -> None:
        if (name := self._one_of_mine()) is None or self._random.random() < 0.5:
            return
        uid = self._find(client, name)
        with self._unanswered(name, "expunge"):
            client.add_flags([uid], [DELETED], silent=True)
            client.uid_expunge([uid])
        self.told[name].gone = True

    def _one_of_mine(self) -> str | None:
        known = [name for name, told in self.told.items() if not told.gone and name not in self.uncertain]
        return self._random.choice(known) if known else None

    def _find(self, client: IMAPClient, name: str) -> int:
        """Its UID, in its folder, which is selected then. Raises NotThere."""
        place = self.told[name].folder
        self._select(client, place)
        found = client.search(["HEADER", "Message-ID", name])
        if len(found) != 1:
            raise NotThere(f"{name} is {len(found)} times in {place}")
        self._note_uid(name, (place, self._validity, found[0]))
        return int(found[0])

    def _note_uid(self, name: str, uid: tuple[str, int, int]) -> None:
        if (other := self._uids.setdefault(uid, name)) != name:
            self.clashes.append(f"UID {uid[2]} of {self.account}'s {uid[0]} meant {other}, and means {name}")
        before = self._places.setdefault(name, uid)
        if before[:2] == uid[:2] and before != uid:
            self.changed_uids.add(name)
        self._places[name] = uid

    def _select(self, client: IMAPClient, place: str) -> None:
        self._validity = int(client.select_folder(self._name(place))[b"UIDVALIDITY"])

    @contextlib.contextmanager
    def _unanswered(self, name: str, act: str) -> Iterator[None]:
        self.uncertain[name] = act
        yield
        del self.uncertain[name]

    def record(self) -> dict[str, Any]:
        """What it knows, as JSON."""
        return {
            "account": self.account,
            "told": {
                name: {"folder": told.folder, "flags": sorted(flag.decode() for flag in told.flags), "gone": told.gone}
                for name, told in self.told.items()
            },
            "uncertain": self.uncertain,
            "outages": [vars(outage) for outage in self.outages],
            "still_out": self.is_out and self._words,
            "done": dict(self.done),
            "slowest": round(self.slowest, 3),
            "clashes": self.clashes,
            "changed_uids": len(self.changed_uids),
        }


class Sender(Worker):
    """Numbered mail through the MX to one account after the other.

    `accepted`: Message-Id -> account, and when (Unix time) the MX had taken it. Every other message comes over one
    connection that lasts.
    """

    def __init__(self, addresses: Sequence[tuple[str, str]], pause: float) -> None:
        super().__init__()
        self.addresses, self.pause = addresses, pause
        self.accepted: dict[str, tuple[str, float]] = {}
        self.uncertain: dict[str, str] = {}
        self.refused: list[str] = []
        self._number = 0
        self._lasting: smtplib.SMTP | None = None

    def act(self) -> None:
        account, address = self.addresses[self._number % len(self.addresses)]
        self._number += 1
        began, name = time.monotonic(), f"{uuid.uuid4()}{NUMBERED}"
        try:
            self._hand_in(name, account, address)
        except (smtplib.SMTPException, OSError) as error:
            self._lasting = None
            self.refused.append(f"{account}: {type(error).__name__}: {error}"[:200])
        self.ended.wait(max(0.0, self.pause - (time.monotonic() - began)))

    def _hand_in(self, name: str, account: str, address: str) -> None:
        lasting = self._number // len(self.addresses) % 2 == 0
        session = self._lasting if lasting and self._lasting else smtplib.SMTP(f"mx.{DOMAIN}", 25, timeout=SECONDS)
        if lasting:
            self._lasting = session
        text = f"Message-ID: <{name}>\r\nFrom: dehors@outside.test\r\nSubject: {self._number}\r\n\r\nBonjour.\r\n"
        self.uncertain[name] = account
        try:
            session.sendmail("dehors@outside.test", [address], text)
        except smtplib.SMTPResponseException:
            del self.uncertain[name]
            raise
        self.accepted[name] = (account, time.time())
        del self.uncertain[name]
        if not lasting:
            session.quit()

    def record(self) -> dict[str, Any]:
        return {"accepted": self.accepted, "uncertain": self.uncertain, "refused": self.refused}
