"""The cluster file: valid, complete, explained, and with the settings that the practice site has."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from bascule.hosts.connections import EnvironmentConnections
from bascule.operators.params import PHASE_DEFAULTS
from cryptography.fernet import Fernet

from lab.airflow.processes import Home, environment
from lab.paths import CHECKOUT, Instance

COMPOSE = CHECKOUT / "docker-compose.yaml"
AIRFLOW = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "cleaner")
# What a postmaster makes from an explained example of the checkout.
MADE_FROM = {"site.yaml": "include/site.example.yaml"}
# Settings that are not the practice site's, and why. All others that both have must be the same.
DIFFERENT = {
    "AIRFLOW__API__WORKERS": "many tasks at the same time",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "DAGs change with the image alone",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "a day waits for people for hours, the practice site's does not",
    "AIRFLOW__CORE__EXECUTOR": "Celery workers instead of processes of the scheduler",
    "AIRFLOW__CORE__DAGS_FOLDER": "the container's path",
    "AIRFLOW__CORE__PLUGINS_FOLDER": "the container's path",
    "AIRFLOW__CORE__PARALLELISM": "many workers instead of two cores",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "many workers instead of two cores",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "the service's name",
    "AIRFLOW__CORE__FERNET_KEY": "a secret",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "PostgreSQL",
    "AIRFLOW__API__BASE_URL": "the postmaster's address",
    "AIRFLOW__API__SECRET_KEY": "a secret",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "the container's path",
    "BASCULE_SITE": "the container's path",
    "BASCULE_LEDGER": "PostgreSQL",
    "BASCULE_REPORTS": "the container's path",
    "BASCULE_MAILBOXES_AT_ONCE": "many workers instead of two cores",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def practice_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of the practice site's Airflow, without what the machine's own environment has."""
    home = Home(Instance("compose", checkout=tmp_path_factory.mktemp("checkout")))
    found = environment(home, port=8080, site_file=CHECKOUT / "lab" / "site.yaml")
    return {key: value for key, value in found.items() if key.startswith(("AIRFLOW__", "BASCULE_"))}


def variables_of(path: str) -> set[str]:
    """The names that an example of an env file gives."""
    return set(re.findall(r"^([A-Z0-9_]+)=", (CHECKOUT / path).read_text(encoding="utf-8"), re.MULTILINE))


def test_every_variable_is_explained_in_the_example_and_every_one_there_is_used() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE.read_text(encoding="utf-8")))

    assert used == variables_of(".env.example")


def test_no_secret_stands_in_a_file_that_the_engine_shows(compose: dict[str, Any]) -> None:
    """What is in a container's environment or command is in `docker inspect` and in process lists."""
    shown = [
        f"{name}={value}"
        for service in compose["services"].values()
        for name, value in service.get("environment", {}).items()
    ]
    shown += [word for service in compose["services"].values() for word in service.get("command", [])]
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|FERNET|_KEY|requirepass|://\S*:\S*@")
    by_file = re.compile(
        r"^\w+_(CMD|FILE)=(cat )?/(run/secrets/|opt/bascule/cluster/secret.sh)|\$\((cat|sed \S+) /run/secrets/"
    )
    backend = re.compile(r"^AIRFLOW__SECRETS__BACKEND")

    assert [
        text for text in shown if secret.search(text) and not by_file.search(text) and not backend.match(text)
    ] == []
    assert [name for name in variables_of(".env.example") if re.search("PASSWORD|KEY$|SECRET$|TOKEN", name)] == []


def test_each_service_has_the_secrets_that_it_needs_and_no_other(compose: dict[str, Any]) -> None:
    have = {
        name: {item if isinstance(item, str) else item["source"] for item in service["secrets"]}
        for name, service in compose["services"].items()
    }
    airflow = {"postgres_password", "ledger_password", "redis_password", "fernet_key", "api_secret_key", "jwt_secret"}

    assert have == {
        "postgres": {"postgres_password", "ledger_password"},
        "redis": {"redis_password"},
        "init": airflow | {"admin_password"},
        "api-server": airflow | {"metrics_token"},
        **dict.fromkeys(("scheduler", "dag-processor", "cleaner"), airflow),
        **dict.fromkeys(("triggerer", "worker"), airflow | {"connections"}),
    }


def test_the_token_of_the_metrics_is_read_from_a_file_that_the_api_server_has(compose: dict[str, Any]) -> None:
    path = compose["services"]["api-server"]["environment"]["BASCULE_METRICS_TOKEN_FILE"]

    assert path == "/run/secrets/metrics_token" and "metrics_token" in compose["services"]["api-server"]["secrets"]
    assert compose["secrets"]["metrics_token"] == {"file": "./secrets/metrics_token"}


