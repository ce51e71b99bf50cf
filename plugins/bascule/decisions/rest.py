"""Airflow's REST API, as far as deciding needs it: who somebody is, which questions wait, an answer to one."""

import os
from dataclasses import dataclass
from typing import Any

import requests

ENVIRONMENT = ("BASCULE_AIRFLOW_URL", "BASCULE_AIRFLOW_USER", "BASCULE_AIRFLOW_PASSWORD")
TIMEOUT = 60
PAGE = 100


class AirflowRefused(Exception):
    """Raised when Airflow can't be reached or refuses; the text says what to do."""


@dataclass(frozen=True)
class Question:
    """A `review` that waits for a person: where it stands, of which account, and the fields of its form."""

    dag: str
    run: str
    task: str
    index: int
    account: str
    fields: dict[str, Any]


class Airflow:
    """One login at Airflow."""

    def __init__(self, base: str, user: str, password: str) -> None:
        self.base, self.user = base.rstrip("/"), user
        self._session = requests.Session()
        answer = self._ask("POST", "/auth/token", json={"username": user, "password": password})
        self._session.headers["Authorization"] = f"Bearer {answer['access_token']}"

    @classmethod
    def from_environment(cls) -> "Airflow":
        """Log in as the environment says; the password stands nowhere else. Raises AirflowRefused."""
        values = [os.environ.get(name, "") for name in ENVIRONMENT]
        if missing := [name for name, value in zip(ENVIRONMENT, values, strict=True) if not value]:
            raise AirflowRefused(f"set {', '.join(missing)} in the environment, so that the decision bears your name")
        return cls(*values)

    def questions(self) -> list[Question]:
        """Every review that waits for an answer."""
        found: list[dict[str, Any]] = []
        while True:
            path = (
                "/api/v2/dags/~/dagRuns/~/hitlDetails?state=awaiting_input&response_received=false"
                f"&order_by=ti_id&limit={PAGE}&offset={len(found)}"
            )
            answer = self._ask("GET", path)
            found += answer["hitl_details"]
            if not answer["hitl_details"] or len(found) >= answer["total_entries"]:
                return [
                    _question(each)
                    for each in found
                    if each["task_instance"]["task_id"].endswith((".review", ".review_again"))
                ]

    def answer(self, question: Question, option: str) -> bool:
        """Answer a question, its form as it stands; False when somebody else has answered it already."""
        path = (
            f"/api/v2/dags/{question.dag}/dagRuns/{question.run}/taskInstances/{question.task}/{question.index}"
            "/hitlDetails"
        )
        values = {key: field.get("value") for key, field in question.fields.items()}
        try:
            self._ask("PATCH", path, json={"chosen_options": [option], "params_input": values})
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code in (404, 409):
                return False
            raise
        return True

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._session.request(method, f"{self.base}{path}", timeout=TIMEOUT, **more)
        except requests.RequestException as error:
            raise AirflowRefused(f"Airflow at {self.base} can't be reached: {error}") from None
        if answer.status_code == 401:
            raise AirflowRefused(f"Airflow at {self.base} refuses the login of {self.user}")
        if answer.status_code == 403:
            raise AirflowRefused(f"{self.user} may not do this in Airflow: `gates` of the site file names who may")
        answer.raise_for_status()
        return answer.json()


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
