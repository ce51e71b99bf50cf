"""`init` and the ledger's user in PostgreSQL: made where it is missing, its password set where that was changed."""

import os
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lab.paths import CHECKOUT

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ODD = "p$w%d@x'y:z/#? \"q\\é"


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A PostgreSQL that wants passwords, with Airflow's user and database as its image makes them; its directory."""
    directory = Path(tempfile.mkdtemp(prefix="bascule-postgresql-"))
    (directory / "password").write_text("airflow's", encoding="utf-8")
    for path in (directory, directory / "password"):
        shutil.chown(path, "postgres", "postgres")
    directory.chmod(0o755)
    as_postgres = ["runuser", "-u", "postgres", "--", "env", f"PATH={BINARIES[-1]}:{os.environ['PATH']}"]
    data = str(directory / "data")
    make = ["initdb", "-U", "airflow", "-A", "scram-sha-256", f"--pwfile={directory / 'password'}", "-D", data]
    options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
    begin = ["pg_ctl", "-w", "-D", data, "-o", options, "-l", str(directory / "log"), "start"]
    for words in (make, begin):
        subprocess.run([*as_postgres, *words], check=True, capture_output=True, cwd="/")
    try:
        with sa.create_engine(
            url(directory, "airflow", "airflow's", "postgres"), isolation_level="AUTOCOMMIT"
        ).connect() as c:
            c.exec_driver_sql("CREATE DATABASE airflow")
        yield directory
    finally:
        end = ["pg_ctl", "-w", "-m", "immediate", "-D", data, "stop"]
        subprocess.run([*as_postgres, *end], check=True, capture_output=True, cwd="/")
        shutil.rmtree(directory)


def url(server: Path, user: str, password: str, database: str) -> sa.URL:
    return sa.URL.create("postgresql+psycopg2", user, password, database=database, query={"host": str(server)})


def looked_after(server: Path, *, airflow: str = "airflow's", ledger: str) -> int:
    """What the script ends with when the secrets have these passwords."""
    module: dict[str, Any] = runpy.run_path(str(CHECKOUT / "cluster" / "ledger.py"))
    urls = {"database": url(server, "airflow", airflow, "airflow"), "ledger": url(server, "bascule", ledger, "bascule")}
    module["main"].__globals__["url_of"] = urls.__getitem__
    return module["main"]()


def test_the_ledger_is_made_and_a_changed_password_is_set(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for password in ("first", "first", ODD):
        assert looked_after(server, ledger=password) == 0
        with sa.create_engine(url(server, "bascule", password, "bascule")).connect() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS kept (a int)")  # it owns the database
    said = capsys.readouterr().out.splitlines()

    assert len(said) == 2 and all("password authentication failed" in line for line in said)  # the second did nothing
    assert ODD not in (server / "log").read_text(encoding="utf-8")


def test_a_missing_database_alone_is_made(server: Path) -> None:
    looked_after(server, ledger="first")
    with sa.create_engine(url(server, "airflow", "airflow's", "airflow"), isolation_level="AUTOCOMMIT").connect() as c:
        c.exec_driver_sql("DROP DATABASE bascule WITH (FORCE)")

    assert looked_after(server, ledger="first") == 0
    assert looked_after(server, ledger="first") == 0


def test_what_can_not_be_mended_from_here_is_told(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert looked_after(server, airflow="another", ledger="first") == 1
    said = capsys.readouterr().err

    assert (
        said.startswith("bascule: PostgreSQL does not let Airflow in: password authentication failed")
        and "psql" in said
    )


def test_the_first_refusal_is_told() -> None:
    """As psycopg2 says it where PostgreSQL takes TLS alone (docker-compose.several.yaml)."""
    module: dict[str, Any] = runpy.run_path(str(CHECKOUT / "cluster" / "ledger.py"))
    there = 'connection to server at "postgres" (198.18.255.2), port 5432 failed: FATAL: '
    refused = (
        f'{there} password authentication failed for user "bascule"\n{there} no pg_hba.conf entry, no encryption\n'
    )

    said = module["words_of"](sa.exc.OperationalError("", {}, Exception(refused)))
    assert said == 'password authentication failed for user "bascule"'


def test_a_ledger_in_a_database_of_ones_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASCULE_LEDGER", "postgresql+psycopg2://somebody@elsewhere/ledger")

    assert looked_after(Path("/nowhere"), ledger="first") == 0