@pytest.fixture(scope="module")
def made_secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`secrets/` as cluster/secrets.sh makes it in a checkout with a narrow umask."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(CHECKOUT / "cluster", checkout / "cluster")
    (checkout / "site.yaml").touch(mode=0o600)
    for _ in range(2):  # the second time it leaves all as it is
        subprocess.run(["bash", "-c", "umask 077; cluster/secrets.sh"], cwd=checkout, check=True, capture_output=True)
    return checkout / "secrets"


def test_the_script_makes_every_secret_once_and_lets_the_containers_alone_read_them(
    compose: dict[str, Any], made_secrets: Path
) -> None:
    files = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    before = {path.name: path.read_text() for path in made_secrets.iterdir()}
    subprocess.run([made_secrets.parent / "cluster" / "secrets.sh"], check=True, capture_output=True)

    assert {path.name: path.read_text() for path in made_secrets.iterdir()} == before
    assert before.keys() == files
    assert len(set(before.values())) == len(before)
    assert made_secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o444 for path in made_secrets.iterdir()} == {0o444}
    assert (made_secrets.parent / "site.yaml").stat().st_mode & 0o004
    assert len(before["jwt_secret"]) == 128
    Fernet(before["fernet_key"])


@pytest.mark.parametrize(
    ("setting", "printed"),
    [
        ("database", "postgresql+psycopg2://airflow:{postgres_password}@postgres/airflow"),
        ("results", "db+postgresql+psycopg2://airflow:{postgres_password}@postgres/airflow"),
        ("ledger", "postgresql+psycopg2://bascule:{ledger_password}@postgres/bascule"),
        ("broker", "redis://:{redis_password}@redis:6379/0"),
    ],
)
def test_a_setting_with_a_password_is_put_together_from_its_file(
    made_secrets: Path, tmp_path: Path, setting: str, printed: str
) -> None:
    script = (CHECKOUT / "cluster" / "secret.sh").read_text(encoding="utf-8")
    (tmp_path / "secret.sh").write_text(script.replace("/run/secrets", str(made_secrets)))
    done = subprocess.run(["bash", tmp_path / "secret.sh", setting], capture_output=True, text=True, check=True)

    passwords = {path.name: path.read_text() for path in made_secrets.iterdir()}
    assert done.stdout == printed.format(**passwords)  # Airflow takes an end of line for a part of it


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        ("", ""),
        ("domain: univ-exemple.test\n", "domain"),
        ("the file", "cp include/site.example.yaml site.yaml"),
    ],
)
def test_the_site_file_is_checked_before_there_is_anything_else(tmp_path: Path, removed: str, said: str) -> None:
    """`make check-site` in a fresh checkout with a narrow umask: no engine, no `.env`, no secrets."""
    shutil.copytree(CHECKOUT / "cluster", tmp_path / "cluster")
    for name, place in (("plugins", CHECKOUT / "plugins"), (".venv", sys.prefix)):
        (tmp_path / name).symlink_to(place)
    site = tmp_path / "site.yaml"
    if removed != "the file":
        text = (CHECKOUT / "include" / "site.example.yaml").read_text(encoding="utf-8")
        site.write_text(text.replace(removed, "", 1), encoding="utf-8")
        site.chmod(0o600)
    script, environment = tmp_path / "cluster" / "check_site.sh", {"PATH": os.environ["PATH"]}
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode == 0) == (not said), done.stderr
    assert said in done.stdout + done.stderr
    assert said or site.stat().st_mode & 0o004, "the containers' user reads it"


def test_every_mounted_path_is_in_the_checkout_or_made_from_an_example(compose: dict[str, Any]) -> None:
    mounts = {mount for service in compose["services"].values() for mount in service.get("volumes", [])}
    sources = {mount.split(":")[0] for mount in mounts}
    files = {source.removeprefix("./") for source in sources if source.startswith("./")}

    assert sources - {f"./{name}" for name in files} == set(compose["volumes"])
    missing = [name for name in files if not (CHECKOUT / MADE_FROM.get(name, name)).exists()]
    assert missing == []


def test_mounts_of_the_checkout_are_read_only(compose: dict[str, Any]) -> None:
    mounts = {mount for service in compose["services"].values() for mount in service.get("volumes", [])}

    assert [mount for mount in mounts if mount.startswith("./") and not mount.endswith(":ro")] == []


