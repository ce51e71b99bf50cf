"""The PostgreSQL of one practice site: Airflow's own database and the ledger, on a socket that root alone may use.

Debian's server, started and stopped with Airflow. Its directory lies outside of the checkout: PostgreSQL runs as
a user of its own, who may not be let into the folders above a checkout.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.paths import CACHE, Instance

USER = "postgres"
PROGRAMS = Path("/usr/lib/postgresql")
DATABASES = ("airflow", "ledger")
OPTIONS = ("listen_addresses=", "max_connections=300", "shared_buffers=64MB")
BEGIN_SECONDS = 120


class DatabaseFailed(Exception):
    """Raised when PostgreSQL does not start or stop; with its words."""


@dataclass(frozen=True)
class Server:
    """One PostgreSQL server of one practice site."""

    instance: Instance

    @property
    def directory(self) -> Path:
        return CACHE / "postgresql" / self.instance.tag

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://{USER}@/{database}?host={self.directory}"

    @property
    def running(self) -> bool:
        return self.data.exists() and self._run("pg_ctl", "-D", str(self.data), "status").returncode == 0

    def process(self) -> int | None:
        """The number of the server's main process; None when it does not run."""
        try:
            return int((self.data / "postmaster.pid").read_text().partition("\n")[0])
        except (OSError, ValueError):
            return None

    def start(self) -> None:
        """Make the databases that are not there, and start the server if it does not run. Raises DatabaseFailed."""
        if not (self.data / "PG_VERSION").exists():
            self._make()
        if not self.running:
            options = " ".join(f"-c {option}" for option in (*OPTIONS, f"unix_socket_directories={self.directory}"))
            how = ("-w", "-t", str(BEGIN_SECONDS), "-l", str(self.directory / "log"), "-o", options)
            self._must("pg_ctl", "-D", str(self.data), *how, "start")
        found = self._must("psql", *self._host, "-Atc", "SELECT datname FROM pg_database").split()
        for name in DATABASES:
            if name not in found:
                self._must("createdb", *self._host, name)

    def stop(self) -> None:
        """Stop the server, if it runs. Raises DatabaseFailed."""
        if self.running:
            self._must("pg_ctl", "-w", "-m", "fast", "-D", str(self.data), "stop")

    def forget(self, *databases: str) -> None:
        """Throw databases away, whoever is connected to them. Raises DatabaseFailed."""
        for name in databases:
            self._must("dropdb", *self._host, "--if-exists", "--force", name)

    def remove(self) -> None:
        """Stop the server and remove all that it holds."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _host(self) -> tuple[str, str]:
        return "-h", str(self.directory)

    def _make(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)  # half made by a try that was ended
        self.directory.mkdir(parents=True)
        shutil.chown(self.directory, USER, USER)
        self.directory.chmod(0o700)
        self._must("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-D", str(self.data))

    def _must(self, *command: str) -> str:
        done = self._run(*command)
        if done.returncode:
            raise DatabaseFailed(f"PostgreSQL: `{command[0]}` failed: {done.stderr or done.stdout}".strip())
        return done.stdout

    def _run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        newest = max(PROGRAMS.glob("*/bin"), key=lambda path: int(path.parent.name))
        own = {"PATH": f"{newest}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            ["runuser", "-u", USER, "--", *command],
            env=own, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
