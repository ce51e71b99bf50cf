"""A mailbox that stays on old by decision goes through the whole day: named, left alone, and reached by mail."""

import smtplib
import time
from datetime import UTC, datetime
from email.utils import format_datetime

from bascule.ledger import journal, mailboxes
from bascule.ledger.letters import sent
from bascule.site import Site

from lab.airflow.processes import Home
from lab.corpus import inventory
from lab.corpus.people import Person, people
from lab.facts import HOSTS
from lab.measure import delivered, inject
from lab.testing import DAY_ACCOUNTS, SEED
from tests.end_to_end.conftest import KEPT, Day
from tests.end_to_end.outside import WITHIN
from tests.integration.conftest import Lab
from tests.integration.directory_entries import administrator, destination_of

FIRST_NUMBER = 900_001  # beyond those of the injector


def kept() -> Person:
    return next(person for person in people(DAY_ACCOUNTS, SEED) if person.account == KEPT)


def send_numbered(addresses: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """Two numbered messages from outside through the MX to each address; returns whose each of them is."""
    sent_now = {}
    with smtplib.SMTP(HOSTS["mx"].fqdn, 25, timeout=WITHIN) as session:
        for number, address in enumerate(addresses * 2, FIRST_NUMBER):
            data = inject.message(number, address, f"après la bascule, le {format_datetime(datetime.now(UTC))}")
            session.sendmail(inject.SENDER, [address], data)
            sent_now[number] = (KEPT,)
    return sent_now


def test_mail_that_comes_after_the_cutover_is_on_old_once_and_nowhere_else(day: Day) -> None:
    assert day.seen["drain"].state == "success"
    numbers = send_numbered(kept().addresses)
    held = inventory.read(day.instance)
    assert held is not None
    deadline = time.monotonic() + WITHIN
    while True:
        found = delivered.look(day.instance, held)
        result = delivered.judge(numbers, [], found, kept=[KEPT])
        if result["delivered_once"] == len(numbers) or time.monotonic() > deadline:
            break
    assert result["delivered_once"] == len(numbers) == 4, result
    assert found.unseen == []
    assert not found.new.keys() & numbers.keys()
    assert {place[0] for number in numbers for place in found.old[number]} == {KEPT}


def test_its_mail_destination_is_old_again_and_all_others_are_new(day: Day) -> None:
    with administrator(Lab(day.instance)) as admin:
        found = {person.account: destination_of(admin, person.account) for person in people(DAY_ACCOUNTS, SEED)}
    assert found.pop(KEPT) == f"{KEPT}@old.obs.test"
    assert set(found.values()) == {f"{account}@new.obs.test" for account in found}


def test_the_gate_the_report_and_the_helpdesk_name_it(day: Day, site_file: Site) -> None:
    for gate in journal.entries(day.ledger, kind="gate", event="decision"):
        assert f"kept on old: {KEPT}, by postmaster" in (gate.before or {})["evidence"].replace("\\", "")
    reports = Home(day.instance).path / "reports"
    texts = [path for path in reports.iterdir() if path.is_file()]
    named = [path.name for path in texts if KEPT in path.read_text(encoding="utf-8", errors="replace")]
    assert f"{site_file.name}-helpdesk.txt" in named and f"{site_file.name}-helpdesk.csv" in named
    assert len(named) > 2, "and the report"


def test_its_state_says_so_and_no_letter_is_written_to_it(day: Day) -> None:
    assert mailboxes.mailbox_states(day.ledger)[KEPT].state == "kept on old"
    assert KEPT not in sent(day.ledger)
