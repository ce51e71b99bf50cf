"""Folders that were changed on both sides since the last pass, in ways of which only a person knows what is meant."""

import dataclasses
import uuid
from collections.abc import Callable, Iterator

import pytest
from bascule.ledger import Ledger, journal, mailboxes
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox import sync as engine
from bascule.mailbox.result import PassResult
from bascule.problems import record, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import Choice

from tests.imap_relay import Faults, relay
from tests.mail_servers import Dovecot, two_dovecots
from tests.mailbox_states import Account, parse

AUTHOR = record.Author("ann", "page", journal.Origin("problems", "test", "review", "postmaster"))


@pytest.fixture(scope="module", params=["maildir:~/Maildir", "sdbox:~/sdbox"])
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[Dovecot, Dovecot]]:
    with two_dovecots(new={"location": request.param}) as both:
        yield both


class Mailbox:
    """One account after its first pass."""

    def __init__(self, old: Dovecot, new: Dovecot, ledger: Ledger) -> None:
        self.user, self.ledger = f"u{uuid.uuid4().hex[:12]}", ledger
        self._old, self._new = old, new

    def sync(self) -> PassResult:
        job = MailboxJob(self.user, self._old.server(self.user), self._new.server(self.user), Options())
        return sync_mailbox(job, self.ledger)

    def old(self) -> Account:
        return Account(self._old.port, self.user, ".")

    def new(self) -> Account:
        return Account(self._new.port, self.user, "/")

    @property
    def problem(self) -> Problem:
        (found,) = store.problems(self.ledger)
        return found

    def decide(self, option: Option) -> None:
        record.record(self.ledger, [Choice(self.problem, option)], AUTHOR)

    def settles(self, expected: str) -> None:
        """One more pass ends so, with the decision settled; yet another one changes nothing."""
        for _ in range(2):
            result = self.sync()
            assert result.problems == 0
            with self.new() as new:
                assert new.read() == parse(expected)
        assert (result.copied, result.removed, result.flags_changed) == (0, 0, 0)
        assert [problem.state for problem, _ in store.all_decisions(self.ledger)] == ["settled"]


@pytest.fixture
def begin(servers: tuple[Dovecot, Dovecot], ledger: Ledger) -> Callable[[str], Mailbox]:
    def make(old: str) -> Mailbox:
        box = Mailbox(*servers, ledger)
        with box.old() as account:
            account.make(parse(old))
        assert box.sync().problems == 0
        return box

    return make


@pytest.fixture
def removed(begin: Callable[[str], Mailbox]) -> Mailbox:
    """Plans: removed on old, and on new one message flagged and one of the user's own added."""
    box = begin("Plans: a b c; Kept: d")
    with box.old() as old, box.new() as new:
        old.make(parse("Kept: d"))
        new.make(parse("Plans: a b/F c z; Kept: d"))
    assert box.sync().problems == 1
    return box


def test_a_folder_removed_on_old_and_changed_on_new_stays_until_a_person_decides(removed: Mailbox) -> None:
    problem = removed.problem
    assert (problem.kind, problem.subject) == ("folder-both-changed", "Plans")
    assert problem.details == {"messages on new": 4, "changed on new": 1, "own on new": 1}
    assert removed.sync().problems == 1
    with removed.new() as new:
        assert new.read() == parse("Plans: a b/F c z; Kept: d")


def test_by_decision_it_is_kept_whole(removed: Mailbox) -> None:
    removed.decide(Option.APPLY)
    removed.settles("Plans: a b/F c z; Kept: d")


def test_by_decision_what_nobody_changed_goes_as_on_old(removed: Mailbox) -> None:
    removed.decide(Option.LEAVE_OUT)
    removed.settles("Plans: b/F z; Kept: d")


def test_a_folder_that_is_made_again_on_old_is_carried_whatever_was_decided_before(removed: Mailbox) -> None:
    removed.decide(Option.LEAVE_OUT)
    removed.settles("Plans: b/F z; Kept: d")
    with removed.old() as old:
        old.make(parse("Plans: e; Kept: d"))
    removed.settles("Plans: b/F z e; Kept: d")


@pytest.fixture
def renamed(begin: Callable[[str], Mailbox]) -> Mailbox:
    """Plans: renamed to Ideas on old with mail added there, and changed on new."""
    box = begin("Plans: a b; Plans/Sub: d")
    with box.old() as old, box.new() as new:
        assert old.client.rename(old.wire_name("Plans"), old.wire_name("Ideas"))[0] == "OK"
        if "Plans/Sub" in old.folders():  # Maildir++ does not take along what lies below
            old.client.rename(old.wire_name("Plans/Sub"), old.wire_name("Ideas/Sub"))
        old.append("Ideas", "e")
        new.make(parse("Plans: a b/F z; Plans/Sub: d"))
    assert box.sync().problems == 1
    return box


