"""`python -m bascule.mailbox sync` over several mailboxes: one that fails holds up none of the others."""

import argparse
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from bascule.ledger import Ledger
from bascule.ledger.leases import LeaseHeld
from bascule.mailbox import __main__ as cli
from bascule.mailbox.imap.errors import MailboxFailed, TransientError
from bascule.mailbox.result import PassResult


def one_pass(account: str, error: Exception | None = None) -> cli.Pass:
    def run(progress: Any) -> PassResult:
        if error:
            raise error
        return PassResult(account, 1, 2, 30, 2, 0, 0, 0, 2, 0.1)

    return run


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> dict[str, cli.Pass]:
    """What is made of each mailbox that is asked for."""
    made: dict[str, cli.Pass] = {}

    @contextlib.contextmanager
    def made_passes(asked: argparse.Namespace, ledger: Ledger) -> Iterator[dict[str, cli.Pass]]:
        yield made

    monkeypatch.setattr(cli, "_passes", made_passes)
    monkeypatch.setattr(cli, "_ledger", lambda asked: ledger)
    return made


def sync(*words: str) -> int:
    return cli.main(["sync", "--site", "site.yaml", "--account", "ann", *words])


@pytest.mark.parametrize(
    "error", [MailboxFailed("old refuses the login"), TransientError("old hung up"), LeaseHeld("x")]
)
def test_the_others_are_copied_and_the_failed_one_is_named(
    passes: dict[str, cli.Pass], capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    passes |= {"ann": one_pass("ann"), "bob": one_pass("bob", error), "cleo": one_pass("cleo")}
    assert sync() == cli.FAILED
    said = capsys.readouterr()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == ["ann", "cleo"]
    assert said.err.splitlines() == [f"bascule.mailbox: bob: {error}", "bascule.mailbox: 1 of 3 mailboxes failed"]


def test_json_has_both_those_that_were_copied_and_those_that_failed(
    passes: dict[str, cli.Pass], capsys: pytest.CaptureFixture[str]
) -> None:
    passes |= {"ann": one_pass("ann", TransientError("old hung up")), "bob": one_pass("bob")}
    assert sync("--json") == cli.FAILED
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == [{"account": "ann", "error": "old hung up", "run_again": True}]
    assert [one["account"] for one in told["mailboxes"]] == ["bob"]


def test_a_single_mailbox_that_fails_is_told_in_one_sentence(
    passes: dict[str, cli.Pass], capsys: pytest.CaptureFixture[str]
) -> None:
    passes["ann"] = one_pass("ann", MailboxFailed("old refuses the login"))
    assert sync() == cli.FAILED
    assert capsys.readouterr().err == "bascule.mailbox: old refuses the login\n"
