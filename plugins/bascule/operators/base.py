"""What all operators have: a task's Run, the function of `bascule.tasks` that they call, an end in one sentence."""

import contextlib
from collections.abc import Iterator
from datetime import UTC
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, ErrorType

from bascule import tasks
from bascule.operators.connections import AirflowConnections
from bascule.text.logs import get_logger

if TYPE_CHECKING:
    import paramiko
    from airflow.sdk import Context

    from bascule.hosts.connections import Connection
    from bascule.tasks.run import Run

RETRIES = 2  # of what may pass by itself
LOST = 10  # processes of a task that may be ended from outside before a person looks why
# In Airflow's store of a task's state: the try that asked a person last, and those that ended by themselves.
ASKED, ENDED = "asked at try", "ended at tries"

log = get_logger(__name__)


class TryEnds(SystemExit):
    """Raised when a try ends as foreseen, with a sentence; it is tried again only if it `may_pass` by itself.

    Of a SystemExit Airflow writes no stack trace. The sentence stands in the log: nothing has gone wrong in Bascule.
    """

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        log.error(sentence)
        super().__init__(sentence)
        self.code = 1
        self.may_pass = may_pass


class Tries(RetryPolicy):
    """A few tries for what may pass by itself, none for what a person must mend first.

    Questions cost none, nor do tries that ended with their process (a killed worker, Airflow's API away for long).
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: "Context | None" = None
    ) -> RetryDecision:
        if isinstance(exception, TryEnds) and not exception.may_pass:
            return RetryDecision.fail()
        if context is None or _is_airflow_away(exception):
            return RetryDecision.default()
        is_last = is_last_try(context)
        context["task_state_store"].set(ENDED, [*_ended(context), try_number])
        return RetryDecision.fail() if is_last else RetryDecision.default()


def _is_airflow_away(exception: BaseException) -> bool:
    return isinstance(exception, AirflowRuntimeError) and exception.error.error == ErrorType.API_SERVER_ERROR


def is_last_try(context: "Context") -> bool:
    """Whether what may pass by itself is not tried again after this try."""
    return len(_ended(context)) >= RETRIES


def _ended(context: "Context") -> list[int]:
    """The tries before this one that ended by themselves, since the task was cleared last, or asked a person last."""
    begin, this = _begin(context), context["ti"].try_number
    if this <= begin + 1:
        return []
    found = context["task_state_store"].get(ENDED)
    ended = found if isinstance(found, list) else []
    return [number for number in ended if isinstance(number, int) and begin < number < this]


def _begin(context: "Context") -> int:
    return max(_cleared_at(context), asked_at(context))


def _check_lost(context: "Context") -> None:
    """Raises TryEnds when process after process was ended from outside."""
    lost = int(context["ti"].try_number) - _begin(context) - 1 - len(_ended(context))
    if lost >= LOST:
        raise TryEnds(f"the process was ended from outside {lost} times: see why, then clear this task")


def asked_at(context: "Context") -> int:
    """The try of this task, since it was cleared last, that asked a person last; 0: none did."""
    cleared_at = _cleared_at(context)
    if context["ti"].try_number <= cleared_at + 1:
        return 0
    asked = context["task_state_store"].get(ASKED, 0)
    return asked if isinstance(asked, int) and asked > cleared_at else 0


def _cleared_at(context: "Context") -> int:
    """The last try before the task was cleared: Airflow then gives it all its retries anew."""
    return (context["ti"].max_tries or 0) - (context["task"].retries or 0)


@contextlib.contextmanager
def task_run(context: "Context", phase: str | None = None) -> Iterator["Run"]:
    """The task's Run, when the journal allows the phase now. Foreseen errors of the body end the try in a sentence.

    `phase`: for which the task works, where it is not its own DAG.
    """
    try:
        with (
            tasks.run.in_sentences(),
            _opened(context, phase or context["ti"].dag_id) as run,
            _noted(run, context),
            tasks.run.in_sentences(),
        ):
            tasks.run.check_phase(run)
            yield run
    except tasks.run.TryAgain as error:
        raise TryEnds(str(error), may_pass=True) from None
    except tasks.run.LeftForLater as error:
        log.warning(str(error))
        raise AirflowSkipException(str(error)) from None
    except tasks.run.NeedsPerson as error:
        raise TryEnds(str(error)) from None


def _noted(run: "Run", context: "Context") -> "contextlib.AbstractContextManager[None]":
    task = context["task"]
    account = str(getattr(task, "account", ""))
    about = account or str(getattr(task, "test", ""))
    this = tasks.run.Try(run.origin, int(context["ti"].try_number), about, of_many=account != "")
    return tasks.run.noted(run, this, last_try=is_last_try(context))


def _opened(context: "Context", phase: str) -> "contextlib.AbstractContextManager[Run]":
    _check_lost(context)
    ti, dag_run, params = context["ti"], context["dag_run"], context["params"]
    index = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    triggered = getattr(dag_run, "run_after", None)  # `start_date` is when it came out of the queue
    asked_by = getattr(dag_run, "triggering_user_name", None) or str(getattr(dag_run, "run_type", "") or "")
    return tasks.run.opened(
        AirflowConnections(),
        connect_ssh,
        tasks.run.Origin(phase, ti.run_id, f"{ti.task_id}{index}", str(asked_by)),
        dry_run=bool(params.get("dry_run", False)),
        selection=str(params.get("accounts", "all")),
        asked_at=triggered and triggered.astimezone(UTC).replace(tzinfo=None),
    )


def connect_ssh(connection: "Connection") -> "paramiko.SSHClient":
    """A connection by Airflow's SSHHook, whose modules only tasks that use it pay for. Raises AccessError."""
    client: paramiko.SSHClient = import_module("bascule.operators.ssh").connect(connection)
    return client


class BasculeOperator(BaseOperator):
    """An operator with a Run in its hands; subclasses say by `act` which function of `bascule.tasks` they call."""

    def act(self, run: "Run") -> Any:
        raise NotImplementedError

    def execute(self, context: "Context") -> Any:
        with task_run(context) as run:
            return self.act(run)
