"""Everybody works: a mail program for each account, and numbered mail, in one process; then what was lost is counted.

Programs and count go by the service name, with people's own passwords, and know nothing of Bascule.
"""

import argparse
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imapclient import IMAPClient

from lab.corpus import inventory
from lab.hosts.network import joined
from lab.hosts.secrets import load_or_make
from lab.measure.programs import INBOX, NUMBERED, SAVED, SECONDS, SERVICE, Program, Sender
from lab.paths import CHECKOUT, Instance
from lab.shell import LabError

SENDERS = 2
WORKING_SECONDS, STOP_SECONDS, ARRIVE_SECONDS = 300.0, 180.0, 180.0
READERS = 4
STAYS = ("read", "flag", "move")  # acts after which the message is there, whether they were done or not
HEADER = b"BODY[HEADER.FIELDS (MESSAGE-ID)]"


@dataclass(frozen=True)
class Copy:
    """One message as the service shows it. `date`: INTERNALDATE, in seconds since 1970."""

    folder: str
    flags: frozenset[str]
    date: float


@dataclass
class Verdict:
    """What the count says; each line names account and message. `delays`: account, accepted at, seconds at most."""

    messages: int = 0
    acts: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    delays: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.undone or self.clashes or self.unfinished)


@contextmanager
def at_work(instance: Instance, accounts: Collection[str], *, pause: float, mail_pause: float) -> Iterator[None]:
    """Everybody works during the block. What the programs were told is in `told_of` afterwards. Raises LabError."""
    words = ["run", "--pause", str(pause), "--mail-pause", str(mail_pause), *accounts]
    process = subprocess.Popen(
        _inside(instance, words), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        if process.stdout is None or process.stdout.readline().strip() != "all work":
            raise LabError("the mail programs do not begin to work")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=STOP_SECONDS)
    if process.returncode:
        raise LabError("a mail program broke: see above")


def count(instance: Instance) -> Verdict:
    """Look for every message through the service, once all that was accepted has arrived. Raises LabError."""
    done = subprocess.run(_inside(instance, ["count"]), cwd=CHECKOUT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise LabError("what the programs were told can't be counted: see above")
    return Verdict(**json.loads(done.stdout))


def told_of(instance: Instance) -> Path:
    return instance.state / "at_work.json"


def told(instance: Instance) -> dict[str, Any]:
    """What the programs were told, as they wrote it down when they ended."""
    return dict(json.loads(told_of(instance).read_text()))


def _inside(instance: Instance, words: list[str]) -> list[str]:
    own = [sys.executable, "-m", "lab.measure.at_work", "--instance", instance.name, *words]
    return joined(instance, own)


def run(instance: Instance, accounts: list[str], pause: float, mail_pause: float) -> int:
    """The programs themselves: until SIGTERM."""
    held = inventory.read(instance)
    if held is None:
        raise LabError(f"{instance.name} is not filled")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    secrets, trusted = load_or_make(instance.secrets), trust(instance)
    programs = [Program(account, secrets.password_of(account), trusted, pause) for account in accounts]
    addresses = [(account, held.accounts[account].address) for account in accounts]
    senders = [Sender(addresses[number::SENDERS], mail_pause * SENDERS) for number in range(SENDERS)]
    workers = [*programs, *senders]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + WORKING_SECONDS
    while not all(program.done for program in programs) and time.monotonic() < deadline:
        time.sleep(0.2)
    print("all work" if time.monotonic() < deadline else "not all work", flush=True)
    while not ended.wait(1.0):
        if broken := [worker.broken for worker in workers if worker.broken]:
            raise broken[0]
    for program in programs:
        _let_it_work_again(program)
    for worker in workers:
        worker.ended.set()
    for worker in workers:
        worker.finish()
    record = {"programs": [each.record() for each in programs], "senders": [each.record() for each in senders]}
    told_of(instance).write_text(json.dumps(record))
    return 0


def _let_it_work_again(program: Program) -> None:
    deadline = time.monotonic() + SECONDS
    while program.is_out and time.monotonic() < deadline:
        time.sleep(0.1)


def trust(instance: Instance) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(instance.ca_certificate))


def verdict(instance: Instance) -> Verdict:
    record, secrets, trusted = told(instance), load_or_make(instance.secrets), trust(instance)
    accepted: dict[str, dict[str, float]] = defaultdict(dict)
    maybe: dict[str, list[str]] = defaultdict(list)
    for sender in record["senders"]:
        for name, (account, at) in sender["accepted"].items():
            accepted[account][name] = at
        for name, account in sender["uncertain"].items():
            maybe[account].append(name)

    def one(program: dict[str, Any]) -> Verdict:
        account = program["account"]
        found = look(account, secrets.password_of(account), trusted, accepted[account], program)
        return judge(program, accepted[account], maybe[account], found)

    with ThreadPoolExecutor(READERS) as pool:
        return _together(pool.map(one, record["programs"]))


