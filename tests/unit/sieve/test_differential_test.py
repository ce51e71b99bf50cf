"""What `sieve-test` says, read; and what counts as a difference."""

import os
import shlex
import subprocess
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import CommandFailed, Finished
from bascule.sieve.actions import Action, as_on_new, read_actions
from bascule.sieve.differential_test import Proof
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.model import Context
from bascule.sieve.plan import Plan
from bascule.sieve.sample import Message

TOLD = """
Performed actions:

 * store message in folder: INBOX.A
        + create mailbox if it does not exist
        + preserve implicit keep
        + add IMAP flags: \\flagged
 * redirect message to: <x@example.org>
 * send vacation message:
    => seconds : 259200
    => handle  : away

START MESSAGE
 * discard
END MESSAGE

Implicit keep:

 * store message in folder: INBOX
"""
STORED = Action("store message in folder (add IMAP flags: \\flagged) (preserve implicit keep):", "INBOX.A")


def test_actions_are_read() -> None:
    assert read_actions(TOLD) == {
        STORED,
        Action("redirect message to: <x@example.org>"),
        Action("send vacation message: (seconds: 259200)"),
        Action("store message in folder:", "INBOX"),
    }


def test_nothing_said_is_no_action() -> None:
    assert read_actions("main: line 1: error: parse failed.") is None


def test_a_discard_is_seen() -> None:
    assert read_actions("Performed actions:\n\n * discard\n\nImplicit keep:\n\n  (none)\n") == {Action("discard")}


class Host:
    """A host whose `sieve-test` files by what stands in the script."""

    name = "new"

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def run(self, command: list[str], **_: object) -> Finished:
        self.commands.append(command)
        if command[0] != "sh":
            return Finished(0, "plugin/sieve_extensions=+vnd.x\nplugin/sieve_plugins=sieve_extprograms\n", "", 0.0)
        told = {"old": "INBOX.A", "new": self.new, "repaired": "C"}
        words = shlex.split(command[2])
        markers = [words[at + 1].split()[:2] for at, word in enumerate(words) if word == "-printf"]
        return Finished(0, "".join(f"{m} {v} 0.eml\n{_told(told[v])}" for m, v in markers), "", 0.0)

    new = "A"


def _ok(folder: str) -> str:
    return f"\nPerformed actions:\n\n * store message in folder: {folder}\n\nImplicit keep:\n\n  (none)\n"


_told = _ok


