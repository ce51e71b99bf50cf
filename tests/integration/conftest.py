"""The practice site for integration tests: they run inside its network, on an instance that is up and filled.

`make integration` brings one up; by hand: `python -m lab --instance NAME exec env BASCULE_LAB_INSTANCE=NAME
PYTHONPATH=plugins:. .venv/bin/python -m pytest tests/integration`.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from bascule import site as site_file
from bascule.hosts.access import Access
from bascule.hosts.connections import EnvironmentConnections
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, sync
from bascule.mailbox.context import Report
from bascule.mailbox.result import PassResult
from bascule.site import Site

from lab.hosts import driver
from lab.hosts.secrets import Secrets, load_or_make
from lab.paths import CHECKOUT, Instance
from tests.imap_places import Box, Places
from tests.mail_servers import Dovecot
from tests.mailbox_cases import Pair, relayed_pair


@dataclass(frozen=True)
class Lab:
    """One practice site, seen from inside its network."""

    instance: Instance

    @cached_property
    def site(self) -> Site:
        return site_file.load(CHECKOUT / "lab" / "site.yaml")

    @cached_property
    def secrets(self) -> Secrets:
        return load_or_make(self.instance.secrets)

    @cached_property
    def environ(self) -> dict[str, str]:
        """The connections, as variables."""
        known = json.loads((self.instance.state / "connections.json").read_text())
        return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in known.items()}

    def access(self, site: Site | None = None, environ: dict[str, str] | None = None) -> Access:
        """An Access of its own; the test closes it, or lets the fixture `access` do so."""
        return Access(site or self.site, EnvironmentConnections(environ or self.environ))

    def ssh(self, host: str, *command: str, input: str | None = None) -> str:
        """Run a command as root on a host, past everything that is tested; return what it printed."""
        whole = driver.ssh_command(self.instance, host, list(command))
        done = subprocess.run(whole, input=input or "", capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command} on {host}: {done.stderr or done.stdout}"
        return done.stdout

    def write(self, host: str, path: str, text: str) -> None:
        """Write a file on a host."""
        self.ssh(host, f"mkdir -p $(dirname {path}) && cat > {path}", input=text)

    def power(self, host: str, act: str) -> None:
        """Switch a host on (and wait until it answers) or off."""
        command = [sys.executable, "-m", "lab", "--instance", self.instance.name, "power", host, act]
        subprocess.run(command, cwd=CHECKOUT, check=True)


@pytest.fixture(scope="session")
def lab() -> Lab:
    name = os.environ.get("BASCULE_LAB_INSTANCE")
    assert name, "integration tests run inside a practice site: make integration"
    return Lab(Instance(name))


@pytest.fixture(scope="module")
def access(lab: Lab) -> Iterator[Access]:
    opened = lab.access()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def places() -> Iterator[Places]:
    """IMAP servers of the tests' own, of every kind; each is started when a test asks for it."""
    with contextlib.ExitStack() as stack:
        yield Places(stack)


@pytest.fixture(scope="session")
def servers(places: Places) -> tuple[Dovecot, Dovecot]:
    """Old with Maildirs and `.` between folders' names, new with sdboxes and `/`."""
    return places["maildir"].server, places["sdbox"].server


@pytest.fixture(scope="session")
def pair(servers: tuple[Dovecot, Dovecot]) -> Iterator[Pair]:
    """The same two behind relays that can cut."""
    with relayed_pair(*servers) as pair:
        yield pair


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of localhost, signed by itself, and its key."""
    home = tmp_path_factory.mktemp("certificate")
    certificate, key = home / "certificate.pem", home / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.fixture(autouse=True)
def every_pass_that_ends_well_is_followed_by_one_that_changes_nothing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On servers of the tests' own, unless a test is marked `one_pass`, and says why."""
    if request.node.get_closest_marker("one_pass") or "lab" in request.fixturenames:
        return
    once = sync._sync

    def twice(job: MailboxJob, ledger: Ledger, dry_run: bool, progress: Report | None) -> PassResult:
        done = once(job, ledger, dry_run, progress)
        if not dry_run and not done.problems:
            again = once(job, ledger, dry_run, None)
            assert (again.copied, again.flags_changed, again.removed, again.problems) == (0, 0, 0, 0), "one more pass"
        return done

    monkeypatch.setattr(sync, "_sync", twice)


@pytest.fixture
def box(places: Places, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Box:
    """An account from a Maildir to an sdbox; a test may change the places."""
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    return Box(places["maildir"], places["sdbox"], ledger)
