"""The question about one account's problems: what its page shows, what an answer decides, what is left afterwards."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bascule import tasks
from bascule.problems import page, record, store
from bascule.problems.model import Option, Problem, Room
from bascule.problems.page import Field
from bascule.problems.questions import of_mailbox
from bascule.tasks.run import Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Question:
    """What one person is asked. `fields`: of the form, by key; `shown`: the problems' ids; `reviewers`: who may.

    `mark`: what the page is called; another mark is another page.
    """

    subject: str
    body: str
    fields: dict[str, Field]
    shown: list[int]
    reviewers: list[str]
    mark: str


@dataclass(frozen=True)
class Answer:
    """What came back: the options (one, if it is right), the form's fields that came, and who answered."""

    options: Sequence[str]
    fields: Mapping[str, Any]
    person: str


def question(run: Run, account: str, rooms: Collection[Room]) -> Question | None:
    """The question about the open problems of the account in these rooms; None when there is nothing to ask."""
    found = _open(run, account, rooms)
    if not found or run.dry_run:
        return None
    asked = page.shown(found)
    log.info(
        "a person is asked", account=account, about=[f"{each.first.kind}: {each.what}" for each in of_mailbox(asked)]
    )
    refused = record.last_refused(run.ledger, account, {problem.id for problem in asked})
    return Question(
        subject=f"{len(of_mailbox(found))} problem(s) of {account}" + (": answer again" if refused else ""),
        body=page.text(run.ledger, account, asked, refused, more=len(found) - len(asked)) + _of_the_outage(run),
        fields={**page.fields(asked, refused.given if refused else {}), page.MARK: page.mark_field(asked)},
        shown=[problem.id for problem in asked],
        reviewers=run.site.gates.reviewers,
        mark=page.mark(asked),
    )


def _of_the_outage(run: Run) -> str:
    """The forecast, on the day's first questions: whoever answers them knows how long nobody can read mail."""
    told = tasks.forecast.before_the_first_answer(run)  # imported here: a task that asks nobody does without
    return "".join(["\n\n**The outage:**\n", *(f"\n- {page.plain(line)}" for line in told)]) if told else ""


def take_answer(run: Run, account: str, shown: Collection[int], answer: Answer) -> bool:
    """Record what was decided. What can't be taken is noted in the journal, so that nothing is typed twice.

    Returns whether it was taken.
    """
    author = record.Author(answer.person, "page", run.origin)
    chosen = [option for option in Option if option.value in answer.options]
    option = chosen[0] if len(chosen) == 1 else Option.LOOK_AGAIN
    found = _shown(run, account, shown)
    choices = page.choices(found, option, answer.fields)
    try:
        reason = page.refusal(found, answer.fields, len(chosen))
        if reason and (option is not Option.LOOK_AGAIN or len(chosen) != 1):
            raise record.AnswerRefused([reason])
        count = record.record(run.ledger, choices, author)
    except record.AnswerRefused as refused:
        record.note_refused(run.ledger, account, choices, refused.reasons, author)
        log.error("the answer can't be taken, so it is asked again", who=answer.person, why=str(refused))
        return False
    if not choices:
        log.info("everything that was shown has been decided meanwhile: nothing to do", account=account)
    log.info("decided", who=answer.person, account=account, option=option.value, problems=count)
    return True


def is_left(run: Run, account: str, rooms: Collection[Room]) -> bool:
    """Whether a person has to be asked after a pass: about these rooms, which it looked at, or for a better answer."""
    if run.dry_run:
        return False
    found = {problem.id for problem in store.problems(run.ledger, account=account)}
    return bool(_open(run, account, rooms)) or record.last_refused(run.ledger, account, found) is not None


def _open(run: Run, account: str, rooms: Collection[Room]) -> list[Problem]:
    return [item for item in store.problems(run.ledger, account=account) if item.room in rooms]


def _shown(run: Run, account: str, shown: Collection[int]) -> list[Problem]:
    """What the page showed, as it is now."""
    found = store.problems(run.ledger, account=account, states=("open", "decided", "settled", "withdrawn"))
    return [problem for problem in found if problem.id in shown]
