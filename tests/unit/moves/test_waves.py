"""Who moves together, and when: groups, waves, working hours, and the plan as a table that is taken whole or not."""

from datetime import date, datetime, time
from itertools import islice

import pytest
from bascule.ledger import Ledger, carried
from bascule.ledger.calendars import ShareRow, save_share
from bascule.ledger.carried import Carried
from bascule.ledger.waves import Planned
from bascule.moves import groups, hours, plan_table
from bascule.moves.plan_table import PlanRefused
from bascule.moves.ties import ties
from bascule.site import HoursPart
from hypothesis import given
from hypothesis import strategies as st

PARIS = "Europe/Paris"
NINE = datetime(2037, 12, 1, 8)  # 9:00 in Paris
HOSTILE = ["'; drop table move; --", "<script>alert(1)</script>", "a\u202eb", "", "\ud800", "x" * 5000, "*", "=1+1"]
names = st.lists(st.sampled_from([*"abcdefgh", *HOSTILE]), unique=True)
pairs = st.lists(st.tuples(st.sampled_from([*"abcdefgh", *HOSTILE]), st.sampled_from([*"abcdefgh", *HOSTILE])))


def test_people_who_share_something_directly_or_through_others_are_one_group() -> None:
    assert groups.groups("abcdef", [("a", "b"), ("c", "b"), ("e", "f"), ("e", "stranger")]) == [
        ["a", "b", "c"], ["e", "f"], ["d"],
    ]  # fmt: skip


@given(names, pairs, st.integers(1, 5), st.integers(1, 5))
def test_everybody_is_planned_once_or_named_and_nobody_is_parted(
    accounts: list[str], shared: list[tuple[str, str]], per_wave: int, largest: int
) -> None:
    made = groups.propose(accounts, shared, per_wave=per_wave, largest=largest)
    everybody = [name for wave in [*made.waves, *made.too_large] for name in wave]
    assert sorted(everybody) == sorted(accounts)
    place = {name: number for number, wave in enumerate([*made.waves, *made.too_large]) for name in wave}
    assert [(one, other) for one, other in shared if {one, other} <= {*place} and place[one] != place[other]] == []
    assert all(len(group) > largest for group in made.too_large)
    whole = groups.groups(accounts, shared)
    assert all(len(wave) <= per_wave or wave in whole for wave in made.waves), "only one group may exceed a wave"
    assert made == groups.propose([*reversed(accounts)], [*reversed(shared)], per_wave=per_wave, largest=largest)


def test_the_first_wave_is_the_smallest_so_that_what_is_wrong_meets_few() -> None:
    made = groups.propose("abcdefg", [("a", "b"), ("c", "d")], per_wave=3, largest=3)
    assert [*made.waves] == [["g"], ["a", "b", "e"], ["c", "d", "f"]]


def test_rights_of_folders_and_shares_of_calendars_tie_people_and_nobody_else(ledger: Ledger) -> None:
    with ledger.session() as session:
        for account, name, old in [
            ("anna", "BERT", "lr"), ("anna", "anyone", "lr"), ("anna", "$staff", "lr"), ("anna", "-carl", "lr"),
            ("anna", "dora", ""), ("anna", "eve", None), ("bert", HOSTILE[0], "lr"),
        ]:  # fmt: skip
            carried.remember(session, account, "folder", "acl", Carried(name, old, None, None, ours=True))
        carried.remember(session, "anna", "folder", "metadata", Carried("dora", "x", None, None, ours=True))
    for owner, href, who in [("carl", "/carl/c", "dora"), ("carl", "/carl/c", "<default>"), ("eve", "", "anna")]:
        save_share(ledger, ShareRow(account=owner, old_href=href, who=who, roles=[], state="given"))
    assert ties(ledger, ["anna", "bert", "carl", "dora", "eve"]) == {("anna", "bert"), ("carl", "dora")}


def test_moves_begin_within_the_hours_on_the_clocks_of_the_site() -> None:
    part = HoursPart()
    assert hours.opening(None, PARIS, NINE) == NINE
    assert hours.opening(part, PARIS, NINE) == NINE
    assert hours.opening(part, PARIS, datetime(2037, 12, 1, 7, 59)) == NINE
    assert hours.opening(part, PARIS, datetime(2037, 12, 4, 16)) == datetime(2037, 12, 7, 8), "Friday 17:00 to Monday"
    assert hours.opening(part, PARIS, datetime(2026, 6, 1, 6)) == datetime(2026, 6, 1, 7), "in summer an hour earlier"


