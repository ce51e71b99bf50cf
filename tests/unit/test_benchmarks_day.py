"""The benchmark of the day: its tables from new and old files, and that it fails when anything was not good."""

import json
from pathlib import Path
from typing import Any

import pytest

import benchmarks.__main__ as command_line
from benchmarks import day, day_table
from benchmarks.day_table import COLUMNS, tables, wrong

# What an earlier version kept: no date, no commit, nothing from outside, and only two kinds of what may be wrong.
OLD: dict[str, Any] = {
    "accounts": 1000, "outage_seconds": 270.4, "folders": 5000, "messages": 88369, "injected": 2079,
    "delivered_once": 2079, "good": True, "lost": [], "duplicated": [], "questions": 60, "forecast": {"seconds": 187},
    "parts": {
        "prepare": {"seconds": 1813.0, "cpu": {"tasks": 771.0}, "load": 9.0, "memory": {"tasks": 900}},
        "second prepare": {"seconds": 240.0, "cpu": {"tasks": 180.0}, "load": 6.0, "memory": {"tasks": 1000}},
        "day": {"seconds": 341.7, "cpu": {"tasks": 219.4, "scheduler": 51.2}, "load": 5.1, "memory": {"tasks": 1031}},
    },
    "pages": {"the run's page": [3.0, 3.1, 2.9]},
    "phases": {
        "prepare": [{"task": "begin", "start": "2026-12-01T01:04:12.5Z", "end": "2026-12-01T01:04:13Z"}],
        "freeze": [
            {"task": "begin", "start": "2026-12-01T01:40:00Z", "end": "2026-12-01T01:40:01Z"},
            {"task": "stop_imap", "start": "2026-12-01T01:40:02Z", "end": "2026-12-01T01:40:04Z"},
        ],
        "transfer": [{"task": "mailbox.sync", "start": "x", "end": "y"}] * 301,
        "cutover": [{"task": "go_no_go", "start": "2026-12-01T01:45:00Z", "end": "2026-12-01T01:45:10Z"}],
    },
}  # fmt: skip

NEW = {
    **OLD, "accounts": 200, "began": "2026-12-02 06:10", "commit": "abc1234", "cores": 2, "outage_seconds": 104.0,
    "misplaced": [], "waiting": {}, "only_on_old": [], "unseen": [], "differences": [],
    "outside": {"acts": 400, "refused": 90, "seconds": 111.3, "began": 5.0, "ended": 116.3, "words": "timed out"},
    "functional_tests": {"imap login": {"ok": True}}, "figures": {"answer": 4.2, "tasks": 65, "act": 2.2},
    "injected": 558, "delivered_once": 558,
}  # fmt: skip


def rows(lines: list[str]) -> dict[str, dict[str, str]]:
    """The first table's cells by column, each row by its number of accounts."""
    table = lines[lines.index("") + 3 : lines.index("", 3)]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in cells}


def test_each_size_has_a_row_of_its_own_run() -> None:
    row = rows(tables([NEW, OLD]))["200"]
    assert row == {
        "accounts": "200", "measured (UTC)": "2026-12-02 06:10", "commit": "abc1234", "cores": "2", "load": "5",
        "outage s": "104", "seen from outside s": "111", "of which an answer was waited for": "4", "forecast s": "187",
        "day s": "342", "`prepare` s": "1813", "the second s": "240", "mailboxes with a task on the day": "65",
        "an act, median s": "2.2", "injected": "558", "in one place": "558", "lost, twice": "0, 0", "good": "yes",
    }  # fmt: skip


def test_a_first_copy_by_command_lines_is_said_above_the_table() -> None:
    copied = {"first copy": {"seconds": 2410.4, "cpu": {"scheduler": 9.0}, "load": 6.0, "memory": {"tasks": 500}}}
    lines = tables([NEW, {**NEW, "accounts": 3000, "parts": copied | OLD["parts"]}])
    said = "At 3,000 accounts command lines made the first copy, several beside each other: 2,410 s."
    assert lines.index(said) < lines.index("")
    assert [line for line in lines if line.startswith("| 3000 | first copy | 9 |")]


