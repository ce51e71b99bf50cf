"""Where things stand in Airflow's pages and in these; relative, so that they hold wherever Airflow is published."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import httpx
from fastapi import Request

from bascule.dashboard.room import Room
from bascule.problems.rest import Airflow, AirflowRefused
from bascule.text.logs import get_logger
from bascule.views.day import PER_ACCOUNT, Attention

log = get_logger(__name__)

AIRFLOW = ".."  # from these pages


@dataclass(frozen=True)
class Links:
    """Addresses of tasks and questions."""

    def task(self, each: Attention) -> str:
        return _task(each.phase, each.run, each.name, each.index)

    def question(self, each: Attention) -> str:
        """The form in which it is answered: here, or Airflow's where it is about the whole day."""
        if self.is_ours(each):
            return "problems?" + urlencode({"account": each.about})
        return f"{self.task(each)}/required_actions"

    def is_ours(self, each: Attention) -> bool:
        return each.name in PER_ACCOUNT


# Tasks whose page is not the first one.
PAGES = {"go_no_go": "evidence", "final_report": "report.html"}


def page_of(phase: str, run: str, task: str, index: int) -> str:
    """The page of the control room about a task, as seen from the first one."""
    if index >= 0 and (task in PER_ACCOUNT or phase == "ask_again"):
        return "task?" + urlencode({"phase": phase, "run": run, "task": task, "index": index})
    return PAGES.get(task, "")


def log_of(airflow: Airflow, account: str) -> str:
    """The page of the task that worked on this mailbox last; empty when Airflow knows none."""
    found = airflow.task_of(account)
    return _task(found.dag, found.run, found.task, found.index) if found else ""


def answered(room: Room, request: Request, ask: Callable[[Airflow], str]) -> str:
    """What Airflow answers about an address; empty where it gives no answer."""
    try:
        return ask(room.door.airflow(request))
    except (AirflowRefused, httpx.HTTPError) as error:
        log.warning("Airflow does not tell where a task stands", reason=str(error))
        return ""


def _task(phase: str, run: str, task: str, index: int) -> str:
    mapped = f"/mapped/{index}" if index >= 0 else ""
    phase, run, task = (quote(each, safe="") for each in (phase, run, task))
    return f"{AIRFLOW}/dags/{phase}/runs/{run}/tasks/{task}{mapped}"
