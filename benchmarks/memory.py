"""The engine's memory with half a million messages in one folder: `python -m benchmarks.memory`.

Most of its minutes are the servers'. Writes a table into docs/performance.md between markers of its own.
"""

import argparse
import imaplib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from bascule.ledger import Ledger
from bascule.ledger.mailboxes import RunRow

from benchmarks.mailbox import write_page
from benchmarks.tools import ENVIRONMENT, ROOT, Bench, Cost, bascule, engine_command, python_alone, run_engine
from tests.mail_servers import PASSWORD, two_dovecots

MESSAGES = 500_000
USER, AGAIN = "huge", "again"  # on new: the second one's first copy is interrupted
BEGIN, END = "<!-- memory: begin -->", "<!-- memory: end -->"


def write_folder(maildir: Path, messages: int) -> None:
    """One INBOX of so many tiny messages, with all kinds of flags."""
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    current = os.open(maildir / "cur", os.O_RDONLY)
    flags = ["", "S", "RS", "FS", "FRS", "S", "S"]
    for number in range(messages):
        text = b"From: sender%d@obs.test\r\nSubject: Message %d\r\nMessage-ID: <%d@obs.test>\r\n\r\nHello %d\r\n" % (
            number % 97, number, number, number,
        )  # fmt: skip
        size = len(text)
        name = f"{1_400_000_000 + number}.M{number}P1.bench,S={size},W={size}:2,{flags[number % len(flags)]}"
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=current)
        os.write(descriptor, text)
        os.close(descriptor)
    os.close(current)


def change(bench: Bench, messages: int) -> None:
    """Another flag on 1% of the messages, and fifty more of them."""
    client = imaplib.IMAP4("127.0.0.1", bench.old_port)
    client.login(USER, PASSWORD)
    client.select("INBOX")
    client.uid("STORE", ",".join(str(uid) for uid in range(1, messages, 100)), "+FLAGS.SILENT", "(\\Answered $Label1)")
    for number in range(50):
        client.append("INBOX", "()", "", b"Subject: late %d\r\n\r\nHello\r\n" % number)
    client.logout()


def interrupt(bench: Bench, messages: int) -> None:
    """Kill a first copy when half of the messages stand in the ledger."""
    command = engine_command(bench, "sync", USER, AGAIN, "--verify", "none")
    copy = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, cwd=ROOT, stdout=subprocess.DEVNULL)
    url = f"sqlite:///{bench.home}/{AGAIN}.db"
    while copied(url) < messages // 2:
        if copy.poll() is not None:
            raise RuntimeError("the first copy ended before it could be interrupted")
        time.sleep(0.1)
    copy.kill()
    copy.wait()


def copied(url: str) -> int:
    """How many messages the ledger knows to be on new."""
    with Ledger(url).reading() as session:
        return session.scalar(sa.select(sa.func.coalesce(sa.func.sum(RunRow.length), 0))) or 0


def measure(bench: Bench, messages: int) -> dict[str, Cost]:
    """Every kind of pass, one after the other on the same mailbox."""
    found: dict[str, Cost] = {}

    def record(case: str, act: Callable[[], Cost]) -> None:
        cost = found[case] = act()
        print(f"{case:32} wall {cost.wall:7.2f}  cpu {cost.cpu:6.2f}  {cost.memory:5.0f} MB", flush=True)

    def sync() -> Cost:
        return bascule(bench, USER, USER, "--verify", "attributes")

    record("first copy, verified", sync)
    interrupt(bench, messages)
    record("first copy that goes on in the middle", lambda: bascule(bench, USER, AGAIN, "--verify", "attributes"))
    record("nothing changed", sync)
    change(bench, messages)
    record("1% of the flags and 50 messages", sync)
    record("verification of everything", lambda: run_engine(bench, "verify", USER, USER, "--verify", "attributes"))
    return found


def table(found: dict[str, Cost], alone: Cost, messages: int) -> list[str]:
    """The rows of the page."""
    lines = [
        f"{messages:,} messages in one folder; Python with the engine's imports alone: {alone.memory:.0f} MB.", "",
        "| pass | memory MB, largest | above Python with its imports (aim: 40) | wall s | CPU s |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for case, cost in found.items():
        above = cost.memory - alone.memory
        lines.append(f"| {case} | {cost.memory:.0f} | {above:.0f} | {cost.wall:.1f} | {cost.cpu:.1f} |")
    return lines


def main() -> None:
    """Measure, print as it comes, write the page unless the number of messages is another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="another number; the page stays untouched")
    asked = parser.parse_args()
    with two_dovecots(new={"location": "mdbox:~/mdbox"}) as (old, new):
        print(f"writing {asked.messages} messages", flush=True)
        user = old.home / "mail" / USER
        write_folder(user / "Maildir", asked.messages)
        subprocess.run(["chown", "-R", "--reference", str(old.home / "mail"), str(user)], check=True)
        bench = Bench(old.home.parent, old, new, old.port, new.port)
        lines = table(measure(bench, asked.messages), python_alone(), asked.messages)
    if asked.messages == MESSAGES:
        write_page(lines, BEGIN, END)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
