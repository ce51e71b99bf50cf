"""New names are looked at before they are decided, and each refusal says what to write instead."""

from collections.abc import Callable

import pytest
from bascule.decisions import check
from bascule.ledger.problems import Problem

Report = Callable[..., Problem]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a\x07b", "control or an invisible"),
        ("a\nb", "control or an invisible"),
        ("facture\u202efdp", "control or an invisible"),
        ("a\u200bb", "control or an invisible"),
        ("2019/2020", "separates the levels"),
        (" leading", "begins or ends with a space"),
        ("..", "are no names"),
        ("~anna", "begins with `~`"),
        ("all*", "take for a pattern"),
        ("é" * 121, "longer than 240 bytes"),
        ("inbox", "mailbox's own folder"),
        ("Travaux", "'Travaux' has this name already"),
        ("travaux", "'Travaux' has this name already"),
        ("Re\u0301unions", "'Réunions' has this name already"),
        (17, "is no text"),
    ],
)
def test_a_name_that_can_not_be_is_refused_with_a_reason(report: Report, name: object, words: str) -> None:
    assert words in check.refusal(report(), {"action": "rename", "name": name}, ["Travaux", "Réunions"])


@pytest.mark.parametrize("name", ["x", "Réunions 2018 été", "v1.2", "会議", "📎", "a\\b", 'a"b', "x (2)"])
def test_a_name_that_can_be_is_taken(report: Report, name: str) -> None:
    assert check.refusal(report(), {"action": "rename", "name": name}, ["Travaux"]) == ""


def test_a_name_keeps_the_levels_of_its_proposal(report: Report) -> None:
    nested = report(proposal={"action": "rename", "name": "Travaux/x"})
    assert check.refusal(nested, {"name": "Travaux/y"}, []) == ""
    assert "write it 1 times" in check.refusal(nested, {"name": "y"}, [])
    assert "levels is empty" in check.refusal(nested, {"name": "Travaux/"}, [])


def test_the_separator_is_the_one_that_the_problem_names(report: Report) -> None:
    dotted = report(details={"separator": "."})
    assert check.refusal(dotted, {"name": "2019/2020"}, []) == ""
    assert "separates the levels" in check.refusal(dotted, {"name": "v1.2"}, [])


def test_only_values_that_a_person_may_edit_are_taken_from_an_answer(report: Report) -> None:
    values = check.edited(report(), {"name": "y", "action": "leave out", "other": "z"})
    assert values == {"action": "rename", "name": "y"}


CHOICE = {
    "room": "calendar",
    "kind": "both-changed",
    "proposal": {"action": "keep_new"},
    "details": {"choices": ["keep_new", "take_old"]},
}


def test_where_there_are_several_actions_one_of_them_is_chosen(report: Report) -> None:
    problem = report("/anna/agenda/e.ics", **CHOICE)
    assert check.edited(problem, {"action": "take_old"}) == {"action": "take_old"}
    assert check.refusal(problem, {"action": "take_old"}, []) == ""
    assert "choose one of keep_new, take_old" in check.refusal(problem, {"action": "drop"}, [])


def test_an_action_without_a_choice_can_not_be_edited(report: Report) -> None:
    assert "action" not in check.editable(report())
    assert check.edited(report(), {"action": "delete"})["action"] == "rename"
