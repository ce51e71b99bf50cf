"""The test command: lint and types, unit tests, integration tests on a practice site, the day through Airflow."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from lab.airflow.following import Teller
from lab.airflow.processes import Home, environment, stop
from lab.demo import bring_down, bring_up_airflow, bring_up_site, free_port
from lab.hosts.network import joined
from lab.measure.spent import measured
from lab.paths import CHECKOUT, SITE_FILE, Instance
from lab.shell import LabError

NAME = "test"
NAMES = (NAME, "test-2")  # sites that share the integration tests, whose time is waiting
AIRFLOW_NAME = "test-airflow"  # its own site, so that the day runs while other tests are on the others
ACCOUNTS = 16  # two beta testers and the problem mailboxes among them
DAY_ACCOUNTS = 24  # of a day before which some move on their own, and of the one on the cluster with all its faults
SEED = 7
WORKERS = 2
INTEGRATION = CHECKOUT / "tests" / "integration"
OWN_SERVERS = (
    "test_mailbox_*.py",
    "test_mail_programs.py",
    "test_many_accounts.py",
    "test_managesieve_*.py",
    "test_*_postgresql.py",
)  # need no practice site: they run beside it
PRODUCT = ("plugins", "dags")
AROUND_IT = (
    "lab", "benchmarks", "--requirements-files", "requirements.in,requirements-dev.in", "--ignore", "DEP002,DEP004",
)  # fmt: skip
SHORT_CLUSTER = "tests/cluster/test_cluster.py"
KEEPING = (SHORT_CLUSTER, "tests/cluster/test_moves.py", "tests/cluster/test_keeping.py")
SECOND_NIGHT = "tests/end_to_end/test_everybody_had_moved.py"  # on a site of its own
DEEP = (
    "unit", "integration", "end-to-end", "end-to-end-second-night", "test-cluster-keeping",
    "test-cluster-day",  # it wears a cluster out
)  # fmt: skip
CLUSTER_IMAGES = ["nice", "-n", "19", sys.executable, "-m", "lab.cluster.store"]
DAY_LONG = "--timeout=7200"  # seconds: the fixture that runs the day counts as a part of the first test


class TestsFailed(Exception):
    """Raised when a part of the tests failed; its words stand on the terminal."""


def lint() -> None:
    """ruff, mypy, nothing that nobody uses, and what is imported declared."""
    run([sys.executable, "-m", "ruff", "check", "--quiet", "."])
    run([sys.executable, "-m", "ruff", "format", "--quiet", "--check", "."])
    run([sys.executable, "-m", "mypy"])
    run([sys.executable, "-m", "vulture"])
    for arguments in (PRODUCT, AROUND_IT):
        run([sys.executable, "-W", "ignore", "-m", "deptry", "--config", "lab/deptry.toml", *arguments])


def unit(*chosen: str) -> None:
    """Tests without network."""
    run(pytest(*(chosen or ("tests/unit",)), "-n", str(WORKERS), "--dist", "loadfile"))


def integration(*chosen: str) -> None:
    """Tests against real servers, without Airflow: the site's hosts, and beside them servers of the tests' own."""
    if chosen:
        on_the_site(*chosen)
        return
    with beside(with_own_servers()):
        integration_on_the_site()


def integration_with_own_servers() -> None:
    run(with_own_servers())


def with_own_servers() -> list[str]:
    return pytest(*own_servers(), "-n", str(WORKERS), "--dist", "loadfile")


def integration_on_the_site() -> None:
    on_the_site("tests/integration", *(f"--ignore={path}" for path in own_servers()))


def own_servers() -> list[str]:
    return sorted(str(path.relative_to(CHECKOUT)) for name in OWN_SERVERS for path in INTEGRATION.glob(name))


def on_the_site(*chosen: str) -> None:
    """Tests inside the network of fresh practice sites: each has a worker, which takes one file after another."""
    workers = []
    for name in NAMES:
        bring_up_site(Instance(name), Teller(), accounts=ACCOUNTS, seed=SEED)
        workers += ["--tx", f"popen//python={sys.executable} -m lab.testing inside {name}"]
    run(pytest(*chosen, *workers, "--dist", "loadfile"))


def inside(name: str, *words: str) -> None:
    """Python inside a site's network, in the environment of its tests: becomes it."""
    command = joined(Instance(name), [sys.executable, *words])
    os.execvpe(command[0], command, test_environment(Instance(name)))


