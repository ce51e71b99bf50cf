"""What users do in the very second of the flip: acts without a pause, IDLE, a large upload, a folder that two share."""

import imaplib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from bascule.hosts.access import Access
from bascule.ledger import Ledger, journal
from bascule.ledger.moves import Server, other
from bascule.moves.acts import SiteActs
from bascule.moves.entry import Entry
from bascule.problems.model import Option
from bascule.tasks import behind, move
from bascule.tasks.run import NeedsPerson, Run, TryAgain
from imapclient import IMAPClient

from lab.corpus.store import Stores
from lab.measure.at_work import HEADER
from lab.measure.programs import BROKEN, SERVICE, Worker
from tests.deciding import decide
from tests.integration.busy_account import Busy, wait_for
from tests.integration.conftest import Lab
from tests.integration.test_moves import (
    ADDRESS,
    assert_nobody_is_held,
    assert_nothing_lost_or_doubled,
    on_old,
    run,
    traveller,
    trusted,
)

__all__ = ["run", "traveller", "trusted"]

LARGE = 50_000_000
CHUNK = 1_000_000
NEIGHBOUR = "voisine"
TRIES = 3


def test_acts_without_a_pause_there_and_back(lab: Lab, run: Run, traveller: str, trusted: ssl.SSLContext) -> None:
    """Three programs, so that an append, an expunge, a flag and a move are under way whenever it happens."""
    with Busy(traveller, ADDRESS, lab.secrets.password_of(traveller), trusted, (0.0, 0.0, 0.0)) as busy:
        busy.works()
        for to in ("new", "old"):
            moved_in_the_end(run, traveller, move.server(to))
            busy.works()
    assert_nothing_lost_or_doubled(busy.verdict(), run.ledger)
    assert_nobody_is_held(lab, run)


def moved_in_the_end(run: Run, account: str, to: Server) -> None:
    """On a machine that is too busy somebody may come in and file what the last pass has just brought.

    Then the move is turned, and Airflow tries it again.
    """
    for _ in range(TRIES):
        try:
            assert move.move(run, account, to, 0) == "moved"
            break
        except TryAgain as error:
            print(error)
            assert Entry(run.access, account).is_at(other(to))
    assert Entry(run.access, account).is_at(to)


