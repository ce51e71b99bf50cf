"""`python -m lab inject start|stop|report`: numbered messages through the MX the whole day, and where each of them is.

A number counts as injected from the moment at which the MX has answered 250: from then on the message must not be lost,
whatever is stopped. It is written down, and on the disk, before the next one is sent.
"""

import argparse
import json
import os
import random
import signal
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import IO, Any, Literal

from lab.corpus import inventory
from lab.corpus.inventory import Inventory
from lab.corpus.messages import encoded_word
from lab.corpus.people import FIXED, ROLE_ALIASES, ROLES
from lab.facts import DOMAIN
from lab.hosts import driver
from lab.measure import audit, delivered
from lab.paths import CHECKOUT, Instance
from lab.shell import LabError

SENDER = "injection@outside.test"
SMTP_TIMEOUT = 30  # seconds
START_SECONDS = 30
STOP_SECONDS = SMTP_TIMEOUT + 10
SUBJECTS = ("[Réunion] message n° {number}", "Message d'essai n° {number}", "Re: nuit du {number}")
PEOPLE = 50  # percent of the ordinary accounts that get mail
Target = tuple[str, tuple[str, ...]]  # an address, and the mailboxes that it leads to
State = Literal["sending", "accepted", "refused", "uncertain"]


@dataclass(frozen=True)
class Record:
    """What is known of one number: to whom it went, in which mailboxes it must be, what the MX said."""

    number: int
    state: State
    address: str
    accounts: tuple[str, ...]
    at: str
    words: str = ""


def main() -> int:
    asked = _parser().parse_args()
    instance = Instance(asked.instance)
    try:
        return ACTS[asked.act](instance, asked)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2


def start(instance: Instance, asked: argparse.Namespace) -> int:
    """Start the injector in the background; return when its first message is accepted."""
    if _running(instance):
        driver.say("the injector runs already")
        return 0
    if inventory.read(instance) is None:
        raise LabError(f"{instance.name} is not filled: run `python -m lab --instance {instance.name} fill` first")
    before = len(accepted(instance))
    with (instance.state / "log" / "inject.log").open("ab") as log:
        own = [
            sys.executable,
            "-m",
            "lab.measure.inject",
            "--instance",
            instance.name,
            "run",
            "--rate",
            str(asked.rate),
            "--people",
            str(asked.people),
        ]
        child = subprocess.Popen(
            own, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _pid_file(instance).write_text(str(child.pid))
    deadline = time.monotonic() + START_SECONDS
    while len(accepted(instance)) == before:
        if child.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"the MX accepts no message: {instance.state / 'log' / 'inject.log'} says why")
        time.sleep(0.1)
    driver.say(f"the injector runs: {asked.rate:g} messages a second")
    return 0


def stop(instance: Instance, asked: argparse.Namespace) -> int:
    """Stop the injector, if it runs; the message that it is sending is sent to its end."""
    pid = _running(instance)
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _running(instance):
            if time.monotonic() > deadline:
                raise LabError(f"the injector (process {pid}) does not stop")
            time.sleep(0.05)
    _pid_file(instance).unlink(missing_ok=True)
    driver.say(f"the injector is stopped: {len(accepted(instance))} messages accepted in all")
    return 0


def report(instance: Instance, asked: argparse.Namespace) -> int:
    """Look for every number on both servers and in the queues."""
    held = inventory.read(instance)
    if held is None:
        raise LabError(f"{instance.name} was never filled: there is nothing to report")
    found = delivered.look(instance, held)
    result = delivered.judge(
        {record.number: record.accounts for record in accepted(instance)},
        {record.number for record in records(instance).values() if record.state in ("sending", "uncertain")},
        found,
        kept_on_old(instance),
    )
    (instance.state / "injected.json").write_text(json.dumps(result, indent=1, ensure_ascii=False))
    if asked.json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        print(delivered.sentences(result))
    return 0


def kept_on_old(instance: Instance) -> list[str]:
    """The accounts whose mailbox stays on old by decision: the one thing that this takes from Bascule's ledger."""
    decided = audit.read_decisions(instance, None)
    return sorted(account for account, decisions in decided.items() if decisions.kept_on_old)


