"""The tasks that ask a person: about one account's problems, at the gate, after failed tests.

A task parks itself in Airflow's state `awaiting_input`, where it needs no worker, and goes on with the answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import TaskAwaitingInput

from bascule import tasks
from bascule.operators.base import ASKED, asked_at, is_last_try, task_run
from bascule.operators.params import NAMED
from bascule.operators.waiting import has_succeeded, wait_for_run
from bascule.problems.model import Option

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bascule.problems.model import Room
    from bascule.problems.page import Field
    from bascule.tasks.gate import GateQuestion
    from bascule.tasks.review import Answer, Question
    from bascule.tasks.run import Run

ASK_AGAIN = "ask_again"  # the DAG
# In Airflow's store of a task's state: the mark of its own page, until that is answered.
PAGE, ANSWERED = "page", "answered"


class AsksAboutAccount(HITLOperator):
    """Parks with a question about one account's problems."""

    template_fields = ("subject", "body", "account")

    def __init__(self, *, account: str, **kwargs: Any) -> None:
        super().__init__(
            subject="Problems of one account",
            body="",
            options=[option.value for option in Option],
            **{**NAMED, **kwargs},
        )
        self.account = account

    def park(self, context: "Context", question: "Question") -> None:
        """Raises TaskAwaitingInput: the task goes on in `execute_complete`."""
        self.subject, self.body = question.subject, question.body
        self.params = ParamsDict({key: param(field) for key, field in question.fields.items()})
        self.assigned_users = users(question.reviewers)
        context["task_state_store"].set(ASKED, context["ti"].try_number)
        try:
            super().execute(context)
        except TaskAwaitingInput as waiting:
            waiting.kwargs = {"shown": question.shown}
            raise

    def answer(self, event: dict[str, Any]) -> "Answer":
        answer = super().execute_complete({}, event)
        return tasks.review.Answer(answer["chosen_options"], answer["params_input"], person_of(answer))


class AskAgain(AsksAboutAccount):
    """Asks one question for a task of another DAG, and records the answer; that task does the work.

    Airflow keeps the first page of a task for ever, through all its tries: another page needs another task.
    """

    ui_color = "#fbe3e3"

    def execute(self, context: "Context") -> None:
        with task_run(context, context["params"]["phase"]) as run:
            question = tasks.review.question(run, self.account, context["params"]["rooms"])
        if question is not None:
            self.park(context, question)

    def execute_complete(self, context: "Context", event: dict[str, Any], shown: Sequence[int] = ()) -> None:
        with task_run(context, context["params"]["phase"]) as run:
            tasks.review.take_answer(run, self.account, shown, self.answer(event))


class WorksOnAccount(AsksAboutAccount):
    """Works on one account, asks a person about what is left, and goes on with the answer until nothing is left.

    The first question is the task's own page; each further one is a run of `ask_again`, for which it waits, deferred.
    (An answer to its old page, which stays under Required Actions meanwhile, decides nothing.)
    With `asks_first` what the ledger has is asked before any work.
    """

    ui_color = "#d9efdf"
    asks_about: ClassVar[tuple["Room", ...]]  # the rooms whose problems are asked
    looks_at: ClassVar[tuple["Room", ...]]  # those whose problems the work finds, and which it must leave settled
    asks_first: ClassVar[bool] = True

    def work(self, run: "Run", *, last_try: bool) -> Any:
        raise NotImplementedError

    def execute(self, context: "Context") -> Any:
        result = None
        with task_run(context) as run:
            question = self._question(run) if self.asks_first and self._has_no_answer(context) else None
            if question is None:
                result, question = self._work(run, context)
            _note_question(run, question)
        if question is not None:
            self._ask(context, question)
        return result

    def execute_complete(self, context: "Context", event: Any, shown: Sequence[int] = ()) -> Any:
        """Go on with the answer to the task's own page, or after the end of the run of `ask_again` that had it."""
        result = None
        with task_run(context) as run:
            if isinstance(event, dict):
                is_taken = tasks.review.take_answer(run, self.account, shown, self.answer(event))
                context["task_state_store"].set(PAGE, ANSWERED)
            else:
                is_taken = has_succeeded(event)
            if is_taken:
                result, question = self._work(run, context)
            else:
                question = self._question(run)
            _note_question(run, question)
        if question is not None:
            self._ask(context, question)
        return result

    def _has_no_answer(self, context: "Context") -> bool:
        """Nobody was asked, or Airflow has lost the answer: its scheduler may take a task for failed that goes on."""
        return not asked_at(context) or context["task_state_store"].get(PAGE) not in (None, ANSWERED)

    def _work(self, run: "Run", context: "Context") -> tuple[Any, "Question | None"]:
        """What the work returns, and the question about what it left."""
        result = self.work(run, last_try=is_last_try(context))
        is_left = tasks.review.is_left(run, self.account, self.looks_at)
        return result, self._question(run) if is_left else None

    def _question(self, run: "Run") -> "Question | None":
        return tasks.review.question(run, self.account, self.asks_about)

    def _ask(self, context: "Context", question: "Question") -> None:
        """Raises what parks or defers the task."""
        store, ti = context["task_state_store"], context["ti"]
        if store.get(PAGE) in (None, question.mark):
            store.set(PAGE, question.mark)
            self.park(context, question)
        store.set(ASKED, ti.try_number)
        conf = {"phase": ti.dag_id, "account": self.account, "rooms": list(self.asks_about)}
        run_id = f"{ti.dag_id}.{ti.task_id}~{self.account}~{ti.run_id}~{question.mark}"
        wait_for_run(self, context, ASK_AGAIN, run_id, conf)


