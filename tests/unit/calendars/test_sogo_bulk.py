"""Preferences of many SOGo users, read out of one backup."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.calendars.sogo import preferences
from bascule.calendars.sogo.bulk import first_preferences, keys_set
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import Account
from bascule.hosts.ssh import Finished
from bascule.ledger import Ledger
from bascule.ledger.calendars import preferences as seen

HEAD = '{\n    "ldif_record" = "dn: uid=a\ncn: } preferences = (\n";\n    preferences = (\n\t'
TAIL = ",\n\t{\n\t    Settings = x;\n\t}\n    );\n    tables = {\n"
# As SOGo 5.8 wrote them, but for the blanks.
ODD = r"""{
        "X-Test" = {
        a = (
            <*I1>,
            <*R2.5>,
            "<null>",
            "x
y\"} = {\\ \UD83D\UDE00 \U00E9    ",
            {
            },
            (
            )
        );
        };
        SOGoMailSignature = "\");
    tables = {
";
    }"""


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (HEAD + "{\n\t}" + TAIL, set()),
        (HEAD + ODD + TAIL, {"X-Test", "SOGoMailSignature"}),
        (HEAD + "{ A = <0a0b 0c>; }" + TAIL, {"A"}),
        (HEAD + r'{ "A\U00E9" = x; }' + TAIL, None),  # a key in another spelling
        (HEAD + ODD[:150], None),  # cut off
        (HEAD + '{ A = <"', None),  # unheard of
        ("", None),
    ],
)
def test_the_keys_that_a_user_has_set_are_read(text: str, keys: set[str] | None) -> None:
    assert first_preferences(text) == keys


class Sogo:
    """A SOGo with these users; `unseen`: known to it, but not in its backups; `forgets`: keeps nothing of theirs."""

    name = "sogo"

    def __init__(self, users: dict[str, dict[str, Any]], unseen: str = "", forgets: str = "") -> None:
        self.users, self.unseen, self.forgets = users, unseen, forgets
        self.commands: list[list[str]] = []

    def run(self, command: list[str], **_: Any) -> Finished:
        words = command[4:]
        self.commands.append(words)
        if words[0] == "env":
            marker, names = words[6], [name for name in words[7:] if name in self.users and name != self.unseen]
            text = "".join(f"{marker} {name}\n{HEAD}{self._list(name)}{TAIL}" for name in names)
            return Finished(0, text, "", 0.0)
        act, _defaults, name, key = words[2:6]
        if act == "set" and name != self.forgets:
            self.users.setdefault(name, {}).update(json.loads(words[6]))
        there = key in self.users.get(name, {})
        return Finished(0, "" if there else f'Value for key "{key}" not found in defaults', "", 0.0)

    def _list(self, name: str) -> str:
        return "{" + "".join(f"{key} = x;" for key in self.users[name]) + "}"

    def count(self, act: str) -> int:
        return sum(words[0] == act or words[2:3] == [act] for words in self.commands)


def done(sogo: Sogo, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *names: str, dry_run: bool = False) -> int:
    people = [Account(name, f"uid={name}", {"mail": [f"{name}@x"]}) for name in names]
    monkeypatch.setattr(preferences, "accounts", lambda *_: people)
    part = SimpleNamespace(host="sogo", values={"Key": "[{{ entry.mail[0] | tojson }}]"})
    own = SimpleNamespace(remote=lambda _: sogo, close=lambda: None)
    access = SimpleNamespace(site=SimpleNamespace(webmail=SimpleNamespace(preferences=part)), again=lambda: own)
    return preferences.set_preferences(access, ledger, names, dry_run=dry_run)  # type: ignore[arg-type]


def test_many_are_looked_at_together_and_who_has_one_keeps_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "THREADS", 1)
    names = [f"user{number}" for number in range(12)]
    sogo = Sogo({name: {"Other": 1} for name in names} | {"user3": {"Key": "own"}})
    assert done(sogo, ledger, monkeypatch, *names, dry_run=True) == 11
    assert (sogo.count("set"), seen(ledger)) == (0, set())
    sogo.commands.clear()
    assert done(sogo, ledger, monkeypatch, *names) == 11
    assert (sogo.count("env"), sogo.count("set"), sogo.count("get")) == (4, 11, 0)
    assert (sogo.users["user3"], sogo.users["user4"]["Key"]) == ({"Key": "own"}, ["user4@x"])
    assert seen(ledger) == {(name, "Key") for name in names}
    assert done(sogo, ledger, monkeypatch, *names) == 0


def test_who_is_not_in_the_backup_is_asked_for_alone(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ["ALL", "-x", "a/b", 'a"b c', ".."]
    sogo = Sogo({"seen": {}, "unseen": {"Key": "own"}, "a/b": {"Key": "own"}}, unseen="unseen")
    assert done(sogo, ledger, monkeypatch, "seen", "unseen", "unknown", *odd) == 6
    assert (sogo.users["unseen"], sogo.users["a/b"], sogo.users["ALL"]) == (
        {"Key": "own"}, {"Key": "own"}, {"Key": ["ALL@x"]}
    )  # fmt: skip
    assert not any(name in words for words in sogo.commands if words[0] == "env" for name in odd)


def test_what_one_account_did_not_keep_is_told_and_the_others_are_done(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "THREADS", 1)
    with pytest.raises(AccessError, match="did not keep `Key` of b"):
        done(Sogo({"a": {}, "b": {}, "c": {}}, forgets="b"), ledger, monkeypatch, "a", "b", "c")
    assert seen(ledger) == {("a", "Key"), ("c", "Key")}


def test_no_account_is_no_command() -> None:
    assert keys_set(Sogo({}), []) == {}  # type: ignore[arg-type]
