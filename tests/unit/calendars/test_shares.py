"""Shares where the new server is no SOGo, and what a person is told then."""

from typing import Any

import pytest
from bascule.calendars import sync_account
from bascule.calendars.shares import sharing
from bascule.calendars.shares.carry import carry_shares
from bascule.calendars.shares.sharing import Grant
from bascule.hosts.directory import Account
from bascule.ledger import Ledger
from bascule.ledger.calendars import by_hand_lines, shares

PEOPLE = {name: Account(name, f"uid={name}", {"cn": [name.title()]}) for name in ("zoe", "anne")}


@pytest.fixture
def carried(servers: Any, access: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[Grant]:
    """One calendar is on new; what the list holds is what old says of it."""
    said: list[Grant] = []
    servers[0].make("/zoe/agenda/", "calendar")
    servers[1].make("/zoe/personal/", "calendar")
    sync_account(access, ledger, "zoe")
    monkeypatch.setattr(sharing, "grants", lambda session, href: list(said))
    return said


def carry(access: Any, ledger: Ledger, *, dry_run: bool = False) -> Any:
    return carry_shares(access, ledger, ["zoe"], lambda: PEOPLE, dry_run=dry_run)


def test_what_new_has_no_rights_for_is_told_with_what_to_click(
    access: Any, ledger: Ledger, carried: list[Grant]
) -> None:
    carried.append(Grant("anne", "write"))
    assert carry(access, ledger).by_hand == 1
    assert by_hand_lines(ledger)[0].startswith(
        "anne may read and change “Réunions” of zoe on old, and not yet on new: "
    )


def test_what_is_told_is_told_once_and_goes_when_old_no_longer_shares(
    access: Any, ledger: Ledger, carried: list[Grant]
) -> None:
    carried.append(Grant("left-us", "read"))
    carry(access, ledger)
    carry(access, ledger)
    assert len(by_hand_lines(ledger)) == 1
    carried.clear()
    carry(access, ledger)
    assert by_hand_lines(ledger) == []


def test_a_name_that_would_deceive_is_shown_as_it_is(access: Any, ledger: Ledger, carried: list[Grant]) -> None:
    carried.append(Grant("eve\u202egnp.\n", "read"))
    carry(access, ledger)
    assert "eve\\u202egnp.\\u000a may read" in by_hand_lines(ledger)[0]


def test_a_dry_run_writes_nothing_down(access: Any, ledger: Ledger, carried: list[Grant]) -> None:
    carried.append(Grant("anne", "read"))
    carry(access, ledger, dry_run=True)
    assert shares(ledger) == []
