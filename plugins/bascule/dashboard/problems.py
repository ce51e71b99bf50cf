"""Problems: counted by kind and state; what is open as questions with their forms, and what was decided in a form."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi import HTTPException, Request
from starlette.datastructures import FormData

from bascule.dashboard.mailboxes import Pages
from bascule.dashboard.room import Room
from bascule.dashboard.visitor import Visitor, check_form, token
from bascule.ledger import Ledger, journal
from bascule.ledger.problems import ProblemRow
from bascule.problems import page, record, spreadsheet
from bascule.problems.forms import editable
from bascule.problems.kinds import Kind, kinds
from bascule.problems.model import Option
from bascule.problems.questions import Question
from bascule.problems.record import AnswerRefused, Author, Choice
from bascule.problems.release import release
from bascule.problems.rest import AirflowRefused
from bascule.text.logs import get_logger

log = get_logger(__name__)

STATES = ("open", "decided", "settled", "withdrawn")
WORDS = {option: word for word, option in spreadsheet.WORDS.items()}
LARGEST_FILE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Shown:
    """One question with its form: its key, the fields' values, and why the last answer could not be taken."""

    question: Question
    key: str
    version: str
    fields: Mapping[str, page.Field]
    values: Mapping[str, str]
    chosen: bool
    reasons: Sequence[str]


@dataclass(frozen=True)
class Typed:
    """What a person has sent: the option, which questions it is about, and the values of their fields."""

    option: Option
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, form: FormData) -> "Typed":
        """Raises HTTPException (422) when no option of that name is known."""
        try:
            option = Option(str(form.get("option", "")))
        except ValueError:
            raise HTTPException(422, "no decision was chosen") from None
        about = [str(key) for key in form.getlist("about")]
        return cls(option, {key: _row(form, key, option) for key in about})


def _row(form: FormData, key: str, option: Option) -> dict[str, str]:
    """One question as a line of the spreadsheet."""
    row = {name: str(form.get(f"{key}.{name}", "")) for name in ("version", "account")}
    edited = {name: str(form[f"{key}.{name}"]) for name in spreadsheet.EDITED if f"{key}.{name}" in form}
    return {"id": key, "decision": WORDS[option], **row, **edited}


@dataclass(frozen=True)
class Refused:
    """An answer that could not be taken: what was typed, why as a whole, and why by question."""

    typed: Typed
    reasons: Sequence[str]
    by_question: Mapping[str, Sequence[str]]

    def beside(self, shown: Collection[str]) -> list[str]:
        """The reasons that stand with no question of the page: those of the whole, and of what is open no more."""
        elsewhere = [why for key, reasons in self.by_question.items() if key not in shown for why in reasons]
        return [*self.reasons, *elsewhere]


def values(
    room: Room, request: Request, kind: str, account: str, wanted: int, refused: Refused | None = None
) -> dict[str, Any]:
    """What the page shows, narrowed to a kind and to an account."""
    visitor = room.door.visitor(request)
    live = "x-bascule-live" in request.headers  # the form is not made anew under people's hands
    questions = [] if live else _open(room, kind, account)
    pages = Pages.of(wanted, len(questions))
    shown = [_shown(each, refused) for each in questions[pages.rows]]
    return {
        "counts": room.fresh.get("by kind", lambda: by_kind(room.ledger)),
        "kinds": kinds(),
        "other_kind": Kind,
        "states": STATES,
        "kind": kind,
        "account": account,
        "pages": pages,
        "shown": shown,
        "may_decide": visitor.may_decide(room.site.gates.reviewers),
        "visitor": visitor,
        "token": token(room.door, visitor),
        "options": [*Option],
        "refused": refused,
        "reasons": refused.beside({each.key for each in shown}) if refused else [],
    }