class LocalHost:
    """A host whose shell is the one here. `found`: what is tried on it as `sieve-test`, a shell's text."""

    name = "new"

    def __init__(self, tools: Path, sieve_test: str) -> None:
        self._tools = tools
        doveconf = 'while [ "$1" != -e ]; do shift; done; shift; exec "$@"'
        for name, text in (("doveconf", doveconf), ("sieve-test", sieve_test)):
            (tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (tools / name).chmod(0o755)

    def run(self, command: list[str], *, input: bytes = b"", check: bool = True, **_: object) -> Finished:
        path = {"PATH": f"{self._tools}:{os.environ['PATH']}"}
        done = subprocess.run(command, input=input, env=path, capture_output=True, check=False)
        finished = Finished(done.returncode, done.stdout.decode(), done.stderr.decode(), 0.0)
        if check and done.returncode:
            raise CommandFailed(self.name, command, finished)
        return finished


def compared(host: Host | LocalHost, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Plan:
    message = Message(b"Subject: x\r\n\r\n", "<1@x> | x")
    monkeypatch.setattr("bascule.sieve.differential_test.recent_messages", lambda *_: [message])
    folders = FolderMap({}, ".", "/", "INBOX.", "")
    Proof(host, None).compare("marie", plan, {}, Context(folders))  # type: ignore[arg-type]
    return plan


def test_a_mapped_folder_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = compared(Host(), Plan("a", b"old", faithful=b"new", repaired=b"new"), monkeypatch)
    assert (plan.behaviour, plan.repaired_behaviour) == ([], [])
    assert plan.proved


def test_another_folder_is_a_difference_with_the_message_named(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    host.new = "B"
    plan = compared(host, Plan("a", b"old", faithful=b"new", repaired=b"new"), monkeypatch)
    (difference,) = plan.behaviour
    assert difference == {
        "message": "<1@x> | x",
        "before": ["store message in folder: INBOX.A"],
        "after": ["store message in folder: B"],
    }


def test_what_the_repair_would_do_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = compared(Host(), Plan("a", b"old", faithful=b"new", repaired=b"repaired"), monkeypatch)
    assert plan.behaviour == []
    assert plan.repaired_behaviour[0]["after"] == ["store message in folder: C"]


def test_no_program_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Proof(Host(), None)._settings_of_new() == "  sieve_extensions = +vnd.x\n"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sieve_test", "outcome"),
    [
        (f"cat << 'END'\n{_ok('A')}END", nullcontext()),
        ("kill -TERM $PPID", pytest.raises(AccessError, match="sieve-test")),  # find
        ('kill -TERM "$(ps -o ppid= "$PPID")"', pytest.raises(AccessError, match="status 1")),  # the shell
    ],
)
def test_the_directory_is_removed(
    sieve_test: str, outcome: AbstractContextManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bascule.sieve.differential_test.TEMPORARY", str(tmp_path))
    tools = tmp_path / "bin"
    tools.mkdir()
    with outcome:
        compared(LocalHost(tools, sieve_test), Plan("a", b"new", faithful=b"new", repaired=b"mended"), monkeypatch)
    assert list(tmp_path.iterdir()) == [tools]


def test_an_unchanged_filter_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    compared(host, Plan("a", b"old", faithful=b"old", repaired=b"old"), monkeypatch)
    assert host.commands == []


def test_both_kinds_of_notification_are_told_alike() -> None:
    old = """Performed actions:

 * send (deprecated) notification with method 'mailto':
    => importance    : 1
    => message       : Bonjour
    => recipients    :
       + To: a@example.org
"""
    new = """Performed actions:

 * send notification with method 'mailto:':
    => importance   : 1
    => subject      : Bonjour
    => recipients   :
       + To: a@example.org
"""
    assert read_actions(old) == read_actions(new)


def test_an_address_of_the_old_host_is_expected_to_change() -> None:
    done = frozenset({Action("redirect to: <a@OLD.obs.test>"), Action("redirect to: <a@old.obs.test.fr>")})
    assert as_on_new(done, FolderMap(), {"old.obs.test": "obs.test"}) == {
        Action("redirect to: <a@obs.test>"),
        Action("redirect to: <a@old.obs.test.fr>"),
    }


def test_an_address_that_was_there_under_both_domains_is_told_once() -> None:
    old = frozenset({Action("send notification (To: me@old.test) (To: me@new.test) (subject: x)")})
    new = frozenset({Action("send notification (To: me@new.test) (subject: x)")})
    assert as_on_new(old, FolderMap(), {"old.test": "new.test"}) == new


@pytest.mark.parametrize("folder", ["Work ", "Work\xa0", " Work", "a\x0bb", "a\u2028b"])
def test_blanks_belong_to_a_folders_name(folder: str) -> None:
    told = f"Performed actions:\n\n * store message in folder: {folder}\n\nImplicit keep:\n"
    assert read_actions(told) == {Action("store message in folder:", folder)}


def test_a_host_that_cannot_run_filters_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    monkeypatch.setattr("tests.unit.sieve.test_differential_test._told", lambda _: "sieve-test: not found\n")
    with pytest.raises(AccessError, match="sieve-test"):
        compared(host, Plan("a", b"old", faithful=b"new"), monkeypatch)


def test_an_old_form_that_cannot_run_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tests.unit.sieve.test_differential_test._told", lambda folder: _ok(folder) if folder != "INBOX.A" else ""
    )
    plan = compared(Host(), Plan("a", b"old", faithful=b"new"), monkeypatch)
    assert (plan.behaviour, bool(plan.not_compared), bool(plan.proved)) == ([], True, True)
