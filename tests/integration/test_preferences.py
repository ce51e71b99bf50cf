"""Identities and signatures that the lab's site file derives from the directory, in SOGo for everybody."""

import json
from typing import Any

from bascule.calendars.sogo.bulk import keys_set
from bascule.calendars.sogo.preferences import TOOL, UNSET, set_preferences
from bascule.hosts.access import Access
from bascule.hosts.directory import accounts
from bascule.ledger import Ledger

from tests.integration.conftest import Lab

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


def test_a_backup_tells_the_same_of_many_as_the_tool_of_each(lab: Lab, access: Access) -> None:
    first, second, third, fourth = (account.name for account in accounts(access)[6:10])
    odd = '"\n    tables\t= {\n    );\n\\ é 😀 \x07'
    for key, value in (("XDeep", {"a": [1, 2.5, True, None, odd, {}, []]}), ("XNull", None), ("X-Odd", odd)):
        lab.ssh("sogo", *TOOL, "set", "defaults", first, key, json.dumps({key: value}))
    lab.ssh("sogo", *TOOL, "set", "defaults", second, "Xé", json.dumps({"Xé": 1}))
    lab.ssh("sogo", *TOOL, "set", "defaults", third, "XCut", json.dumps({"XCut": "\n    tables = {\n"}))
    names = [first, "nobodyknown", second, third, fourth]
    told = keys_set(access.remote("sogo"), names)
    try:
        assert told.keys() == {first, fourth}  # not of a key in another spelling, nor of a list that seems to end early
        for account in told:
            for key in ("XDeep", "XNull", "X-Odd", KEY):
                shown = access.remote("sogo").run([*TOOL, "get", "defaults", account, key], check=False)
                assert (key in told[account]) == (UNSET not in shown.output + shown.error), (account, key)
        assert {"XDeep", "XNull", "X-Odd"} <= told[first]
        assert access.remote("sogo").run(["find", "/tmp", "-name", "bascule-sogo-*"]).output == ""
    finally:
        for key in ("XDeep", "XNull", "X-Odd"):
            lab.ssh("sogo", *TOOL, "unset", "defaults", first, key)
        lab.ssh("sogo", *TOOL, "unset", "defaults", second, "Xé")
        lab.ssh("sogo", *TOOL, "unset", "defaults", third, "XCut")
