"""An account moves while its user comes by POP3, by ManageSieve, and by submission that saves to Sent."""

import contextlib
import poplib
import smtplib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger, journal
from bascule.moves.entry import Entry
from bascule.problems import store
from bascule.sieve import managesieve
from bascule.sieve.managesieve import ManageSieve, ManageSieveError
from bascule.tasks import move
from bascule.tasks.run import Run, TryAgain
from imapclient import IMAPClient

from lab.corpus.store import Stores
from lab.measure.at_work import HEADER
from lab.measure.programs import BROKEN, SERVICE, Sender, Worker
from tests.integration.busy_account import wait_for
from tests.integration.conftest import Lab
from tests.integration.test_moves import (
    ACCOUNT,
    ADDRESS,
    assert_nobody_is_held,
    hand_in,
    run,
    traveller,
    trusted,
)
from tests.integration.test_moves_at_the_flip import before

__all__ = ["run", "traveller", "trusted"]

HELD_BACK_SECONDS = 3
SUBMISSION = "smtp.obs.test", 587
SCRIPT = b'require "fileinto";\r\nif header :contains "Subject" "[liste]" { fileinto "INBOX"; stop; }\r\n'
NEVER_MATCHES = b'if header :contains "Subject:" "facture" { discard; }\r\n'


@pytest.fixture
def slow(lab: Lab, ledger: Ledger) -> Iterator[Run]:
    """A site that holds logins back for some seconds in each move."""
    assert lab.site.moves
    part = lab.site.moves.model_copy(update={"delay_seconds": HELD_BACK_SECONDS})
    access: Access = lab.access(lab.site.model_copy(update={"moves": part}))
    yield Run(access.site, access, ledger, journal.Origin("move", "run-1", "account.move[0]", "anna"))
    access.close()


@pytest.fixture
def pop3(lab: Lab, trusted: ssl.SSLContext) -> Iterator[Callable[[], poplib.POP3]]:
    """The account's own logins through the proxy. They end without QUIT."""
    with contextlib.ExitStack() as stack:

        def log_in() -> poplib.POP3:
            session = by_pop3(lab.secrets.password_of(ACCOUNT), trusted)
            stack.callback(session.close)
            return session

        yield log_in


@pytest.fixture
def sieve(lab: Lab, run: Run) -> Iterator[Callable[[], ManageSieve]]:
    ca_file = tls.ca_file(run.access.connections.get(run.site.mailboxes.new.connection))
    endpoint, login = Endpoint(SERVICE, 4190, "starttls", ca_file), Login(ACCOUNT, lab.secrets.password_of(ACCOUNT))
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(managesieve.connected(endpoint, login))


def by_pop3(password: str, trusted: ssl.SSLContext) -> poplib.POP3:
    session = poplib.POP3_SSL(SERVICE, 995, context=trusted, timeout=60)
    session.user(ACCOUNT)
    session.pass_(password)
    return session


def sessions_on(lab: Lab, host: str) -> set[str]:
    """By which protocols the account has sessions there."""
    said = lab.ssh(host, "doveadm", "-f", "tab", "who", "-1", ACCOUNT)
    return {line.split("\t")[1] for line in said.splitlines()[1:]}


class HeldBack:
    """A login that begins in a thread of its own; `at`: when it has come in (Unix time)."""

    def __init__(self, log_in: Callable[[], object]) -> None:
        self.log_in, self.at = log_in, 0.0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.log_in()
        self.at = time.time()


