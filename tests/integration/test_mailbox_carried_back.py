"""The way back after a go: what came to new since the last pass is on old, once; the next migration doubles nothing."""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, TransientError, sync_mailbox
from bascule.mailbox import sync as engine
from bascule.mailbox.carry_back import CarriedBack, carry_back

from tests.mail_servers import two_dovecots
from tests.mailbox_cases import Pair, relayed_pair
from tests.mailbox_states import Account, parse

STEP = 1 if os.environ.get("BASCULE_TEST_DEPTH") == "full" else 3  # by default every third command is cut

SMALL_QUOTA = """
mail_plugins = quota
plugin {
  quota = maildir:User
  quota_rule = *:bytes=2000
}
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with two_dovecots({"prefix": "INBOX."}) as (old, new), relayed_pair(old, new) as pair:
        yield pair


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_PAUSE", 0.0)


class Mailbox:
    """One account whose last pass before the go is behind it."""

    def __init__(self, pair: Pair, ledger: Ledger, options: Options) -> None:
        self.pair, self.ledger, self.options, self.user = pair, ledger, options, f"u{uuid.uuid4().hex[:12]}"

    def job(self) -> MailboxJob:
        return self.pair.job(self.user, self.options)

    def old(self) -> Account:
        return Account(self.pair.old.port, self.user, ".", "INBOX.")

    def new(self) -> Account:
        return Account(self.pair.new.port, self.user, "/")

    def on_old(self, notation: str) -> None:
        with self.old() as account:
            account.make(parse(notation))

    def on_new(self, notation: str) -> None:
        with self.new() as account:
            account.make(parse(notation))

    def back(self, *, dry_run: bool = False) -> CarriedBack:
        return carry_back(self.job(), self.ledger, None, dry_run=dry_run)

    def sync(self) -> tuple[int, int, int]:
        result = sync_mailbox(self.job(), self.ledger)
        assert result.problems == 0
        return result.copied, result.removed, result.flags_changed

    def old_is(self, notation: str) -> None:
        with self.old() as account:
            assert account.read() == parse(notation)

    def new_is(self, notation: str) -> None:
        with self.new() as account:
            assert account.read() == parse(notation)


@pytest.fixture
def begin(pair: Pair, tmp_path: Path) -> Callable[..., Mailbox]:
    def make(old: str, on_new_before: str = "", options: Options | None = None) -> Mailbox:
        name = uuid.uuid4().hex[:8]
        box = Mailbox(pair, Ledger(f"sqlite:///{tmp_path}/{name}.db"), options or Options())
        if on_new_before:
            box.on_new(on_new_before)
        box.on_old(old)
        box.sync()
        return box

    return make


OLD = "INBOX: a b/S; Sent/2020: d"
AFTER_THE_GO = "INBOX: a b/S c/SF+work c; Sent/2020: d e/S; Fait: f; Sent/2021: g"


def test_what_came_since_the_last_pass_is_on_old_with_flags_and_dates(begin: Callable[..., Mailbox]) -> None:
    box = begin(OLD)
    box.on_new(AFTER_THE_GO)
    done = box.back()
    assert (done.copied, done.there, done.refused) == (5, 0, [])
    box.old_is(AFTER_THE_GO)
    box.new_is(AFTER_THE_GO)


def test_a_second_run_changes_nothing(begin: Callable[..., Mailbox]) -> None:
    box = begin(OLD)
    box.on_new(AFTER_THE_GO)
    box.back()
    done = box.back()
    assert (done.copied, done.there) == (0, 5)
    box.old_is(AFTER_THE_GO)


def test_the_next_migration_doubles_nothing_and_carries_what_changes_then(begin: Callable[..., Mailbox]) -> None:
    box = begin(OLD)
    box.on_new(AFTER_THE_GO)
    box.back()
    box.sync()
    box.new_is(AFTER_THE_GO)
    assert box.sync() == (0, 0, 0)
    changed = "INBOX: a b/S c/S h; Sent/2020: d e; Fait: f/S; Sent/2021: g"  # one `c` is removed
    box.on_old(changed)
    box.sync()
    box.new_is(changed)


def test_what_a_beta_tester_had_on_new_before_stays_there_alone(begin: Callable[..., Mailbox]) -> None:
    box = begin(OLD, on_new_before="INBOX: m n")
    box.on_new("INBOX: a b/S m n c; Sent/2020: d")
    assert box.back().copied == 1
    box.old_is("INBOX: a b/S c; Sent/2020: d")


def test_what_was_moved_or_removed_on_new_stays_on_old(begin: Callable[..., Mailbox]) -> None:
    box = begin("INBOX: a b c; Archive: d")
    box.on_new("INBOX: b; Archive: d a")  # `a` was moved, `c` removed
    box.back()
    box.old_is("INBOX: a b c; Archive: d a")
    box.sync()
    box.new_is("INBOX: b; Archive: d a")


def test_mail_of_a_renamed_folder_comes_back_to_the_folder_it_is_from(begin: Callable[..., Mailbox]) -> None:
    box = begin("INBOX: a; Vieux: b", options=Options(rename={"INBOX.Vieux": "Archives"}))
    box.on_new("INBOX: a; Archives: b c")
    box.back()
    box.old_is("INBOX: a; Vieux: b c")


def test_a_dry_run_counts_and_changes_nothing(begin: Callable[..., Mailbox]) -> None:
    box = begin(OLD)
    box.on_new(AFTER_THE_GO)
    assert box.back(dry_run=True).copied == 5
    box.old_is(OLD)
    assert sync_mailbox(box.job(), box.ledger).copied == 0


def test_a_message_that_old_refuses_is_named_and_all_others_are_carried(ledger: Ledger) -> None:
    with two_dovecots({"extra": SMALL_QUOTA}) as (old, new):
        job = MailboxJob("ann", old.server("ann"), new.server("ann"))
        with Account(old.port, "ann", ".") as account:
            account.make(parse("INBOX: a"))
        sync_mailbox(job, ledger)
        with Account(new.port, "ann", "/") as account:
            account.client.append("INBOX", "", None, b"Subject: large\r\nMessage-Id: <l@x>\r\n\r\n" + b"x" * 4000)
            account.append("INBOX", "b")
        done = carry_back(job, ledger, None)
        with Account(old.port, "ann", ".") as account:
            assert account.read() == parse("INBOX: a b")
    assert done.copied == 1
    (named,) = done.refused
    assert "<l@x>" in named and "'large'" in named and "quota" in named.lower()


def test_interrupted_after_every_command_it_ends_the_same(begin: Callable[..., Mailbox], pair: Pair) -> None:
    box = begin(OLD)
    box.on_new(AFTER_THE_GO)
    pair.faults.arm(None)
    box.back()
    for at in range(1, pair.faults.count + 1, STEP):
        box = begin(OLD)
        box.on_new(AFTER_THE_GO)
        pair.faults.arm(at)
        with contextlib.suppress(TransientError):  # a farewell that is cut is no trouble
            box.back()
        pair.faults.arm(None)
        box.back()
        box.old_is(AFTER_THE_GO)
        box.sync()
        box.new_is(AFTER_THE_GO)
        box.old_is(AFTER_THE_GO)
