"""The plan of waves: it is proposed, and taken from a table; what looks like a slip of the pen is told."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from bascule.hosts.directory import Account
from bascule.ledger import Ledger, carried, journal, moves, notices
from bascule.ledger import waves as plan
from bascule.ledger.base import now
from bascule.ledger.carried import Carried
from bascule.ledger.waves import Planned
from bascule.moves import __main__ as command_line
from bascule.moves import plan_notes
from bascule.moves.plan_table import PlanRefused
from bascule.site import HoursPart
from bascule.tasks import accounts, letters, waves
from bascule.tasks.run import NeedsPerson, Run

from tests.unit.changes.fakes import FakeAccess
from tests.unit.moves.conftest import KNOWN, NINE, ORIGIN, of_moves


def test_everybody_who_has_not_moved_is_planned_and_a_plan_is_not_overwritten(run: Run) -> None:
    moves.note(run.ledger, moves.begin(run.ledger, "dora", "new", {}, "run-0"), moves.State.DONE)
    change = waves.propose(run, per_wave=2, largest=0, first=NINE.date(), anew=False)
    assert (change.planned, change.waiting, change.changed, change.gone) == (3, 0, 3, 0)
    assert [(each.account, each.wave) for each in waves.planned(run)] == [("carl", "1"), ("anna", "2"), ("bert", "2")]
    assert [each.starts_at for each in waves.planned(run)][:2] == [NINE, NINE + timedelta(days=1)]
    with pytest.raises(NeedsPerson, match="there is a plan already"):
        waves.propose(run, per_wave=9, largest=0, first=NINE.date(), anew=False)
    assert waves.propose(run, per_wave=9, largest=0, first=NINE.date(), anew=True).planned == 3


def test_who_was_told_a_start_and_has_none_any_more_is_named(run: Run) -> None:
    soon, gone = now() + timedelta(days=1), now() - timedelta(days=1)
    before = [*(Planned(name, "1", soon) for name in ("anna", "bert", "carl")), Planned("dora", "0", gone)]
    plan.replace(run.ledger, before)
    for told in (before[0], before[2], before[3]):
        notices.claim(run.ledger, letters.slot(told), letters.BEFORE)
    change = waves.take(run, b"account,wave,start\nanna,,\ncarl,2,2099-12-01 09:00\n")
    (note,) = change.notes
    assert note.startswith("anna was told by letter that it moves at ") and "tell it yourself" in note


def test_a_plan_that_is_made_anew_counts_its_waves_behind_those_that_have_moved(run: Run) -> None:
    """The record tells each by its name."""
    begun = journal.Entry("note", "move", "dora", ORIGIN, {"what": "intent", "wave": "4"})
    journal.append(run.ledger, begun)
    moves.note(run.ledger, moves.begin(run.ledger, "dora", "new", {}, "run-0"), moves.State.DONE)
    waves.propose(run, per_wave=2, largest=0, first=NINE.date(), anew=False)
    assert [each.wave for each in waves.planned(run)] == ["5", "6", "6"]


def test_who_is_on_new_already_is_not_planned(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beta testers, and who came after new: by the directory, in which all of an entry must say so."""

    def entry(name: str, host: str, mail: str) -> Account:
        return Account(name, "", {"MAILHOST": [f"{host}.obs.test"], "mailRoutingAddress": [f"{name}@{mail}.obs.test"]})

    found = [entry("anna", "new", "new"), entry("bert", "old", "new"), entry("carl", "old", "old"), Account("dora", "")]
    monkeypatch.setattr(accounts.directory, "accounts", lambda access, selection="all": found)
    waves.propose(run, per_wave=9, largest=0, first=NINE.date(), anew=False)
    assert [each.account for each in waves.planned(run)] == ["bert", "carl", "dora"]


def test_a_group_that_is_too_large_is_named_and_not_planned_until_somebody_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (waves, plan_notes):
        monkeypatch.setattr(module, "ties", lambda ledger, accounts: {("anna", "bert"), ("bert", "carl")})
    change = waves.propose(run, per_wave=5, largest=2, first=NINE.date(), anew=False)
    assert (change.planned, change.waiting) == (1, 3)
    (told,) = change.notes
    assert told.startswith(
        "not planned: anna, bert, carl. 3 accounts share folders or calendars with one another, more"
    )
    assert "above all bert (with 2), anna (with 1), carl (with 1)" in told
    table = waves.write(run.ledger, run.site.timezone).decode("utf-8-sig").splitlines()
    assert table[2].startswith('anna,,,bert,"3 accounts share')
    edited = [table[0], *("anna,2,2037-12-02 09:00", "bert,2,2037-12-02 09:00", "carl,3,2037-12-03 09:00")]
    change = waves.take(run, "\n".join(edited).encode())
    assert (change.planned, change.waiting, change.changed, change.gone) == (3, 0, 3, 1)
    assert change.notes == ["bert (wave 2) and carl (wave 3) share folders or calendars, and do not move together"]


