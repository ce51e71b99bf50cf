"""People are told once, by each way, and a way that does not work stops nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.checks.preflight import notices as preflight
from bascule.hosts import notices
from bascule.hosts.connections import AccessError, Connection
from bascule.ledger import Ledger, moves, task_log
from bascule.ledger.base import now
from bascule.ledger.journal import Origin
from bascule.ledger.task_log import Try
from bascule.site import NotifyPart, load
from bascule.tasks import notify, phase
from bascule.tasks.run import NeedsPerson, Run, noted

from lab.paths import SITE_FILE

PART = NotifyPart(mail=["postmaster@obs.test"], chats=["chat_ops"])


class Connections:
    def get(self, conn_id: str) -> Connection:
        return Connection(conn_id, "127.0.0.1", 1, password="json://127.0.0.1:1/")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://flow.example/")
    site = load(SITE_FILE).model_copy(update={"notify": PART, "languages": ["en"]})
    access: Any = SimpleNamespace(site=site, connections=Connections())
    return Run(site, access, Ledger(f"sqlite:///{tmp_path / 'l.db'}"), Origin("transfer", "run-1", "convert_filters"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, str]]]:
    sent: list[tuple[str, str, str]] = []
    monkeypatch.setattr(notices, "send_mail", lambda conn, to, title, text: sent.append(("mail", title, text)))
    monkeypatch.setattr(notices, "send_chat", lambda conn, title, text: sent.append((conn.conn_id, title, text)))
    yield sent


def test_a_phase_is_told_once_with_the_link(run: Run, told: list[tuple[str, str, str]]) -> None:
    for _ in range(2):
        phase.begin(run)

    site = f"[{run.site.name}]"
    assert told == [
        ("mail", f"{site} Transfer begins", "https://flow.example/bascule/"),
        ("chat_ops", f"{site} Transfer begins", "https://flow.example/bascule/"),
    ]


def test_a_failed_task_is_told_with_its_sentence(run: Run, told: list[tuple[str, str, str]]) -> None:
    with pytest.raises(NeedsPerson), noted(run, Try(run.origin, 1), last_try=True):
        raise NeedsPerson("mx can't be reached")

    assert told[0][1].endswith("1 task has failed: Convert the Sieve filters")
    assert told[0][2].startswith("mx can't be reached")


def test_what_is_tried_again_is_not_told(run: Run, told: list[tuple[str, str, str]]) -> None:
    with pytest.raises(RuntimeError), noted(run, Try(run.origin, 1), last_try=False):
        raise RuntimeError

    assert told == []


def test_many_questions_are_few_notices(run: Run, told: list[tuple[str, str, str]]) -> None:
    for number in range(120):
        this = Try(Origin("transfer", "run-1", f"mailbox.sync[{number}]"), 1, f"user{number}", of_many=True)
        with noted(run, this, last_try=False):
            run.outcome.becomes("asking", f"1 problem(s) of user{number}")

    counts = [title.split("] ")[1].split(" ")[0] for way, title, _ in told if way == "mail"]
    assert counts == ["1", "2", "5", "10", "20", "50", "100"]
    assert {text.splitlines()[-1] for _, _, text in told} == {"https://flow.example/bascule/problems"}


def test_an_overdue_hold_is_told_once_in_the_sites_language(run: Run, told: list[tuple[str, str, str]]) -> None:
    french = Run(run.site.model_copy(update={"languages": ["fr"]}), run.access, run.ledger, run.origin)
    begun = moves.begin(run.ledger, "anna", "new", {}, "run-1")
    held = moves.hold(run.ledger, begun, at_once=1, until=now() - timedelta(seconds=1))
    assert held is not None
    for _ in range(2):
        notify.overdue_hold(french, held, worked_on=False)

    (_, title, text), _chat = told
    assert title.endswith("Le courrier de anna est retenu plus longtemps qu'il ne devrait")
    assert text.startswith("Retenu depuis 0") and text.endswith("https://flow.example/bascule/moves")


def test_an_overdue_hold_that_somebody_has_not_let_go_of_is_told_as_one(
    run: Run, told: list[tuple[str, str, str]]
) -> None:
    begun = moves.begin(run.ledger, "anna", "new", {}, "run-1")
    notify.overdue_hold(run, begun, worked_on=True)
    notify.overdue_hold(run, begun, worked_on=False)
    assert [text.splitlines()[0] for way, _, text in told if way == "mail"] == [
        "Held for 0\xa0s: whoever moves it has not let go of it.",
        "Held for 0\xa0s: the move is ended now.",
    ]


def test_a_way_that_fails_is_tried_at_the_next_occasion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def refuse(connection: Connection, *given: Any) -> None:
        tries.append(connection.conn_id)
        if len(tries) < 3:
            raise AccessError("no")

    monkeypatch.setattr(notices, "send_mail", refuse)
    monkeypatch.setattr(notices, "send_chat", refuse)
    for _ in range(3):
        notify.phase(run, "begins")

    assert tries == ["smtp_default", "chat_ops", "smtp_default", "chat_ops"]


def test_a_dry_run_and_what_nobody_asked_for_are_not_told(run: Run, told: list[tuple[str, str, str]]) -> None:
    dry = Run(run.site, run.access, run.ledger, run.origin, dry_run=True)
    phase.begin(dry)
    quiet = run.site.model_copy(update={"notify": PART.model_copy(update={"about": ["failures"]})})
    phase.begin(Run(quiet, run.access, run.ledger, run.origin))

    assert told == []


def test_the_preflight_says_which_way_does_not_work(run: Run) -> None:
    found = [*preflight.ways(run.access)]

    assert [(each.level, each.subject) for each in found] == [("failure", "notices"), ("ok", "notices")]
    assert "127.0.0.1 would not take notices" in found[0].sentence


def test_the_timeline_knows_how_a_try_ended(run: Run, told: list[tuple[str, str, str]]) -> None:
    with noted(run, Try(run.origin, 1), last_try=False):
        pass
    with run.ledger.reading() as session:
        (row,) = session.query(task_log.TaskRow).all()

    assert (row.phase, row.task, row.state) == ("transfer", "convert_filters", "done")


def test_a_try_that_broke_off_does_not_stay_the_last_word(run: Run, told: list[tuple[str, str, str]]) -> None:
    """Of thousands of accounts only those are noted that ask or fail; but then also how it went on."""
    origin = Origin("transfer", "run-1", "mailbox.sync[3]")
    with pytest.raises(RuntimeError), noted(run, Try(origin, 1, "anna", of_many=True), last_try=False):
        raise RuntimeError
    for account, place in (("anna", origin), ("bert", Origin("transfer", "run-1", "mailbox.sync[4]"))):
        with noted(run, Try(place, 2, account, of_many=True), last_try=False):
            pass
    with run.ledger.reading() as session:
        rows = [(row.about, row.attempt, row.state) for row in session.query(task_log.TaskRow)]

    assert rows == [("anna", 1, "again"), ("anna", 2, "done")]
