"""What filters are run with on the new host: its own settings, and the scripts that each form may include."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import Finished
from bascule.sieve.differential_test import Proof
from bascule.sieve.plan import Plan
from bascule.sieve.sample import Message
from bascule.sieve.shared import SharedHost

from tests.unit.sieve.reading import CONTEXT

SAMPLE = [Message(f"From: a@example.org\r\nSubject: {word}\r\n\r\n".encode(), word) for word in ("one", "two")]
HEADERS = b'require ["editheader", "fileinto"];\naddheader "X" "y";\nfileinto "a";\nfileinto "b";\n'
EDITHEADER = "plugin/sieve_extensions=+editheader\n"


class NewHost(SharedHost):
    """The new host as if these were its settings, without a change to them."""

    def __init__(self, access: Access, settings: str = "") -> None:
        super().__init__(access.remote("new"))
        self.settings = settings

    def run(self, command: Sequence[str], **options: Any) -> Finished:
        return Finished(0, self.settings, "", 0.0) if command[0] == "doveconf" else super().run(command, **options)


def compared(host: NewHost, plan: Plan, monkeypatch: pytest.MonkeyPatch, **context: Any) -> Plan:
    monkeypatch.setattr("bascule.sieve.differential_test.recent_messages", lambda *_: SAMPLE)
    Proof(host, None).compare("somebody", plan, {}, replace(CONTEXT, **context))  # type: ignore[arg-type]
    left = host.run(["find", "/tmp", "-maxdepth", "1", "-name", "bascule-sieve-*"]).output
    assert left == ""
    return plan


def test_the_settings_of_the_new_server_hold(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan("main", b"keep;", faithful=HEADERS)
    assert len(compared(NewHost(access, EDITHEADER), plan, monkeypatch).behaviour) == len(SAMPLE)
    for settings in (
        "",
        f"{EDITHEADER}plugin/sieve_max_actions=1\n",
        f"{EDITHEADER}plugin/sieve_max_script_size=16B\n",
    ):
        with pytest.raises(AccessError, match="can't run"):
            compared(NewHost(access, settings), plan, monkeypatch)


def test_only_the_old_form_may_use_what_new_has_switched_off(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = b'require "imapflags"; mark;'
    plan = compared(NewHost(access), Plan("main", marks, faithful=b"keep;"), monkeypatch)
    assert (len(plan.behaviour), plan.not_compared) == (len(SAMPLE), "")
    with pytest.raises(AccessError, match="can't run"):
        compared(NewHost(access), Plan("main", b"keep;", faithful=marks), monkeypatch)


def test_each_form_includes_the_global_scripts_of_its_server(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    script = b'require "include"; include :global "all";'
    texts = {"old_global_scripts": {"all": "discard;"}, "global_scripts": {"all": 'redirect "a@example.org";'}}
    plan = compared(NewHost(access), Plan("main", script, faithful=script), monkeypatch, **texts)
    assert [(each["before"], each["after"]) for each in plan.behaviour] == [
        (["discard"], ["redirect message to: <a@example.org>"])
    ] * len(SAMPLE)
