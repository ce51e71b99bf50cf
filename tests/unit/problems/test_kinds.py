"""Every kind of problem of a mailbox: explained, decided once and for all where that is allowed, shown by a test."""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from bascule import site
from bascule.ledger import Ledger
from bascule.problems import record, standing, store
from bascule.problems.kinds import kinds
from bascule.problems.model import LOOK_AGAIN, Action, Do, Option, Problem, Proposal
from bascule.problems.page import ACTIONS, proposal
from bascule.problems.record import AnswerRefused, Choice
from bascule.views.language import translations

from lab.paths import CHECKOUT
from tests.unit.problems.conftest import AUTHOR, ORIGIN, proposals

Report = Callable[..., Problem]
MAILBOX = {key: kind for key, kind in kinds().items() if key.startswith(("mailbox/", "account/"))}
STANDING = [(key, choice) for key, kind in MAILBOX.items() for choice in kind.standing]
OPTIONS = {"apply": Option.APPLY, "leave out": Option.LEAVE_OUT, "keep on old": Option.KEEP_ON_OLD}


def reported(report: Report, key: str, subject: str = "it") -> Problem:
    kind = kinds()[key]
    return report(subject, room=key.partition("/")[0], kind=key.partition("/")[2], proposal=proposals(kind)[0].stored())


@pytest.mark.parametrize(("key", "choice"), STANDING)
def test_a_standing_decision_of_the_kind_is_taken_without_asking(
    ledger: Ledger, report: Report, key: str, choice: str
) -> None:
    problem = reported(report, key)
    assert standing.take_standing(ledger, {key: choice}, "anna", ("mailbox", "account"), ORIGIN) == 1
    ((decided, decision),) = store.all_decisions(ledger)
    assert (decided.id, decision.option, decision.source) == (problem.id, OPTIONS[choice], "standing")
    assert store.accounts_with_open(ledger) == []


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


DECIDED = [key for key, kind in MAILBOX.items() if kind.proposes[0] is not Action.LOOK_AGAIN]


@pytest.mark.parametrize("key", DECIDED)
def test_a_decision_taken_days_before_holds_on_the_day(ledger: Ledger, report: Report, key: str) -> None:
    problem = reported(report, key)
    record.record(ledger, [Choice(problem, Option.APPLY)], AUTHOR)
    told_otherwise = replace(
        problem, explanation="other words", details={"n": 2}, server_words="x", proposal=LOOK_AGAIN
    )
    with ledger.session() as session:
        store.report(session, told_otherwise)
    assert store.accounts_with_open(ledger) == []
    assert [decision.option for _, decision in store.all_decisions(ledger)] == [Option.APPLY]


@pytest.mark.parametrize("key", DECIDED)
def test_it_is_asked_again_when_its_facts_have_changed(ledger: Ledger, report: Report, key: str) -> None:
    problem = reported(report, key)
    record.record(ledger, [Choice(problem, Option.APPLY)], AUTHOR)
    with ledger.session() as session:
        store.report(session, replace(problem, facts={**problem.facts, "size": 17}))
    assert store.accounts_with_open(ledger) == ["anna"]
    assert store.all_decisions(ledger) == []
    with ledger.session() as session:  # the facts of then are back: so is what was decided about them
        store.report(session, problem)
    assert store.accounts_with_open(ledger) == ["anna"]


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


def test_the_kind_that_contributing_shows_is_as_it_is() -> None:
    page = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = page.partition("## Add a kind of problem")[2].partition("Page, spreadsheet,")[0]
    files = re.findall(r"^    --- (\S+).*\n((?:    \+.*\n)+)", shown, re.MULTILINE)
    assert len(files) == 2
    for name, lines in files:
        source = (CHECKOUT / name).read_text(encoding="utf-8").splitlines()
        assert [line for line in re.findall(r"^    \+(.*)$", lines, re.MULTILINE) if line not in source] == []


def test_every_kind_its_meaning_and_its_choices_are_there_in_french_for_the_pages() -> None:
    french = translations("fr")
    ours = {text for kind in kinds().values() for text in (kind.name, kind.explanation)}
    ours |= {*ACTIONS.values(), *(each.replace("_", " ") for each in (*Action, *Do))}
    ours |= {
        choice.replace("_", " ") for kind in kinds().values() for how in kind.edit.values() for choice in how.choices
    }
    ours |= {f"{each.name}:" for each in fields(Proposal)} - {"action:"}
    assert [text for text in sorted(ours) if french.gettext(text) == text] == []


def test_a_proposal_is_told_in_the_readers_language() -> None:
    both = Proposal(Action.KEEP_BOTH, Do.PUT_BESIDE, name="vacances (ancien)")
    problem = Problem("anna", "sieve", "filter changed on new", "vacances", "", proposal=both)
    assert proposal(problem, say=translations("fr").gettext) == (
        "garder les deux (à faire\u00a0: mettre à côté, nom\u00a0: vacances (ancien)) ou, dans le formulaire,"
        " à faire\u00a0: écraser ou, dans le formulaire, à faire\u00a0: garder le nouveau"
    )
