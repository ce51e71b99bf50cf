"""The test command: lint and types, unit tests, integration tests on a practice site, the day through Airflow."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from lab.airflow import Home, environment, stop
from lab.demo import DemoFailed, bring_down, bring_up_airflow, bring_up_site, free_port
from lab.following import Teller
from lab.network import joined
from lab.paths import CHECKOUT, SITE_FILE, Instance

NAME = "test"
ACCOUNTS = 16  # two beta testers and the problem mailboxes among them
SEED = 7
WORKERS = 2
INTEGRATION = CHECKOUT / "tests" / "integration"
OWN_SERVERS = ("test_mailbox_*.py", "test_*_postgresql.py")  # need no practice site: they run beside it
DAY_LONG = "--timeout=7200"  # seconds: the fixture that runs the day counts as a part of the first test


class TestsFailed(Exception):
    """Raised when a part of the tests failed; its words stand on the terminal."""


def lint() -> None:
    """ruff and mypy."""
    run([sys.executable, "-m", "ruff", "check", "--quiet", "."])
    run([sys.executable, "-m", "ruff", "format", "--quiet", "--check", "."])
    run([sys.executable, "-m", "mypy"])


def unit(*chosen: str) -> None:
    """Tests without network."""
    run(pytest(*(chosen or ("tests/unit",)), "-n", str(WORKERS), "--dist", "loadfile"))


def integration(*chosen: str) -> None:
    """Tests against real servers, without Airflow: the site's hosts, and beside them servers of the tests' own."""
    if chosen:
        on_the_site(*chosen)
        return
    own = sorted(str(path.relative_to(CHECKOUT)) for name in OWN_SERVERS for path in INTEGRATION.glob(name))
    with beside(pytest(*own)):
        on_the_site("tests/integration", *(f"--ignore={path}" for path in own))


def on_the_site(*chosen: str) -> None:
    """Tests inside the network of a fresh practice site."""
    instance = Instance(NAME)
    bring_up_site(instance, Teller(), accounts=ACCOUNTS, seed=SEED)
    run(joined(instance, pytest(*chosen)), test_environment(instance))


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
    instance, tell = Instance(NAME), Teller()
    bring_up_site(instance, tell, accounts=ACCOUNTS, seed=SEED)
    bring_up_airflow(instance, tell, port=free_port(8180))
    try:
        run(joined(instance, pytest(*(chosen or ("tests/end_to_end",)), "-s", DAY_LONG)), test_environment(instance))
    finally:
        stop(Home(instance))


def everything() -> None:
    """All parts, the quick ones first."""
    try:
        lint()
        unit()
        integration()
        end_to_end()
    finally:
        bring_down(Instance(NAME), purge=True)


def pytest(*words: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *words]


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
    "end-to-end": end_to_end,
    "all": everything,
}


def main() -> int:
    part, chosen, began = sys.argv[1], sys.argv[2:], time.monotonic()
    try:
        PARTS[part](*chosen)
    except (TestsFailed, DemoFailed) as error:
        print(f"tests: {error}", flush=True)
        return 1
    print(f"tests: {part}: passed in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
