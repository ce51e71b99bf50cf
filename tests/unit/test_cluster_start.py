"""What stands before the cluster's start, and says whether it works: `init`, the secrets' script, checks of health."""

import http.server
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.paths import CHECKOUT
from tests.unit.test_cluster_scripts import Place, copied, overlay, ran


@pytest.fixture
def init(tmp_path: Path) -> Path:
    """`init` on a machine that is large enough, with a site file and one secret; it makes nothing."""
    for name in ("opt/bascule/logs", "run/secrets", "bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "opt/bascule/site.yaml").write_text("domain: obs.test\n", encoding="utf-8")
    (tmp_path / "run/secrets/admin_password").write_text("secret", encoding="utf-8")
    answers = {"nproc": "echo 4", "awk": "echo 9000", "df": "echo avail; echo 90000", "airflow": "cat", "python": ""}
    for name, line in answers.items():
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/asked\n{line}\n')
        (tmp_path / "bin" / name).chmod(0o755)
    paths = {"site": tmp_path / "opt/bascule/site.yaml", "logs": tmp_path / "opt/bascule/logs"}
    return copied("init.sh", tmp_path, **paths, secrets=tmp_path / "run/secrets")


def started(init: Path, **environment: str) -> tuple[str, str]:
    """What `init` said, and what it asked for when all was right."""
    given = {"BASCULE_MAILBOXES_AT_ONCE": "8", "BASCULE_ADMIN": "anne", "BASCULE_ADMIN_EMAIL": "anne@obs.test"}
    path = f"{init.parent / 'bin'}:{os.environ['PATH']}"
    done = ran(init, **(given | environment), PATH=path)
    asked = init.parent / "asked"
    return done.stderr, asked.read_text(encoding="utf-8") if "pools set" in asked.read_text(encoding="utf-8") else ""


def test_the_ledgers_user_is_seen_to_before_the_tables(init: Path) -> None:
    said, asked = started(init)

    assert said == ""
    acts = [line for line in asked.splitlines() if line.startswith(("python", "airflow"))]
    assert acts[0].endswith("cluster/ledger.py") and acts[1:3] == [
        "airflow db migrate",
        "python -m bascule.ledger upgrade",
    ]


@pytest.mark.parametrize(
    ("tasks", "here", "elsewhere", "refused"),
    [
        ("32", "2", "0", False),
        ("33", "2", "0", True),
        ("32", "1", "0", True),
        ("33", "2", "1", False),
        ("64", "0", "4", False),
        ("0", "2", "0", True),
        ("many", "2", "0", True),
        ("32", "08", "0", True),
    ],
)
def test_no_more_tasks_are_started_than_the_workers_have_places_for(
    init: Path, tasks: str, here: str, elsewhere: str, refused: bool
) -> None:
    said, asked = started(init, BASCULE_TASKS_AT_ONCE=tasks, BASCULE_WORKERS=here, BASCULE_WORKERS_ELSEWHERE=elsewhere)

    assert bool(asked) is not refused
    assert (f"BASCULE_TASKS_AT_ONCE is {tasks} in .env" in said or f'are "{tasks}"' in said) is refused


@pytest.mark.parametrize(
    ("mailboxes", "tasks", "refused"),
    [("32", "32", ""), ("33", "32", "is 33 in .env, and no more than 32 tasks run at once: write 32 or less"),
     ("8", "7", "is 8 in .env, and no more than 7 tasks"), ("all", "32", 'is "all" in .env: write a whole number'),
     ("0", "32", 'is "0" in .env'), ("8; id", "32", 'is "8; id" in .env')],
)  # fmt: skip
def test_no_more_mailboxes_are_copied_at_once_than_tasks_run(
    init: Path, mailboxes: str, tasks: str, refused: str
) -> None:
    said, asked = started(init, BASCULE_MAILBOXES_AT_ONCE=mailboxes, BASCULE_TASKS_AT_ONCE=tasks)

    assert bool(asked) is not bool(refused)
    assert (f"BASCULE_MAILBOXES_AT_ONCE {refused}" in said) if refused else said == ""


def test_init_is_told_how_much_is_asked_of_the_workers() -> None:
    init, several = (
        overlay(name)["init"]["environment"] for name in ("docker-compose.yaml", "docker-compose.several.yaml")
    )

    assert {"BASCULE_TASKS_AT_ONCE", "BASCULE_MAILBOXES_AT_ONCE", "BASCULE_WORKERS"} <= init.keys()
    assert several == {"BASCULE_WORKERS_ELSEWHERE": "${BASCULE_WORKERS_ELSEWHERE:-1}"}


def test_a_secret_that_is_a_directory_or_empty_is_told_before_anything_is_made(init: Path) -> None:
    (init.parent / "run/secrets/fernet_key").mkdir()
    (init.parent / "run/secrets/jwt_secret").touch()
    said, asked = started(init)

    assert not asked
    assert "secrets/fernet_key is no file" in said and "secrets/jwt_secret is empty" in said


def test_a_directory_among_the_secrets_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    place = Place(tmp_path)
    odd = place.root / "secrets" / "fernet_key"
    odd.mkdir(mode=0o444)
    done = place.run("secrets.sh")

    assert done.returncode == 1 and "secrets/fernet_key is no file" in done.stderr
    assert sorted(path.name for path in odd.parent.iterdir()) == ["connections.yaml", "fernet_key"]


@pytest.mark.parametrize("whose", ["secrets", "secrets/connections.yaml"])
def test_secrets_of_somebody_else_are_told_with_their_owner(tmp_path: Path, whose: str) -> None:
    """`chmod` as a user meets it whose files they aren't."""
    place = Place(tmp_path)
    refuses = f'#!/bin/sh\n[ "$2" != {whose} ] || exit 1\nexec /bin/chmod "$@"\n'
    (tmp_path / "bin" / "chmod").write_text(refuses, encoding="utf-8")
    (tmp_path / "bin" / "chmod").chmod(0o755)
    done = place.run("secrets.sh")

    assert done.returncode == 1 and not (place.root / "secrets" / "fernet_key").exists()
    assert re.search(f"{whose}/? belongs to somebody else: run this as its owner \\(\\w+\\), or as root", done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_backup_by_somebody_who_cant_read_the_secrets_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (place.root / "secrets" / "connections.yaml").chmod(0o400)
    script = re.sub("^cd .*", "", (CHECKOUT / "cluster" / "backup.sh").read_text(encoding="utf-8"), flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", script], cwd=place.root, user=65534, capture_output=True, text=True, check=False
    )  # fmt: skip

    assert done.returncode == 1 and not (place.root / "backups").exists()
    assert "can't be read: run cluster/secrets.sh" in done.stderr


class LongPage(http.server.BaseHTTPRequestHandler):
    """An answer in many pieces, which go on long after its first line."""

    def do_GET(self) -> None:
        self.send_error(404)
        for _ in range(100):
            self.wfile.write(b"a line\n" * 2000)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def log_server() -> Iterator[int]:
    """A worker's log server, which answers that there is no such page; its port."""
    server = http.server.HTTPServer(("127.0.0.1", 0), LongPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.mark.parametrize(("age", "healthy"), [(None, False), (2, True), (120, False)])
def test_a_worker_is_healthy_while_its_main_process_reaches_the_broker(
    tmp_path: Path, log_server: int, age: int | None, healthy: bool
) -> None:
    """Its log server is a process of its own, which answers all the same."""
    sign = tmp_path / "tmp" / "worker-alive"
    sign.parent.mkdir()
    if age is not None:
        sign.touch()
        os.utime(sign, (time.time() - age,) * 2)
    script = copied("healthy.sh", tmp_path, sign=sign)
    script.write_text(script.read_text(encoding="utf-8").replace("8793", str(log_server)), encoding="utf-8")
    done = ran(script, "worker")

    assert (done.returncode == 0) is healthy
    assert ("can't reach Redis" in done.stderr) is not healthy


def test_a_worker_whose_log_server_is_gone_is_not_healthy(tmp_path: Path) -> None:
    sign = tmp_path / "tmp" / "worker-alive"
    sign.parent.mkdir()
    sign.touch()
    script = copied("healthy.sh", tmp_path, sign=sign)
    script.write_text(script.read_text(encoding="utf-8").replace("8793", "1"), encoding="utf-8")

    assert ran(script, "worker").returncode != 0


def test_nobody_is_let_into_postgresql_by_an_address_alone_or_without_encryption() -> None:
    """With the port published; from the socket in its own container it is backup and restore."""
    lines = (CHECKOUT / "cluster" / "pg_hba.conf").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]

    assert [rule for rule in rules if rule[0] != "local"] == [
        ["hostssl", name, name, "all", "scram-sha-256"] for name in ("airflow", "bascule")
    ]
