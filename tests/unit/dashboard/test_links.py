"""The ways between Airflow's tasks and the control room's pages."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow import plugins_manager
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.serialization.serialized_objects import DagSerialization
from bascule.dashboard.app import make_app
from bascule.ledger import Ledger
from bascule.problems.rest import Airflow
from bascule.site import Site
from bascule_plugin import BasculePlugin
from fastapi.testclient import TestClient

from lab.measure.control_room import PaperDoor
from tests.unit.test_dags import DAGS, dag_of

RUN = "manual__2026-06-27T04:00:00+00:00"
ACCOUNT = "bascule/task?phase={}&run=manual__2026-06-27T04%3A00%3A00%2B00%3A00&task={}&index={}"


def link(dag: str, task: str, index: int = -1, base: str = "https://flow.example") -> str | None:
    """The button's address, as Airflow's API server makes it from the DAG as it stands in its database."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag_of(dag)))
    ti: Any = type("TI", (), {"key": TaskInstanceKey(dag, task, RUN, 1, index)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__API__BASE_URL", base)
        patch.setattr(
            plugins_manager, "get_global_operator_extra_links", lambda: BasculePlugin.global_operator_extra_links
        )
        found = stored.get_task(task)
        assert "Bascule" in found.extra_links
        return found.get_extra_links(ti, "Bascule")


@pytest.mark.parametrize(("dag", "task", "index", "page"), [
    ("freeze", "stop_imap_on_old", -1, "bascule/"),
    ("transfer", "mailbox.sync", 12, ACCOUNT.format("transfer", "mailbox.sync", 12)),
    ("transfer", "repair_filters.review", 0, ACCOUNT.format("transfer", "repair_filters.review", 0)),
    ("ask_again", "review", 0, ACCOUNT.format("ask_again", "review", 0)),
    ("cutover", "functional_test", 3, "bascule/"),
    ("cutover", "go_no_go", -1, "bascule/evidence"),
    ("drain", "final_report", -1, "bascule/report.html"),
])  # fmt: skip
def test_each_task_has_a_button_to_its_page(dag: str, task: str, index: int, page: str) -> None:
    assert link(dag, task, index) == f"/{page}"
    assert link(dag, task, index, "https://example.org/flow/") == f"/flow/{page}"


def test_all_tasks_of_all_phases_have_it_and_nobody_elses() -> None:
    (button,) = BasculePlugin.global_operator_extra_links
    stored = [
        DagSerialization.from_dict(DagSerialization.to_dict(dag_of(file.stem)))
        for file in DAGS.glob("*.py")
        if file.stem != "site_file"
    ]
    without = [
        f"{dag.dag_id}.{task.task_id}"
        for dag in stored
        for task in dag.tasks
        if not button.get_link(task, ti_key=TaskInstanceKey(dag.dag_id, task.task_id, RUN))
    ]

    assert without == []
    theirs: Any = type("Operator", (), {"_task_module": "airflow.providers.standard.operators.bash"})
    assert button.get_link(theirs, ti_key=TaskInstanceKey("theirs", "bash", RUN)) == ""


class Door(PaperDoor):
    """With an Airflow behind it that gives this answer."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, ""

    def airflow(self, request: Any) -> Airflow:
        airflow = Airflow("http://airflow", "postmaster")
        airflow._session = httpx.Client(transport=httpx.MockTransport(self._answered))
        return airflow

    def _answered(self, request: httpx.Request) -> httpx.Response:
        self.asked = request.url.raw_path.decode()
        if isinstance(self.answer, str):
            return httpx.Response(200, text=self.answer)
        if isinstance(self.answer, int):
            return httpx.Response(self.answer, json={})
        return httpx.Response(200, json=self.answer)


def led(ledger: Ledger, site: Site, door: PaperDoor, address: str) -> str:
    client = TestClient(make_app(lambda: ledger, lambda: site, door), "http://room")
    answer = client.get(address, follow_redirects=False)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def test_the_button_of_one_account_leads_to_its_page(ledger: Ledger, site: Site) -> None:
    door = Door({"rendered_map_index": "anna&co"})
    address = "/" + ACCOUNT.format("transfer", "mailbox.sync", 12).partition("/")[2]

    assert led(ledger, site, door, address) == "account?name=anna%26co"
    assert door.asked == f"/api/v2/dags/transfer/dagRuns/{RUN.replace(':', '%3A').replace('+', '%2B')}" \
                         "/taskInstances/mailbox.sync/12"  # fmt: skip


def test_no_address_leads_out_of_the_tasks(ledger: Ledger, site: Site) -> None:
    door = Door({"rendered_map_index": "anna"})
    led(ledger, site, door, "/task?phase=transfer&run=../../../../api/v2/version%23&task=..%2F..%3F&index=1")

    assert door.asked.startswith(
        "/api/v2/dags/transfer/dagRuns/..%2F..%2F..%2F..%2Fapi%2Fv2%2Fversion%23/taskInstances/"
    )


TASK = {
    "dag_id": "transfer",
    "dag_run_id": "r",
    "task_id": "mailbox.sync",
    "map_index": 4,
    "rendered_map_index": "anna",
}


def test_an_account_leads_to_its_task(ledger: Ledger, site: Site) -> None:
    door = Door({"task_instances": [{**TASK, "rendered_map_index": "annabel"}, TASK]})

    assert led(ledger, site, door, "/log?account=anna") == "../dags/transfer/runs/r/tasks/mailbox.sync/mapped/4"


def test_an_account_that_moved_leads_to_the_task_that_moved_it(ledger: Ledger, site: Site) -> None:
    move = {**TASK, "dag_id": "move", "task_id": "account.move"}
    door = Door({"task_instances": [move, TASK]})

    assert led(ledger, site, door, "/log?account=anna") == "../dags/move/runs/r/tasks/account.move/mapped/4"


@pytest.mark.parametrize("door", [PaperDoor(), Door(404), Door(403), Door(500), Door({"task_instances": []}),
                                  Door("<html>Log in</html>")])  # fmt: skip
def test_without_an_answer_of_airflow_there_is_a_page_all_the_same(
    tmp_path: Path, ledger: Ledger, site: Site, door: PaperDoor
) -> None:
    assert led(ledger, site, door, "/log?account=anna") == "account?name=anna"
    assert led(ledger, site, door, "/task?phase=transfer&run=r&task=mailbox.sync&index=4") == "./"
