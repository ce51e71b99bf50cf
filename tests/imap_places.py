"""IMAP servers of every kind at hand, each started once for a whole run of tests when the first test asks for it.

Every test has accounts of its own on them (`Box`), so that none sees another one's.
"""

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.imap.server import Server
from bascule.mailbox.job import VerifyLevel
from bascule.mailbox.look import look_at
from bascule.mailbox.result import PassResult
from bascule.mailbox.verify.audit import Audit, audit
from bascule.problems import store
from bascule.problems.model import Problem

from tests.courier_server import courier
from tests.cyrus_server import cyrus
from tests.imap4d_server import Imap4d, imap4d
from tests.mail_servers import PASSWORD, dovecot, mail_directory
from tests.mailbox_states import Account, Contents, parse
from tests.unpacked import PackagesMissing


@dataclass(frozen=True)
class Place:
    """A running server, and how it writes folders' names."""

    server: Any
    separator: str
    prefix: str = ""
    server_fields: bytes = b""  # as in Account

    @property
    def port(self) -> int:
        return int(self.server.port)

    def account(self, user: str) -> Account:
        if isinstance(self.server, Imap4d):
            return self.server.account(user)
        return Account(self.port, user, self.separator, self.prefix, self.server_fields)


Start = Callable[[Path], "contextlib.AbstractContextManager[Any]"]
KINDS: dict[str, tuple[Start, str, str]] = {
    "maildir": (lambda home: dovecot(home, separator="."), ".", ""),
    "sdbox": (lambda home: dovecot(home, separator="/", location="sdbox:~/sdbox"), "/", ""),
    "below INBOX": (lambda home: dovecot(home, separator=".", prefix="INBOX."), ".", "INBOX."),
    "mbox": (lambda home: dovecot(home, separator="/", location="mbox:~/folders:INBOX=~/inbox"), "/", ""),
    "courier": (courier, ".", "INBOX."),
    "imap4d": (imap4d, "/", ""),
    "cyrus": (cyrus, ".", ""),
    "cyrus below INBOX": (lambda home: cyrus(home, alt=False), ".", "INBOX."),
}


class Places:
    """The servers by their kind."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack, self._home = stack, stack.enter_context(mail_directory())
        self._running: dict[str, Place] = {}

    def __getitem__(self, kind: str) -> Place:
        if kind not in self._running:
            start, separator, prefix = KINDS[kind]
            try:
                server = self._stack.enter_context(start(self._home / kind.replace(" ", "-")))
            except PackagesMissing as error:
                pytest.skip(f"{kind}: {error}")
            self._running[kind] = Place(server, separator, prefix)
        return self._running[kind]


@dataclass
class Box:
    """One account on two servers, and how it is carried. A test that puts a relay between changes the ports."""

    old: Place
    new: Place
    ledger: Ledger
    options: Options = field(default_factory=Options)
    user: str = field(default_factory=lambda: f"u{uuid.uuid4().hex[:12]}")
    old_port: int = 0
    new_port: int = 0
    without: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def job(self) -> MailboxJob:
        return MailboxJob(
            self.user,
            self._server(self.old_port or self.old.port, "old", self.without[0]),
            self._server(self.new_port or self.new.port, "new", self.without[1]),
            self.options,
        )

    def _server(self, port: int, side: str, without: frozenset[str]) -> Server:
        endpoint = Endpoint("127.0.0.1", port, "plain", timeout=30.0)
        return Server(endpoint, Login(self.user, PASSWORD), without=without, side=side)

    def on_old(self) -> Account:
        return self.old.account(self.user)

    def on_new(self) -> Account:
        return self.new.account(self.user)

    def fill(self, old: str = "", new: str = "") -> None:
        """Put both sides into these states (an empty one is left alone)."""
        for place, state in ((self.old, old), (self.new, new)):
            if state:
                with place.account(self.user) as account:
                    account.make(parse(state))

    def read_new(self) -> Contents:
        with self.on_new() as account:
            return account.read()

    def sync(self) -> PassResult:
        """One pass. Where a look before it had found nothing to do, it has nothing to do."""
        looked = look_at(self.job(), self.ledger)
        done = sync_mailbox(self.job(), self.ledger)
        if looked.unchanged:
            assert (done.copied, done.flags_changed, done.removed, done.problems) == (0, 0, 0, 0)
        return done

    def settled(self) -> None:
        """One more pass changes nothing, and asks nothing."""
        before = self.read_new()
        again = self.sync()
        assert (again.copied, again.flags_changed, again.removed, again.problems) == (0, 0, 0, 0)
        assert self.read_new() == before

    def verify(self, level: VerifyLevel = "attributes") -> Audit:
        job = self.job()
        return audit(replace(job, options=replace(job.options, verify=level)), self.ledger)

    def problems(self) -> list[Problem]:
        return store.problems(self.ledger, account=self.user, room="mailbox")
