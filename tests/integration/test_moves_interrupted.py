"""What ends while an account moves: a server, started again some seconds later, or the process that moves it.

The move ends, and nothing is lost.
"""

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bascule.ledger import leases, moves
from bascule.ledger.moves import Server
from bascule.moves.acts import SiteActs
from bascule.moves.entry import Entry
from bascule.tasks import move
from bascule.tasks.run import Run, TryAgain

from tests.integration.busy_account import Busy, wait_for
from tests.integration.conftest import Lab
from tests.integration.killed_move import killed_after

# The fixtures of the account and its user.
from tests.integration.test_moves import (
    ACCOUNT,
    ACTS,
    ADDRESS,
    assert_nobody_is_held,
    assert_nothing_lost_or_doubled,
    busy,
    client,
    hand_in,
    look,
    run,
    traveller,
    trusted,
)

__all__ = ["busy", "client", "look", "run", "traveller", "trusted"]

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
BACK_AGAIN_SECONDS = 3.0
UNITS = {
    "proxy": "dovecot.service",
    "mx": "postfix@-.service",
    "ldap": "slapd.service",
    "old": "dovecot.service",
    "new": "dovecot.service",
}
PORTS = {"proxy": 993, "mx": 25, "ldap": 636, "old": 993, "new": 993}
# Two servers at the acts for which they are needed most; all of them at all acts in the deep tests.
SHORT = [("mx", "release"), ("ldap", "flip")]
ALL = [(host, act) for host in UNITS for act in ACTS]
# What SMTP and IMAP promise when a server is killed in the middle of a delivery, or of an act that it has not answered:
# that it may be there twice.
AT_LEAST_ONCE = {"mx", "old", "new"}


@pytest.mark.parametrize(("host", "act"), ALL if FULL else SHORT)
@pytest.mark.parametrize("to", ["new", "old"] if FULL else ["new"])
def test_a_server_that_is_killed_during_a_move_and_comes_back(
    lab: Lab, run: Run, busy: Busy, host: str, act: str, to: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy:
        busy.works()
        if to == "old":
            move.move(run, ACCOUNT, "new", 0)
        with killed_before(lab, host, act, monkeypatch):
            first = tried(run, to)
        print(first)
        monkeypatch.setattr(move, "SiteActs", SiteActs)
        assert move.move(run, ACCOUNT, to, 0) == ("was there" if first == "moved" else "moved")
        busy.works()
    assert Entry(run.access, ACCOUNT).is_at(to)
    assert_nobody_is_held(lab, run)
    verdict = busy.verdict()
    doubled = [line for line in verdict.doubled if host not in AT_LEAST_ONCE or "saved.test" in line]
    verdict.doubled = [line for line in doubled if "(certain)" in line]
    assert_nothing_lost_or_doubled(verdict, run.ledger)


@pytest.mark.parametrize("act", ACTS if FULL else ["flip"])
@pytest.mark.parametrize("to", ["new", "old"] if FULL else ["new"])
def test_a_process_that_is_killed_after_an_act_leaves_what_the_next_one_brings_to_the_same_end(
    lab: Lab, run: Run, traveller: str, look: Callable[[str], Counter[str]], act: str, to: Server
) -> None:
    """SIGKILL, which runs no `finally`: its lease, its hold, its sessions and its transactions stay as they are."""
    sent = {hand_in(ADDRESS)}
    if to == "old":
        assert move.move(run, traveller, "new", 0) == "moved"
        sent.add(hand_in(ADDRESS))
    killed_after(lab, run.ledger, traveller, to, act)
    sent.add(hand_in(ADDRESS))
    left = moves.under_way(run.ledger, traveller)
    assert left is not None and left.heading == to
    assert leases.held_by_others(run.ledger, run.owner) == {}, "a process that is gone holds nothing"
    assert move.move(run, traveller, to, 0) == "moved"
    assert Entry(run.access, traveller).is_at(to)
    assert_nobody_is_held(lab, run)
    wait_for(lambda: not (sent - look(to).keys()), f"all mail is on {to}")
    assert dict(look(to)) == dict.fromkeys(sent, 1)
    assert move.move(run, traveller, to, 0) == "was there", "one more run changes nothing"


def tried(run: Run, to: Server) -> str:
    """What the first try says; where it fails the account is whole on one side, or the next try goes on."""
    try:
        return move.move(run, ACCOUNT, to, 0)
    except TryAgain as error:
        return str(error)


@contextlib.contextmanager
def killed_before(lab: Lab, host: str, act: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host's server is killed right before the act, once, and started again by somebody else."""
    starting: list[threading.Thread] = []

    def start_again() -> None:
        time.sleep(BACK_AGAIN_SECONDS)
        lab.ssh(host, f"systemctl reset-failed {UNITS[host]}; systemctl start {UNITS[host]}")

    def make(*arguments: Any) -> SiteActs:
        acts = SiteActs(*arguments)
        do: Callable[..., Any] = getattr(acts, act)

        def killed_and_done(*given: Any) -> Any:
            if not starting:
                lab.ssh(host, f"systemctl kill -s KILL {UNITS[host]}")
                starting.append(threading.Thread(target=start_again))
                starting[0].start()
            return do(*given)

        setattr(acts, act, killed_and_done)
        return acts

    monkeypatch.setattr(move, "SiteActs", make)
    try:
        yield
    finally:
        for thread in starting:
            thread.join()
        wait_for(lambda: listens(lab, host), f"{UNITS[host]} runs on {host} again")


def listens(lab: Lab, host: str) -> bool:
    return "1" in lab.ssh("client", f"timeout 5 bash -c '</dev/tcp/{host}.obs.test/{PORTS[host]}' && echo 1 || echo 0")
