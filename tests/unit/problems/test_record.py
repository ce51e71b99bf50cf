"""From an answer to decisions: all or nothing, once, never lost; standing decisions; mailboxes kept on old."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from bascule.ledger import Ledger, journal
from bascule.ledger.base import now
from bascule.problems import evidence, record, standing, store
from bascule.problems.model import Option, Problem, Room
from bascule.problems.record import AnswerRefused, Choice

from tests.unit.problems.conftest import AUTHOR, ORIGIN

Report = Callable[..., Problem]


def decisions(ledger: Ledger) -> list[journal.Entry]:
    return journal.entries(ledger, event="decision")


def test_what_the_page_showed_stands_in_the_journal(ledger: Ledger, report: Report) -> None:
    record.record(ledger, [Choice(report(), Option.APPLY, {"name": "y"})], AUTHOR)
    (entry,) = decisions(ledger)
    assert entry.before and entry.before["server_words"] == "NO [CANNOT] Bad name"
    assert entry.before["proposal"] == {"action": "rename", "name": "x"}
    assert entry.after == {
        "option": "Apply the proposals",
        "values": {"action": "rename", "name": "y"},
        "decided_by": "postmaster",
        "source": "page",
    }


def test_an_answer_is_recorded_whole_or_not_at_all(ledger: Ledger, report: Report) -> None:
    choices = [Choice(report("~a"), Option.APPLY, {"name": "a"}), Choice(report("~b"), Option.APPLY, {"name": ""})]
    with pytest.raises(AnswerRefused, match="~b: name '': it is empty"):
        record.record(ledger, choices, AUTHOR)
    assert decisions(ledger) == []
    assert len(store.problems(ledger)) == 2


def test_two_folders_do_not_get_one_name_by_one_answer(ledger: Ledger, report: Report) -> None:
    choices = [Choice(report(name), Option.APPLY, {"name": "same"}) for name in ("~a", "~b")]
    with pytest.raises(AnswerRefused, match="'same' has this name already"):
        record.record(ledger, choices, AUTHOR)


def test_a_name_that_another_decision_gave_is_taken(ledger: Ledger, report: Report) -> None:
    record.record(ledger, [Choice(report("~a"), Option.APPLY, {"name": "same"})], AUTHOR)
    with pytest.raises(AnswerRefused, match="has this name already"):
        record.record(ledger, [Choice(report("~b"), Option.APPLY, {"name": "Same"})], AUTHOR)


def test_only_who_gives_a_name_pays_for_those_that_are_taken(ledger: Ledger, report: Report) -> None:
    """Thousands of messages of one cause are decided about in one form."""
    asked: list[str] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    found = [
        report("m/1", account, kind="message-refused", proposal={"action": "repair"}) for account in ("anna", "bert")
    ]
    asked.clear()
    assert record.refusals(ledger, [Choice(each, Option.APPLY) for each in found]) == []
    assert asked == []


def test_names_of_other_accounts_are_free(ledger: Ledger, report: Report) -> None:
    for account in ("anna", "bert"):
        record.record(ledger, [Choice(report(account=account), Option.APPLY)], AUTHOR)
    assert len(decisions(ledger)) == 2


def test_leaving_out_asks_for_no_name(ledger: Ledger, report: Report) -> None:
    assert record.record(ledger, [Choice(report(), Option.LEAVE_OUT, {"name": ""})], AUTHOR) == 1


def test_the_same_answer_given_twice_stands_once(ledger: Ledger, report: Report) -> None:
    choice = Choice(report(), Option.APPLY)
    record.record(ledger, [choice], AUTHOR)
    record.record(ledger, [choice], AUTHOR)
    assert len(decisions(ledger)) == 1


def test_of_two_who_decide_at_once_the_first_one_does_and_the_other_is_told(ledger: Ledger, report: Report) -> None:
    first, second = report("~a"), report("~b", proposal={"action": "rename", "name": "b"})
    record.record(ledger, [Choice(first, Option.APPLY)], AUTHOR)
    other = record.Author("helpdesk", "csv", ORIGIN)
    with pytest.raises(AnswerRefused, match="~a: postmaster has decided about it meanwhile"):
        record.record(ledger, [Choice(second, Option.LEAVE_OUT), Choice(first, Option.LEAVE_OUT)], other)
    ((decided, how),) = store.all_decisions(ledger)
    assert (decided.subject, how.option, how.decided_by) == ("~a", Option.APPLY, "postmaster")
    assert [each.subject for each in store.problems(ledger)] == ["~b"], "all of an answer or nothing of it"


def test_a_refused_answer_keeps_what_was_typed_and_why(ledger: Ledger, report: Report) -> None:
    problem = report()
    record.note_refused(ledger, "anna", [Choice(problem, Option.APPLY, {"name": " y"})], ["a space"], AUTHOR)
    again = record.last_refused(ledger, "anna", {problem.id})
    assert again is not None
    assert (again.reasons, again.given) == (["a space"], {problem.id: {"name": " y"}})


def test_a_refused_answer_is_over_with_the_next_decision(ledger: Ledger, report: Report) -> None:
    problem = report()
    record.note_refused(ledger, "anna", [Choice(problem, Option.APPLY)], ["wrong"], AUTHOR)
    record.record(ledger, [Choice(problem, Option.APPLY)], AUTHOR)
    assert record.last_refused(ledger, "anna", {problem.id}) is None


def test_a_decision_that_did_not_help_asks_again_and_tells_of_it(ledger: Ledger, report: Report) -> None:
    problem = report()
    record.record(ledger, [Choice(problem, Option.APPLY)], AUTHOR)
    began = now()
    with ledger.session() as session:
        store.report(session, problem)  # the pass meets it again: the new server refused the new name too
        assert store.reopen_unsettled(session, "anna", ("mailbox",), since=began) == 1
    assert [each.id for each in store.problems(ledger)] == [problem.id]
    with ledger.reading() as session:
        assert store.last_decision(session, problem.id) is not None


def test_a_decision_that_a_pass_did_not_come_to_stays_in_force(ledger: Ledger, report: Report) -> None:
    record.record(ledger, [Choice(report(), Option.APPLY)], AUTHOR)
    with ledger.session() as session:
        assert store.reopen_unsettled(session, "anna", ("mailbox",), since=now()) == 0


def test_keeping_a_mailbox_decides_everything_of_its_account(ledger: Ledger, report: Report) -> None:
    first = report("~a")
    report("~b")
    report("filter", room="sieve", kind="filter never ran", proposal={"action": "repair", "text": "keep;"})
    report(account="bert")
    assert record.record(ledger, [Choice(first, Option.KEEP_ON_OLD)], AUTHOR) == 3
    assert list(store.kept_on_old(ledger)) == ["anna"]
    assert store.accounts_with_open(ledger) == ["bert"]


def test_the_site_file_decides_by_kind_and_the_journal_says_so(ledger: Ledger, report: Report) -> None:
    report()
    report("m/1", kind="message-refused", proposal={"action": "leave out"})
    assert standing.take_standing(ledger, {"mailbox/folder-name": "apply"}, "anna", ("mailbox",), ORIGIN) == 1
    (entry,) = decisions(ledger)
    assert (entry.after or {})["source"] == "standing"
    assert [each.kind for each in store.problems(ledger)] == ["message-refused"]


def test_a_standing_decision_that_did_not_help_is_not_taken_again(ledger: Ledger, report: Report) -> None:
    problem = report()
    decisions = {"mailbox/folder-name": "apply"}
    standing.take_standing(ledger, decisions, "anna", ("mailbox",), ORIGIN)
    began = now()
    with ledger.session() as session:
        store.report(session, problem)
        store.reopen_unsettled(session, "anna", ("mailbox",), since=began)
    assert standing.take_standing(ledger, decisions, "anna", ("mailbox",), ORIGIN) == 0
    assert store.accounts_with_open(ledger) == ["anna"]


def test_the_site_file_decides_about_no_repair_that_somebody_must_make_by_hand(ledger: Ledger, report: Report) -> None:
    report(room="account", kind="no-mailbox", proposal={"action": "look again"})
    rooms: tuple[Room, ...] = ("mailbox", "account")
    assert standing.take_standing(ledger, {"account/no-mailbox": "apply"}, "anna", rooms, ORIGIN) == 0
    assert standing.take_standing(ledger, {"account/no-mailbox": "keep on old"}, "anna", rooms, ORIGIN) == 1


def test_a_standing_decision_never_gives_one_name_twice(ledger: Ledger, report: Report) -> None:
    report("~a")
    report("~b")
    assert standing.take_standing(ledger, {"mailbox/folder-name": "apply"}, "anna", ("mailbox",), ORIGIN) == 1
    assert len(store.problems(ledger)) == 1


def test_the_evidence_names_what_was_left_out_and_what_is_kept(ledger: Ledger, report: Report) -> None:
    facts = {"message_id": "<1@x>", "from": "eve\x1b[2J", "subject": "<b>hi</b>", "size": 0, "date": "2019-01-01"}
    message = report("INBOX/7", kind="message-refused", facts=facts, proposal={"action": "leave out"})
    record.record(ledger, [Choice(message, Option.APPLY)], AUTHOR)
    record.record(ledger, [Choice(report(account="bert"), Option.KEEP_ON_OLD)], AUTHOR)
    with ledger.session() as session:
        store.settle(session, message.id)
    lines = evidence.evidence_lines(ledger)
    assert "settled by decision: 1 (1 by page)" in lines
    assert "kept on old: bert, by postmaster" in lines
    (line,) = [each for each in lines if each.startswith("left out for")]
    assert "<1@x>" in line and "eve\\u001b[2J" in line and "size 0" in line and "NO [CANNOT]" in line


@pytest.mark.parametrize("option", [Option.APPLY, Option.LOOK_AGAIN])
def test_a_repair_by_hand_that_is_applied_decides_nothing(ledger: Ledger, report: Report, option: Option) -> None:
    """It is asked again while it is there; the journal has what the person said."""
    problem = report(kind="folder-closed-on-new", proposal={"action": "look again"})
    record.record(ledger, [Choice(problem, option)], AUTHOR)
    assert store.problems(ledger) == [problem]
    assert store.all_decisions(ledger) == []
    assert [(each.after or {})["option"] for each in decisions(ledger)] == [option.value]
