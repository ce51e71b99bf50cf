"""The practice site's filling and its injector, on the real hosts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.__main__ import INSIDE
from lab.corpus import inventory
from lab.corpus.mailboxes import HOSTILE_FOLDER, PREFIX, mailbox_of
from lab.corpus.people import people
from lab.corpus.store import Stores
from lab.measure import inject
from lab.paths import CHECKOUT
from tests.integration.conftest import Lab

SECONDS = 60


def run(lab: Lab, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One of the lab's programs, from inside the network, where the tests are."""
    group, _ = INSIDE[module]
    command = [sys.executable, "-m", f"lab.{group}.{module}", "--instance", lab.instance.name, *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def report(lab: Lab) -> dict[str, Any]:
    reported = run(lab, "inject", "report", "--json")
    assert reported.returncode == 0, reported.stderr
    return json.loads(reported.stdout)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s"
        time.sleep(0.2)


def states(lab: Lab) -> list[str]:
    return [record.state for record in inject.records(lab.instance).values()]


@pytest.fixture
def injector(lab: Lab) -> Iterator[None]:
    started = run(lab, "inject", "start", "--rate", "10")
    assert started.returncode == 0, started.stderr
    yield
    run(lab, "inject", "stop")


def all_arrived(lab: Lab) -> bool:
    found = report(lab)
    assert found["duplicated"] == found["misplaced"] == []
    return found["delivered_once"] + len(found["only_on_old"]) == found["injected"]


def test_filling_the_same_again_does_nothing(lab: Lab) -> None:
    held = inventory.read(lab.instance)
    assert held is not None
    again = run(lab, "fill", "--accounts", str(len(held.accounts)), "--seed", str(held.seed))
    assert (again.returncode, again.stderr) == (0, "")
    assert "nothing to do" in again.stdout


def test_filling_otherwise_is_refused_with_what_to_do(lab: Lab) -> None:
    other = run(lab, "fill", "--accounts", "30", "--seed", "99")
    assert other.returncode == 2
    assert "up --fresh" in other.stderr
    assert "Traceback" not in other.stderr


def test_what_create_and_append_refuse_is_on_old_all_the_same(lab: Lab) -> None:
    held = inventory.read(lab.instance)
    assert held is not None
    person = next(each for each in people(len(held.accounts), held.seed) if each.trouble == "folders")
    client = Stores(lab.instance).reader("old", person.account)
    try:
        counted = {
            folder.name: client.select_folder(folder.name, readonly=True)[b"EXISTS"]
            for folder in mailbox_of(person, held.seed).old
            if folder.on_disk or "/" in folder.name or "~" in folder.name
        }
    finally:
        client.logout()
    assert counted == {
        "INBOX.~archives": 5,
        "INBOX.Budget 2019/2020": 5,
        "INBOX.Essais\tgamma": 3,
        PREFIX + HOSTILE_FOLDER: 5,
    }


def test_every_number_arrives_once(lab: Lab, injector: None) -> None:
    before = len(inject.accepted(lab.instance))
    wait_for(lambda: len(inject.accepted(lab.instance)) >= before + 20, "twenty messages accepted")
    run(lab, "inject", "stop")
    wait_for(lambda: all_arrived(lab), "all numbers in their mailboxes")


def test_numbers_wait_for_an_mx_that_is_stopped(lab: Lab, injector: None) -> None:
    refused = states(lab).count("refused")
    lab.ssh("mx", "systemctl", "stop", "postfix")
    try:
        wait_for(lambda: states(lab).count("refused") >= refused + 3, "messages refused")
    finally:
        lab.ssh("mx", "systemctl", "start", "postfix")
    accepted = len(inject.accepted(lab.instance))
    wait_for(lambda: len(inject.accepted(lab.instance)) >= accepted + 5, "messages accepted again")
    run(lab, "inject", "stop")
    wait_for(lambda: all_arrived(lab), "all numbers in their mailboxes")


def test_an_injector_that_was_killed_goes_on_with_the_next_number(lab: Lab, injector: None) -> None:
    pid = int((lab.instance.state / "inject.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    last = max(inject.records(lab.instance))
    assert run(lab, "inject", "start", "--rate", "10").returncode == 0
    wait_for(lambda: max(inject.records(lab.instance)) > last, "the next number")
    run(lab, "inject", "stop")
    wait_for(lambda: all_arrived(lab), "all numbers in their mailboxes")


def test_stopping_twice_is_no_fault(lab: Lab) -> None:
    assert [run(lab, "inject", "stop").returncode for _ in range(2)] == [0, 0]
