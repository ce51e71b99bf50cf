"""A wave through Airflow, stopped by the control room's button and run again; the day leaves alone who has moved."""

import json
from datetime import datetime

import pytest
from bascule.ledger import journal, mailboxes, moves, phases, waves
from bascule.site import Site

from lab.airflow.processes import USER, Home
from lab.corpus import inventory
from lab.measure import delivered, inject
from tests.end_to_end import moving
from tests.end_to_end.conftest import KEPT, Day
from tests.end_to_end.control_room import link_to
from tests.integration.conftest import Lab
from tests.integration.directory_entries import administrator, dn_of


@pytest.fixture(scope="module")
def wave(day: Day) -> list[str]:
    return moving.movers(day.instance)


def states(day: Day, name: str) -> dict[str, str]:
    """How each account of the wave ended in this run."""
    return {task["rendered_map_index"]: task["state"] for task in day.seen[name].named("account.move")}


def test_the_page_shows_the_proposed_waves_then_the_one_that_was_taken(day: Day, wave: list[str]) -> None:
    lines = day.notes["proposed"].splitlines()
    proposed = [line.split(",")[0].removeprefix("wave ") for line in lines if line.startswith("wave ")]
    assert len(proposed) > 1
    assert [name for name in proposed if link_to(name) not in day.notes["page of what is proposed"]] == []
    assert f"{len(wave)} account(s) planned" in day.notes["taken"]
    assert [name for name in wave if f"<bdi>{name}</bdi>" not in day.notes["page of what is taken"]] == []


def test_who_is_on_new_already_or_stays_on_old_is_not_planned(day: Day, wave: list[str]) -> None:
    planned = {each.account for each in waves.plan(day.ledger)}
    assert {*wave} < planned
    assert planned.isdisjoint({"egarcon", "nlefevre", "npatel"}), "two beta testers and one who has nothing on old"


def test_a_wave_waits_for_its_start(day: Day) -> None:
    run = day.seen["move, before its start"]
    assert run.state == "running"
    task = run.task("wait_for_the_time")
    assert task["state"] == "up_for_reschedule"
    assert run.task("preflight")["state"] in (None, "none"), "nothing was begun"
    assert "waiting for the time to move" in day.log_of(run, task)


def test_the_button_lets_those_under_way_end_and_skips_the_rest_with_a_reason(day: Day, wave: list[str]) -> None:
    run, found = day.seen["move, stopped"], states(day, "move, stopped")
    assert run.state == "success"
    assert sorted(found) == wave and {*found.values()} == {"success", "skipped"}
    assert {account for account in found if found[account] == "success"} == day.notes["moved before the stop"]
    assert {*day.notes["under way at the stop"]} <= day.notes["moved before the stop"]
    for account in (account for account in found if found[account] == "skipped"):
        assert f"not moved: {USER} stopped the moves at" in day.log_of(run, run.task("account.move", account)), account
    assert f"by {USER}" in day.notes["page after the stop"].replace("<bdi>", "").replace("</bdi>", "")
    assert [each.by for each in [waves.last_signal(day.ledger)] if each] == [USER]


def test_nobody_is_held_after_the_stop(day: Day) -> None:
    assert day.notes["held after the stop"] == (set(), [])


def test_every_run_watches_its_holds(day: Day) -> None:
    run = day.seen["move, again"]
    task = run.task("watch_holds")
    assert task["state"] == "success"
    assert "mail is held" in day.log_of(run, task)


def test_a_hold_that_was_left_is_undone_though_nobody_runs_move(day: Day) -> None:
    left = day.notes["hold that was left"]
    with day.ledger.reading() as session:
        row = session.get_one(moves.MoveRow, left.id)
        assert (row.state, row.turned) == (moves.State.UNDONE, True)
    assert day.notes["held after it was left"] == []
    assert day.notes["seconds until it was undone"] < 120


def test_the_same_wave_again_moves_the_rest_and_nobody_twice(day: Day, wave: list[str]) -> None:
    run, before = day.seen["move, again"], day.notes["moved before the stop"]
    assert run.state == "success"
    assert states(day, "move, again") == dict.fromkeys(wave, "success")
    for account in before:
        assert "the account is there already" in day.log_of(run, run.task("account.move", account)), account
    assert sorted(moving.ends(day)) == wave == sorted(moves.moved(day.ledger))
    assert day.notes["page after the wave"].count("moved</td>") >= len(wave)


def test_the_day_neither_looks_at_nor_copies_who_had_moved(day: Day, wave: list[str]) -> None:
    frozen, found = phases.marked_at(day.ledger, "freeze", "started"), mailboxes.mailbox_states(day.ledger)
    assert frozen
    assert {found[account].state for account in wave} == {"verified"}
    seen = {account: at for account in found if (at := found[account].seen_at) and at >= frozen}
    assert seen and seen.keys().isdisjoint(wave), "all others were looked at"


def test_their_entries_are_as_their_moves_have_left_them(day: Day, wave: list[str]) -> None:
    with administrator(Lab(day.instance)) as admin:
        for account in wave:
            admin.search(dn_of(account), "(objectClass=*)", attributes=["mailHost", "mailRoutingAddress"])
            entry = admin.entries[0]
            assert (str(entry.mailHost), str(entry.mailRoutingAddress)) == ("new.obs.test", f"{account}@new.obs.test")
    assert moving.held(day) == []


def test_mail_that_came_after_their_moves_is_on_new_once_and_nowhere_else(day: Day) -> None:
    ended, held = moving.ends(day), inventory.read(day.instance)
    assert held is not None
    after = {
        record.number: record.accounts
        for record in inject.accepted(day.instance)
        if any(datetime.fromisoformat(record.at) > ended[account] for account in record.accounts if account in ended)
    }
    found = delivered.look(day.instance, held)
    result = delivered.judge(after, [], found, kept=[KEPT])
    assert len(after) > 20 and result["delivered_once"] == len(after), json.dumps(result)[:2000]
    on_old = {(number, account) for number in after for account, _ in found.old.get(number, ()) if account in ended}
    assert on_old == set()


def test_the_gate_and_the_report_name_them(day: Day, site_file: Site, wave: list[str]) -> None:
    told = f"moved to new on their own, and left alone by the day: {len(wave)} ({', '.join(wave)})"
    (*_, gate) = journal.entries(day.ledger, kind="gate", event="decision")
    assert told in (gate.before or {})["in full"]
    assert told in day.log_of(day.seen["drain"], day.seen["drain"].task("final_report"))
    report = Home(day.instance).path / "reports" / f"{site_file.name}-report.json"
    assert told in json.loads(report.read_text(encoding="utf-8"))["evidence"]
