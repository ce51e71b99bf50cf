"""The sync engine against other tools, on private servers of this machine: `python -m benchmarks.mailbox`.

Every measurement is a whole process (wall, CPU, largest memory); tools take turns, and the order rotates. Writes a
table into docs/performance.md between its markers.
"""

import argparse
import contextlib
import imaplib
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.corpora import BIG, SMALL, Corpus, write_maildir
from benchmarks.tools import ROOT, Bench, Cost, Tool, bascule_verified, local_backup, python_alone, tools
from tests.mail_servers import PASSWORD, Dovecot, two_dovecots

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

ONLY: set[str] = set()


def rotated(names: list[str], number: int) -> list[str]:
    """The order of one round: the first one pays for cold caches, so that it is another one each time."""
    return names[number % len(names) :] + names[: number % len(names)]


def rounds_of(corpus: Corpus, rounds: int) -> int:
    """The big corpus takes minutes a round: one less, but two at least where more than one is asked for."""
    return max(min(2, rounds), rounds - 1) if corpus is BIG else rounds


def user_of(corpus: Corpus, where: str, tool: str, number: int) -> str:
    """The user on new into whose mailbox one tool copies in one round."""
    return re.sub(r"[^a-z0-9-]", "", f"{corpus.name}-{where}-{tool}-{number}".lower())


def takes_part(name: str, number: int) -> bool:
    """imapsync takes minutes for what others do in seconds: one round of each case."""
    return name != "imapsync" or number == 0


def tools_for(corpus: Corpus, where: str) -> dict[str, Tool]:
    """Without imapsync where it would take hours."""
    found = tools(ONLY)
    if corpus is BIG and where != "loopback":
        found.pop("imapsync", None)
    return found


def first_copies(bench: Bench, corpus: Corpus, where: str, rounds: int, extra: dict[str, Tool]) -> None:
    """Every tool copies the corpus into an empty mailbox, several times."""
    runners = tools_for(corpus, where) | extra
    for number in range(rounds):
        for name in rotated([name for name in runners if takes_part(name, number)], number):
            user = user_of(corpus, where, name, number)
            bench.record(f"first copy, {corpus.name}, {where}", name, runners[name](bench, corpus.name, user))
            if number:
                shutil.rmtree(bench.new.home / "mail" / user, ignore_errors=True)


def deltas(bench: Bench, corpus: Corpus, where: str, rounds: int) -> None:
    """The mailboxes of the first round again: nothing changed; then 1% of the flags and 50 messages."""
    runners = tools_for(corpus, where)
    users = {name: user_of(corpus, where, name, 0) for name in runners}
    for name, runner in runners.items():
        runner(bench, corpus.name, users[name])  # one pass more, in which tools may settle their state
    for number in range(rounds):
        for name in rotated([name for name in runners if takes_part(name, number)], number):
            cost = runners[name](bench, corpus.name, users[name])
            bench.record(f"nothing changed, {corpus.name}, {where}", name, cost)
    for number in range(rounds):
        change(bench.old, corpus)
        for name in rotated([name for name in runners if takes_part(name, number)], number):
            cost = runners[name](bench, corpus.name, users[name])
            bench.record(f"1% changed, {corpus.name}, {where}", name, cost)