@contextlib.contextmanager
def beside(command: list[str]) -> Iterator[None]:
    """Run a command during the block, and show at the end what it printed. Raises TestsFailed.

    Most of the time the tests on the practice site wait for its hosts, so that two parts hardly disturb each other.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output)
        try:
            yield
        except KeyboardInterrupt:
            process.terminate()
            raise
        finally:
            status = process.wait()
            output.seek(0)
            print(output.read().decode(errors="replace"), flush=True)
    if status:
        raise failed(command, status)


def end_to_end(*chosen: str) -> None:
    """The phases as Airflow runs them, on a fresh practice site."""
    instance, tell = Instance(AIRFLOW_NAME), Teller()
    bring_up_site(instance, tell, accounts=DAY_ACCOUNTS, seed=SEED)
    bring_up_airflow(instance, tell, port=free_port(8180))
    try:
        words = chosen or ("tests/end_to_end", f"--ignore={SECOND_NIGHT}")
        run(joined(instance, pytest(*words, "-s", DAY_LONG)), test_environment(instance))
    finally:
        stop(Home(instance))


def cluster(*chosen: str) -> None:
    """docker-compose.yaml and the Dockerfile for real, on the Docker machine of a fresh practice site."""
    instance, deep = Instance(NAME), os.environ.get("BASCULE_TEST_DEPTH") == "full"
    bring_up_site(instance, Teller(), accounts=DAY_ACCOUNTS if deep else ACCOUNTS, seed=SEED)
    run(pytest(*(chosen or (SHORT_CLUSTER,)), "-s", DAY_LONG), test_environment(instance))


LANES = {
    "without-docker": ("unit", "end-to-end"),
    "with-docker": ("integration-site", "integration-own", "test-cluster"),
}
SITES = {
    "end-to-end": (AIRFLOW_NAME,),
    "end-to-end-second-night": (AIRFLOW_NAME,),
    "integration-site": NAMES,
    "test-cluster": (NAME,),
    "test-cluster-keeping": (NAME,),
    "test-cluster-day": (NAME,),
}


def everything() -> None:
    """All parts: lint, then two lanes beside each other, since hosts are waited for most of the time.

    The cluster's images are built beside them, when they are not there yet.
    """
    first, second = LANES
    try:
        with beside(CLUSTER_IMAGES):
            measured_part("lint")
            print(f"tests: {', '.join(LANES[first])} run beside what follows; their words come at the end", flush=True)
            with beside([sys.executable, "-m", "lab.testing", first]):
                in_turn(LANES[second])
    finally:
        for name in (*NAMES, AIRFLOW_NAME):
            bring_down(Instance(name), purge=True)


def in_turn(parts: Sequence[str]) -> None:
    """One part after another; a failed one doesn't keep the others from being seen. Raises TestsFailed."""
    failures = []
    for part in parts:
        try:
            measured_part(part)
        except (TestsFailed, LabError) as error:
            print(f"tests: {part}: {error}", flush=True)
            failures.append(part)
    if failures:
        raise TestsFailed(f"failed: {', '.join(failures)}")


def measured_part(part: str) -> None:
    with measured(part, *map(Instance, SITES.get(part, ()))):
        PARTS[part]()


def deep() -> None:
    """The long forms: every interruption, every step, what is fuzzed, the day on the cluster with its faults: hours."""
    os.environ["BASCULE_TEST_DEPTH"] = "full"
    try:
        in_turn(DEEP)
    finally:
        for name in (*NAMES, AIRFLOW_NAME):
            bring_down(Instance(name), purge=True)


def pytest(*words: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "--durations=12", "--durations-min=10", *words]


def test_environment(instance: Instance) -> dict[str, str]:
    """What tests on the practice site find in their environment: the same as Airflow's processes."""
    return {**environment(Home(instance), port=0, site_file=SITE_FILE), "BASCULE_LAB_INSTANCE": instance.name}


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    status = subprocess.run(command, cwd=CHECKOUT, env=env or dict(os.environ), check=False).returncode
    if status:
        raise failed(command, status)


def failed(command: list[str], status: int) -> TestsFailed:
    return TestsFailed(f"{' '.join(word for word in command if len(word) < 60)} ended with status {status}")


PARTS: dict[str, Callable[..., None]] = {
    "lint": lint,
    "unit": unit,
    "integration": integration,
    "integration-own": integration_with_own_servers,
    "integration-site": integration_on_the_site,
    "end-to-end": end_to_end,
    "end-to-end-second-night": partial(end_to_end, SECOND_NIGHT),
    "test-cluster": cluster,
    "test-cluster-keeping": partial(cluster, *KEEPING),
    "test-cluster-day": partial(cluster, "tests/cluster/test_day.py"),
    "inside": inside,
    **{name: partial(in_turn, parts) for name, parts in LANES.items()},
    "all": everything,
    "deep": deep,
}


def main() -> int:
    part, chosen, began = sys.argv[1], sys.argv[2:], time.monotonic()
    try:
        PARTS[part](*chosen)
    except (TestsFailed, LabError) as error:
        print(f"tests: {error}", flush=True)
        return 1
    print(f"tests: {part}: passed in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
