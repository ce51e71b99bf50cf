"""Letters around a move: some days before, with its start; afterwards, about what was decided."""

import email
import email.policy
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import Account, DirectoryError
from bascule.ledger import Ledger, journal, leases, moves, notices, waves
from bascule.ledger.base import now
from bascule.ledger.letters import sent
from bascule.ledger.moves import State
from bascule.ledger.waves import Planned
from bascule.problems import store
from bascule.problems.letters import Outcome
from bascule.problems.model import Option, Problem
from bascule.tasks import letters
from bascule.tasks.run import Run, TryAgain

from tests.deciding import decide
from tests.unit.changes.fakes import SITE, FakeAccess

ORIGIN = journal.Origin("prepare", "run-1", "tell_before_moves", "anna")
ACCOUNTS = ("anna", "bert", "carl", "dora")
Inboxes = dict[str, list[email.message.EmailMessage]]


@pytest.fixture
def run(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Run:
    site = SITE.model_copy(update={"letters": SITE.letters.model_copy(update={"days_before_move": 3})})
    monkeypatch.setattr(letters.accounts.directory, "accounts", lambda *_: [Account(name, "") for name in ACCOUNTS])
    return Run(site, FakeAccess(site), ledger, ORIGIN)


@pytest.fixture
def inboxes(monkeypatch: pytest.MonkeyPatch) -> Inboxes:
    """Each account's INBOX on each server, as `account on server`."""
    found: Inboxes = {}

    def job_for(access: object, account: str) -> SimpleNamespace:
        sides = {side: SimpleNamespace(endpoint=side, login=account) for side in ("old", "new")}
        return SimpleNamespace(**sides)

    def append_once(endpoint: str, login: str, message_id: str, message: bytes) -> bool:
        made = email.message_from_bytes(message, policy=email.policy.default)
        assert made["Message-ID"] == message_id
        inbox = found.setdefault(f"{login} on {endpoint}", [])
        if message_id in [each["Message-ID"] for each in inbox]:
            return False
        inbox.append(made)
        return True

    monkeypatch.setattr(letters.mailbox, "job_for", job_for)
    monkeypatch.setattr(letters.post, "append_once", append_once)
    return found


def moved(ledger: Ledger, account: str) -> None:
    moves.note(ledger, moves.begin(ledger, account, "new", {}, "run-0"), State.DONE)


def tell(run: Run, start: datetime) -> None:
    waves.replace(run.ledger, [Planned("anna", "1", start)])
    letters.tell_before_moves(run)


def test_who_moves_soon_is_told_when_once_and_nobody_else(run: Run, inboxes: Inboxes) -> None:
    tomorrow, later = now() + timedelta(days=1), now() + timedelta(days=4)
    plan = [
        Planned("anna", "1", tomorrow),
        Planned("bert", "2", later),
        Planned("carl"),
        Planned("dora", "1", tomorrow),
    ]
    waves.replace(run.ledger, [*plan, Planned("zoe", "1", tomorrow)])
    moved(run.ledger, "dora")
    assert letters.tell_before_moves(replace(run, dry_run=True)) == {"letters": 0, "not written": 0}
    assert letters.tell_before_moves(run) == {"letters": 1, "not written": 0}
    assert letters.tell_before_moves(run) == {"letters": 0, "not written": 0}
    assert {place: len(mails) for place, mails in inboxes.items()} == {"anna on old": 1}


def test_who_stays_on_old_by_decision_is_told_no_start(run: Run, inboxes: Inboxes) -> None:
    """Also of somebody who was planned before that."""
    waves.replace(run.ledger, [Planned(name, "1", now() + timedelta(days=1)) for name in ("anna", "bert")])
    with run.ledger.session() as session:
        store.report(session, Problem("anna", "mailbox", "folder-name", "a//b", "new refuses it"))
    decide(run.ledger, option=Option.KEEP_ON_OLD)
    letters.tell_before_moves(run)
    assert [*inboxes] == ["bert on old"]


def test_the_start_is_told_in_each_language_on_the_clocks_of_the_site(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "now", lambda: datetime(2037, 11, 30))
    waves.replace(run.ledger, [Planned("anna", "1", datetime(2037, 12, 1, 8))])
    letters.tell_before_moves(run)
    (letter,) = inboxes["anna on old"]
    french, english = letter.get_content().split("----")
    assert "1 déc. 2037 09:00" in french and "1 Dec 2037 09:00" in english
    assert letter["Subject"] == (
        "Votre boîte aux lettres déménage : 1 déc. 2037 09:00 / Your mailbox moves: 1 Dec 2037 09:00"
    )
    assert letter["Auto-Submitted"] == "auto-generated"


def test_who_was_told_a_start_that_has_changed_is_told_the_new_one(run: Run, inboxes: Inboxes) -> None:
    tomorrow = now() + timedelta(days=1)
    for start in (tomorrow, tomorrow + timedelta(hours=1)):
        tell(run, start)
        tell(run, start)
    assert len(inboxes["anna on old"]) == 2


def test_who_was_told_another_start_last_is_told_the_first_one_again(run: Run, inboxes: Inboxes) -> None:
    """Else people would believe the letter that came last."""
    nine, ten = now() + timedelta(days=1), now() + timedelta(days=1, hours=1)
    for start in (nine, ten, nine, nine, ten, nine):
        tell(run, start)
    subjects = [letter["Subject"] for letter in inboxes["anna on old"]]
    assert len(subjects) == 5 and len({*subjects}) == 2
    assert subjects[0] == subjects[2] == subjects[4] and subjects[1] == subjects[3]


def test_for_a_letter_only_what_its_account_was_told_is_read(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = now() + timedelta(days=1)
    others = {name: letters.slot(Planned(name, "1", start)) for name in ("Anna", "annabel", "anna_b", "annaXb", "a%")}
    for slot in others.values():
        notices.claim(run.ledger, slot, letters.BEFORE)
    told, read = notices.told, list[list[str]]()

    def note(ledger: Ledger, *given: str) -> list[str]:
        read.append(told(ledger, *given))
        return read[-1]

    monkeypatch.setattr(letters.notices, "told", note)
    for hours in (0, 1):
        tell(run, start + timedelta(hours=hours))
    assert read[1::2] == [[], [letters.slot(Planned("anna", "1", start))]]  # beside those of all, once in a run
    for name, slot in others.items():
        assert told(run.ledger, letters.BEFORE, f"{name} ") == [slot]


def test_two_that_write_at_the_same_time_write_one_letter(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves.replace(run.ledger, [Planned("anna", "1", now() + timedelta(days=1))])
    seen_before = dict(letters.starts_told(run.ledger))
    letters.tell_before_moves(run)
    monkeypatch.setattr(letters, "starts_told", lambda ledger: seen_before)
    letters.tell_before_moves(run)
    assert len(inboxes["anna on old"]) == 1


def test_a_letter_that_was_written_by_a_task_that_was_killed_is_not_written_twice(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves.replace(run.ledger, [Planned("anna", "1", now() + timedelta(days=1))])
    with monkeypatch.context() as patched:
        patched.setattr(letters.notices, "claim", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            letters.tell_before_moves(run)
    assert letters.tell_before_moves(run) == {"letters": 1, "not written": 0}
    assert len(inboxes["anna on old"]) == 1


def test_who_can_not_be_written_to_holds_up_nobody_and_is_tried_again(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves.replace(run.ledger, [Planned(name, "1", now() + timedelta(days=1)) for name in ("anna", "bert")])
    write: Callable[..., bool] = letters.post.append_once

    def refuse_anna(endpoint: str, login: str, *rest: object) -> bool:
        if login == "anna":
            raise AccessError("old does not take the letter for anna: over quota")
        return write(endpoint, login, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(letters.post, "append_once", refuse_anna)
        assert letters.tell_before_moves(run) == {"letters": 1, "not written": 1}
    assert letters.tell_before_moves(run) == {"letters": 1, "not written": 0}


def test_whose_mailbox_somebody_works_on_is_written_to_later_and_holds_up_nobody(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves.replace(run.ledger, [Planned(name, "1", now() + timedelta(days=1)) for name in ("anna", "bert")])
    things = [Outcome(name, "renamed", "Folder", "a//b", "a-b", "lead") for name in ("anna", "bert")]
    monkeypatch.setattr(letters.letters, "outcomes", lambda ledger: things)
    with leases.lease(run.ledger, "anna", "a pass"):
        assert letters.tell_before_moves(run) == {"letters": 1, "not written": 1}
        with pytest.raises(TryAgain, match=r"1 letter\(s\) could not be written: anna"):
            letters.tell_owners(run)
    assert {*inboxes} == {"bert on old", "bert on new"}
    assert letters.tell_before_moves(run) == {"letters": 1, "not written": 0}
    assert letters.tell_owners(run) == {"letters": 1, "accounts": 2}
    assert {*inboxes} == {"bert on old", "bert on new", "anna on old", "anna on new"}


def test_by_default_nobody_is_told_before(run: Run, inboxes: Inboxes) -> None:
    waves.replace(run.ledger, [Planned("anna", "1", now() + timedelta(hours=1))])
    assert letters.tell_before_moves(replace(run, site=SITE)) == {"letters": 0, "not written": 0}


def test_after_a_move_those_are_told_in_whose_mailbox_something_was_decided(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    things = [Outcome(name, "renamed", "Folder", "a//b", "a-b", "lead") for name in ("anna", "bert")]
    monkeypatch.setattr(letters.letters, "outcomes", lambda ledger: things)
    moved(run.ledger, "anna")
    moved(run.ledger, "carl")
    assert letters.tell_moved(run) == {"letters": 1}
    assert letters.tell_moved(run) == {"letters": 0}
    assert [*inboxes] == ["anna on new"] and [*sent(run.ledger)] == ["anna"]
    letters.tell_owners(run)
    assert {place: len(mails) for place, mails in inboxes.items()} == {"anna on new": 1, "bert on new": 1}


def ended(run: Run, account: str) -> None:
    moved(run.ledger, account)
    done = journal.Entry("note", "move", account, run.origin, {"what": State.DONE})
    journal.append(run.ledger, done)


def test_after_the_moves_people_are_told_also_where_the_plan_was_replaced_meanwhile(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    things = [Outcome(name, "renamed", "Folder", "a//b", "a-b", "lead") for name in ("anna", "bert")]
    monkeypatch.setattr(letters.letters, "outcomes", lambda ledger: things)
    ended(run, "anna")
    moved(run.ledger, "bert")
    waves.replace(run.ledger, [Planned("bert", "8", now())])
    assert letters.tell_moved(replace(run, selection="wave:7")) == {"letters": 1}
    assert [*inboxes] == ["anna on new"]


def test_after_the_moves_people_are_told_also_where_one_of_them_was_deleted_meanwhile(
    run: Run, inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[Account]:
        raise DirectoryError("no entry has the name 'bert'")

    monkeypatch.setattr(letters.accounts.directory, "accounts", refuse)
    monkeypatch.setattr(
        letters.letters, "outcomes", lambda ledger: [Outcome("anna", "renamed", "Folder", "a//b", "a-b", "lead")]
    )
    ended(run, "anna")
    assert letters.tell_moved(replace(run, selection="anna,bert")) == {"letters": 1}
