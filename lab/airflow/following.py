"""Follows runs of DAGs to their end, and tells on the terminal what goes on."""

import time
from collections.abc import Callable
from typing import Any

from bascule.ledger import Ledger, journal, mailboxes

from lab.airflow.answering import Answerer
from lab.airflow.processes import AirflowNotReady, Rest

POLL_SECONDS = 2.0
SHARE = 4  # the pause is so many times what a look for questions took: they cost Airflow little, however busy it is
OF_PROGRESS = 19  # the same of a line of progress, which costs more the more accounts there are
LONGEST_PAUSE = 10.0  # seconds, whatever they took: Airflow may have been away
STILL_LOOKING_SECONDS = 15  # a line of progress at least so often
LONGEST_SECONDS = 3 * 3600  # a load test's day
PHASES = ("freeze", "transfer", "cutover", "drain")
ENDED = ("success", "failed")
SYNC = "mailbox.sync"
Runs = list[tuple[str, str]]  # DAG id and run id, the one that is waited for first


class RunFailed(Exception):
    """Raised when a run ended as failed; the text names its failed tasks."""


class Teller:
    """Lines on the terminal, each with the time since the beginning."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, text: str) -> None:
        seconds = int(time.monotonic() - self.began)
        print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", flush=True)


def wait_for_dags(rest: Rest, seconds: float = 300) -> None:
    """Wait until all phases are known. Raises AirflowNotReady with the import errors when they don't come."""
    wanted = {"prepare", "problems", *PHASES, "rollback", "migrate", "move", "holds", "ask_again"}
    deadline = time.monotonic() + seconds
    while not wanted <= rest.dags():
        if time.monotonic() > deadline:
            raise AirflowNotReady(f"Airflow does not know {sorted(wanted - rest.dags())}: {rest.import_errors()}")
        time.sleep(1)


def follow(
    rest: Rest,
    ledger: Ledger,
    runs: Runs,
    tell: Callable[[str], None],
    answerer: Answerer,
    each: Callable[[], None] = lambda: None,
) -> None:
    """Answer and tell until the first of `runs` ends; `each` is called at every look. Raises RunFailed."""
    line, told, told_at, next_line, began = "", "", 0.0, 0.0, time.monotonic()
    while (state := rest.run_state(*runs[0])) not in ENDED:
        looked = time.monotonic()
        answerer.look()
        each()
        pause = _pause(SHARE, looked)
        if time.monotonic() >= next_line:
            looked = time.monotonic()
            line = progress(rest, ledger, runs) if state else ""
            next_line = time.monotonic() + _pause(OF_PROGRESS, looked)
        if line and (line != told or time.monotonic() - told_at > STILL_LOOKING_SECONDS):
            tell(line)
            told, told_at = line, time.monotonic()
        if time.monotonic() - began > LONGEST_SECONDS:
            raise RunFailed(
                f"{runs[0][0]} has not ended after {LONGEST_SECONDS / 60:.0f} minutes: {line or 'it waits'}"
            )
        time.sleep(max(POLL_SECONDS, pause))
    if state == "failed":
        raise RunFailed(
            f"{runs[0][0]} failed in {', '.join(failed_tasks(rest, runs))}: look at the log of these tasks in the UI"
        )


def _pause(share: float, began: float) -> float:
    """Seconds after something that began then."""
    return min(LONGEST_PAUSE, share * (time.monotonic() - began))


def progress(rest: Rest, ledger: Ledger, runs: Runs) -> str:
    """Phase, tasks, mailboxes done of total and messages on new, of the innermost run that is under way.

    A mailbox in which a look has found no change is done without a task.
    """
    for dag, run in reversed(runs):
        if (dag, run) != runs[0] and rest.run_state(dag, run) not in ("running", "queued"):
            continue
        busy = rest.tasks(dag, run, "running", "queued", "awaiting_input")  # "scheduled" may be thousands
        now = sorted({task["task_id"] for task in busy if task["state"] != "awaiting_input"})
        waiting = sum(task["state"] == "awaiting_input" for task in busy)
        parts = [f"{dag}: {', '.join(now[:3]) or 'waiting'}"]
        if look := _last_look(ledger, dag, run):
            unchanged, with_a_task = len(look["unchanged"]), len(look["with a task"])
            done = unchanged + rest.mapped(dag, run, SYNC, *ENDED) if with_a_task else unchanged
            messages = sum(state.messages for state in mailboxes.mailbox_states(ledger).values())
            parts.append(f"mailboxes {done} of {unchanged + with_a_task}, {messages:,} messages")
        if waiting:
            parts.append(f"{waiting} question(s) wait for a person")
        return "; ".join(parts)
    return ""


def _last_look(ledger: Ledger, dag: str, run: str) -> dict[str, Any] | None:
    """What the last look of this run has found; None: none has ended yet."""
    looks = journal.entries(ledger, kind="look")
    return next((look.after for look in reversed(looks) if (look.origin.phase, look.origin.run) == (dag, run)), None)


def failed_tasks(rest: Rest, runs: Runs) -> list[str]:
    """The failed tasks of the runs."""
    return [
        f"{dag}.{task['task_id']} {task.get('rendered_map_index') or ''}".strip()
        for dag, run in runs
        if rest.run_state(dag, run)
        for task in rest.tasks(dag, run)
        if task["state"] == "failed"
    ]
