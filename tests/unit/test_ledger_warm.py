"""The ledger before the fork: what is asked there is compiled for every process of a task, and leaves nothing."""

import gc
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from bascule.ledger import Ledger, base
from bascule.ledger.warm import taken_back
from bascule.operators import before_fork
from bascule.tasks import warm

from lab.paths import CHECKOUT

# A worker that loads before it forks, then the process of a task: how often that one has compiled what it executed.
FORKED = """
import json, os, sys
import sqlalchemy as sa
from bascule.operators import before_fork
from bascule.ledger import Ledger
from bascule.tasks import warm
if sys.argv[1] == "before the fork":
    before_fork.load()
threads = len(os.listdir("/proc/self/task"))
files = [os.readlink(found.path) for found in os.scandir("/proc/self/fd") if os.path.islink(found.path)
         and os.path.exists(found.path)]
if os.fork():
    os.wait()
    sys.exit()
executed = []
sa.event.listen(sa.Engine, "before_cursor_execute",
                lambda *given: executed.append(given[4].compiled is not None and given[4].cache_hit.name))
warm.one_pass(Ledger.from_environment())
print(json.dumps({"executed": len(executed), "compiled": executed.count("CACHE_MISS"), "threads": threads,
                  "open": [name for name in files if "socket:" in name or "ledger" in name]}))
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty database."""
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    made = Ledger(url)
    yield made
    made.engine.dispose()


@pytest.fixture(autouse=True)
def nothing_is_kept(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BASCULE_LEDGER", url)
    yield
    for engine in base._kept.values():
        engine.dispose()
    base._kept.clear()


def forked(when: str, url: str, home: Path) -> dict[str, Any]:
    env = {**os.environ, "AIRFLOW_HOME": str(home), "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}"}
    env["BASCULE_LEDGER"] = url
    done = subprocess.run([sys.executable, "-c", FORKED, when], env=env, capture_output=True, text=True, check=True)
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_process_of_a_task_compiles_nothing_that_was_asked_before_the_fork(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    found = forked("before the fork", url, tmp_path)
    assert found["executed"] > 30
    assert found == {"executed": found["executed"], "compiled": 0, "threads": 1, "open": []}
    assert forked("never", url, tmp_path)["compiled"] > 20


def test_an_empty_ledger_gets_its_tables_so_that_the_first_tasks_compile_nothing_either(
    url: str, tmp_path: Path
) -> None:
    found = forked("before the fork", url, tmp_path)
    assert (found["compiled"], found["threads"], found["open"]) == (0, 1, [])


def test_all_that_is_written_before_the_fork_is_taken_back(ledger: Ledger) -> None:
    warm.ask()
    with ledger.reading() as session:
        counts = {table.name: session.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables()}
    assert set(counts.values()) == {0}


def tables() -> list[sa.Table]:
    return base.tables().sorted_tables


def test_the_engine_is_kept_for_one_ledger(ledger: Ledger, url: str) -> None:
    with taken_back() as before:
        engine = before.engine
    first, second = Ledger(url), Ledger(url)
    assert first.engine is engine and second.engine is not engine
    first.engine.dispose()
    second.engine.dispose()


def test_no_password_is_kept_with_the_engine() -> None:
    url = "postgresql+psycopg2://bascule:Geh31m@db.obs.test/ledger"
    engine = base._make_engine(url)
    assert "Geh31m" in str(base._addresses[engine.dialect])
    base.keep_engine(url, engine)
    assert engine.dialect not in base._addresses
    assert engine.url.render_as_string(hide_password=False) == "postgresql+psycopg2://"
    assert base._make_engine("postgresql+psycopg2://other@elsewhere/ledger") is engine


def test_a_ledger_that_is_away_holds_up_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASCULE_LEDGER", "postgresql+psycopg2://nobody@127.0.0.1:1/ledger")
    before_fork.load()


DEAF = """
from bascule.ledger import warm
from bascule.operators import before_fork
warm.CONNECT_SECONDS = 2
before_fork.load()
"""


def test_a_ledger_that_takes_a_connection_and_never_answers_holds_up_no_worker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        env = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}"}
        env["BASCULE_LEDGER"] = f"postgresql+psycopg2://nobody@127.0.0.1:{deaf.getsockname()[1]}/ledger"
        words = [sys.executable, "-c", DEAF]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert "the ledger was not asked before the fork" in done.stdout + done.stderr


def test_a_mistake_before_the_fork_holds_up_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(warm, "ask", asked)
    before_fork.load()


def test_who_was_asked_remembers_no_password(ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not url.startswith("postgresql"):
        pytest.skip("SQLite has none")
    secret = secrets.token_hex(8)  # which stands in no source
    monkeypatch.setenv("BASCULE_LEDGER", "")
    monkeypatch.setenv("BASCULE_LEDGER_CMD", f"echo {url.replace('postgres@', f'postgres:{secret}@')}")
    warm.ask()
    gc.collect()
    assert [text for text in _held_texts() if f":{secret}@" in text and len(text) > len(secret) + 2] == []


def _held_texts() -> Iterator[str]:
    """Every text that an object, or a tuple that an object has, holds on to."""
    for found in gc.get_objects():
        for held in gc.get_referents(found):
            yield from (each for each in (held if type(held) is tuple else (held,)) if type(each) is str)
