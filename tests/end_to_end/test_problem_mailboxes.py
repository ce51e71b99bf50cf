"""The problem mailboxes of the practice site on the day: decided by the site file, by prepared answers, in the UI."""

import html
import subprocess
from collections.abc import Collection
from typing import Any

from bascule.ledger import journal, mailboxes, problems

from lab import driver
from lab.corpus import LONG_KEYWORD
from tests.end_to_end.conftest import BY_BROWSER, TYPED, Day

# Every kind that the practice site has, with how it was decided on the day.
DECIDED = {
    "mailbox/folder-name": "page",
    "mailbox/folder-name-alike": "page",
    "mailbox/folder-unreadable": "page",
    "mailbox/message-refused": "page",
    "mailbox/message-unreadable": "page",
    "mailbox/message-too-large": "standing",
    "mailbox/keyword-refused": "standing",
    "mailbox/acl-unknown": "page",
    "mailbox/quota": "page",
    "account/no-mailbox": "standing",
    "sieve/filter never ran": "page",
    "sieve/filter rule never matches": "page",
}


def decisions(day: Day, accounts: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The decisions of the journal about the practice site's own accounts, with their kind and account."""
    return [
        {"kind": entry.kind, "account": entry.subject, "phase": entry.origin.phase, **(entry.after or {})}
        for entry in journal.entries(day.ledger, event="decision")
        if entry.kind != "gate" and (entry.subject in accounts if accounts else not entry.subject.startswith("cinq"))
    ]


def test_every_kind_was_met_and_decided_in_its_way(day: Day) -> None:
    met = {decision["kind"]: decision["source"] for decision in decisions(day)}
    assert {kind: met.get(kind) for kind in DECIDED} == DECIDED


def test_what_the_site_file_decides_is_asked_of_nobody(day: Day) -> None:
    standing = [decision for decision in decisions(day) if decision["source"] == "standing"]
    assert {decision["decided_by"] for decision in standing} == {"the site file"}
    assert {decision["phase"] for decision in standing} == {"prepare"}, "taken days before"
    assert any(LONG_KEYWORD in each.subject for each in problems.problems(day.ledger, states=("settled",)))


def test_the_name_that_was_typed_in_the_browser_is_the_folders_name(day: Day) -> None:
    assert day.notes["answered at the web UI"] == BY_BROWSER
    listed = driver.ssh_command(day.instance, "new", ["doveadm", "mailbox", "list", "-u", BY_BROWSER])
    folders = subprocess.run(listed, capture_output=True, check=True, text=True).stdout.splitlines()
    assert TYPED in folders
    assert TYPED in mailboxes.folder_map(day.ledger, BY_BROWSER).values()
    assert {decision["decided_by"] for decision in decisions(day, [BY_BROWSER])} == {"postmaster"}


def test_what_was_left_out_is_named_before_the_go(day: Day) -> None:
    (*_, gate) = journal.entries(day.ledger, kind="gate", event="decision")
    evidence = html.unescape((gate.before or {})["evidence"].replace("\\", ""))
    left_out = [each for each, how in problems.all_decisions(day.ledger) if how.option is problems.Option.LEAVE_OUT]
    assert {each.account for each in left_out} >= {"mlacour", "cdaubigne"}
    for problem in left_out:
        assert f"left out for {problem.account}: {problem.kind}: {problem.subject}" in evidence
