"""An account that has moved goes back: old becomes what new is, UIDs included, wherever the way back is cut."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest
from bascule.ledger import Ledger, mailboxes
from bascule.mailbox import MailboxFailed, MailboxJob, Options, TransientError, sync_mailbox
from bascule.mailbox import sync as engine
from bascule.mailbox.back import PLACES, stay_on_old, sync_back
from bascule.mailbox.doveadm import Doveadm
from bascule.problems import store
from bascule.problems.model import Action, Option, Problem, Proposal

from tests.deciding import decide
from tests.kept_uids import changed_since, deliver, flag, highest_modseq, lay_out, remove, shown
from tests.mail_servers import Dovecot, two_dovecots
from tests.mailbox_cases import CutDoveadm, Pair, relayed_pair
from tests.mailbox_states import Account, parse

STEP = 1 if os.environ.get("BASCULE_TEST_DEPTH") == "full" else 20  # by default every twentieth command is cut
OLD = "INBOX: a b/S c; Sent/2020: d; Lettres: h i"
REPAIR = Proposal(Action.REPAIR)
ON_NEW = "INBOX: a/F c/S j; Sent/2020: d b; Fait: f; Lettres: h/S+work"  # `b` was filed, `i` removed


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with two_dovecots({"prefix": "INBOX."}) as (old, new), relayed_pair(old, new) as pair:
        yield replace(pair, keeps_uids=True)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_PAUSE", 0.0)


class Traveller:
    """One account, with its mail on old and on new."""

    def __init__(self, pair: Pair, ledger: Ledger) -> None:
        self.pair, self.ledger, self.user = pair, ledger, f"u{uuid.uuid4().hex[:12]}"

    def on_old(self) -> Account:
        return Account(self.pair.old.port, self.user, ".", "INBOX.")

    def on_new(self) -> Account:
        return Account(self.pair.new.port, self.user, "/")

    def forth(self) -> tuple[int, int, int]:
        result = sync_mailbox(self.pair.job(self.user, Options()), self.ledger)
        assert result.problems == 0
        return result.copied, result.removed, result.flags_changed

    def back(self) -> tuple[int, int, int]:
        result = sync_back(self.job_back(), self.ledger)
        assert result.problems == 0
        return result.copied, result.removed, result.flags_changed

    def job_back(self) -> MailboxJob:
        there, opened = self.pair.job(self.user, Options()), self.pair.old.doveadm(self.user)

        def doveadm() -> Doveadm:
            return cast(Doveadm, CutDoveadm(opened(), self.pair.faults))

        return MailboxJob(self.user, there.new, there.old, Options(take_proposals=True), doveadm, source="new")

    def has(self, account: Account) -> object:
        with account:
            return account.read()


@pytest.fixture
def traveller(pair: Pair, ledger: Ledger) -> Traveller:
    return traveller_on_new(pair, ledger)


def traveller_on_new(pair: Pair, ledger: Ledger) -> Traveller:
    """Who has moved to new and worked there."""
    pair.faults.arm(None)
    found = Traveller(pair, ledger)
    with found.on_old() as account:
        account.make(parse(OLD))
    found.forth()
    with found.on_new() as account:
        account.make(parse(ON_NEW))
    return found


def test_old_becomes_what_new_is_and_one_more_pass_changes_nothing(traveller: Traveller) -> None:
    traveller.back()
    assert traveller.has(traveller.on_old()) == parse(ON_NEW)
    assert traveller.back() == (0, 0, 0)
    assert traveller.has(traveller.on_new()) == parse(ON_NEW)


def test_there_and_back_again_and_there_once_more(traveller: Traveller) -> None:
    traveller.back()
    stay_on_old(traveller.ledger, traveller.user)
    assert traveller.forth() == (0, 0, 0)
    changed = "INBOX: a c/S j k; Sent/2020: b; Fait: f; Lettres: h/S"
    with traveller.on_old() as account:
        account.make(parse(changed))
    traveller.forth()
    assert traveller.has(traveller.on_new()) == parse(changed)
    with traveller.on_new() as account:
        account.make(parse(OLD))
    traveller.back()
    assert traveller.has(traveller.on_old()) == parse(OLD)


def test_every_message_has_the_uid_on_old_that_it_had_on_new(pair: Pair, ledger: Ledger) -> None:
    traveller = Traveller(pair, ledger)
    lay_out(pair.old, traveller.user, "", [3, 4, 9], uidvalidity=77)
    traveller.forth()
    for subject in ("one", "two", "three"):
        deliver(pair.new, traveller.user, subject)
    remove(pair.new, traveller.user, "11")
    remove(pair.new, traveller.user, "4")
    flag(pair.new, traveller.user, "9", "\\Flagged")
    traveller.back()
    assert shown(pair.old, traveller.user) == shown(pair.new, traveller.user)
    assert sorted(shown(pair.old, traveller.user).messages) == [3, 9, 10, 12]


def test_what_each_side_has_alone_is_carried_when_the_way_turns(pair: Pair, ledger: Ledger) -> None:
    """Saved on new while the last pass went on, or handed to old while the account was on new: both came unseen."""
    traveller = Traveller(pair, ledger)
    for subject in ("one", "two"):
        deliver(pair.old, traveller.user, subject)
    traveller.forth()
    deliver(pair.new, traveller.user, "on new")
    deliver(pair.old, traveller.user, "three")
    traveller.forth()  # after it both servers have messages that the other one has not, and nothing is to be carried
    assert traveller.forth() == (0, 0, 0)
    assert sync_back(traveller.job_back(), ledger).verified == 1
    assert subjects(pair.old, traveller) == ["on new", "one", "three", "two"]
    deliver(pair.old, traveller.user, "on old")
    traveller.back()
    stay_on_old(traveller.ledger, traveller.user)
    assert sync_mailbox(pair.job(traveller.user, Options()), ledger).verified == 1
    assert subjects(pair.new, traveller) == ["on new", "on old", "one", "three", "two"]
    assert traveller.forth() == (0, 0, 0)


def test_what_waits_for_a_person_waits_for_it_after_the_way_back(pair: Pair, ledger: Ledger) -> None:
    traveller = Traveller(pair, ledger)
    for subject in ("one", "two " * 300, "three"):
        deliver(pair.old, traveller.user, subject)
    job = pair.job(traveller.user, Options(largest_message=1000))
    assert sync_mailbox(job, ledger).problems == 1
    traveller.back()
    stay_on_old(ledger, traveller.user)
    assert sync_mailbox(job, ledger).problems == 1
    decide(ledger, option=Option.LEAVE_OUT)
    assert sync_mailbox(job, ledger).problems == 0
    traveller.back()
    stay_on_old(ledger, traveller.user)
    assert sync_mailbox(job, ledger).problems == 0, "it was decided"
    assert subjects(pair.new, traveller) == ["one", "three"]
    assert len(subjects(pair.old, traveller)) == 3


def test_a_message_that_new_has_changed_is_a_question_after_the_way_back(
    pair: Pair, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    traveller = Traveller(pair, ledger)
    deliver(pair.old, traveller.user, "one")
    traveller.forth()
    with ledger.session() as session:
        (row,) = mailboxes.folders_of(session, traveller.user)
        mailboxes.set_aside(session, row.id, 1, "altered")
        altered = Problem(traveller.user, "mailbox", "message-altered", "INBOX/1", "other octets", {}, {}, "", REPAIR)
        store.report(session, altered)
    assert sync_mailbox(pair.job(traveller.user, Options()), ledger).problems == 1
    traveller.back()
    stay_on_old(ledger, traveller.user)
    assert sync_mailbox(pair.job(traveller.user, Options()), ledger).problems == 1


def subjects(server: Dovecot, traveller: Traveller) -> list[str]:
    return sorted(shown(server, traveller.user).messages.values())


def test_where_most_of_new_is_lost_nothing_is_removed_on_old(pair: Pair, ledger: Ledger) -> None:
    traveller = Traveller(pair, ledger)
    whole = f"INBOX: {' '.join(f'm{number}' for number in range(30))}"
    with traveller.on_old() as account:
        account.make(parse(whole))
    traveller.forth()
    with traveller.on_new() as account:
        account.make(parse("INBOX: m1 z"))
    assert traveller.back() == (1, 0, 0)
    assert traveller.has(traveller.on_old()) == parse(f"{whole} z")


def test_where_most_of_new_is_lost_programs_are_told_what_changes_on_old_from_then_on(
    pair: Pair, ledger: Ledger
) -> None:
    traveller = Traveller(pair, ledger)
    lay_out(pair.old, traveller.user, "", range(1, 31), uidvalidity=77)
    traveller.forth()
    remove(pair.new, traveller.user, "2:29")
    pair.new.doveadm(traveller.user)().update(b"INBOX", modseq=50_000)
    seen = highest_modseq(pair.new, traveller.user)
    traveller.back()
    assert len(shown(pair.old, traveller.user).messages) == 30
    flag(pair.old, traveller.user, "30", "\\Flagged")
    assert 30 in changed_since(pair.old, traveller.user, 77, seen, "1,30")


def test_what_ends_the_way_back_says_that_the_servers_have_changed_places(traveller: Traveller) -> None:
    job = traveller.job_back()
    lost = replace(job, new=replace(job.new, login=replace(job.new.login, password="another")))
    with pytest.raises(MailboxFailed, match=PLACES[:30]):
        sync_back(lost, traveller.ledger)


def test_interrupted_after_every_command_it_ends_the_same(pair: Pair, ledger: Ledger) -> None:
    traveller_on_new(pair, ledger).back()
    pair.faults.arm(None)
    first = traveller_on_new(pair, ledger)
    pair.faults.arm(None)
    first.back()
    for at in range(1, pair.faults.count + 1, STEP):
        traveller = traveller_on_new(pair, ledger)
        pair.faults.arm(at)
        with contextlib.suppress(TransientError, MailboxFailed):
            traveller.back()
        pair.faults.arm(None)
        traveller.back()
        assert traveller.has(traveller.on_old()) == parse(ON_NEW), f"cut after command {at}"
        assert traveller.back() == (0, 0, 0), f"cut after command {at}"