def run(instance: Instance, asked: argparse.Namespace) -> int:
    """The injector itself: sends until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    held = inventory.read(instance)
    if held is None:
        raise LabError(f"{instance.name} is not filled")
    tls = ssl.create_default_context(cafile=str(instance.ca_certificate))
    numbers = records(instance)
    injector = Injector(targets(held, asked.people), tls, held.seed, max(numbers, default=0))
    with inventory.numbers_of(instance).open("a", encoding="utf-8") as journal:
        due = time.monotonic()
        while not ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / asked.rate, time.monotonic())
            for record in injector.next():
                _write(journal, record)
    injector.close()
    return 0


class Injector:
    """Sends one numbered message after the other over one SMTP connection, made again when it breaks."""

    def __init__(self, addresses: Sequence[Target], tls: ssl.SSLContext, seed: int, last: int) -> None:
        self._targets = addresses
        self._tls = tls
        self._number = last
        self._rng = random.Random(f"inject:{seed}:{last}")
        self._smtp: smtplib.SMTP | None = None

    def next(self) -> Iterator[Record]:
        """Send the next number. Yields what must be written down before it is sent, and what became of it."""
        self._number += 1
        address, accounts = self._rng.choice(self._targets)
        subject = self._rng.choice(SUBJECTS).format(number=self._number)
        yield self._record("sending", address, accounts)
        state, words = self._send(address, message(self._number, address, subject))
        yield self._record(state, address, accounts, words)

    def close(self) -> None:
        if self._smtp:
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.quit()
            self._smtp = None

    def _send(self, address: str, data: bytes) -> tuple[State, str]:
        """Refused: the MX surely doesn't have it. Uncertain: the connection broke before its answer came."""
        try:
            smtp = self._connection()
            for code, answer in (smtp.mail(SENDER), smtp.rcpt(address)):
                if code not in (250, 251):
                    smtp.rset()
                    return "refused", f"{code} {answer.decode(errors='replace')}"
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            return "refused", f"{type(error).__name__}: {error}"
        try:
            code, answer = smtp.data(data)
        except smtplib.SMTPDataError as error:
            return "refused", f"{error.smtp_code} {error.smtp_error!r}"
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            return "uncertain", f"{type(error).__name__}: {error}"
        return ("accepted" if code == 250 else "refused"), f"{code} {answer.decode(errors='replace')}"

    def _connection(self) -> smtplib.SMTP:
        if self._smtp is None:
            smtp = smtplib.SMTP(f"mx.{DOMAIN}", local_hostname=f"ctl.{DOMAIN}", timeout=SMTP_TIMEOUT)
            smtp.starttls(context=self._tls)
            smtp.ehlo()
            self._smtp = smtp
        return self._smtp

    def _record(self, state: State, address: str, accounts: tuple[str, ...], words: str = "") -> Record:
        return Record(self._number, state, address, accounts, datetime.now(UTC).isoformat(), words)


def targets(held: Inventory, percent: int = PEOPLE) -> list[Target]:
    """Every address that is written to, with the mailboxes that it leads to. Some people get no mail in these days."""
    quiet = quiet_accounts(held, percent)
    writable = {account: each for account, each in held.accounts.items() if account not in quiet}
    own = [(each.address, (each.account,)) for each in writable.values()]
    as_account = [(f"{account}@{DOMAIN}", (account,)) for account in writable]
    return [*own, *as_account, *ROLE_ALIASES.items()]


def quiet_accounts(held: Inventory, percent: int) -> set[str]:
    """Those to whom nobody writes: all but so many of a hundred of those that have no part of their own in the day."""
    others = sorted(set(held.accounts) - {name for name, *_ in (*FIXED, *ROLES)})
    return {account for number, account in enumerate(others) if number * percent % 100 + percent < 100}


def message(number: int, address: str, subject: str) -> bytes:
    """One numbered message, marked as made by a program so that no vacation filter answers it."""
    fields = [
        ("From", f"Injecteur <{SENDER}>"),
        ("To", f"<{address}>"),
        ("Subject", encoded_word(subject)),
        ("Date", format_datetime(datetime.now(UTC))),
        ("Message-ID", f"<{number}.{time.time_ns()}@ctl.{DOMAIN}>"),
        (delivered.HEADER, str(number)),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit"),
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{head}\r\nMessage numéro {number}, envoyé pendant la bascule.\r\n".encode()


def records(instance: Instance) -> dict[int, Record]:
    """The last known state of every number. A line cut by a crash is the last one, and left out."""
    found = {}
    path = inventory.numbers_of(instance)
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(json.JSONDecodeError):
            raw = json.loads(line)
            found[raw["number"]] = Record(**{**raw, "accounts": tuple(raw["accounts"])})
    return found


def accepted(instance: Instance) -> list[Record]:
    return [record for record in records(instance).values() if record.state == "accepted"]


def _write(journal: IO[str], record: Record) -> None:
    journal.write(json.dumps(vars(record), ensure_ascii=False) + "\n")
    journal.flush()
    if record.state != "sending":
        os.fsync(journal.fileno())
        print(record.number, record.state, record.address, record.words, flush=True)


def _pid_file(instance: Instance) -> Path:
    return instance.state / "inject.pid"


def _running(instance: Instance) -> int | None:
    """The injector's process, if it is alive and really is one."""
    try:
        pid = int(_pid_file(instance).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return pid if b"lab.measure.inject" in words and b"run" in words and state != "Z" else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab inject", description=__doc__)
    parser.add_argument("--instance", required=True, help=argparse.SUPPRESS)
    acts = parser.add_subparsers(dest="act", required=True, metavar="start|stop|report")
    for name in ("start", "run"):
        act = acts.add_parser(name)
        act.add_argument("--rate", type=float, default=1.0, help="messages a second (default: 1)")
        act.add_argument("--people", type=int, default=PEOPLE, help=f"percent who get mail (default: {PEOPLE})")
    acts.add_parser("stop")
    acts.add_parser("report").add_argument("--json", action="store_true", help="print one JSON object")
    return parser


ACTS: dict[str, Any] = {"start": start, "stop": stop, "report": report, "run": run}

if __name__ == "__main__":
    sys.exit(main())
