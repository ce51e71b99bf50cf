"""Airflow's connections: asked for once in a while, and anew when one was changed."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from bascule import site
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.mailbox import job_for
from bascule.operators import connections
from bascule.operators.connections import AirflowConnections

SITE = site.load(Path(__file__).parents[2] / "lab" / "site.yaml")


class Airflow:
    """What Airflow knows, and what it was asked."""

    def __init__(self) -> None:
        self.password = "first"
        self.there = True
        self.asked: list[str] = []

    def get_connection(self, conn_id: str) -> SimpleNamespace:
        self.asked.append(conn_id)
        if not self.there:
            raise AirflowNotFoundException(f"{conn_id} isn't defined")
        return SimpleNamespace(host="imap", port=993, login="master", password=self.password, extra_dejson={})


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    one = Airflow()
    monkeypatch.setattr(BaseHook, "get_connection", one.get_connection)
    return one


def test_the_jobs_of_many_accounts_ask_once_for_each_connection(airflow: Airflow) -> None:
    access = Access(SITE, AirflowConnections())
    jobs = [job_for(each, f"a{number}") for number in range(25) for each in (access, access.again())]
    assert len(jobs) == 50
    assert sorted(airflow.asked) == sorted({SITE.mailboxes.old.connection, SITE.mailboxes.new.connection})


def test_the_next_try_knows_a_password_that_was_replaced(airflow: Airflow) -> None:
    assert AirflowConnections().get("imap_old").password == "first"
    airflow.password = "second"
    assert AirflowConnections().get("imap_old").password == "second"


def test_an_act_that_is_tried_again_knows_it_seconds_later(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [time.monotonic()]
    monkeypatch.setattr(connections.time, "monotonic", lambda: clock[0])
    known = AirflowConnections()
    known.get("imap_old")
    airflow.password = "second"
    clock[0] += connections.SECONDS - 1
    assert known.get("imap_old").password == "first"
    clock[0] += 2
    assert known.get("imap_old").password == "second"


def test_a_connection_that_was_missing_is_asked_for_again(airflow: Airflow) -> None:
    known = AirflowConnections()
    airflow.there = False
    with pytest.raises(AccessError, match="no connection `imap_old` in Airflow"):
        known.get("imap_old")
    airflow.there = True
    assert known.get("imap_old").login == "master"
