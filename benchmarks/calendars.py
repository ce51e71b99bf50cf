"""Many events from Radicale to SOGo: Bascule beside vdirsyncer, on the same practice site.

Inside the site's network, on an instance that is up and filled:
`python -m benchmarks.calendars INSTANCE [--events 10000] [--peer PATH-OF-VDIRSYNCER]`.
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
from pathlib import Path

import httpx
import structlog
from bascule import site as site_file
from bascule.access import Access, EnvironmentConnections, opened
from bascule.calendars import sync_accounts
from bascule.directory import accounts
from bascule.ledger import Ledger

from lab.paths import CHECKOUT, Instance
from lab.secrets import CALENDAR_FILLER, CALENDAR_USER, Secrets, load_or_make

NAME = "bench"
EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\n"
    "DTSTART:2027{month:02d}{day:02d}T{hour:02d}0000Z\r\nDURATION:PT1H\r\nSUMMARY:Réunion {number}\r\n"
    "DESCRIPTION:{text}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
PAIR = """
[pair {account}]
a = "{account}_old"
b = "{account}_new"
collections = [["{account}", "bench", "peer"]]
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
    parser.add_argument("--peer", help="path of the vdirsyncer program")
    given = parser.parse_args(arguments)
    instance = Instance(given.instance)
    secrets, site = load_or_make(instance.secrets), site_file.load(CHECKOUT / "lab" / "site.yaml")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    known = json.loads((instance.state / "connections.json").read_text())
    connections = EnvironmentConnections(
        {f"AIRFLOW_CONN_{key.upper()}": json.dumps(each) for key, each in known.items()}
    )
    with opened(site, connections) as access, tempfile.TemporaryDirectory() as folder:
        names = [account.name for account in accounts(access)]
        share = given.events // len(names)
        fill(instance, secrets, names, share)
        print(f"{share * len(names)} events of {len(names)} accounts, {given.parallel} accounts at once")
        measure_bascule(access, Path(folder), names, given.parallel)
        if given.peer:
            measure_peer(given.peer, instance, secrets, Path(folder), names)


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


def measure_bascule(access: Access, folder: Path, names: list[str], parallel: int) -> None:
    """A first pass and one in which nothing changed."""
    ledger = Ledger(f"sqlite:///{folder}/ledger.db")
    for title in ("first pass", "nothing changed"):
        _timed(f"bascule, {title}", lambda: sync_accounts(access, ledger, names, parallel=parallel))


def measure_peer(program: str, instance: Instance, secrets: Secrets, folder: Path, names: list[str]) -> None:
    """vdirsyncer from the same collections into others; it makes them first."""
    trust = ssl.create_default_context(cafile=str(instance.ca_certificate))
    login = {"old_user": CALENDAR_USER, "old_password": secrets.calendars_old, "ca": instance.ca_certificate}
    text = f'[general]\nstatus_path = "{folder}/status/"\n'
    for name in names:
        password = secrets.password_of(name)
        with httpx.Client(base_url="https://sogo.obs.test", verify=trust, auth=(name, password), timeout=60.0) as new:
            new.request("MKCALENDAR", f"/SOGo/dav/{name}/Calendar/peer/")
        text += PAIR.format(account=name, new_password=password, **login)
    settings = folder / "vdirsyncer.conf"
    settings.write_text(text)
    environ = {**os.environ, "VDIRSYNCER_CONFIG": str(settings), "SSL_CERT_FILE": str(instance.ca_certificate)}
    subprocess.run([program, "discover"], input="y\n" * 2000, env=environ, text=True, check=True, capture_output=True)
    for title in ("first pass", "nothing changed"):
        _timed(
            f"vdirsyncer, {title}",
            lambda: subprocess.run([program, "sync"], env=environ, check=True, capture_output=True),
        )


def _timed(title: str, act: Callable[[], object]) -> None:
    began = time.monotonic()
    act()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    memory = max(each.ru_maxrss for each in used) // 1024
    print(f"{title}: {time.monotonic() - began:.1f} s (largest process so far: {memory} MB)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
