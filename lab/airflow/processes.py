"""Airflow beside the lab: its settings, its four processes under honcho, and a client of its REST API.

The processes run inside the instance's network namespace, where the lab's names and addresses are; the UI is
forwarded to 127.0.0.1 of the machine.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from lab.airflow.database import Server
from lab.paths import CHECKOUT, Instance

PORT_INSIDE = 8080
USER = "postmaster"
HEALTHY_SECONDS = 600
STOP_SECONDS = 60
BUSY_SECONDS = 60  # how long a busy machine may keep one call of the API waiting
TRIES, PAUSE_SECONDS = 6, 2  # of a call that Airflow could not serve just now, as a person tries again
KEPT_SECONDS = 2  # of an idle connection; the server drops it after five
MAILBOXES_AT_ONCE = 4
HEARTBEAT_SECONDS = 2  # Airflow may miss the end of a task's process, and looks again so much later: its slot waits
OWNER = "BASCULE_LAB_AIRFLOW"  # in the environment of Airflow's processes alone: whose they are


class AirflowNotReady(Exception):
    """Raised when Airflow does not come up or does not answer as it should."""


@dataclass(frozen=True)
class Home:
    """The directory of one Airflow: database, logs, passwords."""

    instance: Instance

    @property
    def path(self) -> Path:
        return self.instance.state / "airflow"

    @property
    def pid_file(self) -> Path:
        return self.path / "honcho.pid"

    @property
    def log(self) -> Path:
        return self.path / "processes.log"

    @property
    def pictures_wanted(self) -> Path:
        """While this file is there, nobody answers for a mailbox: pictures are taken of questions that wait."""
        return self.path / "pictures_wanted"

    @property
    def ledger_url(self) -> str:
        if self._of_the_cluster.exists():
            return self._of_the_cluster.read_text()
        return self.database.url("ledger")

    def has_a_ledger(self) -> bool:
        """Whether any Airflow of this instance has ever begun a ledger."""
        return self._of_the_cluster.exists() or self.database.data.exists()

    @property
    def database(self) -> Server:
        return Server(self.instance)

    @property
    def _of_the_cluster(self) -> Path:
        return self.path / "cluster_ledger"

    @property
    def passwords(self) -> Path:
        return self.path / "passwords.json"

    def use_cluster(self, ledger_url: str, passwords: dict[str, str]) -> None:
        """Let what asks this home find the cluster on the Docker machine, which takes the place of Airflow here."""
        self.path.mkdir(parents=True, exist_ok=True)
        _write_private(self._of_the_cluster, ledger_url)
        _write_private(self.passwords, json.dumps(passwords))

    def forget_cluster(self) -> None:
        self._of_the_cluster.unlink(missing_ok=True)

    def password(self) -> str:
        return str(json.loads(self.passwords.read_text())[USER])


def environment(home: Home, *, port: int, site_file: Path) -> dict[str, str]:
    """The environment of every Airflow process. What is the same in production stands in docker-compose.yaml too."""
    keys = _keys(home)
    return {
        **os.environ,
        **_connections(home.instance),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}",
        "BASCULE_SITE": str(site_file),
        "BASCULE_LEDGER": home.ledger_url,
        "BASCULE_REPORTS": str(home.path / "reports"),
        "BASCULE_MAILBOXES_AT_ONCE": str(MAILBOXES_AT_ONCE),
        "AIRFLOW_HOME": str(home.path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "False",
        "AIRFLOW__CORE__MAX_MAP_LENGTH": "20000",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "16",
        "AIRFLOW__CORE__PARALLELISM": "6",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{PORT_INSIDE}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin,helpdesk:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": home.database.url("airflow"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(PORT_INSIDE),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": keys["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
        "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "16",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # A task outlives an API server that is away for three minutes, or busy.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "24",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": str(HEARTBEAT_SECONDS),
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "25",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        # A parse that hangs and is ended must not take its phase off the list in the middle of the day.
        "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "86400",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.path / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def start(
    home: Home,
    *,
    port: int,
    site_file: Path,
    say: Callable[[str], None] = print,
) -> dict[str, str]:
    """Start the four processes, if they don't run, and wait until each is healthy; return their environment.

    They run in the instance's network. Raises AirflowNotReady.
    """
    home.path.mkdir(parents=True, exist_ok=True)
    env = environment(home, port=port, site_file=site_file)
    _write_private(home.path / "environment.json", json.dumps({"port": port, "site_file": str(site_file)}))
    if running(home):
        return env
    if not home.passwords.exists():
        users = (USER, "helpdesk")
        _write_private(home.passwords, json.dumps({user: secrets.token_urlsafe(12) for user in users}))
    say("Airflow: preparing its database")
    home.database.start()
    _airflow(["db", "migrate"], env, home)
    say("Airflow: starting api-server, scheduler, dag-processor and triggerer")
    with home.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", "--instance", home.instance.name, "exec", sys.executable, "-m", "honcho",
             "--no-colour", "-f", str(CHECKOUT / "lab" / "Procfile"), "start"],
            env={**env, OWNER: str(home.path)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, cwd=home.path,
        )  # fmt: skip
    home.pid_file.write_text(str(process.pid))
    return env


def running(home: Home) -> bool:
    """Whether the processes of this home are up (a pid file alone proves nothing)."""
    try:
        pid = int(home.pid_file.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False
    return b"honcho" in words or any(b"Procfile" in word for word in words)


def stop(home: Home) -> None:
    """Stop the processes and their database; wait for their end, also of those that a crash has left without honcho."""
    if running(home):
        os.kill(int(home.pid_file.read_text()), signal.SIGTERM)
        _wait(lambda: not processes(home), STOP_SECONDS)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        if _wait(lambda: not processes(home), 15):
            break
    home.pid_file.unlink(missing_ok=True)
    home.database.stop()


def processes(home: Home) -> list[int]:
    """Every process of this Airflow: it carries the home in its environment."""
    mark = f"{OWNER}={home.path}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0") and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
    return found


def _airflow(words: list[str], env: dict[str, str], home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *words], env=env, capture_output=True, text=True, check=False, cwd=home.path
    )
    if done.returncode:
        raise AirflowNotReady(f"`airflow {' '.join(words)}` failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _keys(home: Home) -> dict[str, str]:
    """Keys of this home, made once: all processes must share them."""
    import base64

    path = home.path / "keys.json"
    if not path.exists():
        home.path.mkdir(parents=True, exist_ok=True)
        fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        _write_private(path, json.dumps({"fernet": fernet, "api": secrets.token_hex(32), "jwt": secrets.token_hex(64)}))
    return dict(json.loads(path.read_text()))


def _connections(instance: Instance) -> dict[str, str]:
    path = instance.state / "connections.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in found.items()}


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _wait(ready: Callable[[], bool], seconds: float, pause: float = 0.5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(pause)
    return False


class Rest:
    """Airflow's REST API, as the demo and the tests use it. Errors are HTTPStatusError with the server's words."""

    def __init__(self, base: str, user: str, password: str) -> None:
        self.base = base
        self.user = user
        self._password = password
        self._session = httpx.Client(follow_redirects=True, limits=httpx.Limits(keepalive_expiry=KEPT_SECONDS))

    def wait_until_healthy(self, seconds: float = HEALTHY_SECONDS) -> None:
        """Wait until scheduler, dag-processor, triggerer and the database are healthy. Raises AirflowNotReady."""
        if not _wait(self._healthy, seconds):
            raise AirflowNotReady(f"Airflow did not become healthy in {seconds:.0f} s: {self._last_health}")
        token = self._session.post(
            f"{self.base}/auth/token", json={"username": self.user, "password": self._password}, timeout=30
        )
        token.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    _last_health: Any = "no answer"

    def _healthy(self) -> bool:
        try:
            self._last_health = self._session.get(f"{self.base}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((self._last_health.get(part) or {}).get("status") == "healthy" for part in parts)

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """One call below /api/v2, tried again while Airflow answers 5xx; returns the JSON of the answer."""
        for left in reversed(range(TRIES)):
            answer = self._session.request(method, f"{self.base}/api/v2/{path}", timeout=2 * BUSY_SECONDS, **kwargs)
            if answer.status_code < 500 or not left:
                break
            time.sleep(PAUSE_SECONDS)
        if not answer.is_success:
            words = f"{method} {path}: {answer.status_code} {answer.text[:500]}"
            raise httpx.HTTPStatusError(words, request=answer.request, response=answer)
        return answer.json() if answer.content else None

    def make_pool(self, name: str, slots: int) -> None:
        """Make a pool, or set its size."""
        size = {"slots": slots, "include_deferred": False}
        body = {"name": name, "description": "mailboxes that are copied at the same time", **size}
        try:
            self.call("POST", "pools", json=body)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 409:
                raise
            self.call("PATCH", f"pools/{name}?update_mask=slots", json={"pool": name, **size})

    def dags(self) -> set[str]:
        return {dag["dag_id"] for dag in self.call("GET", "dags?limit=100")["dags"]}

    def import_errors(self) -> list[str]:
        return [error["stack_trace"] for error in self.call("GET", "importErrors")["import_errors"]]

    def trigger(self, dag: str, conf: dict[str, Any] | None = None) -> str:
        """Trigger a DAG; return the run's id."""
        run = f"manual__{datetime.now(UTC).isoformat()}"  # named here, so that a second try starts no second run
        try:
            body = {"dag_run_id": run, "conf": conf or {}, "logical_date": None}
            self.call("POST", f"dags/{dag}/dagRuns", json=body)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 409:
                raise
        return run

    def run_state(self, dag: str, run: str) -> str | None:
        """The run's state; None while there is no such run.

        From a list of one: for a run that is asked for by its name Airflow 3.3 loads all of its task instances.
        """
        try:
            found = self.call("GET", f"dags/{dag}/dagRuns", params={"run_id_pattern": run})["dag_runs"]
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 404:
                return None
            raise
        return next((str(each["state"]) for each in found if each["dag_run_id"] == run), None)

    def tasks(self, dag: str, run: str, *states: str) -> list[dict[str, Any]]:
        """The task instances of a run, or those of them in these states."""
        found: list[dict[str, Any]] = []
        # In an order that no change of a state touches: pages would name some twice, and others never.
        query = "&".join(("order_by=id&limit=100", *(f"state={state}" for state in states)))
        while True:
            answer = self.call("GET", f"dags/{dag}/dagRuns/{run}/taskInstances?{query}&offset={len(found)}")
            found += answer["task_instances"]
            if not answer["task_instances"] or len(found) >= answer["total_entries"]:
                return found

    def mapped(self, dag: str, run: str, task: str, *states: str) -> int:
        """How many instances a mapped task has, or how many of them are in these states."""
        query = "&".join(("limit=1", *(f"state={state}" for state in states)))
        return int(
            self.call("GET", f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/listMapped?{query}")["total_entries"]
        )

    def questions(self) -> list[dict[str, Any]]:
        """What waits for a person's answer, in all runs."""
        path = "dags/~/dagRuns/~/hitlDetails?state=awaiting_input&response_received=false&order_by=ti_id&limit=100"
        found: dict[str, dict[str, Any]] = {}  # what comes up meanwhile moves another one to the next page
        offset = 0
        while True:
            answer = self.call("GET", f"{path}&offset={offset}")
            found |= {each["task_instance"]["id"]: each for each in answer["hitl_details"]}
            offset += len(answer["hitl_details"])
            if not answer["hitl_details"] or offset >= answer["total_entries"]:
                return list(found.values())

    def answer(self, question: dict[str, Any], option: str, values: dict[str, Any] | None = None) -> None:
        """Answer one of `questions`; fields that are not given keep what the form was prefilled with."""
        ti = question["task_instance"]
        filled = {key: param.get("value") for key, param in (question.get("params") or {}).items()} | (values or {})
        path = f"dags/{ti['dag_id']}/dagRuns/{ti['dag_run_id']}/taskInstances/{ti['task_id']}/{ti['map_index']}"
        self.call("PATCH", f"{path}/hitlDetails", json={"chosen_options": [option], "params_input": filled})

    def clear(
        self, dag: str, run: str, tasks: list[str | list[Any]], *, downstream: bool = True, only_failed: bool = False
    ) -> None:
        """Clear tasks of a run, as a person does in the UI; a mapped one is [task id, index]."""
        body = {"dag_run_id": run, "task_ids": tasks, "include_downstream": downstream, "only_failed": only_failed,
                "dry_run": False, "reset_dag_runs": True}  # fmt: skip
        self.call("POST", f"dags/{dag}/clearTaskInstances", json=body)

    def log(self, dag: str, run: str, task: str, attempt: int, index: int = -1) -> str:
        """The text of a task's log, one line an event."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}?map_index={index}&full_content=true"
        events = self.call("GET", path, headers={"Accept": "application/json"})["content"]
        return "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events)