def test_a_file_of_an_earlier_version_has_blank_cells_where_nothing_was_measured() -> None:
    row = rows(tables([NEW, OLD]))["1000"]
    assert [name for name, cell in row.items() if not cell] == ["commit", "cores", "seen from outside s"]
    assert row["measured (UTC)"] == "2026-12-01 01:04"
    assert (row["of which an answer was waited for"], row["mailboxes with a task on the day"]) == ("10", "301")
    assert (row["an act, median s"], row["good"]) == ("3.0", "yes")


def test_where_an_earlier_version_let_the_outage_begin_is_told() -> None:
    told = "Where nothing was seen from outside, the outage begins later: when IMAP on old was stopped."
    assert told in tables([NEW, OLD])
    assert told not in tables([NEW])


def test_a_file_with_hardly_anything_breaks_no_table() -> None:
    bare = {"accounts": 24, "parts": {"day": {"seconds": 160.0, "cpu": {"tasks": 38.0}, "memory": {}}}}
    row = rows(tables([bare, NEW]))["24"]
    assert {name for name, cell in row.items() if cell} == {"accounts", "day s"}


def test_what_each_mailbox_more_costs_and_what_is_calculated_from_it() -> None:
    *_, slope, calculated = tables([NEW, OLD])
    assert slope.startswith("- From 200 to 1000 accounts: 0.21 s of outage and 0.00 CPU s")
    assert calculated.startswith(
        "- **Calculated, not measured:** if each mailbox more cost what it costs from 200 to 1000"
    )
    assert "10,000 accounts would have an outage of 2142 s (36 min) and a day of 271 CPU s." in calculated


def test_one_size_alone_says_nothing_of_a_larger_one() -> None:
    assert not [line for line in tables([NEW]) if line.startswith("-")]


def test_a_page_that_never_became_usable_is_told_as_that() -> None:
    lines = tables([{**NEW, "pages": {"a": [1.0, 2.0, 1.5], "b": [50.0, None]}}])
    assert "| 200 | a | 1.5 | 2.0 |" in lines
    assert "| 200 | b | | not in 60 s |" in lines


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"lost": ["number 7"], "delivered_once": 557}, ["1 lost", "557 of 558 injected messages in one place"]),
        ({"duplicated": ["number 7"]}, ["1 twice"]),
        ({"misplaced": ["number 7"]}, ["1 in a wrong mailbox"]),
        ({"waiting": {"7": "mx"}}, ["1 still waiting in a queue"]),
        ({"only_on_old": [7]}, ["1 on old only"]),
        ({"unseen": ["the queue of mx"]}, ["1 place(s) that could not be looked into"]),
        ({"differences": ["anna: flags"]}, ["1 difference(s) in the audit"]),
        ({"functional_tests": {"pop": {"ok": False}}}, ["the test 'pop' failed"]),
        (
            {"outside": {**NEW["outside"], "ended": None}},
            ["nobody could log in from outside at the end (timed out)"],
        ),
        ({"good": False}, ["not everything is proven: the journal, the isolation of old, or the outage's end"]),
    ],
)
def test_whatever_is_not_good_is_named(what: dict[str, Any], words: list[str]) -> None:
    assert wrong({**NEW, **what}) == words
    assert rows(tables([{**NEW, **what}]))["200"]["good"] == "**no**"


def test_what_is_good_is_not_wrong() -> None:
    assert wrong(NEW) == wrong(OLD) == []


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[int, dict[str, Any]]:
    """What a day of each size will be measured to be; nothing is booted."""
    found: dict[int, dict[str, Any]] = {}
    monkeypatch.setattr(day, "FIGURES", tmp_path)
    monkeypatch.setattr(day, "SEEN", tmp_path / "seen")
    monkeypatch.setattr(day, "measure", lambda accounts: found[accounts])
    monkeypatch.setattr(day, "bring_down", lambda instance, purge: None)
    monkeypatch.setattr(day, "write_page", lambda lines, begin, end: (tmp_path / "page").write_text("\n".join(lines)))
    return found


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["benchmarks.day", *words])
    return day.main()


