"""What comes to old behind the move of an account: on new once, added to what its user has made of it since."""

import uuid
from collections.abc import Iterator

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox import sync as engine
from bascule.mailbox.back import stay_on_old
from bascule.mailbox.behind import Behind, carry_behind
from bascule.mailbox.job import MailboxJob as Job

from tests.mail_servers import Dovecot, two_dovecots
from tests.mailbox_states import Account, parse


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Dovecot, Dovecot]]:
    with two_dovecots() as pair:
        yield pair


class Moved:
    """One account after its last pass."""

    def __init__(self, pair: tuple[Dovecot, Dovecot], ledger: Ledger, notation: str) -> None:
        self.pair, self.ledger, self.user = pair, ledger, f"u{uuid.uuid4().hex[:12]}"
        self.seen: dict[str, int] = {}
        self.make("old", notation)
        assert sync_mailbox(self.job(), ledger).problems == 0

    def job(self) -> MailboxJob:
        return Job(self.user, self.pair[0].server(self.user), self.pair[1].server(self.user), Options())

    def account(self, side: str) -> Account:
        return Account(self.pair[side == "new"].port, self.user, "/" if side == "new" else ".")

    def make(self, side: str, notation: str) -> None:
        with self.account(side) as account:
            account.make(parse(notation))

    def append(self, side: str, folder: str, *names: str) -> None:
        with self.account(side) as account:
            for name in names:
                account.append(folder, name)

    def holds(self, side: str, notation: str) -> None:
        with self.account(side) as account:
            assert account.read() == parse(notation)

    def look(self) -> Behind:
        found = carry_behind(self.job(), self.ledger, self.seen, owner="test")
        self.seen |= found.seen
        return found


@pytest.fixture
def moved(pair: tuple[Dovecot, Dovecot], ledger: Ledger) -> Moved:
    return Moved(pair, ledger, "INBOX: a b; Projet: c d")


def test_what_somebody_wrote_into_a_shared_folder_on_old_is_on_new_and_nothing_else_changes(moved: Moved) -> None:
    moved.make("new", "INBOX: a b/S; Projet: c x")  # its user has removed d, read b, and saved x
    moved.append("old", "Projet", "e", "f")
    assert (moved.look().copied, moved.look().copied) == (2, 0)
    moved.holds("new", "INBOX: a b/S; Projet: c x e f")
    moved.holds("old", "INBOX: a b; Projet: c d e f")


def test_what_the_user_removes_afterwards_does_not_come_again(moved: Moved) -> None:
    moved.append("old", "Projet", "e")
    moved.look()
    moved.make("new", "INBOX: a b; Projet: c d")
    moved.append("old", "Projet", "f")
    assert moved.look().copied == 1
    moved.holds("new", "INBOX: a b; Projet: c d f")


def test_killed_before_it_was_remembered_it_doubles_nothing(moved: Moved) -> None:
    moved.append("old", "Projet", "e")
    moved.look()
    moved.seen.clear()
    found = moved.look()
    assert (found.copied, found.there) == (0, 1)
    moved.holds("new", "INBOX: a b; Projet: c d e")


def test_old_may_be_cleared_away_after_the_move(moved: Moved) -> None:
    moved.make("old", "INBOX:")
    assert moved.look() == Behind()
    moved.holds("new", "INBOX: a b; Projet: c d")


def test_a_folder_that_the_user_has_renamed_stays_and_what_came_is_in_one_of_its_former_name(moved: Moved) -> None:
    with moved.account("new") as account:
        account.client.rename("Projet", "Archive")
    moved.append("old", "Projet", "e")
    moved.look()
    moved.holds("new", "INBOX: a b; Archive: c d; Projet: e")


def test_the_way_back_doubles_nothing_of_it(moved: Moved) -> None:
    moved.append("old", "Projet", "e")
    moved.look()
    job = moved.job()
    back = Job(job.account, job.new, job.old, Options(), source="new")
    engine.sync_mailbox(back, moved.ledger)
    stay_on_old(moved.ledger, job.account)
    moved.holds("old", "INBOX: a b; Projet: c d e")
    moved.holds("new", "INBOX: a b; Projet: c d e")


def test_after_a_pass_of_a_way_back_that_was_not_gone_nothing_is_looked_for(moved: Moved) -> None:
    job = moved.job()
    engine.sync_mailbox(Job(job.account, job.new, job.old, Options(), source="new"), moved.ledger)
    moved.append("old", "Projet", "e")
    assert moved.look() == Behind()
