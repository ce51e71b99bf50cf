"""The ways in which a decision comes: two pages, spreadsheet, site file, and the practice site's prepared answers."""

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from bascule import site
from bascule.dashboard import problems as control_room
from bascule.ledger import Ledger
from bascule.problems import record, spreadsheet, standing, store
from bascule.problems.model import Option, Problem
from bascule.problems.page import Field
from bascule.problems.questions import name
from bascule.problems.record import AnswerRefused
from bascule.site.site import StandingDecisions
from bascule.tasks import review
from bascule.tasks.run import Run
from pydantic import TypeAdapter
from starlette.datastructures import FormData

from lab.airflow.answering import Rule
from lab.paths import CHECKOUT
from tests.unit.problems.conftest import AUTHOR, ORIGIN

Door = Callable[[Ledger, Problem, Option, Mapping[str, str]], None]
WORDS = {option: word for word, option in spreadsheet.WORDS.items()}
SITE = site.load(CHECKOUT / "lab" / "site.yaml")
SITE_FILE = TypeAdapter(StandingDecisions)
STANDING = {option: word for word, option in standing.OPTIONS.items()}


def by_page(ledger: Ledger, problem: Problem, option: Option, given: Mapping[str, str]) -> None:
    """The form as it was shown, with what a person wrote into it."""
    _answer(ledger, problem, option, lambda _: {f"{problem.id}.{key}": value for key, value in given.items()})


def by_prepared_answer(ledger: Ledger, problem: Problem, option: Option, given: Mapping[str, str]) -> None:
    """A rule as it stands in lab/answers.yaml: `values` by the end of a field's title."""
    ends = {f"{key} for {name(problem)}": value for key, value in given.items()}
    rule = Rule("transfer", "mailbox", option.value, values=ends)
    _answer(
        ledger,
        problem,
        option,
        lambda form: rule.written({key: {"schema": {"title": form[key].title}} for key in form}),
    )


def _answer(
    ledger: Ledger, problem: Problem, option: Option, write: Callable[[dict[str, Field]], Mapping[str, str]]
) -> None:
    run = Run(SITE, None, ledger, ORIGIN, dry_run=False, selection="all")  # type: ignore[arg-type]
    asked = review.question(run, problem.account, (problem.room,))
    assert asked is not None
    form = {key: field.value for key, field in asked.fields.items()}
    answer = review.Answer([option.value], {**form, **write(asked.fields)}, "anne")
    if not review.take_answer(run, problem.account, asked.shown, answer):
        refused = record.last_refused(ledger, problem.account, {problem.id})
        raise AnswerRefused(refused.reasons if refused else [])


def by_control_room(ledger: Ledger, problem: Problem, option: Option, given: Mapping[str, str]) -> None:
    """Its form as a browser sends it back, with what a person wrote into it."""
    questions = spreadsheet.open_questions(ledger)
    shown = control_room._shown(next(each for each in questions if problem in each.problems), None)
    form = {"version": shown.version, "account": problem.account, **shown.values, **given}
    sent = [("option", option.value), ("about", shown.key), *((f"{shown.key}.{key}", form[key]) for key in form)]
    typed = control_room.Typed.of(FormData(sent))
    choices, refused = spreadsheet.typed(ledger, [*enumerate(typed.rows.values())])
    if refused:
        raise AnswerRefused(refused[0])
    record.record(ledger, choices, AUTHOR)


def by_spreadsheet(ledger: Ledger, problem: Problem, option: Option, given: Mapping[str, str]) -> None:
    text = spreadsheet.as_csv(spreadsheet.open_questions(ledger)).decode("utf-8-sig")
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    line = next(line for line in lines if line[header.index("id")] == str(problem.id))
    for key, value in {"decision": WORDS[option], **given}.items():
        if key not in header:
            raise AnswerRefused([f"the file has no column {key} to edit"])
        line[header.index(key)] = value
    out = io.StringIO()
    csv.writer(out).writerows([header, line])
    record.record(ledger, spreadsheet.read(ledger, out.getvalue().encode()), AUTHOR)


def by_site_file(ledger: Ledger, problem: Problem, option: Option, given: Mapping[str, str]) -> None:
    """One word for a kind. Raises ValueError where the file may not say it, AnswerRefused where it does not fit."""
    word = next(iter(given.values()), STANDING.get(option, option.value))
    decisions = SITE_FILE.validate_python({problem.key: word})
    if not standing.take_standing(ledger, decisions, problem.account, (problem.room,), ORIGIN):
        raise AnswerRefused(["a person is asked"])


DOORS: dict[str, Door] = {
    "page": by_page,
    "control room": by_control_room,
    "prepared answer": by_prepared_answer,
    "spreadsheet": by_spreadsheet,
    "site file": by_site_file,
}


def decided(ledger: Ledger, problem: Problem) -> tuple[Option, dict[str, Any]]:
    """What is in force about the problem."""
    with ledger.reading() as session:
        last = store.last_decision(session, problem.id)
    assert last is not None
    return last.option, last.chosen.stored()
