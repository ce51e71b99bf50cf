"""The cluster file: valid, complete, explained, and with the settings that the practice site has."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from bascule.access import EnvironmentConnections

from lab.airflow import Home, environment
from lab.paths import CHECKOUT, Instance

COMPOSE = CHECKOUT / "docker-compose.yaml"
# What a postmaster makes from an explained example of the checkout.
MADE_FROM = {
    "site.yaml": "include/site.example.yaml",
    ".env": ".env.example",
    "connections.env": "connections.env.example",
}
# Settings that are not the practice site's, and why. All others that both have must be the same.
DIFFERENT = {
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


def test_docker_compose_takes_the_file(tmp_path: Path) -> None:
    command = compose_command()
    if command is None:
        pytest.skip("there is no docker compose on this machine")
    shutil.copy(COMPOSE, tmp_path)
    shutil.copy(CHECKOUT / "connections.env.example", tmp_path / "connections.env")
    example = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(re.sub(r"=$", "=filled", example, flags=re.MULTILINE), encoding="utf-8")

    done = subprocess.run([*command, "config"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {
        "postgres",
        "redis",
        "init",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "worker",
    }
    assert "-----BEGIN OPENSSH PRIVATE KEY-----\\n" in services["worker"]["environment"]["AIRFLOW_CONN_SSH_MAIL_OLD"]


def test_docker_compose_refuses_an_env_that_is_not_filled_in(tmp_path: Path) -> None:
    command = compose_command()
    if command is None:
        pytest.skip("there is no docker compose on this machine")
    shutil.copy(COMPOSE, tmp_path)
    shutil.copy(CHECKOUT / "connections.env.example", tmp_path / "connections.env")
    shutil.copy(CHECKOUT / ".env.example", tmp_path / ".env")

    done = subprocess.run([*command, "config"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "set it in .env" in done.stderr


def compose_command() -> list[str] | None:
    """`docker compose` or `docker-compose`, whichever this machine has."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version"], capture_output=True, check=False)
            if done.returncode == 0:
                return command
    return None


def test_every_variable_is_explained_in_the_example_and_every_one_there_is_used() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE.read_text(encoding="utf-8")))

    assert used == variables_of(".env.example")


def test_no_secret_has_a_default() -> None:
    secret = re.compile(r"(?<!\$)\$\{([A-Z_]*(?:PASSWORD|KEY|SECRET))(:[^}]*)?\}")
    found = secret.findall(COMPOSE.read_text(encoding="utf-8"))

    assert len({name for name, _ in found}) == 7
    assert {default for _, default in found} == {":?set it in .env"}
    example = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    assert re.findall(r"^\w*(?:PASSWORD|KEY|SECRET)=(.+)$", example, re.MULTILINE) == []


def test_every_mounted_path_is_in_the_checkout_or_made_from_an_example(compose: dict[str, Any]) -> None:
    mounts = {mount for service in compose["services"].values() for mount in service.get("volumes", [])}
    sources = {mount.split(":")[0] for mount in mounts}
    files = {source.removeprefix("./") for source in sources if source.startswith("./")}
    files |= {name for service in compose["services"].values() for name in service.get("env_file", [])}

    assert sources - {f"./{name}" for name in files} == set(compose["volumes"])
    missing = [name for name in files if not (CHECKOUT / MADE_FROM.get(name, name)).exists()]
    assert missing == []


def test_mounts_of_the_checkout_are_read_only(compose: dict[str, Any]) -> None:
    mounts = {mount for service in compose["services"].values() for mount in service.get("volumes", [])}

    assert [mount for mount in mounts if mount.startswith("./") and not mount.endswith(":ro")] == []


def test_settings_are_those_of_the_practice_site(compose: dict[str, Any], practice_settings: dict[str, str]) -> None:
    cluster = compose["x-settings"]
    both = cluster.keys() & practice_settings.keys()
    unlike = {key for key in both if str(cluster[key]) != practice_settings[key]}

    assert {"AIRFLOW__CORE__MAX_MAP_LENGTH", "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS"} <= both
    assert unlike == set(DIFFERENT)


def test_what_the_practice_site_sets_the_cluster_sets_too(
    compose: dict[str, Any], practice_settings: dict[str, str]
) -> None:
    only_there = practice_settings.keys() - compose["x-settings"].keys()

    # Its login is another one, and where it listens and how many processes answer is the containers' own affair.
    assert {key for key in only_there if "SIMPLE_AUTH_MANAGER" not in key} <= {
        "AIRFLOW__API__HOST",
        "AIRFLOW__API__PORT",
        "AIRFLOW__API__WORKERS",
    }


def test_every_airflow_process_has_all_settings(compose: dict[str, Any]) -> None:
    for name in ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        assert compose["x-settings"].items() <= compose["services"][name]["environment"].items(), name


def test_every_lasting_service_has_a_health_check(compose: dict[str, Any]) -> None:
    without = [name for name, service in compose["services"].items() if "healthcheck" not in service]

    assert without == ["init"]


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    base = re.findall(r"^FROM (\S+)", (CHECKOUT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    images = base + [service["image"] for service in compose["services"].values()]

    assert len(base) == 1
    assert [image for image in images if not re.search(r":\d+\.\d+\.?\d*(-[a-z-]+)?$", image)] == []


def test_secrets_of_the_hosts_reach_workers_and_triggerer_only(compose: dict[str, Any]) -> None:
    with_connections = {name for name, service in compose["services"].items() if "env_file" in service}

    assert with_connections == {"worker", "triggerer"}


def test_the_example_has_a_connection_for_each_one_of_the_example_site_file() -> None:
    example = yaml.safe_load((CHECKOUT / "include" / "site.example.yaml").read_text(encoding="utf-8"))
    named = {f"AIRFLOW_CONN_{name.upper()}" for name in connections_in(example)}

    assert named == variables_of("connections.env.example")


def test_each_example_of_a_connection_is_one_that_bascule_reads() -> None:
    text = (CHECKOUT / "connections.env.example").read_text(encoding="utf-8")
    environ = dict(re.findall(r"^([A-Z0-9_]+)='(.*)'$", text, re.MULTILINE))
    connections = [EnvironmentConnections(environ).get(name.removeprefix("AIRFLOW_CONN_")) for name in environ]

    assert len(connections) == len(variables_of("connections.env.example"))
    assert all(connection.login for connection in connections)


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