def by_kind(ledger: Ledger) -> dict[str, Counter[str]]:
    """How many problems of each kind are in each state, by the kind's key."""
    columns = (ProblemRow.room, ProblemRow.kind, ProblemRow.state)
    query = sa.select(*columns, sa.func.count()).group_by(*columns).order_by(*columns)
    found: dict[str, Counter[str]] = {}
    with ledger.reading() as session:
        for name, kind, state, count in session.execute(query):
            found.setdefault(f"{name}/{kind}", Counter())[state] = count
    return found


def _open(room: Room, kind: str, account: str) -> list[Question]:
    found = spreadsheet.open_questions(room.ledger, [account] if account else None)
    return [each for each in found if kind in ("", each.first.key)]


def _shown(question: Question, refused: Refused | None) -> Shown:
    key, first = spreadsheet.numbers(question), question.first
    typed = refused.typed.rows.get(key) if refused else None
    fields = {name.partition(".")[2]: each for name, each in page.fields([first], {}).items()}
    values = {name: (typed or {}).get(name, fields[name].value) for name in editable(first)}
    reasons = refused.by_question.get(key, ()) if refused else ()
    return Shown(question, key, spreadsheet.version(question), fields, values, typed is not None, reasons)


def check(room: Room, request: Request, form: FormData) -> Visitor:
    """The visitor, who may decide and has sent their own form. Raises HTTPException (403)."""
    visitor = room.door.visitor(request)
    check_form(room.door, visitor, request, str(form.get("token", "")))
    if not visitor.may_decide(room.site.gates.reviewers):
        raise HTTPException(
            403, "you may not decide: `gates.reviewers` of the site file and Airflow's rights say who may"
        )
    return visitor


def decide(room: Room, request: Request, visitor: Visitor, typed: Typed) -> dict[str, int] | Refused:
    """Record what was typed, all of it or nothing, as Airflow's page does; then let the waiting tasks go on."""
    keys = [*typed.rows]
    if not keys:
        return Refused(typed, ["nothing was selected: select what you decide about"], {})
    choices, why = spreadsheet.typed(room.ledger, [*enumerate(typed.rows.values())])
    if why:
        return Refused(typed, [], {keys[number]: reasons for number, reasons in why.items()})
    outcome = _record(room, request, visitor, choices, "page", typed)
    return outcome if isinstance(outcome, Refused) or outcome["decided"] else {**outcome, "same": len(keys)}


def take_file(room: Room, request: Request, visitor: Visitor, name: str, data: bytes) -> dict[str, int] | Refused:
    """Record what a spreadsheet decides, all of it or nothing; then let the waiting tasks go on."""
    nothing = Typed(Option.APPLY)
    if len(data) > LARGEST_FILE:
        return Refused(nothing, [f"{name}: the file is larger than {LARGEST_FILE:,} bytes: take it in parts"], {})
    try:
        choices = spreadsheet.read(room.ledger, data)
    except AnswerRefused as error:
        return Refused(nothing, [f"{name}: {reason}" for reason in error.reasons], {})
    return _record(room, request, visitor, choices, "csv", nothing)


def _record(
    room: Room, request: Request, visitor: Visitor, choices: Sequence[Choice], source: str, typed: Typed
) -> dict[str, int] | Refused:
    origin = journal.Origin("control room", task="problems", asked_by=visitor.name)
    try:
        count = record.record(room.ledger, choices, Author(visitor.name, source, origin))
    except AnswerRefused as error:
        return Refused(typed, error.reasons, {})
    room.fresh.forget()
    log.info("decided in the control room", who=visitor.name, problems=count)
    return {"decided": count, **_released(room, request, choices)}


def _released(room: Room, request: Request, choices: Iterable[Choice]) -> dict[str, int]:
    """How many tasks go on; or that Airflow could not be told, so that they still wait."""
    try:
        return {"released": release(room.ledger, room.door.airflow(request), [*choices])}
    except (AirflowRefused, httpx.HTTPError) as error:
        log.error("the decisions stand, but the waiting tasks could not be told", reason=str(error))
        return {"untold": 1}