def look(
    account: str, password: str, trusted: ssl.SSLContext, accepted: Collection[str], program: Mapping[str, Any]
) -> dict[str, list[Copy]]:
    """All of the programs' messages that the service shows, once what was accepted has arrived."""
    expunged = {name for name, told in program["told"].items() if told["gone"]} | program["uncertain"].keys()
    deadline = time.monotonic() + ARRIVE_SECONDS
    while True:
        found = _read(account, password, trusted)
        if not [name for name in accepted if name not in found and name not in expunged]:
            return found
        if time.monotonic() > deadline:
            return found
        time.sleep(2.0)


def _read(account: str, password: str, trusted: ssl.SSLContext) -> dict[str, list[Copy]]:
    found: dict[str, list[Copy]] = defaultdict(list)
    with IMAPClient(SERVICE, ssl_context=trusted, timeout=SECONDS) as client:
        client.normalise_times = False
        client.login(account, password)
        prefix = str(client.namespace().personal[0][0])
        listed = [name for flags, _, name in client.list_folders() if b"\\Noselect" not in flags]
        for name in listed:
            place = name if name == INBOX else name.removeprefix(prefix)
            client.select_folder(name, readonly=True)
            uids = client.search(["OR", "HEADER", "Message-ID", NUMBERED, "HEADER", "Message-ID", SAVED])
            said = client.fetch(uids, ["FLAGS", "INTERNALDATE", "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
            for item in said.values():
                message = item[HEADER].decode().partition("<")[2].partition(">")[0]
                flags = frozenset(flag.decode() for flag in item[b"FLAGS"]) - {"\\Recent"}
                found[message].append(Copy(place, flags, item[b"INTERNALDATE"].timestamp()))
    return found


def judge(
    program: Mapping[str, Any], accepted: Mapping[str, float], maybe: Collection[str], found: Mapping[str, list[Copy]]
) -> Verdict:
    """One account: everything that its program and its senders were told, beside what is there."""
    result, account = Verdict(), program["account"]
    told, uncertain = program["told"], program["uncertain"]
    result.messages = len({*told, *accepted, *uncertain})
    result.acts = sum(program["done"].values())
    result.clashes = list(program["clashes"])
    if program["still_out"]:
        result.unfinished.append(f"{account}: its program was still refused at the end: {program['still_out']}")
    for name in {*told, *accepted, *uncertain, *maybe}:
        copies, known = found.get(name, []), told.get(name)
        if len(copies) > 1:
            places = ", ".join(copy.folder for copy in copies)
            result.doubled.append(f"{account}: {name} is in {places} ({uncertain.get(name) or 'certain'})")
        if name in uncertain:
            must = uncertain[name] in STAYS or (name in accepted and uncertain[name] != "expunge")
        else:
            must = not known["gone"] if known else name in accepted
        if must and not copies:
            result.lost.append(f"{account}: {name} ({uncertain.get(name) or (known and known['folder']) or 'mail'})")
        if name in uncertain or not copies:
            continue
        result.undone += [f"{account}: {name} {words}" for words in _differences(known, copies[0])]
    result.delays = [
        (account, at, found[name][0].date + 1.0 - at) for name, at in accepted.items() if found.get(name)
    ]  # fmt: skip
    return result


def _differences(known: Mapping[str, Any] | None, copy: Copy) -> Iterator[str]:
    if known is None:
        if copy.folder != INBOX or copy.flags:
            yield f"is in {copy.folder} with {' '.join(sorted(copy.flags)) or 'no flags'}, and nobody has touched it"
        return
    if known["gone"]:
        yield f"was expunged, and is in {copy.folder}"
        return
    if known["folder"] != copy.folder:
        yield f"was moved to {known['folder']}, and is in {copy.folder}"
    if {*known["flags"]} != copy.flags:
        yield f"has {' '.join(sorted(copy.flags)) or 'no flags'} instead of {' '.join(known['flags']) or 'none'}"


def _together(verdicts: Iterator[Verdict]) -> Verdict:
    total = Verdict()
    for each in verdicts:
        for name, value in vars(each).items():
            setattr(total, name, getattr(total, name) + value)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.measure.at_work", description=__doc__)
    parser.add_argument("--instance", required=True)
    acts = parser.add_subparsers(dest="act", required=True)
    running = acts.add_parser("run", help="work until SIGTERM")
    running.add_argument("--pause", type=float, default=0.5, help="seconds between a program's acts (default: 0.5)")
    running.add_argument("--mail-pause", type=float, default=0.1, help="seconds between two messages (default: 0.1)")
    running.add_argument("accounts", nargs="+")
    acts.add_parser("count", help="look for everything that the programs were told")
    asked = parser.parse_args()
    instance = Instance(asked.instance)
    if asked.act == "run":
        return run(instance, asked.accounts, asked.pause, asked.mail_pause)
    print(json.dumps(vars(verdict(instance))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
