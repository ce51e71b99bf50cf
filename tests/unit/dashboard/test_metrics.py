"""The metrics as Prometheus' own parser reads them: the day's numbers, for whoever has the token."""

import re
from pathlib import Path

import pytest
from bascule.ledger import Ledger, task_log
from bascule.ledger.journal import Origin
from bascule.ledger.task_log import TaskState, Try
from bascule.site import Site
from bascule.views import progress
from prometheus_client.parser import text_string_to_metric_families

from lab.measure.control_room import PaperDoor
from lab.measure.made_day import RUN
from lab.paths import CHECKOUT
from tests.unit.dashboard.conftest import client_of, made
from tests.unit.dashboard.test_pages import report

TOKEN = {"authorization": f"Bearer {PaperDoor.metrics_token}"}
Sample = tuple[str, frozenset[tuple[str, str]]]


def read(ledger: Ledger, site: Site) -> dict[Sample, float]:
    """Every sample by its name and labels. Fails where Prometheus would not take the text, or a sample stands twice."""
    answer = client_of(ledger, site).get("metrics", headers=TOKEN)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = [each for family in text_string_to_metric_families(answer.text) for each in family.samples]
    samples = {(each.name, frozenset(each.labels.items())): each.value for each in found}
    assert len(samples) == len(found)
    return samples


def value(samples: dict[Sample, float], name: str, **labels: str) -> float:
    return samples[f"bascule_{name}", frozenset(labels.items())]


def test_a_day_that_goes_on(tmp_path: Path, site: Site) -> None:
    found = read(made(tmp_path, "transfer"), site)  # of this minute, since what is copied a second is
    states = {dict(labels)["state"]: number for (name, labels), number in found.items() if name == "bascule_mailboxes"}

    assert sum(states.values()) == 60 and {*states} == {*progress.STATES}
    assert (states["copying"], states["asking"]) == (3, 15)
    assert 20 < states["verified"] < 30  # the others are verified since the night, and wait for their pass of the day
    assert value(found, "problems", kind="mailbox/folder-name", state="open") == 15
    assert value(found, "tasks_that_need_a_person", state="failed") == 1
    assert value(found, "tasks_that_need_a_person", state="asking") == 15
    assert value(found, "phase", phase="freeze", state="done") == 1
    assert value(found, "phase", phase="transfer", state="failed") == 1
    assert value(found, "phase", phase="cutover", state="to come") == 1
    assert sum(number for (name, _), number in found.items() if name == "bascule_phase") == 4
    assert 3600 < value(found, "outage_seconds") < 2 * 3600
    assert value(found, "outage_forecast_seconds") == 5480
    assert value(found, "messages") > 60 and value(found, "bytes") > 1e9
    assert value(found, "copied_messages_per_second") > 0 and value(found, "copied_bytes_per_second") > 0


@pytest.mark.parametrize(
    ("state", "sentence", "queue"), [("waiting", "12 message(s) wait in the queue of the MX", 12), ("done", "", 0)]
)
def test_the_queue_is_as_drain_saw_it_last(
    tmp_path: Path, site: Site, state: TaskState, sentence: str, queue: int
) -> None:
    ledger = made(tmp_path, "done", 12)
    task_log.note(ledger, Try(Origin("drain", RUN, "watch_queues"), 2), state, sentence)

    assert value(read(ledger, site), "queue_messages") == queue


@pytest.mark.parametrize("state", ["running", "again", "failed"])
def test_a_queue_that_nobody_has_seen_is_not_told_to_be_empty(tmp_path: Path, site: Site, state: TaskState) -> None:
    ledger = made(tmp_path, "done", 12)
    task_log.note(ledger, Try(Origin("drain", RUN, "watch_queues"), 2), state, "mx can't be reached")

    assert ("bascule_queue_messages", frozenset()) not in read(ledger, site)


def test_an_empty_ledger_has_its_zeros(ledger: Ledger, site: Site) -> None:
    found = read(ledger, site)

    assert value(found, "mailboxes", state="verified") == 0
    assert ("bascule_outage_seconds", frozenset()) not in found


def test_a_hostile_kind_is_one_label(ledger: Ledger, site: Site) -> None:
    hostile = 'a"} 1\nbascule_bytes 7 \\'
    report(ledger, kind=hostile)

    found = read(ledger, site)
    assert value(found, "problems", kind=f"mailbox/{hostile}", state="open") == 1
    assert value(found, "bytes") == 0


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", "for programs é"])
def test_without_the_token_nothing_is_told(ledger: Ledger, site: Site, given: str) -> None:
    answer = client_of(ledger, site).get("metrics", headers={"authorization": given.encode()})

    assert answer.status_code == 401 and "bascule_" not in answer.text
    assert "the metrics are read with a token" in answer.text


def test_what_is_documented_and_drawn_is_told(done: Ledger, site: Site) -> None:
    told = {name for name, _ in read(done, site)}
    names = re.compile(r"\bbascule_[a-z_]+")
    table = [
        line for line in (CHECKOUT / "docs" / "control-room.md").read_text().splitlines() if line.startswith("| `b")
    ]

    assert {*names.findall("\n".join(table))} == told
    assert {*names.findall((CHECKOUT / "docs" / "grafana.json").read_text())} <= told


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ""),
        ({"BASCULE_METRICS_TOKEN": "given"}, "given"),
        ({"BASCULE_METRICS_TOKEN_FILE": "token"}, "in the file"),
        ({"BASCULE_METRICS_TOKEN_FILE": "token", "BASCULE_METRICS_TOKEN": "given"}, "given"),
        ({"BASCULE_METRICS_TOKEN_FILE": "missing"}, ""),
    ],
)
def test_the_token_comes_from_a_file_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    from bascule.dashboard.airflow import AirflowDoor

    (tmp_path / "token").write_text("in the file\n")
    monkeypatch.chdir(tmp_path)
    for name in ("BASCULE_METRICS_TOKEN", "BASCULE_METRICS_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, given in variables.items():
        monkeypatch.setenv(name, given)

    assert AirflowDoor().metrics_token == expected
