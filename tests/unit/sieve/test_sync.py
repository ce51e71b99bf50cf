"""Many accounts: each under its lease, and one account's trouble is nobody else's."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.ledger.leases import lease
from bascule.problems import store
from bascule.problems.evidence import evidence_lines
from bascule.problems.model import Action, Option, Problem, Proposal
from bascule.sieve import mailbox_folders, sync
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.sync import LEASE, FilterCounts, Job
from bascule.site.accounts import FoldersPart
from bascule.text.name_map import Namespace

from tests.deciding import decide
from tests.unit.sieve.fakes import Server

SCRIPT = b"keep;\n"
BELOW_INBOX, SLASHES = Namespace(b"INBOX.", b"."), Namespace(b"", b"/")


@dataclass
class Servers:
    """One server with an account's scripts each; `meet` is passed by whoever has just logged in."""

    accounts: dict[str, Server] = field(default_factory=dict)
    meet: threading.Barrier | None = None
    away: str = ""

    @contextlib.contextmanager
    def connected(self, account: str) -> Iterator[Server]:
        if account == self.away:
            raise AccessError("gone")
        if self.meet is not None:
            with contextlib.suppress(threading.BrokenBarrierError):
                self.meet.wait(0.5)
        yield self.accounts.setdefault(account, Server())

    source = connected


def job(ledger: Ledger, old: Servers, new: Servers, **more: Any) -> Job:
    return Job(old, new, ledger, **more)  # type: ignore[arg-type]


def serving(script: bytes = SCRIPT) -> Server:
    return Server({"main": script}, "main")


def test_an_account_that_another_task_holds_is_left_alone_and_named(ledger: Ledger) -> None:
    old, new = Servers({"anne": serving(), "bob": serving()}), Servers()
    with lease(ledger, "anne", "transfer/other/filters", of=LEASE):
        counts = sync.run(job(ledger, old, new), ["anne", "bob"])
    assert list(counts.failed) == ["anne"]
    assert "transfer/other/filters" in counts.failed["anne"]
    assert {account: list(one.stored) for account, one in new.accounts.items()} == {"bob": ["main"]}


