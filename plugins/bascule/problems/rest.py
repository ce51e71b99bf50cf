"""Airflow's REST API, as far as deciding needs it: who somebody is, which questions wait, an answer to one."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from bascule.problems.page import MARK
from bascule.text.reason import reason

ENVIRONMENT = ("BASCULE_AIRFLOW_URL", "BASCULE_AIRFLOW_USER", "BASCULE_AIRFLOW_PASSWORD")
TIMEOUT = 60
PAGE = 100


class AirflowRefused(Exception):
    """Raised when Airflow can't be reached or refuses; the text says what to do."""


@dataclass(frozen=True)
class Question:
    """A question about one account's problems: where it stands, of which account, and the fields of its form."""

    dag: str
    run: str
    task: str
    index: int
    account: str
    fields: dict[str, Any]

    @property
    def asker(self) -> tuple[str, str]:
        """The DAG and the task that ask."""
        return asker(self.dag, self.run, self.task)


def asker(dag: str, run: str, task: str) -> tuple[str, str]:
    """The DAG and the task that ask by a question of this place: runs of `ask_again` are named after them."""
    first, _, second = run.partition("~")[0].partition(".")
    return (first, second) if dag == "ask_again" else (dag, task)


class Airflow:
    """One login at Airflow."""

    def __init__(self, base: str, user: str) -> None:
        self.base, self.user = base.rstrip("/"), user
        self._session = httpx.Client(timeout=TIMEOUT, follow_redirects=True)

    @classmethod
    def of_login(cls, base: str, user: str, password: str) -> "Airflow":
        """Raises AirflowRefused."""
        airflow = cls(base, user)
        answer = airflow._ask("POST", "/auth/token", json={"username": user, "password": password})
        return airflow._with(answer["access_token"])

    @classmethod
    def of_token(cls, base: str, user: str, token: str) -> "Airflow":
        """Of somebody who has logged in already."""
        return cls(base, user)._with(token)

    def _with(self, token: str) -> "Airflow":
        self._session.headers["Authorization"] = f"Bearer {token}"
        return self

    @classmethod
    def from_environment(cls) -> "Airflow":
        """Log in as the environment says; the password stands nowhere else. Raises AirflowRefused."""
        values = [os.environ.get(name, "") for name in ENVIRONMENT]
        if missing := [name for name, value in zip(ENVIRONMENT, values, strict=True) if not value]:
            raise AirflowRefused(f"set {', '.join(missing)} in the environment, so that the decision bears your name")
        return cls.of_login(*values)

    def questions(self) -> list[Question]:
        """Every question about an account's problems that waits for an answer."""
        found: list[dict[str, Any]] = []
        while True:
            path = (
                "/api/v2/dags/~/dagRuns/~/hitlDetails?state=awaiting_input&response_received=false"
                f"&order_by=ti_id&limit={PAGE}&offset={len(found)}"
            )
            answer = self._ask("GET", path)
            found += answer["hitl_details"]
            if not answer["hitl_details"] or len(found) >= answer["total_entries"]:
                return [_question(each) for each in found if MARK in (each.get("params") or {})]

    def answer(self, question: Question, option: str) -> bool:
        """Answer a question, its form as it stands; False when somebody else has answered it already."""
        path = f"{_task_path(question.dag, question.run, question.task, question.index)}/hitlDetails"
        values = {key: field.get("value") for key, field in question.fields.items()}
        try:
            self._ask("PATCH", path, json={"chosen_options": [option], "params_input": values})
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (404, 409):
                return False
            raise
        return True

    def task_of(self, account: str) -> "Question | None":
        """The last task that worked on this account's mailbox, or moved it. Raises AirflowRefused."""
        query = urlencode({"rendered_map_index_prefix_pattern": account, "order_by": "-start_date", "limit": PAGE})
        answer = self._ask("GET", f"/api/v2/dags/~/dagRuns/~/taskInstances?{query}")
        found = (each for each in answer["task_instances"] if each.get("rendered_map_index") == account)
        theirs = (each for each in found if each["task_id"].startswith(("mailbox.", "account.")))
        return next((_question({"task_instance": each}) for each in theirs), None)

    def account_of(self, dag: str, run: str, task: str, index: int) -> str:
        """The account that a mapped task works on; empty when Airflow knows none. Raises AirflowRefused."""
        try:
            return str(self._ask("GET", _task_path(dag, run, task, index)).get("rendered_map_index") or "")
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 404:
                return ""
            raise

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._session.request(method, f"{self.base}{path}", **more)
        except httpx.HTTPError as error:
            raise AirflowRefused(f"Airflow at {self.base} can't be reached: {reason(error)}") from None
        if answer.status_code == 401:
            raise AirflowRefused(f"Airflow at {self.base} refuses the login of {self.user}")
        if answer.status_code == 403:
            raise AirflowRefused(f"{self.user} may not do this in Airflow: `gates` of the site file names who may")
        answer.raise_for_status()
        try:
            return answer.json()
        except ValueError:
            raise AirflowRefused(f"what answers at {self.base} is not Airflow's API: {answer.text[:80]!r}") from None


def _task_path(dag: str, run: str, task: str, index: int) -> str:
    dag, run, task = (quote(each, safe="") for each in (dag, run, task))
    return f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/{index}"


def _question(each: dict[str, Any]) -> Question:
    ti = each["task_instance"]
    return Question(
        dag=ti["dag_id"],
        run=ti["dag_run_id"],
        task=ti["task_id"],
        index=ti["map_index"],
        account=str(ti.get("rendered_map_index") or ""),
        fields=each.get("params") or {},
    )
