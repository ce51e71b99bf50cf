"""Copies with placeholders that end in the middle: the process is killed, or new's Dovecot is started again."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from bascule.ledger import Ledger
from bascule.ledger.mailboxes import KEPT
from bascule.mailbox import sync_mailbox
from bascule.mailbox.imap.server import Server
from bascule.mailbox.imap.session import Session

from tests.imap_relay import relayed
from tests.integration.test_mailbox_placeholders import inbox, job
from tests.kept_uids import lay_out, shown
from tests.mail_servers import Dovecot, dovecot, mail_directory

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
FORMATS = ["sdbox:~/sdbox", "mdbox:~/mdbox", "maildir:~/Maildir"]
UIDS = [uid for uid in range(5, 1200) if uid % 3 == 0 or uid % 7 == 0]  # small gaps, and one at the beginning
PASS = """
import sys
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.doveadm import opener
from bascule.mailbox.imap.server import Server
from tests.local_host import LocalHost

user, url, base_dir, *ports = sys.argv[1:]
old, new = (Server(Endpoint("127.0.0.1", int(port), "plain", timeout=30.0), Login(user, "secret"), side=side)
            for port, side in zip(ports, ("old", "new")))
opened = opener(LocalHost("new"), user, base_dir=base_dir)
sync_mailbox(MailboxJob(user, old, new, Options(connections=1), opened), Ledger(url))
"""


@pytest.fixture(scope="module")
def old(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[0]


@pytest.fixture(scope="module", params=FORMATS if FULL else FORMATS[:1])
def new(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    with mail_directory() as home, dovecot(home / "new", separator="/", location=request.param) as server:
        yield server


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


def started(old: Dovecot, new: Dovecot, ledger: Ledger, user: str, new_port: int) -> subprocess.Popen[bytes]:
    words = [user, ledger.url, str(new.home / "run"), str(old.port), str(new_port)]
    return subprocess.Popen([sys.executable, "-c", PASS, *words], stdout=subprocess.DEVNULL)


def assert_as_on_old(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> None:
    assert sync_mailbox(job(old, new, user), ledger).problems == 0
    assert shown(new, user) == shown(old, user)
    assert inbox(ledger, user).uids == KEPT
    assert sync_mailbox(job(old, new, user), ledger).copied == 0


@pytest.mark.parametrize(
    ("what", "time_of"),
    [("literal", 3), ("literal", 90), ("literal", 250), ("literal", 1100), ("UID SEARCH", 1), ("UID EXPUNGE", 1)],
)
def test_a_process_that_is_killed(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, what: str, time_of: int
) -> None:
    lay_out(old, user, "", UIDS, uidvalidity=77, uidnext=1300)
    process: list[subprocess.Popen[bytes]] = []
    seen = [0]

    def kill(octets: bytes) -> bytes:
        seen[0] += what == "literal" or what.encode() in octets
        if seen[0] == time_of and process[0].poll() is None:
            os.kill(process[0].pid, signal.SIGKILL)
            process[0].wait()
        return octets  # new still gets what was on its way

    hooks = {"literals": kill} if what == "literal" else {"commands": kill}
    with relayed(new.port, **hooks) as port:  # type: ignore[arg-type]
        process.append(started(old, new, ledger, user, port))
        assert process[0].wait(60) == -signal.SIGKILL
        assert_as_on_old(old, new, ledger, user)


def test_what_new_stores_only_a_second_after_the_process_was_killed(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", UIDS, uidvalidity=77, uidnext=1300)
    process: list[subprocess.Popen[bytes]] = []
    seen, given = [0], threading.Event()

    def late(octets: bytes) -> bytes:
        seen[0] += 1
        if seen[0] == 250:
            time.sleep(0.5)  # all of the APPEND is sent
            os.kill(process[0].pid, signal.SIGKILL)
            process[0].wait()
            time.sleep(1.0)
        return octets

    def notice(line: bytes) -> bytes:
        if line == b"\r\n" and process[0].poll() is not None:
            given.set()
        return line

    with relayed(new.port, literals=late, commands=notice) as port:
        process.append(started(old, new, ledger, user, port))
        assert process[0].wait(60) == -signal.SIGKILL
        sync_mailbox(job(old, new, user), ledger)
        assert given.wait(30)
        assert_as_on_old(old, new, ledger, user)


def test_what_new_stores_only_after_both_connections_are_lost(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", UIDS, uidvalidity=77, uidnext=1300)
    sessions: list[Session] = []
    begun, seen, lost = Session.__init__, [0], threading.Event()

    def noted(self: Session, server: Server) -> None:
        begun(self, server)
        sessions.append(self)

    def late(octets: bytes) -> bytes:
        seen[0] += 1
        if seen[0] == 250:
            time.sleep(0.5)  # all of the APPEND is sent
            lost.set()
            for session in sessions:
                session.wire._socket.shutdown(socket.SHUT_RDWR)
            time.sleep(1.0)
        return octets

    monkeypatch.setattr(Session, "__init__", noted)
    with relayed(new.port, literals=late) as port:
        work = job(old, new, user)
        assert sync_mailbox(replace(work, new=replace(new, port=port).server(user)), ledger).problems == 0
    assert lost.is_set()
    assert sorted(shown(new, user).messages.values()) == sorted(map(str, UIDS))