def test_waves_begin_on_working_days_across_the_change_of_the_clocks() -> None:
    starts = islice(hours.openings(HoursPart(), PARIS, date(2026, 10, 24)), 2)
    assert [*starts] == [datetime(2026, 10, 26, 8), datetime(2026, 10, 27, 8)], "the 24th is a Saturday"


@pytest.mark.parametrize(("given_", "meant"), [(1020, time(17)), ("08:30", time(8, 30)), (0, time(0))])
def test_a_time_that_yaml_takes_for_a_number_is_a_time(given_: object, meant: time) -> None:
    part = HoursPart.model_validate({"begin": given_, "end": "23:00"})
    assert part.begin == meant


def test_hours_that_end_before_they_begin_are_told() -> None:
    with pytest.raises(ValueError, match="`begin` must be earlier"):
        HoursPart.model_validate({"begin": "17:00", "end": "09:00"})


PLAN = [Planned("anna", "1", NINE), Planned("bert", "1", NINE), Planned("carl", note="=too many")]
KNOWN = {"anna", "bert", "carl"}


def test_the_plan_is_read_back_from_a_spreadsheet_as_it_was_written() -> None:
    data = plan_table.as_csv(PLAN, {"anna": {"bert"}}, PARIS)
    assert b"anna,1,'2037-12-01 09:00,bert," in data
    assert plan_table.read(data, PARIS, KNOWN) == PLAN


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        (["zoe,1,2037-12-01 09:00"], ["line 2 (zoe): no account of the site has this name"]),
        (
            ["anna,1,", "bert,,2037-12-01 09:00"],
            [
                "line 2 (anna): it needs both a wave and a start, or neither: then it waits until somebody says when",
                "line 3 (bert): it needs both a wave and a start, or neither: then it waits until somebody says when",
            ],
        ),
        (["anna,1,tomorrow"], ["line 2 (anna): 'tomorrow' is no start: write it as 2026-12-31 09:00"]),
        (
            ["anna,1,2027-03-28 02:30"],
            [
                "line 2 (anna): '2027-03-28 02:30' is no start: the clocks are set forward then: there is no 02:30 on "
                "2027-03-28"
            ],
        ),
        (
            ["anna,1;2,2037-12-01 09:00"],
            ["line 2 (anna): '1;2' is no wave's name: letters, digits, `.`, `_` and `-`, 32 at most"],
        ),
        (
            ["anna,1,2037-12-01 09:00", "bert,1,2037-12-02 09:00", "anna,2,2037-12-03 09:00"],
            [
                "line 4 (anna): it stands in line 2 already",
                "line 3 (bert): wave 1 starts at 2037-12-02 09:00 here, and at 2037-12-01 09:00 in line 2",
            ],
        ),
    ],
)  # fmt: skip
def test_each_bad_line_is_told_by_its_number(rows: list[str], reasons: list[str]) -> None:
    with pytest.raises(PlanRefused) as refused:
        plan_table.read("\n".join(["account,wave,start", *rows]).encode(), PARIS, KNOWN)
    assert [*refused.value.reasons] == reasons


@pytest.mark.parametrize("start", ["0001-01-01 00:00", "9999-12-31 23:59"])
@pytest.mark.parametrize("zone", [PARIS, "America/New_York"])
def test_a_start_at_the_end_of_all_times_is_told_as_a_bad_line(start: str, zone: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        plan_table.read(f"account,wave,start\nanna,1,{start}".encode(), zone, KNOWN)
    assert [*refused.value.reasons] == [f"line 2 (anna): '{start}' is no start: the year must be between 2000 and 2999"]


@pytest.mark.parametrize("cell", HOSTILE[:4])
def test_hostile_cells_are_told_harmlessly(cell: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        plan_table.read(f'account,wave,start\n"{cell}",1,x\nanna,"{cell}",x\n'.encode(), PARIS, KNOWN)
    assert "\u202e" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"account,start\n", b'account,wave,start\n"anna'])
def test_what_is_no_table_is_told(data: bytes) -> None:
    with pytest.raises(PlanRefused):
        plan_table.read(data, PARIS, KNOWN)


def test_the_plan_in_lines_names_who_waits_and_why() -> None:
    assert plan_table.as_text(PLAN, PARIS).splitlines() == [
        "wave 1, from 2037-12-01 09:00: 2", "    anna, bert", "without a wave: 1 (=too many)", "    carl",
    ]  # fmt: skip