def settings(compose: dict[str, Any]) -> dict[str, str]:
    """The cluster's settings by their names, also those that a command prints; with the examples' values."""
    example = dict(re.findall(r"^(\w+)=(.*)$", (CHECKOUT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    found = {}
    for name, value in compose["x-settings"].items():
        filled = re.sub(r"\$\{(\w+)[^}]*\}", lambda match: example[match[1]], str(value))
        found[re.sub(r"_CMD$", "", name)] = filled
    return found


def test_settings_are_those_of_the_practice_site(compose: dict[str, Any], practice_settings: dict[str, str]) -> None:
    cluster = settings(compose)
    both = cluster.keys() & practice_settings.keys()
    unlike = {key for key in both if cluster[key] != practice_settings[key]}

    assert {"AIRFLOW__CORE__MAX_MAP_LENGTH", "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS"} <= both
    assert unlike == set(DIFFERENT)


def test_what_the_practice_site_sets_the_cluster_sets_too(
    compose: dict[str, Any], practice_settings: dict[str, str]
) -> None:
    only_there = practice_settings.keys() - settings(compose).keys()

    # Its login is another one, and where it listens is the containers' own affair.
    assert {key for key in only_there if "SIMPLE_AUTH_MANAGER" not in key} <= {
        "AIRFLOW__API__HOST",
        "AIRFLOW__API__PORT",
    }


def test_kubernetes_has_the_clusters_settings(compose: dict[str, Any]) -> None:
    values = yaml.safe_load((CHECKOUT / "cluster" / "helm-values.yaml").read_text(encoding="utf-8"))
    there = {item["name"]: item["value"] for item in values["env"]}
    here = settings(compose)
    # The chart says these in its own way, or each site does.
    own = {"AIRFLOW__API__BASE_URL", "BASCULE_SITE", "AIRFLOW__SECRETS__BACKEND", "AIRFLOW__SECRETS__BACKEND_KWARGS"}

    assert {name: value for name, value in there.items() if name not in own and here.get(name) != value} == {}
    missing = {name for name in settings(compose) if not name.endswith(("_CMD", "_LEDGER")) and name not in there}
    assert missing == {
        "AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CELERY__BROKER_URL", "AIRFLOW__CELERY__RESULT_BACKEND",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK", "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
    }  # fmt: skip
    assert values["images"]["airflow"]["tag"] == compose["services"]["worker"]["image"].rpartition(":")[2]


@pytest.mark.parametrize(("seconds", "taken"), [(60, True), (300, False)])
def test_a_clock_that_is_set_back_by_a_minute_costs_no_task_its_token(
    compose: dict[str, Any], seconds: int, taken: bool
) -> None:
    """A task's token was signed before: its times are then those of a minute to come."""
    leeway = int(settings(compose)["AIRFLOW__API_AUTH__JWT_LEEWAY"])
    signed = time.time() + seconds
    claims = {"iat": signed, "nbf": signed, "exp": signed + 600, "aud": "tasks", "sub": "a task"}
    token = jwt.encode(claims, "k" * 64, algorithm="HS512")

    def read() -> dict[str, Any]:
        return jwt.decode(token, "k" * 64, algorithms=["HS512"], audience="tasks", leeway=leeway)  # as Airflow does

    if taken:
        assert read()["sub"] == "a task"
    else:
        with pytest.raises(jwt.ImmatureSignatureError):
            read()


def test_every_airflow_process_has_all_settings(compose: dict[str, Any]) -> None:
    for name in AIRFLOW:
        assert compose["x-settings"].items() <= compose["services"][name]["environment"].items(), name


def test_a_killed_workers_tasks_run_again_within_ninety_seconds(compose: dict[str, Any]) -> None:
    """By the settings alone; the cluster's own test does it."""
    found = {name: float(value) for name, value in settings(compose).items() if value.replace(".", "").isdigit()}
    begun = [f"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT{part}" for part in ("", "_DETECTION_INTERVAL")]
    taken = [f"AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT{part}" for part in ("", "_CHECK_INTERVAL")]
    pause = PHASE_DEFAULTS["retry_delay"].total_seconds()

    assert sum(found[name] for name in begun) + pause <= 75
    assert sum(found[name] for name in taken) <= 75
    # No task waits for a place on a worker, where it would be taken for lost.
    workers = float(compose["services"]["worker"]["deploy"]["replicas"].strip("${}").rpartition("-")[2])
    assert found["AIRFLOW__CORE__PARALLELISM"] <= workers * found["AIRFLOW__CELERY__WORKER_CONCURRENCY"]


def test_every_lasting_service_has_a_health_check_with_time_to_start(compose: dict[str, Any]) -> None:
    checks = {name: service["healthcheck"] for name, service in compose["services"].items() if "healthcheck" in service}

    assert compose["services"].keys() - checks.keys() == {"init"}
    assert {(check["start_period"], check["start_interval"], check["interval"]) for check in checks.values()} == {
        ("15m", "3s", "60s")
    }


@pytest.mark.parametrize("name", [*AIRFLOW, "postgres", "redis"])
def test_no_service_can_become_root_or_fill_the_machine(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]

    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert name == "init" or {"mem_limit", "pids_limit"} <= service.keys()


def test_only_those_reach_the_hosts_whose_tasks_go_there(compose: dict[str, Any]) -> None:
    outside = {name for name, service in compose["services"].items() if "outside" in service["networks"]}

    assert outside == {"api-server", "triggerer", "worker"}  # a port is published from there alone
    assert compose["networks"]["inside"]["internal"] is True
    assert {name for name, service in compose["services"].items() if "ports" in service} == {"api-server"}


def test_the_networks_have_ranges_of_their_own(compose: dict[str, Any]) -> None:
    ranges = [network["ipam"]["config"][0]["subnet"] for network in compose["networks"].values()]
    inside, outside = (ip_network(re.sub(r"\$\{\w+:-(.*)\}", r"\1", text)) for text in ranges)

    assert not inside.overlaps(outside)
    assert not any(inside.overlaps(ip_network(text)) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def test_one_service_builds_the_image_of_all(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "build" in service] == ["init"]
    assert {compose["services"][name]["image"] for name in AIRFLOW} == {"bascule:0.1.0"}


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    base = re.findall(r"^FROM (\S+)", (CHECKOUT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    images = base + [service["image"] for service in compose["services"].values()]

    assert len(base) == 1
    assert [image for image in images if not re.search(r":\d+\.\d+\.?\d*(-[a-z-]+)?$", image)] == []


def example_connections() -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / "connections.example.yaml").read_text(encoding="utf-8"))


def test_the_example_has_a_connection_for_each_one_of_the_example_site_file() -> None:
    example = yaml.safe_load((CHECKOUT / "include" / "site.example.yaml").read_text(encoding="utf-8"))

    assert connections_in(example) == example_connections().keys()


def test_each_example_of_a_connection_is_one_that_bascule_reads() -> None:
    environ = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in example_connections().items()}
    connections = [EnvironmentConnections(environ).get(name.removeprefix("AIRFLOW_CONN_")) for name in environ]

    assert connections and all(connection.login for connection in connections)


def test_airflow_reads_the_example_of_the_connections(tmp_path: Path) -> None:
    from airflow.secrets.local_filesystem import LocalFilesystemBackend

    shutil.copy(CHECKOUT / "connections.example.yaml", tmp_path / "connections.yaml")
    backend = LocalFilesystemBackend(connections_file_path=str(tmp_path / "connections.yaml"))

    found = {name: backend.get_connection(name) for name in example_connections()}
    assert all(connection and connection.login for connection in found.values())
    assert found["ssh_mail_old"].extra_dejson["private_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")


def test_a_machine_that_is_too_small_is_refused_in_sentences_before_anything_is_made(tmp_path: Path) -> None:
    answers = {"nproc": "echo 1", "awk": "echo 3000", "df": "echo avail; echo 900", "airflow": f"touch {tmp_path}/made"}
    for name, line in answers.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = CHECKOUT / "cluster" / "init.sh"
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1 and not (tmp_path / "made").exists()
    for words in ("has 1 core", "has 3000 MB of memory", "has 900 MB left", "cluster/secrets.sh", "no site.yaml"):
        assert words in done.stderr


def connections_in(part: Any) -> set[str]:
    """The connections that a part of a site file names, and its parts."""
    if isinstance(part, list):
        return set().union(*(connections_in(item) for item in part))
    if not isinstance(part, dict):
        return set()
    own = {part[key] for key in ("ssh", "connection") if key in part}
    return own.union(*(connections_in(value) for value in part.values()))


def test_the_cluster_has_every_version_of_the_practice_site() -> None:
    practice, cluster = (pins(name) for name in ("requirements.txt", "requirements-cluster.txt"))

    assert practice.items() <= cluster.items()
    assert {"apache-airflow-providers-celery", "apache-airflow-providers-fab", "redis", "asyncpg"} <= cluster.keys()


def pins(name: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", (CHECKOUT / name).read_text(), re.MULTILINE)
    assert found
    return dict(found)
