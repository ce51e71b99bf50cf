"""The way back after the go: a day that was declared in production is rolled back, and nothing that came since is lost.

This takes the new server out of production, so that it runs after all tests that look at it there (conftest.py).
"""

import time
from dataclasses import dataclass

import pytest
from bascule import changes, site
from bascule.changes import acts
from bascule.hosts.access import opened
from bascule.ledger import journal, phases
from imapclient import IMAPClient

from lab.airflow.following import Teller
from lab.corpus.store import Stores
from lab.hosts.secrets import load_or_make
from lab.measure.at_work import trust
from lab.measure.programs import SERVICE
from tests.end_to_end.conftest import MOVED, Day, Run, at_rest, end_of
from tests.end_to_end.outside import WITHIN, arrived, look, send

ACCOUNT = "direction"
OWN_FOLDER, OWN_MESSAGE = "Notes du jour", "<note-du-jour@obs.test>"


@dataclass
class WayBack:
    """What was seen of it."""

    run: Run
    received: str  # Message-Id of what came from outside after the go
    before: dict[str, object]  # by change, what the freeze had found
    after: dict[str, object]  # the same now


@pytest.fixture(scope="session")
def way_back(day: Day) -> WayBack:
    assert day.seen["drain"].state == "success"
    received = send(ACCOUNT, "après le go", "comptable@outside.test")
    assert len(arrived(day.instance, "new", ACCOUNT, received)) == 1
    write_a_note(day)
    # Of the directory, `directory` knows what was there before the day; who is kept on old was sent back in its middle.
    in_force = [act for act in acts.in_force(journal.entries(day.ledger)) if act.kind != "directory_kept"]
    run = end_of(day, "rollback after the go", "rollback", day.rest.trigger("rollback"), Teller(), [])
    with opened(site.from_environment()) as access:
        after = {
            f"{act.kind} {act.subject}": at_rest(
                changes.kind(act.kind).from_parameters(access, act.parameters).observe()
            )
            for act in in_force
        }
    # The newest come first: of several acts on one subject the oldest knows what was there before the day.
    before = {f"{act.kind} {act.subject}": at_rest(act.before) for act in in_force}
    return WayBack(run, received, before, after)


def write_a_note(day: Day) -> None:
    """What a user does on new after the go: a folder, and a message in it."""
    client = Stores(day.instance).reader("new", ACCOUNT)
    try:
        client.create_folder(OWN_FOLDER)
        client.append(
            OWN_FOLDER, f"Message-ID: {OWN_MESSAGE}\r\nSubject: note\r\n\r\nà faire\r\n".encode(), [b"\\Seen"]
        )
    finally:
        client.logout()


def test_every_mailbox_is_carried_back_and_every_change_is_undone(day: Day, way_back: WayBack) -> None:
    assert way_back.run.state == "success"
    assert {task["state"] for task in way_back.run.named("mailbox.carry_back")} == {"success"}
    assert acts.in_force(journal.entries(day.ledger)) == []
    assert len(way_back.before) >= 12
    assert way_back.after == way_back.before


def test_mail_that_came_after_the_go_is_on_old_once(day: Day, way_back: WayBack) -> None:
    assert len(list(look(day.instance, "old", ACCOUNT, way_back.received))) == 1


def test_what_a_user_wrote_on_new_is_on_old_in_a_folder_of_that_name(day: Day, way_back: WayBack) -> None:
    ((folder, flags),) = look(day.instance, "old", ACCOUNT, OWN_MESSAGE)
    assert folder == f"INBOX.{OWN_FOLDER}"
    assert b"\\Seen" in flags


def test_new_mail_goes_to_old_again(day: Day, way_back: WayBack) -> None:
    assert len(arrived(day.instance, "old", ACCOUNT, send(ACCOUNT, "après le retour", "comptable@outside.test"))) == 1


def test_who_had_moved_on_his_own_before_the_day_stays_on_new_and_reads_there(day: Day, way_back: WayBack) -> None:
    identifier = send(MOVED, "après le retour", "comptable@outside.test")
    assert len(arrived(day.instance, "new", MOVED, identifier)) == 1
    assert list(look(day.instance, "old", MOVED, identifier)) == []
    assert found_by_the_service(day, MOVED, identifier) == 1


def found_by_the_service(day: Day, account: str, identifier: str) -> int:
    """How often a message is in INBOX by the account's own login through the proxy, which has only just started."""
    password, deadline = load_or_make(day.instance.secrets).password_of(account), time.monotonic() + WITHIN
    while True:
        try:
            with IMAPClient(SERVICE, ssl_context=trust(day.instance), timeout=WITHIN) as client:
                client.login(account, password)
                client.select_folder("INBOX", readonly=True)
                return len(client.search(["HEADER", "Message-ID", identifier]))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_the_next_day_may_be_prepared(day: Day, way_back: WayBack) -> None:
    phases.require(day.ledger, "prepare")
    assert phases.marked(day.ledger, "cutover", "go") is None