class Idler(Worker):
    """A program that waits in IDLE. `told`: when IDLE told of mail."""

    def __init__(self, account: str, password: str, trusted: ssl.SSLContext) -> None:
        super().__init__()
        self.account, self.password, self.trusted = account, password, trusted
        self.seen: set[str] = set()
        self.told: list[float] = []
        self._client: IMAPClient | None = None

    def act(self) -> None:
        try:
            if self._client is None:
                self._client = IMAPClient(SERVICE, ssl_context=self.trusted, timeout=60)
                self._client.login(self.account, self.password)
                self._client.select_folder("INBOX", readonly=True)
                self._look(self._client)
            self._client.idle()
            told = self._client.idle_check(timeout=1)
            self._client.idle_done()
            self.told += [time.time()] * any(b"EXISTS" in item for item in told)
            self._look(self._client)  # what came between two IDLEs is told elsewhere
        except BROKEN:
            self._client = None
            time.sleep(0.2)

    def _look(self, client: IMAPClient) -> None:
        said = client.fetch(client.search(), ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
        self.seen |= {item[HEADER].decode().partition("<")[2].partition(">")[0] for item in said.values()}


@pytest.mark.parametrize("to", ["new", "old"])
def test_who_waits_in_idle_is_told_of_all_mail(
    lab: Lab, run: Run, traveller: str, trusted: ssl.SSLContext, to: Server
) -> None:
    busy = Busy(traveller, ADDRESS, lab.secrets.password_of(traveller), trusted)
    if to == "old":
        move.move(run, traveller, "new", 0)
    with busy.mail, Idler(traveller, busy.password, trusted) as idler:
        wait_for(lambda: len(idler.told) > 2, "the program is told of mail")
        assert move.move(run, traveller, to, 0) == "moved"
        moved_at = time.time()
        wait_for(lambda: sum(at > moved_at for at in idler.told) > 2, f"it is told of mail on {to}")
        busy.mail.ended.set()
        wait_for(lambda: busy.mail.accepted.keys() <= idler.seen, "it has seen everything")


class Upload:
    """One large message saved by a program that tries again until it is told that this was done."""

    def __init__(self, account: str, password: str, trusted: ssl.SSLContext, pause: float) -> None:
        self.account, self.password, self.trusted, self.pause = account, password, trusted, pause
        head = b"Message-ID: <large@saved.test>\r\nSubject: large\r\n\r\n"
        self.message = head + b"0123456789abc\r\n" * (LARGE // 15)
        self.sent = self.tries = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def whole(self) -> None:
        """Once; the flip back does it no more."""
        if not self.tries:
            self.thread.start()
            self.thread.join(60)

    def _run(self) -> None:
        while True:
            self.tries, self.sent = self.tries + 1, 0
            try:
                return self._once()
            except BROKEN:
                time.sleep(0.2)

    def _once(self) -> None:
        session = imaplib.IMAP4_SSL(SERVICE, ssl_context=self.trusted, timeout=60)
        session.login(self.account, self.password)
        session.send(f"up1 APPEND INBOX {{{len(self.message)}}}\r\n".encode())
        if not session.readline().startswith(b"+"):
            raise imaplib.IMAP4.error("APPEND is refused")
        for start in range(0, len(self.message), CHUNK):
            session.send(self.message[start : start + CHUNK])
            self.sent += CHUNK
            time.sleep(self.pause if self.tries == 1 else 0)
        session.send(b"\r\n")
        while not (line := session.readline()).startswith(b"up1 "):
            if not line:
                raise imaplib.IMAP4.error("the connection is lost")
        assert line.startswith(b"up1 OK"), line


@pytest.fixture
def large(lab: Lab, ledger: Ledger) -> Iterator[Run]:
    """A site that takes messages of any size."""
    part = lab.site.mailboxes.model_copy(update={"largest_message": 200_000_000})
    access: Access = lab.access(lab.site.model_copy(update={"mailboxes": part}))
    yield Run(access.site, access, ledger, journal.Origin("move", "run-1", "account.move[0]", "anna"))
    access.close()


@pytest.mark.parametrize("cut", [True, False], ids=["cut by the flip", "ended just before it"])
@pytest.mark.parametrize("to", ["new", "old"])
def test_a_large_message_that_is_saved_at_the_flip_is_there_once(
    lab: Lab, large: Run, traveller: str, trusted: ssl.SSLContext, cut: bool, to: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """On the way back as well, where new has the part of it that the flip cuts off."""
    password = lab.secrets.password_of(traveller)
    upload = Upload(traveller, password, trusted, pause=0.2 if cut else 0.0)
    if to == "old":
        assert move.move(large, traveller, "new", 0) == "moved"

    def begin() -> None:
        upload.thread.start()
        if cut:
            wait_for(lambda: upload.sent > 3 * CHUNK, "some of it is sent")
        else:
            upload.thread.join(60)

    monkeypatch.setattr(move, "SiteActs", before(flip=begin))
    assert move.move(large, traveller, to, 0) == "moved"
    upload.thread.join(120)
    assert (upload.thread.is_alive(), upload.tries > 1) == (False, cut)
    with IMAPClient(f"{to}.obs.test", ssl_context=trusted, timeout=60) as client:
        client.login(traveller, password)
        client.select_folder("INBOX", readonly=True)
        found = client.fetch(client.search(["SUBJECT", "large"]), ["BODY.PEEK[]"])
    assert [item[b"BODY[]"] == upload.message for item in found.values()] == [True]


@pytest.mark.parametrize("by", ["person", "site file"])
def test_what_only_the_last_pass_meets_turns_the_move_unless_it_was_decided_before(
    lab: Lab, ledger: Ledger, traveller: str, trusted: ssl.SSLContext, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is too large for the site is saved on old right before the flip."""
    part = lab.site.mailboxes.model_copy(update={"largest_message": 1_000_000})
    rules = {"mailbox/message-too-large": "leave out"} if by == "site file" else {}
    access: Access = lab.access(lab.site.model_copy(update={"mailboxes": part, "decisions": rules}))
    small = Run(access.site, access, ledger, journal.Origin("move", "run-1", "account.move[0]", "anna"))
    upload = Upload(traveller, lab.secrets.password_of(traveller), trusted, pause=0.0)
    upload.message = upload.message[:2_000_000] + b"\r\n"
    try:
        monkeypatch.setattr(move, "SiteActs", before(flip=upload.whole))
        if by == "person":
            with pytest.raises(TryAgain, match=r"is on old as before: the last pass has met 1 problem.*`problems`"):
                move.move(small, traveller, "new", 0)
            assert Entry(access, traveller).is_at("old")
            assert_nobody_is_held(lab, small)
            assert large_on(lab, "old", traveller) == 1
            monkeypatch.setattr(move, "SiteActs", SiteActs)
            with pytest.raises(NeedsPerson, match="1 problem"):
                move.move(small, traveller, "new", 0)
            decide(ledger, option=Option.LEAVE_OUT)
        assert move.move(small, traveller, "new", 0) == "moved"
        assert Entry(access, traveller).is_at("new")
        assert_nobody_is_held(lab, small)
        assert (large_on(lab, "old", traveller), large_on(lab, "new", traveller)) == (1, 0)
    finally:
        access.close()


def large_on(lab: Lab, host: Server, account: str) -> int:
    with Stores(lab.instance).reader(host, account) as client:
        client.select_folder("INBOX", readonly=True)
        return len(client.search(["SUBJECT", "large"]))


def test_two_people_who_share_a_folder_move_together_and_back(
    lab: Lab, run: Run, ledger: Ledger, traveller: str
) -> None:
    """Both at once, as a wave does it; who may see the folder on old may see it on new."""
    with on_old(lab, NEIGHBOUR, "Vera.Voisine@obs.test"):
        with Stores(lab.instance).reader("old", traveller) as owner:
            owner.create_folder("INBOX.Projet")
            owner._imap.setacl("INBOX.Projet", NEIGHBOUR, "lrswi")
        for to in ("new", "old"):
            with ThreadPoolExecutor(2) as pool:
                assert [*pool.map(lambda name, to=to: moved(lab, ledger, name, to), (traveller, NEIGHBOUR))] == [
                    "moved", "moved",
                ]  # fmt: skip
            with Stores(lab.instance).reader(move.server(to), traveller) as owner:
                folder = "Projet" if to == "new" else "INBOX.Projet"
                words = owner._imap.getacl(folder)[1][0].split()
            rights = dict(zip(words[1::2], words[2::2], strict=False))
            assert {*rights[NEIGHBOUR.encode()].decode()} == {*"lrswi"}, to


def test_what_comes_to_old_into_a_shared_folder_of_who_has_moved_is_on_new_after_the_next_moves(
    lab: Lab, run: Run, traveller: str
) -> None:
    """As whoever is still there may write it; the practice site's servers show nobody the folders of others."""
    with on_old(lab, NEIGHBOUR, "Vera.Voisine@obs.test"):
        with Stores(lab.instance).reader("old", traveller) as owner:
            owner.create_folder("INBOX.Projet")
            owner._imap.setacl("INBOX.Projet", NEIGHBOUR, "lrswi")
        assert move.move(run, traveller, "new", 0) == "moved"
        by_hand = replace(run, origin=journal.Origin("command line", task="moves move"))
        assert behind.carry(by_hand) == 0
        with Stores(lab.instance).reader("old", traveller) as writer:
            writer.append("INBOX.Projet", b"Message-ID: <behind@test>\r\nSubject: behind\r\n\r\nx\r\n")
        assert (behind.carry(by_hand), behind.carry(by_hand)) == (1, 0)
        with Stores(lab.instance).reader("new", traveller) as owner:
            owner.select_folder("Projet", readonly=True)
            assert len(owner.search(["SUBJECT", "behind"])) == 1


def moved(lab: Lab, ledger: Ledger, account: str, to: str) -> str:
    """With connections of its own, as a task has them."""
    access = lab.access()
    try:
        origin = journal.Origin("move", "run-1", f"account.move[{account}]", "anna")
        return move.move(Run(lab.site, access, ledger, origin), account, move.server(to), 0)
    finally:
        access.close()


def before(**acts: Callable[[], None]) -> Callable[..., SiteActs]:
    """The site's acts; each of these is done before the act of its name."""

    def make(*arguments: Any) -> SiteActs:
        made = SiteActs(*arguments)
        for act, do in acts.items():
            setattr(made, act, partial(_one_after_the_other, do, getattr(made, act)))
        return made

    return make


def _one_after_the_other(do: Callable[[], None], then: Callable[..., Any], *given: Any) -> Any:
    do()
    return then(*given)