def test_the_status_says_whether_every_size_was_good(
    measured: dict[int, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured[200], measured[1000] = NEW, {**OLD, "misplaced": ["number 3"]}
    assert run(monkeypatch, "200") == 0
    assert run(monkeypatch, "1000", "200") == 1
    assert "NOT good at 1000 accounts (var/day-1000.json): 1 in a wrong mailbox" in capsys.readouterr().err


def test_sizes_that_are_not_measured_now_keep_their_rows(
    measured: dict[int, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "day-1000.json").write_text(json.dumps(OLD))
    measured[200] = NEW
    assert run(monkeypatch, "200") == 0
    assert list(rows((tmp_path / "page").read_text().splitlines())) == ["200", "1000"]
    assert [one["accounts"] for one in day_table.read(tmp_path)] == [200, 1000]


def test_what_the_tables_are_made_from_is_kept_without_the_times_of_all_tasks(
    measured: dict[int, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured[200] = NEW
    assert run(monkeypatch, "200") == 0
    [kept], [seen] = day_table.read(tmp_path), day_table.read(tmp_path / "seen")
    assert seen["phases"] == NEW["phases"] and kept.keys() == seen.keys() - {"phases"}
    assert tables([kept]) == tables([seen])


def test_what_is_only_printed_changes_no_figures(
    measured: dict[int, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "day-1000.json").write_text(json.dumps(OLD))
    measured[200] = NEW
    assert run(monkeypatch, "200", "--print") == 0
    assert list(rows(capsys.readouterr().out.splitlines())) == ["200", "1000"]
    assert {path.name for path in tmp_path.iterdir()} == {"day-1000.json", "seen"}


def test_the_page_has_the_rows_of_all_figures_that_are_kept() -> None:
    page = (day.CHECKOUT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert "\n".join(tables(day_table.read(day.FIGURES))) in page


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        (["day", "--sizes", "3000"], [["benchmarks.day", "3000"]]),
        (["day"], [["benchmarks.day"]]),
        (["killed"], [["benchmarks.killed", "200"]]),
        (["killed", "day", "--sizes", "24", "48"], [
            ["benchmarks.killed", "24"], ["benchmarks.killed", "48"], ["benchmarks.day", "24", "48"],
        ]),
    ],
)  # fmt: skip
def test_sizes_are_handed_on(monkeypatch: pytest.MonkeyPatch, words: list[str], commands: list[list[str]]) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(command_line, "run", lambda command: ran.append(command[2:]))
    assert command_line.main(words) == 0
    assert ran == commands


@pytest.mark.parametrize("words", [["memory", "--sizes", "3"], ["--sizes", "3"], ["dya"]])
def test_a_name_or_sizes_that_mean_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(words)
    assert ended.value.code == 2


def test_a_benchmark_that_fails_is_told_and_the_others_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def fails(command: list[str]) -> None:
        ran.append(command[2])
        if command[2] == "benchmarks.day":
            raise command_line.subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(command_line, "run", fails)
    assert command_line.main(["day", "moves"]) == 1
    assert ran == ["benchmarks.day", "benchmarks.moves"]


def test_a_bare_command_runs_all_but_those_that_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    for name in command_line.BENCHMARKS:
        monkeypatch.setitem(command_line.BENCHMARKS, name, lambda name=name: ran.append(name))
    monkeypatch.setattr(command_line, "run", lambda command: ran.append(command[2]))
    assert command_line.main([]) == 0
    assert len(ran) == 8
    assert "benchmarks.killed" not in ran
