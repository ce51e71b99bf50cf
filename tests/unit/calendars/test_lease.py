"""Two runs never work on the calendars of one account at the same time."""

import threading
from pathlib import Path
from typing import Any

import pytest
from bascule.calendars import CalendarsFailed, __main__, sync_account, sync_accounts
from bascule.ledger import Ledger, leases
from calendar_items import event


def test_a_second_run_is_refused_while_the_first_is_at_it(servers: Any, access: Any, ledger: Ledger) -> None:
    old, new = servers
    old.make("/zoe/agenda/", "calendar")
    old.put("/zoe/agenda/e.ics", event("e"))
    new.make("/zoe/personal/", "calendar")
    met, go_on = threading.Event(), threading.Event()

    def hold(method: str, path: str, count: int) -> None:
        if method == "PUT" and not met.is_set():
            met.set()
            assert go_on.wait(20)

    new.faults.plan = hold
    first = threading.Thread(target=sync_account, args=(access, ledger, "zoe"))
    first.start()
    assert met.wait(20)
    try:
        with pytest.raises(leases.LeaseHeld, match="the calendars of zoe is being worked on"):
            sync_account(access, ledger, "zoe")
    finally:
        go_on.set()
        first.join()
    assert sync_account(access, ledger, "zoe").copied == 0
    assert new.names("/zoe/personal/") == ["e.ics"]


def test_the_mailbox_of_the_account_is_another_matter(servers: Any, access: Any, ledger: Ledger) -> None:
    servers[0].make("/zoe/agenda/", "calendar")
    servers[1].make("/zoe/personal/", "calendar")
    with leases.lease(ledger, "zoe", "another run"):
        assert sync_account(access, ledger, "zoe").collections == 1


def test_a_tasks_next_try_takes_its_own_lease_over(servers: Any, access: Any, ledger: Ledger) -> None:
    servers[0].make("/zoe/agenda/", "calendar")
    servers[1].make("/zoe/personal/", "calendar")
    with leases.lease(ledger, "zoe", "transfer/day/calendars", of="calendars"):  # a try that nobody has ended
        assert sync_account(access, ledger, "zoe", owner="transfer/day/calendars").collections == 1


def test_the_command_line_beside_a_task_is_refused_with_a_sentence(
    access: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BASCULE_LEDGER", ledger.url)
    monkeypatch.setenv("BASCULE_SITE", str(Path(__file__).parents[3] / "lab" / "site.yaml"))
    monkeypatch.setattr("bascule.tasks.accounts.names", lambda run: ["zoe"])
    monkeypatch.setattr(__main__, "to_standard_error", lambda _: None)  # it is the whole process's
    with leases.lease(ledger, "zoe", "transfer/day/migrate_calendars", of="calendars"):
        assert __main__.main(["sync"]) == 1
    said = capsys.readouterr().err
    assert "the calendars of zoe is being worked on by transfer/day/migrate_calendars" in said
    assert "Traceback" not in said


def test_an_account_that_is_held_holds_back_no_other(
    servers: Any, access: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.calendars.sync.set_preferences", lambda *_, **__: 0)
    for name in ("anne", "zoe"):
        servers[0].make(f"/{name}/agenda/", "calendar")
        servers[1].make(f"/{name}/personal/", "calendar")
        servers[0].put(f"/{name}/agenda/e.ics", event("e"))
    with (
        leases.lease(ledger, "anne", "another run", of="calendars"),
        pytest.raises(CalendarsFailed, match=r"1 of 2 account\(s\) failed:\n  anne: "),
    ):
        sync_accounts(access, ledger, ["anne", "zoe"])
    assert servers[1].names("/zoe/personal/") == ["e.ics"]
