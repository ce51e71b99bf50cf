"""The control room without Airflow, over a made day: to look at it, and for tests and measurements of its pages.

`python -m lab.measure.control_room --accounts 300 --moment transfer`, then open the address that it prints.
"""

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import uvicorn
from bascule.dashboard.app import make_app
from bascule.dashboard.visitor import Visitor
from bascule.ledger import Ledger
from bascule.problems.rest import Airflow, AirflowRefused
from bascule.site import Site, load
from fastapi import FastAPI, Request

from lab.measure.made_day import Moment, make_day
from lab.paths import SITE_FILE

PEOPLE = {"postmaster": True, "second": True, "helpdesk": False}  # whether they may answer Airflow's questions


class PaperDoor:
    """Lets everybody in who says who they are (the cookie `visitor`); there is no Airflow behind it."""

    secret = "not a secret"
    metrics_token = "for programs"

    def may_read(self, request: Request) -> None:
        """Everybody may."""

    def visitor(self, request: Request) -> Visitor:
        name = request.cookies.get("visitor", "postmaster")
        return Visitor(name, PEOPLE.get(name, False), lambda names: name in names)

    def airflow(self, request: Request) -> Airflow:
        raise AirflowRefused("there is no Airflow beside this page")


def app_of(ledger: Ledger, site: Site) -> FastAPI:
    """The control room at /bascule, as Airflow mounts it."""
    whole = FastAPI()
    whole.mount("/bascule", make_app(lambda: ledger, lambda: site, PaperDoor()))
    return whole


@contextlib.contextmanager
def served(ledger: Ledger, site: Site, port: int = 0) -> Iterator[str]:
    """The address of the control room over this ledger, while it is served."""
    config = uvicorn.Config(app_of(ledger, site), "127.0.0.1", port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/bascule/"
    finally:
        server.should_exit = True
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.measure.control_room", description=__doc__)
    parser.add_argument("--accounts", type=int, default=300)
    parser.add_argument("--moment", choices=get_args(Moment), default="transfer")
    parser.add_argument("--port", type=int, default=8090)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}")
        make_day(ledger, asked.accounts, asked.moment)
        with served(ledger, load(SITE_FILE), asked.port) as address, contextlib.suppress(KeyboardInterrupt):
            print(address, flush=True)
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
