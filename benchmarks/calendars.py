"""Many events from Radicale to SOGo: Bascule beside vdirsyncer, on the same practice site.

Inside the site's network, on an instance that is up and filled:
`python -m benchmarks.calendars INSTANCE [--events 10000]`; the table goes into docs/performance.md.
Every account gets its share of the events in a collection of its own; each tool fills collections of its own on new.
"""

import argparse
import json
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
from bascule import site as site_file
from bascule.calendars import sync_accounts
from bascule.calendars.dav.client import Session
from bascule.hosts.access import Access, opened
from bascule.hosts.connections import EnvironmentConnections
from bascule.hosts.directory import accounts
from bascule.ledger import Ledger
from bascule.ledger.calendars import totals
from bascule.text.logs import WARNING, to_standard_error

from benchmarks.mailbox import write_page
from benchmarks.tools import LAUNCHER
from lab.hosts.secrets import CALENDAR_FILLER, CALENDAR_USER, Secrets, load_or_make
from lab.paths import CHECKOUT, Instance

NAME = "bench"
PEER = "peer"  # the collections on new that vdirsyncer fills
BEGIN, END = "<!-- calendars: begin -->", "<!-- calendars: end -->"
EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n"
    "DTSTART:2027{month:02d}{day:02d}T{hour:02d}0000Z\r\nDURATION:PT1H\r\nSUMMARY:Réunion {number}\r\n"
    "DESCRIPTION:{text}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
