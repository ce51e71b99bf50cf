"""Preferences of many SOGo users, read out of one backup."""

import fcntl
import json
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.calendars.sogo import bulk, preferences
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
            marker, names = words[6], [name for name in words[8:] if name in self.users and name != self.unseen]
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


class Here:
    """Runs the script on this machine, with these lines as `sogo-tool`; in them `sample` is somebody's backup."""

    def __init__(self, place: Path, tool: str) -> None:
        self.temporary, programs, sample = place / "tmp", place / "bin", place / "sample"
        self.temporary.mkdir()
        programs.mkdir()
        sample.write_text(HEAD + "{ Key = x; }" + TAIL)
        (programs / "sogo-tool").write_text(f"#!/bin/sh\nsample={sample}\n{tool}\n")
        (programs / "sogo-tool").chmod(0o755)
        self.environment = {"PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(self.temporary)}

    def run(self, command: list[str], **_: Any) -> Finished:
        done = subprocess.run(command[4:], env=self.environment, check=True, timeout=30, capture_output=True, text=True)
        assert not done.stderr
        return Finished(0, done.stdout, "", 0.0)

    def left(self, name: str, *, minutes: float) -> Path:
        """What a script left that was killed so long ago."""
        folder = self.temporary / name
        folder.mkdir()
        (folder / "somebody").touch()
        then = time.time() - 60 * minutes
        os.utime(folder, (then, then))
        return folder


def test_who_is_not_in_a_backup_that_takes_too_long_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LONGEST_BACKUP", 0.5)
    here = Here(tmp_path, 'cp "$sample" "$2/quick"; sleep 60')
    assert keys_set(here, ["quick", "slow"]) == {"quick": {"Key"}}  # type: ignore[arg-type]
    assert [*here.temporary.iterdir()] == []


def test_what_a_killed_script_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    """It is people's events; a directory of a script that runs is locked."""
    here = Here(tmp_path, 'flock --nonblock "$2" true || cp "$sample" "$2/anne"')
    here.left("bascule-sogo-killed00", minutes=10)
    running, beginning, another = (
        here.left(name, minutes=minutes)
        for name, minutes in (("bascule-sogo-running0", 10), ("bascule-sogo-begin000", 0), ("another-sogo", 10))
    )
    lock = os.open(running, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert keys_set(here, ["anne"]) == {"anne": {"Key"}}  # type: ignore[arg-type]
    os.close(lock)
    assert {*here.temporary.iterdir()} == {running, beginning, another}


def test_no_account_is_no_command() -> None:
    assert keys_set(Sogo({}), []) == {}  # type: ignore[arg-type]
