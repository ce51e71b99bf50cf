"""Every kind of problem through every door: what is promised can be chosen and reaches the room, nothing else can."""

import re
from collections.abc import Callable, Iterator

import pytest
from bascule.ledger import Ledger
from bascule.problems import standing, store
from bascule.problems.kinds import Kind, kinds
from bascule.problems.model import Action, Do, Option, Problem, Proposal
from bascule.problems.record import AnswerRefused

from lab.paths import CHECKOUT
from lab.shell import LabError
from tests.unit.problems.conftest import proposals
from tests.unit.problems.doors import DOORS, decided

Report = Callable[..., Problem]
WRITTEN = {"folder name": "Archives", "line": "main 2", "text": "stop;\n"}
BY_HAND = [name for name in DOORS if name not in ("site file", "control room")]  # its form has no other fields


Promise = tuple[Proposal, Option, dict[str, str]]  # what is proposed, the option, what is written besides


def promised_by_hand(kind: Kind) -> Iterator[Promise]:
    """Each choice that include/problems.yaml promises to a person."""
    for proposal in proposals(kind):
        for option in Option:
            if kind.takes(option, proposal):
                yield proposal, option, {}
        for value, how in kind.editable(proposal).items():
            for written in how.choices or (WRITTEN[how.form],):
                yield proposal, Option.APPLY, {value: written}


def promised_to_site_files(kind: Kind) -> Iterator[Promise]:
    """Each word of `standing`, but to apply a repair by hand, which nobody has made."""
    for proposal in proposals(kind):
        for word in kind.standing:
            option = standing.OPTIONS.get(word, Option.APPLY)
            by_hand = option is Option.APPLY and proposal.action is Action.LOOK_AGAIN
            fields = [key for key, how in kind.edit.items() if word in how.choices]
            if kind.takes(option, proposal) and not by_hand:
                yield proposal, option, dict.fromkeys(fields, word)


def reported(report: Report, kind: Kind, proposal: Proposal, account: str = "anna") -> Problem:
    room, _, name = kind.key.partition("/")
    return report("it", account, room=room, kind=name, proposal=proposal.stored())


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.key)
def test_what_is_promised_can_be_chosen_and_is_what_the_room_gets(
    ledger: Ledger, report: Report, door: str, kind: Kind
) -> None:
    promises = [*(promised_to_site_files(kind) if door == "site file" else promised_by_hand(kind))]
    assert promises or not kind.standing
    for number, (proposal, option, given) in enumerate(promises):
        problem = reported(report, kind, proposal, f"account{number}")
        DOORS[door](ledger, problem, option, given)
        assert decided(ledger, problem) == (option, proposal.stored() | given)


REFUSALS = [
    ({"action": "throw it away"}, r"choose one of|no (\d+\.)?action to edit|ends with action for it"),
    ({"do": "throw it away"}, r"choose one of|no (\d+\.)?do to edit|ends with do for it"),
    ({"keyword": "x"}, r"no column keyword|no (\d+\.)?keyword to edit|ends with keyword for it"),
    ({"name": ""}, r"it is empty|no (\d+\.)?name to edit|ends with name for it"),
]


@pytest.mark.parametrize("door", BY_HAND)
@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.key)
def test_what_is_not_promised_is_refused_with_a_sentence(ledger: Ledger, report: Report, door: str, kind: Kind) -> None:
    asked = [reported(report, kind, proposals(kind)[0], f"account{number}") for number in range(len(REFUSALS))]
    for problem, (given, words) in zip(asked, REFUSALS, strict=True):
        if given == {"name": ""} and "name" not in kind.edit and door == "spreadsheet":
            continue  # an empty cell writes nothing
        with pytest.raises((AnswerRefused, LabError), match=words):
            DOORS[door](ledger, problem, Option.APPLY, given)
    if not kind.takes(Option.LEAVE_OUT, asked[0].proposal):
        with pytest.raises(AnswerRefused, match="this can't be left out: mend it"):
            DOORS[door](ledger, asked[0], Option.LEAVE_OUT, {})
    assert store.problems(ledger) == asked


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.key)
def test_the_site_file_may_say_nothing_else(ledger: Ledger, report: Report, kind: Kind) -> None:
    problem = reported(report, kind, proposals(kind)[0])
    words = {*standing.OPTIONS, *(each.value for each in (*Action, *Do))} - {*kind.standing}
    for word in sorted(words):
        with pytest.raises(ValueError, match="can't be decided once and for all by"):
            DOORS["site file"](ledger, problem, Option.APPLY, {"": word})
    assert store.problems(ledger) == [problem]


# -- what the docs promise


def rows(page: str, pattern: str) -> list[tuple[str, ...]]:
    return re.findall(pattern, (CHECKOUT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_action_that_the_docs_name_for_calendars_is_one_that_may_be_chosen() -> None:
    told: dict[str, set[str]] = {}
    for names, proposed in rows("calendars.md", r"^\| (`[^|]*`) \| [^|]* \| ([^|]*`[^|]*) \|$"):
        for name in re.findall(r"`([^`]+)`", names):
            told[name] = {*re.findall(r"`([a-z_]+)`", proposed)}
    promised = {
        key.removeprefix("calendar/"): {*kind.proposes, *(kind.edit["action"].choices if "action" in kind.edit else ())}
        for key, kind in kinds().items()
        if key.startswith("calendar/")
    }
    assert told == promised


def test_every_value_of_the_field_do_that_the_docs_name_may_be_chosen() -> None:
    ((paragraph,),) = [rows("filters.md", r"^(Where somebody's own filter stands(?:.|\n)*?)\n\n")]
    told = {word for word in re.findall(r"`([^`]+)`", paragraph) if word in {*Do}}
    promised = {choice for kind in kinds().values() if "do" in kind.edit for choice in kind.edit["do"].choices}
    assert told == promised == {*Do}


def test_every_option_of_the_prepared_answers_is_one_that_is_offered() -> None:
    found = (CHECKOUT / "lab" / "answers.yaml").read_text(encoding="utf-8")
    options = {*re.findall(r"task: (?:mailbox|repair_\w+)\.\w+\n(?:  (?!option).*\n)*  option: (.*)", found)}
    assert options and options <= {*Option}
