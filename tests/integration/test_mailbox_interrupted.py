"""Each case: a state of old and new, what changes, what is expected; then the same, cut after every single command."""

import os
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, TransientError, sync, sync_mailbox
from bascule.mailbox.folder_sync.copy import Copied
from bascule.mailbox.folder_sync.end import FolderEnd

from tests.ledgers import empty_ledger
from tests.mailbox_cases import CASES, Case, Pair, check, prepare
from tests.mailbox_states import parse

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
STEP = 1 if FULL else 4  # by default every fourth command is cut, beginning with another one in each case


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)


@pytest.mark.parametrize("connections", [1, 2])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_state_is_as_expected(pair: Pair, ledger: Ledger, case: Case, connections: int) -> None:
    job = prepare(pair, case, ledger, Options(connections=connections))
    sync_mailbox(job, ledger)
    check(pair, case, job, ledger, "not interrupted")


@pytest.mark.one_pass(because="its commands are counted and cut; `check` has the pass that follows")
@pytest.mark.parametrize("killed", [False, True], ids=["connection lost", "task killed"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_interrupted_after_every_command(
    pair: Pair, tmp_path: Path, case: Case, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(connections=1)
    for at in range(1 + (CASES.index(case) + killed) % STEP, commands_of(pair, case, tmp_path, options) + 1, STEP):
        ledger = Ledger(empty_ledger(tmp_path / f"{at}.db"))
        job = prepare(pair, case, ledger, options)
        pair.faults.arm(at)
        if killed:
            sync_killed(job, ledger, monkeypatch)
        else:
            sync_mailbox(job, ledger)
        pair.faults.arm(None)
        check(pair, case, job, ledger, f"cut after command {at}")


def commands_of(pair: Pair, case: Case, tmp_path: Path, options: Options) -> int:
    """How many commands the pass sends when nothing disturbs it."""
    ledger = Ledger(empty_ledger(tmp_path / "count.db"))
    job = prepare(pair, case, ledger, options)
    pair.faults.arm(None)
    sync_mailbox(job, ledger)
    return pair.faults.count


def sync_killed(job: MailboxJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that ends at its first trouble, and another one that knows only what is in the ledger."""
    with monkeypatch.context() as patched:
        patched.setattr(sync, "ATTEMPTS", 1)
        try:
            sync_mailbox(job, ledger)
        except TransientError:
            sync_mailbox(job, ledger)


def test_what_an_interrupted_copy_left_is_removed_with_old_unless_its_user_has_changed_it(
    pair: Pair, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("removed after an interrupted copy", "INBOX: a b/S c/S d", "", "INBOX: a/F c/S")
    job = prepare(pair, case, ledger, Options(connections=1))
    with monkeypatch.context() as patched:
        patched.setattr(sync, "ATTEMPTS", 0)
        patched.setattr(FolderEnd, "reach", interrupt)
        with pytest.raises(TransientError):
            sync_mailbox(job, ledger)
    with pair.old_account(job.account) as old, pair.new_account(job.account) as new:
        old.make(parse("INBOX: c/S"))
        new.make(parse("INBOX: a/F b/S c/S d"))
    sync_mailbox(job, ledger)
    check(pair, case, job, ledger, "interrupted before its end")


def interrupt(end: FolderEnd, copied: Copied) -> None:
    """Everything is copied and nothing remembered of the folder."""
    raise TransientError("the copy was interrupted")
