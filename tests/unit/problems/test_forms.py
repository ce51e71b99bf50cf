"""New names are looked at before they are decided, and each refusal says what to write instead."""

from collections.abc import Callable

import pytest
from bascule.problems import forms
from bascule.problems.model import Action, Option, Problem

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
    assert words in forms.refusal(report(), Option.APPLY, {"action": "rename", "name": name}, ["Travaux", "Réunions"])


@pytest.mark.parametrize("name", ["x", "Réunions 2018 été", "v1.2", "会議", "📎", "a\\b", 'a"b', "x (2)"])
def test_a_name_that_can_be_is_taken(report: Report, name: str) -> None:
    assert forms.refusal(report(), Option.APPLY, {"action": "rename", "name": name}, ["Travaux"]) == ""


def test_a_name_keeps_the_levels_of_its_proposal(report: Report) -> None:
    nested = report(proposal={"action": "rename", "name": "Travaux/x"})
    assert forms.refusal(nested, Option.APPLY, {"name": "Travaux/y"}, []) == ""
    assert "write it 1 times" in forms.refusal(nested, Option.APPLY, {"name": "y"}, [])
    assert "levels is empty" in forms.refusal(nested, Option.APPLY, {"name": "Travaux/"}, [])


def test_the_separator_is_the_one_that_the_problem_names(report: Report) -> None:
    dotted = report(details={"separator": "."})
    assert forms.refusal(dotted, Option.APPLY, {"name": "2019/2020"}, []) == ""
    assert "separates the levels" in forms.refusal(dotted, Option.APPLY, {"name": "v1.2"}, [])


@pytest.mark.parametrize("extra", [{"action": "leave out"}, {"other": "z"}, {"text": "keep;"}])
def test_a_value_that_nobody_may_edit_is_refused(report: Report, extra: dict[str, str]) -> None:
    (key,) = extra
    assert forms.refusal(report(), Option.APPLY, {"name": "y"} | extra, []) == f"~x: it has no {key} to edit"


CHOICE = {"room": "calendar", "kind": "both-changed", "proposal": {"action": "keep_new"}}


@pytest.mark.parametrize("written", ["take_old", "Take old", " take  old "])
def test_where_there_are_several_actions_one_of_them_is_chosen(report: Report, written: str) -> None:
    problem = report("/anna/agenda/e.ics", **CHOICE)
    assert forms.edited(problem, {"action": written}).action is Action.TAKE_OLD
    assert forms.refusal(problem, Option.APPLY, {"action": written}, []) == ""
    assert "choose one of keep_new, take_old" in forms.refusal(problem, Option.APPLY, {"action": "drop"}, [])


def test_what_came_back_as_it_was_shown_is_no_edit(report: Report) -> None:
    assert forms.edited(report(), {"action": "rename", "name": "x", "text": None}) == report().proposal