def change(old: Dovecot, corpus: Corpus) -> None:
    """1% of the messages get another flag, 50 new ones arrive."""
    client = imaplib.IMAP4("127.0.0.1", old.port)
    client.login(corpus.name, PASSWORD)
    each = max(1, corpus.messages // 100 // corpus.folders)
    for number in range(1, corpus.folders):
        client.select(f"Folder{number:02d}")
        sign = "+" if time.monotonic_ns() % 2 else "-"
        client.store(f"1:{each}", f"{sign}FLAGS", "(\\Flagged)")
        client.store(f"{each + 1}:{2 * each}", f"{'-' if sign == '+' else '+'}FLAGS", "(\\Flagged)")
    for number in range(50):
        body = f"Subject: new {number} {time.monotonic_ns()}\r\n\r\n".encode() + b"new mail\r\n" * 300
        client.append("INBOX", "()", None, body)
    client.logout()


def many_at_once(bench: Bench, rounds: int) -> None:
    """Four small mailboxes by 1, 2 and 4 tasks."""
    for number in range(rounds):
        for tasks in (1, 2, 4):
            for name, runner in tools(ONLY).items():
                if not takes_part(name, number):
                    continue
                users = [f"{user_of(SMALL, 'four', name, number)}-{tasks}-{i}" for i in range(4)]
                began = time.monotonic()
                with ThreadPoolExecutor(tasks) as pool:
                    costs = list(pool.map(lambda user, r=runner: r(bench, "small", user), users))
                wall = time.monotonic() - began
                cost = Cost(wall, sum(c.cpu for c in costs), max(c.memory for c in costs))
                bench.record(f"4 small mailboxes, {tasks} task(s)", name, cost)
                for user in users:
                    shutil.rmtree(bench.new.home / "mail" / user, ignore_errors=True)


@contextlib.contextmanager
def delayed(port: int, milliseconds: float) -> Iterator[int]:
    """The same port behind a round trip of so many milliseconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.delay_relay", str(port), str(milliseconds)],
        stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def table(results: dict[tuple[str, str], list[Cost]]) -> list[str]:
    """The rows of the page: medians, and how many times bascule's wall time."""
    lines = [
        "| case | tool | wall s (min / median) | times bascule | CPU s | memory MB | runs |",
        "|---|---|---|---|---|---|---|",
    ]
    for (case, tool), costs in results.items():
        wall = statistics.median(cost.wall for cost in costs)
        ours = results.get((case, "bascule"))
        times = f"{wall / statistics.median(cost.wall for cost in ours):.2f}" if ours else ""
        cpu = statistics.median(cost.cpu for cost in costs)
        memory = max(cost.memory for cost in costs)
        least = min(cost.wall for cost in costs)
        held = f"{memory:.0f}" if memory else ""
        figures = f"{least:.2f} / {wall:.2f} | {times} | {cpu:.2f} | {held}"
        lines.append(f"| {case} | {tool} | {figures} | {len(costs)} |")
    return lines


def write_page(lines: list[str], begin: str = BEGIN, end: str = END) -> None:
    """Put the lines between the page's markers."""
    text = PAGE.read_text(encoding="utf-8")
    head, found, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    if not found or not tail:
        raise RuntimeError(f"{PAGE.name} lacks the marker {begin} or {end}")
    PAGE.write_text("\n".join([head + begin, "", *lines, "", end]) + tail, encoding="utf-8")


def machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"Measured on {time.strftime('%Y-%m-%d %H:%M')} with {os.cpu_count()} cores, load {load:.1f} at the end, "
        f"Python {platform.python_version()}, {version(['dovecot', '--version'])}, {version(['mbsync', '--version'])}."
    )


def version(command: list[str]) -> str:
    if not shutil.which(command[0]):
        return f"no {command[0]}"
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return f"{command[0]} {words[-1] if command[0] == 'mbsync' else words[0]}" if words else command[0]


def main() -> None:
    """Measure, print as it comes, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each case with small; big has one less")
    parser.add_argument("--only", action="append", default=[], help="a tool; the page stays untouched")
    parser.add_argument("--quick", action="store_true", help="the small corpus only, one round, the page untouched")
    asked = parser.parse_args()
    ONLY.update(asked.only)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.ExitStack() as stack:
        bench = set_up(stack, [SMALL] if asked.quick else [SMALL, BIG])
        lines = measure(bench, stack, 1 if asked.quick else asked.rounds, quick=asked.quick)
    if asked.quick or asked.only:
        print("\n".join(lines))
    else:
        write_page([machine(), "", *lines])


def set_up(stack: contextlib.ExitStack, corpora: list[Corpus]) -> Bench:
    old, new = stack.enter_context(two_dovecots(fsync="optimized"))
    for corpus in corpora:
        print(f"making the corpus {corpus.name}", flush=True)
        user = old.home / "mail" / corpus.name
        write_maildir(corpus, user / "Maildir")
        subprocess.run(["chown", "-R", "--reference", str(old.home / "mail"), str(user)], check=True)
        warm_up(old, corpus)
    return Bench(old.home.parent, old, new, old.port, new.port)


def warm_up(old: Dovecot, corpus: Corpus) -> None:
    """Let old index the corpus once, as a server in use has done."""
    client = imaplib.IMAP4("127.0.0.1", old.port)
    client.login(corpus.name, PASSWORD)
    for number in range(corpus.folders):
        client.select(f"Folder{number:02d}" if number else "INBOX")
        client.fetch("1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE)")
    client.logout()


def measure(bench: Bench, stack: contextlib.ExitStack, rounds: int, *, quick: bool) -> list[str]:
    corpora = [SMALL] if quick else [SMALL, BIG]
    extra: dict[str, Tool] = {} if ONLY else {"bascule, verified": bascule_verified}
    local: dict[str, Tool] = {} if ONLY else {"limit: local doveadm backup": local_backup}
    for corpus in corpora:
        first_copies(bench, corpus, "loopback", rounds_of(corpus, rounds), extra | local)
        deltas(bench, corpus, "loopback", rounds_of(corpus, rounds))
    many_at_once(bench, 1 if quick else 2)
    bench.old_port = stack.enter_context(delayed(bench.old.port, 20))
    bench.new_port = stack.enter_context(delayed(bench.new.port, 20))
    for corpus in corpora:
        first_copies(bench, corpus, "20 ms", rounds_of(corpus, rounds), {})
        deltas(bench, corpus, "20 ms", rounds_of(corpus, rounds))
    alone = python_alone()
    lines = table(bench.results)
    lines += ["", f"Python with the engine's imports alone: CPU {alone.cpu:.2f} s, {alone.memory:.0f} MB."]
    return lines


if __name__ == "__main__":
    main()
