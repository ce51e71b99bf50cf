"""The problem mailboxes of the practice site on the day: decided by the site file, by prepared answers, in the UI."""

import re
import subprocess
from collections.abc import Collection
from typing import Any

from bascule.ledger import journal, mailboxes
from bascule.problems import store
from bascule.problems.model import Option

from lab.corpus.mailboxes import CLOSED_ON_NEW, LONG_FOLDER, LONG_KEYWORD, PREFIX, USED_ON_NEW
from lab.demo import DECIDED_BEFORE
from lab.hosts import driver
from tests.end_to_end.conftest import BY_BROWSER, TYPED, USED_ON_BOTH, Day

# Every kind that the practice site has, with how it was decided.
DECIDED = {
    "mailbox/folder-name": {"page"},
    "mailbox/folder-name-alike": {"page"},
    "mailbox/folder-both-changed": {"page"},
    "mailbox/folder-unreadable": {"page"},
    "mailbox/folder-closed-on-new": {"page"},
    "mailbox/message-refused": {"page"},
    "mailbox/message-altered": {"page"},
    "mailbox/message-unreadable": {"page"},
    "mailbox/message-too-large": {"standing"},
    "mailbox/keyword-refused": {"standing"},
    "mailbox/acl-unknown": {"page"},
    "mailbox/metadata-refused": {"page"},
    "mailbox/quota": {"page"},
    "account/no-mailbox": {"standing", "page"},  # on old, and on new
    "sieve/filter never ran": {"page"},
    "sieve/filter rule never matches": {"page"},
    "calendar/journal": {"page"},
}
NAMES_ALIKE = {"Congre\u0300s", "Mesures ", "travaux"}  # each beside another folder of almost the same name
REPAIRED_BY_HAND = {"egarcon": "mailbox/folder-closed-on-new", "iweiss": "account/no-mailbox"}


def decisions(day: Day, accounts: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The decisions of the journal about the practice site's own accounts, with their kind and account."""
    return [
        {"kind": entry.kind, "account": entry.subject, "phase": entry.origin.phase, **(entry.after or {})}
        for entry in journal.entries(day.ledger, event="decision")
        if entry.kind != "gate" and (entry.subject in accounts if accounts else not entry.subject.startswith("cinq"))
    ]


def test_every_kind_was_met_and_decided_in_its_way(day: Day) -> None:
    met: dict[str, set[str]] = {}
    for decision in decisions(day):
        met.setdefault(decision["kind"], set()).add(decision["source"])
    assert {kind: met.get(kind) for kind in DECIDED} == DECIDED


def test_names_alike_and_a_name_that_is_too_long_get_names_of_their_own(day: Day) -> None:
    names = mailboxes.folder_map(day.ledger, BY_BROWSER)
    renamed = {name: names[PREFIX + name] for name in {*NAMES_ALIKE, LONG_FOLDER}}
    assert all(new != old for old, new in renamed.items())
    assert len({new.casefold() for new in names.values()}) == len(names)


def test_what_was_decided_days_before_is_not_asked_on_the_day(day: Day) -> None:
    assert day.seen["problems before the day"].state == "success"
    assert {decision["phase"] for decision in decisions(day, DECIDED_BEFORE)} <= {"prepare", "problems"}
    transfer = day.seen["transfer"]
    synced = [task for task in transfer.named("mailbox.sync") if task["rendered_map_index"] in DECIDED_BEFORE]
    assert {task["state"] for task in synced} <= {"success"}
    states = mailboxes.mailbox_states(day.ledger)
    assert [states[account].state for account in DECIDED_BEFORE] == ["verified"] * len(DECIDED_BEFORE)
    assert transfer.asked.isdisjoint(DECIDED_BEFORE)


def test_what_was_repaired_by_hand_is_looked_at_again_and_carried(day: Day) -> None:
    chosen = {each["account"]: (each["kind"], each["option"]) for each in decisions(day, REPAIRED_BY_HAND)}
    assert chosen == {account: (kind, Option.LOOK_AGAIN) for account, kind in REPAIRED_BY_HAND.items()}
    for account in REPAIRED_BY_HAND:
        assert day.seen["transfer"].task("mailbox.sync", account)["state"] == "success"
        assert store.problems(day.ledger, account=account, states=("open", "decided", "settled")) == []
    states = mailboxes.folder_map(day.ledger, "egarcon")
    assert states[PREFIX + CLOSED_ON_NEW] == CLOSED_ON_NEW


def test_a_folder_that_was_used_on_new_and_removed_on_old_is_kept_by_decision(day: Day) -> None:
    assert day.seen["prepare, the next night"].state == "success"
    (problem,) = store.problems(day.ledger, account=USED_ON_BOTH, states=("settled",))
    assert (problem.kind, problem.subject) == ("folder-both-changed", PREFIX + USED_ON_NEW)
    command = ["doveadm", "fetch", "-u", USED_ON_BOTH, "hdr.subject", "mailbox", USED_ON_NEW]
    listed = subprocess.run(
        driver.ssh_command(day.instance, "new", command), capture_output=True, check=True, text=True
    )
    assert "plan du chapitre 4" in listed.stdout
    assert listed.stdout.count("hdr.subject") == 4, "her own message, and the three that were carried"


def test_what_the_site_file_decides_is_asked_of_nobody(day: Day) -> None:
    standing = [decision for decision in decisions(day) if decision["source"] == "standing"]
    assert {decision["decided_by"] for decision in standing} == {"the site file"}
    assert {decision["phase"] for decision in standing} == {"prepare"}, "taken days before"
    assert any(LONG_KEYWORD in each.subject for each in store.problems(day.ledger, states=("settled",)))


def test_the_name_that_was_typed_in_the_browser_is_the_folders_name(day: Day) -> None:
    assert day.notes["answered at the web UI"] == BY_BROWSER
    listed = driver.ssh_command(day.instance, "new", ["doveadm", "mailbox", "list", "-u", BY_BROWSER])
    folders = subprocess.run(listed, capture_output=True, check=True, text=True).stdout.splitlines()
    assert TYPED in folders
    assert TYPED in mailboxes.folder_map(day.ledger, BY_BROWSER).values()
    assert {decision["decided_by"] for decision in decisions(day, [BY_BROWSER])} == {"postmaster"}


def test_a_name_that_is_written_against_the_page_is_shown_and_does_nothing(day: Day) -> None:
    seen = day.notes["page in the browser"]
    assert "<img src=x onerror=alert(1)> [a](javascript:alert(2))" in seen.text
    assert seen.dialogs == []
    assert not re.search(r"<img[^>]*onerror|href=.javascript:", seen.markup)
    assert "\u202e" not in seen.text


def test_what_was_left_out_is_named_before_the_go(day: Day) -> None:
    (*_, gate) = journal.entries(day.ledger, kind="gate", event="decision")
    page, in_full = (gate.before or {})["evidence"], "\n".join((gate.before or {})["in full"])
    left_out = [each for each, how in store.all_decisions(day.ledger) if how.option is Option.LEAVE_OUT]
    assert {each.account for each in left_out} >= {"mlacour", "cdaubigne"}
    for problem in left_out:
        assert f"left out for {problem.account}: {problem.kind}: {problem.subject}" in in_full
    assert "left out by decision: " in page
    assert "/bascule/evidence" in page  # where all of them stand
