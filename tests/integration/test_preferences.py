"""Identities and signatures that the lab's site file derives from the directory, in SOGo for everybody."""

import json
from typing import Any

from bascule.calendars.sogo.preferences import set_preferences
from bascule.hosts.access import Access
from bascule.hosts.directory import accounts
from bascule.ledger import Ledger

from tests.integration.conftest import Lab

TOOL = ["runuser", "-u", "sogo", "--", "sogo-tool", "user-preferences"]
KEY = "SOGoMailIdentities"
OWN = json.dumps({KEY: [{"email": "own@obs.test", "fullName": "My own"}]})


def identity(lab: Lab, account: str) -> dict[str, Any]:
    shown = lab.ssh("sogo", *TOOL, "get", "defaults", account, KEY)
    return json.loads(shown.split(":", 1)[1])[0]


def test_everybody_has_an_identity_with_a_signature_and_who_had_one_keeps_it(
    lab: Lab, access: Access, ledger_url: str
) -> None:
    ledger, people = Ledger(ledger_url), accounts(access)[:6]
    for account in people:
        lab.ssh("sogo", *TOOL, "unset", "defaults", account.name, KEY)
    lab.ssh("sogo", *TOOL, "set", "defaults", people[0].name, KEY, OWN)
    names = [account.name for account in people]
    assert set_preferences(access, ledger, names) == len(people) - 1
    assert identity(lab, people[0].name)["fullName"] == "My own"
    for account in people[1:]:
        found = identity(lab, account.name)
        name, address = account.entry["displayName"][0], account.entry["mail"][0]
        assert (found["fullName"], found["email"]) == (name, address)
        assert found["signature"] == f"-- \n{name}\nObservatoire, {address}"
    assert set_preferences(access, ledger, names) == 0