def test_sessions_of_every_protocol_end_and_who_comes_meanwhile_waits_for_new(
    lab: Lab,
    slow: Run,
    traveller: str,
    pop3: Callable[[], poplib.POP3],
    sieve: Callable[[], ManageSieve],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a filter that was put right before the flip, behind the passes without a lock, is on new and active."""
    for _ in range(3):
        hand_in(ADDRESS)
    wait_for(lambda: pop3().stat()[0] == 3, "all mail is on old")
    reader, editor, held = pop3(), sieve(), [HeldBack(pop3), HeldBack(sieve)]
    uidls, until = reader.uidl()[1], list[float]()
    reader.dele(1)  # and no QUIT

    def put() -> None:
        assert editor.put("juste avant", SCRIPT).accepted
        editor.set_active("juste avant")
        assert sessions_on(lab, "old") >= {"pop3", "sieve"}

    def come() -> None:
        until.append(float(Entry(slow.access, traveller).state()["mailDelayUntil"][0]))
        for each in held:
            each.thread.start()

    monkeypatch.setattr(move, "SiteActs", before(flip=put, kick=come))
    assert move.move(slow, traveller, "new", 0) == "moved"
    with pytest.raises((poplib.error_proto, OSError)):
        reader.noop()
    with pytest.raises(ManageSieveError):
        editor.scripts()
    for each in held:
        each.thread.join(60)
        assert each.at > until[0] - 1.0, "it was not held back"
    assert (sessions_on(lab, "old"), sessions_on(lab, "new")) == (set(), {"pop3", "sieve"})
    assert pop3().uidl()[1] == uidls
    assert (sieve().scripts(), sieve().get("juste avant")) == ({"juste avant": True}, SCRIPT)
    assert_nobody_is_held(lab, slow)


def test_a_filter_that_needs_a_person_right_before_the_flip_turns_the_move(
    lab: Lab, run: Run, traveller: str, sieve: Callable[[], ManageSieve], monkeypatch: pytest.MonkeyPatch
) -> None:
    editor, flips = sieve(), list[None]()

    def put() -> None:
        flips.append(None)
        if len(flips) == 1:  # the second one is the way back
            assert editor.put("factures", NEVER_MATCHES).accepted
            editor.set_active("factures")

    monkeypatch.setattr(move, "SiteActs", before(flip=put))
    with pytest.raises(
        TryAgain, match="was not moved and is on old as before: a filter that voyage has changed on old"
    ):
        move.move(run, traveller, "new", 0)
    assert Entry(run.access, traveller).is_at("old")
    assert_nobody_is_held(lab, run)
    assert sieve().scripts() == {"factures": True}
    assert store.accounts_with_open(run.ledger, "sieve") == [traveller]


class Fetcher(Worker):
    """A POP3 program that knows by its UIDLs what it has; it leaves every other message on the server.

    `fetched`: how often each Message-Id was downloaded; `listed`: how many messages it saw last.
    """

    def __init__(self, password: str, trusted: ssl.SSLContext) -> None:
        super().__init__()
        self.password, self.trusted = password, trusted
        self.fetched: Counter[str] = Counter()
        self.listed = self.kept = 0
        self._removes: dict[bytes, bool] = {}  # by UIDL

    def act(self) -> None:
        session = None
        try:
            session = by_pop3(self.password, self.trusted)
            self._look(session)
            session.quit()
        except (poplib.error_proto, OSError):
            if session is not None:
                session.close()
        time.sleep(0.2)

    def _look(self, session: poplib.POP3) -> None:
        listed = [line.split() for line in session.uidl()[1]]
        for number, uidl in listed:
            if uidl not in self._removes:
                text = b"\n".join(session.retr(int(number))[1])
                self.fetched[text.partition(b"Message-ID: <")[2].partition(b">")[0].decode()] += 1
                self._removes[uidl] = len(self._removes) % 2 == 0
            if self._removes[uidl]:
                session.dele(int(number))
        self.listed, self.kept = len(listed), sum(not removes for removes in self._removes.values())


def came_in(ledger: Ledger) -> bool:
    """Perhaps, before a last pass had ended, as on a machine that is too busy: docs/moves.md says what is seen then.

    These programs log in, act and log out within a second, so that no look need have seen them (`came_in`).
    """
    carried = [entry.after or {} for entry in journal.entries(ledger, kind="move")]
    return any(after.get("kept_out_longer") or after.get("late") for after in carried)


class Writer(Worker):
    """A mail program that submits a message to its own user and then saves it to Sent, by the service name.

    A save that was not answered is looked for before it is done again.
    """

    def __init__(self, password: str, trusted: ssl.SSLContext) -> None:
        super().__init__()
        self.password, self.trusted = password, trusted
        self.saved: list[str] = []
        self._client: IMAPClient | None = None

    def act(self) -> None:
        name = f"{uuid4()}@written.test"
        text = f"Message-ID: <{name}>\r\nFrom: {ADDRESS}\r\nTo: {ADDRESS}\r\nSubject: note\r\n\r\nNote.\r\n"
        with smtplib.SMTP(*SUBMISSION, timeout=60) as session:
            session.starttls(context=self.trusted)
            session.login(ACCOUNT, self.password)
            session.sendmail(ADDRESS, [ADDRESS], text)
        while not self._save(name, text):
            time.sleep(0.2)
        self.saved.append(name)
        time.sleep(0.1)

    def _save(self, name: str, text: str) -> bool:
        anew = self._client is None
        try:
            self._client = self._client or self._logged_in()
            sent = f"{self._client.namespace().personal[0][0]}Sent"
            self._client.select_folder(sent)
            if not (anew and self._client.search(["HEADER", "Message-ID", name])):
                self._client.append(sent, text.encode(), [b"\\Seen"])
        except BROKEN:
            self._client = None
            return False
        return True

    def _logged_in(self) -> IMAPClient:
        client = IMAPClient(SERVICE, ssl_context=self.trusted, timeout=60)
        client.login(ACCOUNT, self.password)
        sent = f"{client.namespace().personal[0][0]}Sent"
        if not client.folder_exists(sent):
            client.create_folder(sent)
        return client


def test_a_pop3_user_who_submits_and_saves_gets_each_message_once_there_and_back(
    lab: Lab, run: Run, traveller: str, trusted: ssl.SSLContext
) -> None:
    """What is delivered meanwhile is downloaded once, also what the user has submitted, and that is once in Sent."""
    password = lab.secrets.password_of(traveller)
    with Fetcher(password, trusted) as reader:
        with Sender([(traveller, ADDRESS)], 0.25) as mail, Writer(password, trusted) as writer:
            for to in ("", "new", "old"):
                assert not to or move.move(run, traveller, move.server(to), 0) == "moved"
                before_this = len(reader.fetched), len(writer.saved)
                wait_for(
                    lambda seen=before_this: len(reader.fetched) > seen[0] + 1 and len(writer.saved) > seen[1] + 1,
                    f"both programs work {to}",
                )
        written = {*writer.saved}
        wait_for(lambda: mail.accepted.keys() | written <= reader.fetched.keys(), "everything is downloaded")
        wait_for(lambda: reader.listed == reader.kept, "only what the program leaves there is there")
    sent = in_sent(lab)
    assert written <= sent.keys()
    again = [name for seen in (reader.fetched, sent) for name, count in seen.items() if count > 1]
    assert again == [] or came_in(run.ledger)


def in_sent(lab: Lab) -> Counter[str]:
    """How often each Message-Id is in Sent on old."""
    with Stores(lab.instance).reader("old", ACCOUNT) as client:
        client.select_folder("INBOX.Sent", readonly=True)
        said = client.fetch(client.search(), ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
    return Counter(item[HEADER].decode().partition("<")[2].partition(">")[0] for item in said.values())
