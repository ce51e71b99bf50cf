"""Every kind of problem of a mailbox: explained, decided once and for all where that is allowed, shown by a test."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bascule import site
from bascule.decisions import record
from bascule.decisions.record import AnswerRefused, Choice
from bascule.kinds import kinds
from bascule.ledger import Ledger, problems
from bascule.ledger.problems import Option, Problem

from lab.paths import CHECKOUT
from tests.unit.decisions.conftest import AUTHOR, ORIGIN

Report = Callable[..., Problem]
MAILBOX = {key: kind for key, kind in kinds().items() if key.startswith(("mailbox/", "account/"))}
STANDING = [(key, choice) for key, kind in MAILBOX.items() for choice in kind.standing]
OPTIONS = {"apply": Option.APPLY, "leave out": Option.LEAVE_OUT, "keep on old": Option.KEEP_ON_OLD}


def reported(report: Report, key: str, subject: str = "it") -> Problem:
    room, _, kind = key.partition("/")
    name = {"action": "rename", "name": "x"} if kind.startswith("folder-name") else {"action": "as proposed"}
    return report(subject, room=room, kind=kind, proposal=name)


@pytest.mark.parametrize(("key", "choice"), STANDING)
def test_a_standing_decision_of_the_kind_is_taken_without_asking(
    ledger: Ledger, report: Report, key: str, choice: str
) -> None:
    problem = reported(report, key)
    assert record.take_standing(ledger, {key: choice}, "anna", ("mailbox", "account"), ORIGIN) == 1
    ((decided, decision),) = problems.all_decisions(ledger)
    assert (decided.id, decision.option, decision.source) == (problem.id, OPTIONS[choice], "standing")
    assert problems.accounts_with_open(ledger) == []


@pytest.mark.parametrize(("key", "choice"), STANDING)
def test_the_site_file_may_say_so(key: str, choice: str) -> None:
    text = (CHECKOUT / "lab" / "site.yaml").read_text(encoding="utf-8")
    without = re.sub(r"(?m)^decisions:\n(?:[ #].*\n)*", "", text)
    assert site.parse(f"{without}\ndecisions:\n  {key}: {choice}\n").decisions == {key: choice}


@pytest.mark.parametrize("key", [key for key, kind in MAILBOX.items() if "apply" not in kind.standing])
def test_the_site_file_may_not_say_so_where_a_person_always_looks(key: str) -> None:
    text = (CHECKOUT / "lab" / "site.yaml").read_text(encoding="utf-8")
    without = re.sub(r"(?m)^decisions:\n(?:[ #].*\n)*", "", text)
    with pytest.raises(site.SiteError, match="can't be decided once and for all"):
        site.parse(f"{without}\ndecisions:\n  {key}: apply\n")


@pytest.mark.parametrize("key", MAILBOX)
def test_a_decision_taken_days_before_holds_on_the_day(ledger: Ledger, report: Report, key: str) -> None:
    problem = reported(report, key)
    record.record(ledger, [Choice(problem, Option.APPLY)], AUTHOR)
    told_otherwise = replace(
        problem, explanation="other words", details={"n": 2}, server_words="x", proposal={"a": "b"}
    )
    with ledger.session() as session:
        problems.report(session, told_otherwise)
    assert problems.accounts_with_open(ledger) == []
    assert [decision.option for _, decision in problems.all_decisions(ledger)] == [Option.APPLY]


@pytest.mark.parametrize("key", MAILBOX)
def test_it_is_asked_again_when_its_facts_have_changed(ledger: Ledger, report: Report, key: str) -> None:
    problem = reported(report, key)
    record.record(ledger, [Choice(problem, Option.APPLY)], AUTHOR)
    with ledger.session() as session:
        problems.report(session, replace(problem, facts={**problem.facts, "size": 17}))
    assert problems.accounts_with_open(ledger) == ["anna"]
    assert problems.all_decisions(ledger) == []
    with ledger.session() as session:  # the facts of then are back: so is what was decided about them
        problems.report(session, problem)
    assert problems.accounts_with_open(ledger) == ["anna"]


@pytest.mark.parametrize("key", [key for key in MAILBOX if key.startswith("mailbox/folder-name")])
def test_a_new_name_is_checked_for_every_kind_that_gives_one(ledger: Ledger, report: Report, key: str) -> None:
    record.record(ledger, [Choice(reported(report, key, "one"), Option.APPLY, {"name": "Taken"})], AUTHOR)
    with pytest.raises(AnswerRefused, match="has this name already"):
        record.record(ledger, [Choice(reported(report, key, "two"), Option.APPLY, {"name": "taken"})], AUTHOR)


def test_the_pages_table_names_every_kind_and_a_test_that_shows_it() -> None:
    page = (CHECKOUT / "docs" / "problems.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `((?:mailbox|account)/[^`]+)` \|.*\| `([^`|]+)` \|$", page, re.MULTILINE))
    assert set(rows) == set(MAILBOX)
    for test in rows.values():
        file, _, function = test.partition("::")
        source = (CHECKOUT / "tests" / "integration" / Path(file)).read_text(encoding="utf-8")
        assert f"def {function}(" in source, test