class SyncMailbox(WorksOnAccount):
    """One pass over one mailbox: copy what is new, carry what changed and what was decided, verify; ask what is left.

    Returns {"folders": n, "messages": n, "copied": n, "bytes": n, "problems": n}.
    """

    asks_about: ClassVar[tuple["Room", ...]] = ("mailbox", "account")
    looks_at = ("mailbox", "account")
    asks_first = False

    def work(self, run: "Run", *, last_try: bool) -> Any:
        return tasks.mailbox.sync(run, self.account, last_try=last_try)


class SettleMailbox(SyncMailbox):
    """Asks about everything that the ledger has open of an account, then runs the pass over its mailbox.

    What was decided about filters and calendars is carried out by their own passes.
    """

    asks_about = ("mailbox", "account", "sieve", "calendar")
    asks_first = True


class RepairFilters(WorksOnAccount):
    """Asks about the filters of one account, and sees that the new server takes them."""

    ui_color = "#f3e8fb"
    asks_about = looks_at = ("sieve",)

    def work(self, run: "Run", *, last_try: bool) -> Any:
        return tasks.filters.settle(run, self.account)


class RepairCalendars(WorksOnAccount):
    """Asks about the calendars and address books of one account, and carries them."""

    ui_color = "#fdf6d0"
    asks_about = looks_at = ("calendar",)

    def work(self, run: "Run", *, last_try: bool) -> Any:
        return tasks.calendars.settle(run, self.account)


class Gate(HITLOperator):
    """Asks a person whether the day goes on, when there is something to ask. No answer is no."""

    ui_color = "#fbe3e3"

    def __init__(self, *, options: list[str], **kwargs: Any) -> None:
        super().__init__(subject="Does the day go on?", body="", options=options, **kwargs)

    def execute(self, context: "Context") -> Any:
        with task_run(context) as run:
            question = self.question(run)
            _note_question(run, question)
        if question is None:
            return None
        self.subject, self.body, self.assigned_users = question.subject, question.body, users(question.reviewers)
        return super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> None:
        answer = super().execute_complete(context, event)
        with task_run(context) as run:
            self.take_answer(run, answer["chosen_options"], person_of(answer))

    def question(self, run: "Run") -> "GateQuestion | None":
        raise NotImplementedError

    def take_answer(self, run: "Run", options: Sequence[str], person: str) -> None:
        raise NotImplementedError


class GoNoGo(Gate):
    """Whether the new server goes into production. A go that was given in this run holds when the task is run again."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(options=["Go: take the addresses", "No go"], **kwargs)

    def question(self, run: "Run") -> "GateQuestion | None":
        return tasks.gate.question(run)

    def take_answer(self, run: "Run", options: Sequence[str], person: str) -> None:
        tasks.gate.take_answer(run, options, person)


class GoOnDespiteFailedTests(Gate):
    """What becomes of the day when functional tests have failed. It runs when all have ended, however they did."""

    def __init__(self, **kwargs: Any) -> None:
        options = ["Go on: in production all the same", "Not yet: somebody looks at it first"]
        super().__init__(options=options, **kwargs)

    def question(self, run: "Run") -> "GateQuestion | None":
        return tasks.failed_tests.question(run)

    def take_answer(self, run: "Run", options: Sequence[str], person: str) -> None:
        tasks.failed_tests.take_answer(run, options, person)


def _note_question(run: "Run", question: "Question | GateQuestion | None") -> None:
    """The task does not end now: it asks."""
    if question is not None:
        run.outcome.becomes("asking", question.subject)


def person_of(answer: Any) -> str:
    """Who answered, as Airflow knows people."""
    user = answer["responded_by_user"] or {}
    return str(user.get("name") or user.get("id") or "unknown")


def users(names: Sequence[str]) -> list[Any] | None:
    """Who may answer; None: everybody."""
    return [{"id": name, "name": name} for name in names] or None


def param(field: "Field") -> Param:
    """One field of the form, as Airflow shows it. What is empty is refused with a reason when it comes back."""
    # A field of one line would lose the line ends of a filter's text.
    lines: dict[str, Any] = {"format": "multiline"} if field.multiline else {}
    if field.choices:
        lines["enum"] = list(field.choices)
    return Param(field.value, type="string", title=field.title, description=field.description, **lines)