def test_a_folder_renamed_on_old_and_changed_on_new_waits_for_a_person(renamed: Mailbox) -> None:
    problem = renamed.problem
    assert (problem.kind, problem.subject, problem.facts["was"]) == ("folder-both-changed", "Ideas", "Plans")
    assert problem.proposal.stored() == {"action": "rename on new", "to": "Ideas"}
    with renamed.new() as new:
        assert new.read()["Plans"] == parse("Plans: a b/F z")["Plans"]
        assert "Ideas" not in new.folders()


def test_by_decision_it_is_renamed_on_new_with_everything_in_it(renamed: Mailbox) -> None:
    renamed.decide(Option.APPLY)
    renamed.settles("Ideas: a b/F z e; Ideas/Sub: d")
    assert mailboxes.folder_map(renamed.ledger, renamed.user)["Ideas"] == "Ideas"


def test_by_decision_it_stays_on_new_as_it_is(renamed: Mailbox) -> None:
    renamed.decide(Option.LEAVE_OUT)
    result = renamed.sync()
    assert result.problems == 0
    with renamed.new() as new:
        found = new.read()
    assert found["Plans"] == parse("Plans: a b/F z")["Plans"] and "Ideas" not in found


@pytest.fixture
def replaced(begin: Callable[[str], Mailbox]) -> Mailbox:
    """Plans: deleted on new and made again, with one message of the user's own and one of old's."""
    box = begin("Plans: a b c")
    replace(box, "Plans: b z")
    assert box.sync().problems == 1
    return box


def replace(box: Mailbox, contents: str) -> None:
    with box.new() as new:
        new.make(parse(""))
        new.make(parse(contents))


def test_a_folder_made_anew_on_new_waits_for_a_person(replaced: Mailbox) -> None:
    assert (replaced.problem.kind, replaced.problem.subject) == ("folder-both-changed", "Plans")
    assert replaced.problem.details == {"messages on old": 3, "same on new": 1, "others on new": 1}
    assert replaced.sync().problems == 1
    with replaced.new() as new:
        assert new.read() == parse("Plans: b z")


def test_by_decision_what_is_missing_is_copied(replaced: Mailbox) -> None:
    replaced.decide(Option.APPLY)
    replaced.settles("Plans: a b c z")


def test_by_decision_it_is_left_as_it_is(replaced: Mailbox) -> None:
    replaced.decide(Option.LEAVE_OUT)
    replaced.settles("Plans: b z")


def test_the_same_once_more_is_asked_about_once_more(replaced: Mailbox) -> None:
    """A decision holds for the facts on which it was taken."""
    replaced.decide(Option.APPLY)
    replaced.settles("Plans: a b c z")
    before = replaced.ledger
    replace(replaced, "Plans: y")
    assert replaced.sync().problems == 1
    assert store.decisions(before, replaced.user, "mailbox") == []


def test_a_folder_made_anew_without_anything_of_the_users_needs_nobody(begin: Callable[[str], Mailbox]) -> None:
    box = begin("Plans: a b c")
    replace(box, "Plans: b")
    assert box.sync().problems == 0
    with box.new() as new:
        assert new.read() == parse("Plans: a b c")


@pytest.mark.parametrize("kind", ["removed", "renamed", "replaced"])
@pytest.mark.parametrize("at", range(2, 38, 9))
def test_interrupted_anywhere_the_decision_is_carried_out_once(
    request: pytest.FixtureRequest,
    begin: Callable[[str], Mailbox],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    at: int,
) -> None:
    """The connection is cut after the n-th command of the pass that carries the decision out."""
    monkeypatch.setattr(engine, "FIRST_PAUSE", 0.0)
    box: Mailbox = request.getfixturevalue(kind)
    box.decide(Option.APPLY)
    faults = Faults()
    with relay(box._old.port, faults) as old, relay(box._new.port, faults) as new:
        box._old, box._new = dataclasses.replace(box._old, port=old), dataclasses.replace(box._new, port=new)
        faults.arm(at)
        box.sync()
        faults.arm(None)
        with box.new() as account:
            assert account.read() == parse(
                {
                    "removed": "Plans: a b/F c z; Kept: d",
                    "renamed": "Ideas: a b/F z e; Ideas/Sub: d",
                    "replaced": "Plans: a b c z",
                }[kind]
            )
        again = box.sync()
        assert (again.copied, again.removed, again.problems) == (0, 0, 0)