def take(run: Run, *lines: str) -> list[str]:
    """The notes about a table of these lines."""
    return [*waves.take(run, "\n".join(["account,wave,start", *lines]).encode()).notes]


def test_before_prepare_a_proposed_plan_says_that_nothing_is_known_of_who_shares_with_whom(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose = partial(waves.propose, run, per_wave=9, largest=0, first=NINE.date(), anew=True)
    assert propose().notes == []
    monkeypatch.setattr(waves.phases, "marked", lambda *_: None)
    (told,) = propose().notes
    assert told.startswith("`prepare` has never run to its end: who shares folders or calendars with whom is not known")


def test_a_wave_whose_start_has_passed_is_told_when_it_is_taken(run: Run) -> None:
    told = [
        "wave 1 starts at 2025-12-01 09:00, which has passed: its people move as soon as it is triggered, and get no "
        "letter before"
    ]
    lines = ["anna,1,2025-12-01 09:00", "bert,1,2025-12-01 09:00", "carl,2,2037-12-01 09:00"]
    assert take(run, *lines) == told
    assert take(run, *lines) == [], "not of waves that were taken before"


def test_the_start_of_those_who_have_moved_may_have_passed(run: Run) -> None:
    moves.note(run.ledger, moves.begin(run.ledger, "anna", "new", {}, "run-0"), moves.State.DONE)
    assert take(run, "anna,1,2025-12-01 09:00") == []


def test_a_wave_that_starts_outside_of_the_hours_is_told_with_the_time_at_which_it_moves(run: Run) -> None:
    access = FakeAccess(of_moves(hours=HoursPart()))
    lines = ["anna,1,2037-12-05 03:00", "bert,2,2037-12-07 09:00"]
    assert take(replace(run, site=access.site, access=access), *lines) == [
        "wave 1 starts at 2037-12-05 03:00, outside of the hours (`moves.hours` in the site file): its people move "
        "from 2037-12-07 09:00 on, and a letter before would tell them the former"
    ]


def test_who_is_taken_out_and_shares_something_with_somebody_who_stays_in_the_plan_is_told(run: Run) -> None:
    with run.ledger.session() as session:
        carried.remember(session, "anna", "folder", "acl", Carried("bert", "lrs", None, None, ours=True))
        carried.remember(session, "anna", "folder", "acl", Carried("carl", "lrs", None, None, ours=True))
    moves.note(run.ledger, moves.begin(run.ledger, "carl", "new", {}, "run-0"), moves.State.DONE)
    plan.replace(run.ledger, [Planned(name, "1", NINE) for name in KNOWN])
    assert take(run, "anna,1,2037-12-01 09:00") == [
        "anna (wave 1) and bert (in the plan no more) share folders or calendars, and do not move together"
    ]


def test_a_table_without_a_line_empties_the_plan_and_says_so(run: Run) -> None:
    assert take(run) == []
    plan.replace(run.ledger, [Planned("anna", "1", NINE)])
    (told,) = take(run)
    assert told.startswith("the table has no line for an account, and with it nobody is planned any more")
    assert waves.planned(run) == []


def test_a_table_with_a_bad_line_changes_nothing(run: Run) -> None:
    plan.replace(run.ledger, [Planned("anna", "7", NINE)])
    with pytest.raises(PlanRefused, match=r"line 3 \(zoe\): no account of the site has this name"):
        waves.take(run, b"account,wave,start\nbert,1,2037-12-02 09:00\nzoe,1,2037-12-02 09:00\n")
    assert waves.planned(run) == [Planned("anna", "7", NINE)]


def test_the_command_line_makes_shows_writes_and_takes_the_plan(
    shell: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.csv"
    assert command_line.main(["plan", "propose", "--per-wave", "4", "--from", "2037-12-01"]) == 0
    assert "4 account(s) planned, 0 wait for a person; 4 changed, 0 taken out" in capsys.readouterr().out
    assert command_line.main(["plan", "write", str(file)]) == 0
    file.write_bytes(file.read_bytes().replace(b"anna,1", b"anna,one;two"))
    capsys.readouterr()
    assert command_line.main(["plan", "take", str(file)]) == 1
    told = capsys.readouterr().err
    assert "nothing was changed:\n  line 2 (anna): 'one;two' is no wave's name" in told
    assert command_line.main(["plan", "show"]) == 0
    assert "wave 1, from 2037-12-01 09:00: 4\n    anna, bert, carl, dora" in capsys.readouterr().out
    assert command_line.main(["plan", "take", str(tmp_path / "none.csv")]) == 1
