"""A move in a process of its own, which ends by SIGKILL right after one of its acts: nothing of it is tidied up."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from bascule.ledger import Ledger, journal
from bascule.ledger.moves import Server
from bascule.moves.acts import SiteActs
from bascule.tasks import move
from bascule.tasks.run import Run

from lab.paths import CHECKOUT, Instance
from tests.integration.conftest import Lab

SECONDS = 300.0


def done_and_then(act: str, end: Callable[[], None]) -> Callable[..., SiteActs]:
    """The site's acts; when this one was done, `end` is called."""

    def make(*arguments: Any) -> SiteActs:
        acts = SiteActs(*arguments)
        do = getattr(acts, act)

        def done_and_ended(*given: Any) -> None:
            do(*given)
            end()

        setattr(acts, act, done_and_ended)
        return acts

    return make


def killed_after(lab: Lab, ledger: Ledger, account: str, to: Server, act: str) -> None:
    """Move the account in such a process, with connections of its own. Raises AssertionError when it ends otherwise."""
    command = [sys.executable, "-m", "tests.integration.killed_move", lab.instance.name, account, to, act]
    environ = {**os.environ, "BASCULE_LEDGER": ledger.url}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == -signal.SIGKILL, f"status {done.returncode}: {done.stdout[-3000:]} {done.stderr[-3000:]}"


def main(name: str, account: str, to: str, act: str) -> None:
    """As a task has it: with the owner of its lease, who is gone with the process."""
    lab = Lab(Instance(name))
    origin = journal.Origin("move", "run-1", "account.move[0]", "anna")
    run = Run(lab.site, lab.access(), Ledger.from_environment(), origin)
    with patch.object(move, "SiteActs", done_and_then(act, _kill_this_process)):
        move.move(run, account, move.server(to), 0)


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
