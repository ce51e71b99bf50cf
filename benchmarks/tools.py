"""The tools that are measured, each as a process of its own, and what they cost."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.mail_servers import PASSWORD, Dovecot

ROOT = Path(__file__).parents[1]
PYTHONPATH = f"{ROOT / 'plugins'}:{ROOT}"
ENVIRONMENT = {"BASCULE_OLD_PASSWORD": PASSWORD, "BASCULE_NEW_PASSWORD": PASSWORD, "PYTHONPATH": PYTHONPATH}

# A small process starts each tool: a child's memory is never counted less than its parent's was.
LAUNCHER = """
import os, sys, time
began = time.monotonic()
child = os.fork()
if child == 0:
    os.dup2(2, 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
wall = time.monotonic() - began
print(os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


@dataclass(frozen=True)
class Cost:
    """What one process cost: seconds of wall and CPU, megabytes of memory at most."""

    wall: float
    cpu: float
    memory: float


@dataclass
class Bench:
    """The two servers as tools reach them (perhaps through a relay), and where the tools keep their state."""

    home: Path
    old: Dovecot
    new: Dovecot
    old_port: int
    new_port: int
    results: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)

    def record(self, case: str, tool: str, cost: Cost) -> None:
        self.results.setdefault((case, tool), []).append(cost)
        print(f"{case:34} {tool:16} wall {cost.wall:7.2f}  cpu {cost.cpu:6.2f}  {cost.memory:5.0f} MB", flush=True)


Tool = Callable[[Bench, str, str], Cost]  # (bench, user on old, user on new)


def run(command: list[str], environment: dict[str, str] | None = None, accepted: tuple[int, ...] = (0,)) -> Cost:
    """Run one process to its end. Raises RuntimeError when it fails."""
    launched = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, *command], env={**os.environ, **(environment or {})}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, wall, cpu, memory = launched.stdout.splitlines()[-1].split()
    if int(status) not in accepted:
        raise RuntimeError(f"{command[0]} ended with {status}: {launched.stderr[-2000:]}")
    return Cost(float(wall), float(cpu), float(memory) / 1024)


def bascule(bench: Bench, old_user: str, new_user: str, *extra: str) -> Cost:
    """The engine by its command line."""
    return run_engine(bench, "sync", old_user, new_user, *(extra or ("--verify", "none")))


def run_engine(bench: Bench, command: str, old_user: str, new_user: str, *extra: str) -> Cost:
    """One of the engine's commands."""
    return run(engine_command(bench, command, old_user, new_user, *extra), ENVIRONMENT)


def engine_command(bench: Bench, command: str, old_user: str, new_user: str, *extra: str) -> list[str]:
    return [
        sys.executable, "-m", "bascule.mailbox", command, "--account", new_user,
        "--old", f"imap://{old_user}@127.0.0.1:{bench.old_port}",
        "--new", f"imap://{new_user}@127.0.0.1:{bench.new_port}",
        "--ledger", str(bench.home / f"{new_user}.db"), *extra,
    ]  # fmt: skip


def bascule_verified(bench: Bench, old_user: str, new_user: str) -> Cost:
    """The same with verification of every message's size, date and flags."""
    return bascule(bench, old_user, new_user, "--verify", "attributes")


def mbsync(bench: Bench, old_user: str, new_user: str) -> Cost:
    """isync's mbsync, one way."""
    state = bench.home / f"mbsync-{new_user}"
    state.mkdir(exist_ok=True)
    config = state / "rc"
    config.write_text(
        f"""
IMAPStore old
Host 127.0.0.1
Port {bench.old_port}
User {old_user}
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN

IMAPStore new
Host 127.0.0.1
Port {bench.new_port}
User {new_user}
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN

Channel all
Far :old:
Near :new:
Patterns *
Create Near
Expunge Near
Sync Pull
CopyArrivalDate yes
SyncState {state}/
"""
    )
    return run(["mbsync", "-q", "-c", str(config), "-a"])


def dsync(bench: Bench, old_user: str, new_user: str) -> Cost:
    """`doveadm backup` on the new host, from old over IMAP; its CPU includes the saving of the mail."""
    return run(
        [
            "doveadm", "-c", str(bench.new.home / "dovecot.conf"),
            "-o", "imapc_host=127.0.0.1", "-o", f"imapc_port={bench.old_port}", "-o", f"imapc_user={old_user}",
            "-o", f"imapc_password={PASSWORD}", "-o", "imapc_features=rfc822.size fetch-headers",
            "-o", "mail_prefetch_count=20", "backup", "-R", "-u", new_user, "imapc:",
        ],
        accepted=(0, 2),
    )  # fmt: skip


def local_backup(bench: Bench, old_user: str, new_user: str) -> Cost:
    """The new server's own limit: `doveadm backup` from the local disk, without IMAP."""
    maildir = bench.old.home / "mail" / old_user / "Maildir"
    config = str(bench.new.home / "dovecot.conf")
    return run(["doveadm", "-c", config, "backup", "-R", "-u", new_user, f"maildir:{maildir}"], accepted=(0, 2))


def imapsync(bench: Bench, old_user: str, new_user: str) -> Cost:
    """imapsync from the checkout that IMAPSYNC names; Debian does not package it."""
    return run(
        [
            os.environ["IMAPSYNC"], "--host1", "127.0.0.1", "--port1", str(bench.old_port), "--user1", old_user,
            "--host2", "127.0.0.1", "--port2", str(bench.new_port), "--user2", new_user, "--password1", PASSWORD,
            "--password2", PASSWORD, "--nolog", "--nossl1", "--nossl2", "--notls1", "--notls2", "--noid",
        ]
    )  # fmt: skip


def bascule_inside(bench: Bench, old_user: str, new_user: str) -> Cost:
    """The engine inside a process that runs already, as a task of Airflow does: without Python's start and imports."""
    from bascule.hosts.login import Endpoint, Login
    from bascule.ledger import Ledger
    from bascule.mailbox import MailboxJob, Options, Server, sync_mailbox
    from bascule.text.logs import NOTHING, to_standard_error

    to_standard_error(NOTHING)
    ledger = Ledger(f"sqlite:///{bench.home}/{new_user}.db")
    old, new = (
        Server(Endpoint("127.0.0.1", port, "plain"), Login(user, PASSWORD))
        for port, user in ((bench.old_port, old_user), (bench.new_port, new_user))
    )
    cpu = time.process_time()
    result = sync_mailbox(MailboxJob(new_user, old, new, Options(verify="none")), ledger)
    return Cost(result.seconds, time.process_time() - cpu, 0.0)


def tools(only: Collection[str] = ()) -> dict[str, Tool]:
    """The tools that are measured; `only` narrows them for a partial run."""
    found: dict[str, Tool] = {"bascule": bascule, "bascule, inside": bascule_inside}
    if shutil.which("mbsync"):
        found["mbsync"] = mbsync
    if shutil.which("doveadm"):
        found["doveadm backup"] = dsync
    if os.environ.get("IMAPSYNC"):
        found["imapsync"] = imapsync
    return {name: tool for name, tool in found.items() if not only or name in only}


def python_alone() -> Cost:
    """Python with the engine's imports, and nothing else."""
    return run([sys.executable, "-c", "import bascule.mailbox.__main__"], {"PYTHONPATH": PYTHONPATH})