PAIR = """
[pair {account}]
a = "{account}_old"
b = "{account}_new"
collections = [["bench", "bench", "peer"]]
[storage {account}_old]
type = "caldav"
url = "https://web.obs.test:5232/{account}/"
username = "{old_user}"
password = "{old_password}"
verify = "{ca}"
[storage {account}_new]
type = "caldav"
url = "https://sogo.obs.test/SOGo/dav/{account}/"
username = "{account}"
password = "{new_password}"
verify = "{ca}"
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instance")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--parallel", type=int, default=4)
    given = parser.parse_args(arguments)
    instance = Instance(given.instance)
    secrets, site = load_or_make(instance.secrets), site_file.load(CHECKOUT / "lab" / "site.yaml")
    to_standard_error(WARNING)
    known = json.loads((instance.state / "connections.json").read_text())
    connections = EnvironmentConnections(
        {f"AIRFLOW_CONN_{key.upper()}": json.dumps(each) for key, each in known.items()}
    )
    with opened(site, connections) as access, tempfile.TemporaryDirectory() as folder:
        names = [account.name for account in accounts(access)]
        share = given.events // len(names)
        fill(instance, secrets, names, share)
        titles = f"{share * len(names):,} events of {len(names)} accounts"
        print(titles, flush=True)
        rows = measure_bascule(access, Path(folder), names, given.parallel)
        rows += measure_peer(instance, secrets, Path(folder), names)
    day = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    head = f"Measured on {day} UTC with {os.cpu_count()} cores: {titles}, {given.parallel} accounts at once (Bascule)."
    columns = "| tool, pass | seconds | memory MB | load at the end | events on new | said |"
    write_page([head, "", columns, "|---|---|---|---|---|---|", *rows], BEGIN, END)


def fill(instance: Instance, secrets: Secrets, names: list[str], share: int) -> None:
    """Give every account its collection on old, in one PUT each, and take away what the practice site gave it.

    So both tools carry the same.
    """
    trust = ssl.create_default_context(cafile=str(instance.ca_certificate))
    login = (CALENDAR_FILLER, secrets.calendars_filler)
    with httpx.Client(base_url="https://web.obs.test:5232", verify=trust, auth=login, timeout=300.0) as old:
        for name in names:
            for seeded in ("agenda", "contacts"):
                old.delete(f"/{name}/{seeded}/")
            inner = "".join(
                event(name, number).split("PRODID:-//bench//\r\n")[1].removesuffix("END:VCALENDAR\r\n")
                for number in range(share)
            )
            whole = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//\r\n{inner}END:VCALENDAR\r\n"
            headers = {"Content-Type": "text/calendar; charset=utf-8"}
            old.put(f"/{name}/{NAME}/", content=whole.encode(), headers=headers).raise_for_status()


def event(name: str, number: int) -> str:
    """One event; the same number makes the same event."""
    month, day, hour = number % 12 + 1, number // 12 % 28 + 1, number // 336 % 24
    uid, text = f"{NAME}-{name}-{number}", "Ordre du jour. " * (number % 20)
    return EVENT.format(uid=uid, month=month, day=day, hour=hour, number=number, text=text)


def measure_bascule(access: Access, folder: Path, names: list[str], parallel: int) -> list[str]:
    """A first pass and one in which nothing changed."""
    ledger = Ledger(f"sqlite:///{folder}/ledger.db")

    def carry() -> tuple[str, int]:
        sync_accounts(access, ledger, names, parallel=parallel)
        return "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def there() -> int:
        return sum(totals(ledger).values())

    titles = ("first pass", "nothing changed")
    return [_timed(f"bascule, {title}", carry, there) for title in titles]


def measure_peer(instance: Instance, secrets: Secrets, folder: Path, names: list[str]) -> list[str]:
    """vdirsyncer from the same collections into others; it makes them first."""
    login = {"old_user": CALENDAR_USER, "old_password": secrets.calendars_old, "ca": instance.ca_certificate}
    text = f'[general]\nstatus_path = "{folder}/status/"\n'
    for name in names:
        with _new(instance, secrets, name) as new:
            new.request("MKCALENDAR", f"/SOGo/dav/{name}/Calendar/{PEER}/")
        text += PAIR.format(account=name, new_password=secrets.password_of(name), **login)
    settings = folder / "vdirsyncer.conf"
    settings.write_text(text)
    environ = {**os.environ, "VDIRSYNCER_CONFIG": str(settings), "SSL_CERT_FILE": str(instance.ca_certificate)}

    def run(word: str, answers: str = "") -> tuple[str, int]:
        """What vdirsyncer complains of, and its memory in kB; it goes on with the other accounts then."""
        command = [sys.executable, "-S", "-c", LAUNCHER, "vdirsyncer", word]
        done = subprocess.run(command, input=answers, env=environ, text=True, capture_output=True, check=True)
        status, _, _, memory = done.stdout.splitlines()[-1].split()
        errors = [line for line in done.stderr.splitlines() if line.startswith(("error:", "critical:"))]
        print(f"vdirsyncer {word}: status {status}", *errors[:5], sep="\n  ", flush=True)
        return f"status {status}, {len(errors)} errors" if status != "0" else "", int(memory)

    def there() -> int:
        return sum(_count_peer(instance, secrets, name) for name in names)

    run("discover", "y\n" * 2000)
    titles = ("first pass", "nothing changed")
    return [_timed(f"vdirsyncer, {title}", lambda: run("sync"), there) for title in titles]


def _new(instance: Instance, secrets: Secrets, name: str) -> httpx.Client:
    trust = ssl.create_default_context(cafile=str(instance.ca_certificate))
    login = (name, secrets.password_of(name))
    return httpx.Client(base_url="https://sogo.obs.test", verify=trust, auth=login, timeout=60.0)


def _count_peer(instance: Instance, secrets: Secrets, name: str) -> int:
    with _new(instance, secrets, name) as new:
        return len(Session(new).etags(f"/SOGo/dav/{name}/Calendar/{PEER}/"))


def _timed(title: str, act: Callable[[], tuple[str, int]], there: Callable[[], int]) -> str:
    """One row of the table; `act` gives what was said, and its largest memory in kB."""
    began = time.monotonic()
    said, memory = act()
    seconds, load = time.monotonic() - began, os.getloadavg()[0]
    row = f"| {title} | {seconds:.1f} | {memory // 1024} | {load:.1f} | {there():,} | {said} |"
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main(sys.argv[1:])