def test_a_fault_over_one_accounts_scripts_is_named_and_all_others_are_done(ledger: Ledger) -> None:
    def addresses(account: str) -> frozenset[str]:
        return frozenset({"bob@obs.test"}) if account == "bob" else frozenset({1 // 0})  # type: ignore[arg-type]

    old, new = Servers({"anne": serving(), "bob": serving()}), Servers()
    counts = sync.run(job(ledger, old, new, addresses=addresses), ["anne", "bob"])
    assert list(counts.failed) == ["anne"]
    assert "a mistake in Bascule" in counts.failed["anne"]
    assert counts.put == 1 and list(new.accounts["bob"].stored) == ["main"]


def test_a_mailbox_that_is_being_copied_does_not_hold_its_filters_back(ledger: Ledger) -> None:
    with lease(ledger, "anne", "transfer/1/sync"):
        assert sync.run(job(ledger, Servers({"anne": serving()}), Servers()), ["anne"]).put == 1


def test_a_tasks_next_try_takes_its_own_lease_over(ledger: Ledger) -> None:
    with lease(ledger, "anne", "transfer/1/filters", of=LEASE):
        again = job(ledger, Servers({"anne": serving()}), Servers(), owner="transfer/1/filters")
        assert sync.run(again, ["anne"]).put == 1


def test_of_two_tasks_at_once_one_writes(ledger: Ledger) -> None:
    both = threading.Barrier(2)
    old, new = Servers({"anne": serving()}, meet=both), Servers()
    counts: list[FilterCounts] = []
    jobs = [job(ledger, old, new, owner=name) for name in ("one", "two")]
    threads = [threading.Thread(target=lambda one=one: counts.append(sync.run(one, ["anne"]))) for one in jobs]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((one.put, len(one.failed)) for one in counts) == [(0, 1), (1, 0)]
    assert new.accounts["anne"].log == ["put main", "activate main"]


def test_an_accounts_trouble_does_not_stop_the_others(ledger: Ledger) -> None:
    old, new = Servers({name: serving() for name in "abc"}, away="b"), Servers()
    counts = sync.run(job(ledger, old, new), list("abc"))
    assert (counts.put, counts.failed) == (2, {"b": "gone"})


def test_a_folder_that_the_mailbox_asks_about_is_asked_about_once(ledger: Ledger) -> None:
    """Its filter waits for the answer, and follows it."""
    filing = b'require "fileinto";\nfileinto "INBOX.Budget 2019/2020";\n'
    old, new = Servers({"anne": serving(filing)}), Servers()

    def one_pass() -> FilterCounts:
        folders = mailbox_folders.folder_map(ledger, "anne", BELOW_INBOX, SLASHES, FoldersPart())
        left_out = mailbox_folders.left_out(ledger, "anne", FoldersPart())
        return sync.run(job(ledger, old, new, folder_maps=lambda _: folders, left_out=lambda _: left_out), ["anne"])

    def ask(explanation: str) -> None:
        about = Problem("anne", "mailbox", "folder-name", "INBOX.Budget 2019/2020", "has a separator in it")
        proposal = Proposal(Action.RENAME, name="Budget 2019-2020")
        with ledger.session() as session:
            store.report(session, replace(about, facts={"why": explanation}, proposal=proposal))

    ask("at first")
    assert one_pass().problems == 0
    decide(ledger, name="Budget 2019-20")
    assert one_pass().problems == 0
    assert new.accounts["anne"].stored["main"] == b'require "fileinto";\nfileinto "Budget 2019-20";\n'
    ask("once more")
    decide(ledger, option=Option.LEAVE_OUT)
    assert one_pass().waiting == ["anne"]
    (asked,) = store.problems(ledger, room="sieve")
    assert "left out of the move by decision" in asked.explanation
    assert asked.proposal.stored() == {"action": "repair", "text": 'require "fileinto";\nfileinto "INBOX";\n'}
    decide(ledger)
    assert one_pass().problems == 0
    assert new.accounts["anne"].stored["main"] == b'require "fileinto";\nfileinto "INBOX";\n'


def test_a_folder_that_the_site_file_excludes_is_left_out(ledger: Ledger) -> None:
    assert mailbox_folders.left_out(ledger, "anne", FoldersPart(exclude=["INBOX.A"])) == {"INBOX.A"}


@pytest.mark.parametrize(
    ("kinds", "left_out"),
    [
        (["folder-name"], True),
        (["folder-unreadable"], True),
        (["folder-both-changed"], False),  # it stays on new
        (["folder-name", "folder-both-changed"], False),  # the later one counts
        (["message-refused"], False),
    ],
)
def test_a_folder_is_left_out_by_the_last_decision_about_it(ledger: Ledger, kinds: list[str], left_out: bool) -> None:
    for kind in kinds:
        with ledger.session() as session:
            store.report(session, Problem("anne", "mailbox", kind, "INBOX.A", "why"))
        decide(ledger, option=Option.LEAVE_OUT)
    assert store.folders_left_out(ledger, "anne") == (frozenset({"INBOX.A"}) if left_out else frozenset())


class NoRecord:
    """An old server whose record of vacation answers can't be read."""

    def carry(self, account: str, *, dry_run: bool) -> int:
        raise AccessError(f"no record of {account}")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_second_answer_is_told_also_before_the_day(ledger: Ledger, dry_run: bool) -> None:
    old = Servers({"anne": serving(b'require "vacation";\nvacation "away";\n')})
    sync.run(job(ledger, old, Servers(), vacation=NoRecord()), ["anne"], dry_run=dry_run)
    (line,) = [line for line in evidence_lines(ledger) if line.startswith("vacation answers") and "anne" in line]
    assert line.endswith("(no record of anne)")


class Away:
    """Hosts that answer nothing: about global scripts, active ones, or what filters do."""

    def texts(self) -> None:
        return None

    def find(self, account: str) -> None:
        raise AccessError(f"no look at {account}")

    def compare(self, account: str, *_: Any) -> None:
        raise AccessError(f"no mail of {account}")


INCLUDING = b'require "include";\ninclude :global "all";\n'


@pytest.mark.parametrize(
    ("script", "active", "without", "all_was_got"),
    [
        (SCRIPT, "main", {"proof": Away()}, False),
        (b'require "vacation";\nvacation "away";\n', "main", {"vacation": NoRecord()}, False),
        (SCRIPT, None, {"active_files": Away()}, False),
        (INCLUDING, "main", {"new_global": Away()}, False),
        (INCLUDING, "main", {"old_global": Away()}, False),
        (SCRIPT, "main", {"new_global": Away()}, True),
        (SCRIPT, "main", {"vacation": NoRecord(), "active_files": Away()}, True),
    ],
)
def test_an_account_of_which_something_could_not_be_had_is_not_done_with(
    ledger: Ledger, script: bytes, active: str | None, without: dict[str, Any], all_was_got: bool
) -> None:
    """It is no problem that waits for a person, but the next pass may get it."""
    there = dict.fromkeys(("old_global", "new_global"), SimpleNamespace(texts=dict))
    old = Servers({"anne": Server({"main": script}, active)})
    counts = sync.run(job(ledger, old, Servers(), **there | without), ["anne"])
    assert (bool(counts.folders["anne"]), counts.failed) == (all_was_got, {})
    assert sync.run(job(ledger, old, Servers(), **there), ["anne"]).folders["anne"]


def test_the_final_report_tells_of_the_filters(ledger: Ledger) -> None:
    away = b'require ["vacation", "fileinto"];\nvacation "away";\nfileinto "INBOX.A";\n'
    old = Servers({"anne": serving(away), "bob": serving()})
    folders = FolderMap({}, ".", "/", "INBOX.", "")
    sync.run(job(ledger, old, Servers(), folder_maps=lambda _: folders, vacation=NoRecord()), ["anne", "bob"])
    assert [line for line in evidence_lines(ledger) if line.startswith(("filters", "vacation"))] == [
        "filters: 2 of 2 accounts, 2 stand on new, 1 with edits, 0 compared on own mail",
        "vacation answers that may come a second time: 1",
        "vacation answers that may come a second time: anne: some may get a second answer: the old server's record "
        "could not be carried over (no record of anne)",
    ]
