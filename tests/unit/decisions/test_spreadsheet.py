"""The edited file: taken whole or not at all, every bad line named."""

from collections.abc import Callable

import pytest
from bascule.decisions import record, spreadsheet
from bascule.decisions.record import AnswerRefused, Choice
from bascule.ledger import Ledger, problems
from bascule.ledger.problems import Option, Problem

from tests.unit.decisions.conftest import AUTHOR
from tests.unit.decisions.test_check import CHOICE

Report = Callable[..., Problem]


def rows(ledger: Ledger) -> list[list[str]]:
    import csv
    import io

    text = spreadsheet.as_csv(spreadsheet.open_problems(ledger)).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def file_of(lines: list[list[str]], delimiter: str = ",") -> bytes:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(lines)
    return out.getvalue().encode("utf-8-sig")


def edited(ledger: Ledger, *edits: dict[str, str], delimiter: str = ",") -> bytes:
    """The file with these edits, one for each line of a problem."""
    header, *lines = rows(ledger)
    for line, edit in zip(lines, edits, strict=False):
        for column, value in edit.items():
            line[header.index(column)] = value
    return file_of([header, *lines], delimiter)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_an_edited_file_is_read_back_as_decisions(ledger: Ledger, report: Report, delimiter: str) -> None:
    for subject in ("~a", "~b", "~c"):
        report(subject)
    data = edited(ledger, {"decision": "Apply", "name": "A; B, C"}, {"decision": "leave out"}, delimiter=delimiter)
    choices = spreadsheet.read(ledger, data)
    assert [(each.problem.subject, each.option) for each in choices] == [
        ("~a", Option.APPLY),
        ("~b", Option.LEAVE_OUT),
    ]
    assert choices[0].values == {"action": "rename", "name": "A; B, C"}


def test_every_bad_line_is_named_and_nothing_is_taken(ledger: Ledger, report: Report) -> None:
    for subject in "abcdefg":
        report(f"~{subject}", proposal={"action": "rename", "name": subject})
    data = edited(
        ledger,
        {"decision": "apply", "name": ""},
        {"decision": "perhaps"},
        {"decision": "apply", "account": "bert"},
        {"decision": "apply", "version": "v0"},
        {"decision": "apply", "id": "999"},
        {"decision": "leave out", "text": "keep;"},
        {"decision": "apply"},
    )
    with pytest.raises(AnswerRefused) as refused:
        spreadsheet.read(ledger, data)
    said = {reason.partition(":")[0]: reason for reason in refused.value.reasons}
    assert sorted(said) == [f"line {number}" for number in range(2, 8)]
    assert "it is empty" in said["line 2"] and "'perhaps'" in said["line 3"] and "is of anna" in said["line 4"]
    assert "has changed since" in said["line 5"] and "'999'" in said["line 6"] and "no text to edit" in said["line 7"]


def test_two_lines_about_one_problem_are_refused(ledger: Ledger, report: Report) -> None:
    report()
    header, line = rows(ledger)
    line[header.index("decision")] = "apply"
    with pytest.raises(AnswerRefused, match="line 3: the problem 1 stands in line 2 too"):
        spreadsheet.read(ledger, file_of([header, line, line]))


def test_two_lines_with_one_new_name_are_refused(ledger: Ledger, report: Report) -> None:
    report("~a")
    report("~b")
    edits = [{"decision": "apply", "name": "same"}] * 2
    with pytest.raises(AnswerRefused, match=r"line 3: .*has this name already"):
        spreadsheet.read(ledger, edited(ledger, *edits))


def test_the_same_file_taken_twice_decides_nothing_more(ledger: Ledger, report: Report) -> None:
    report()
    data = edited(ledger, {"decision": "apply", "name": "y"})
    record.record(ledger, spreadsheet.read(ledger, data), AUTHOR)
    assert spreadsheet.read(ledger, data) == []


def test_a_line_against_what_was_decided_meanwhile_is_refused(ledger: Ledger, report: Report) -> None:
    problem = report()
    data = edited(ledger, {"decision": "leave out"})
    record.record(ledger, [Choice(problem, Option.APPLY)], AUTHOR)
    with pytest.raises(AnswerRefused, match="was decided by postmaster already"):
        spreadsheet.read(ledger, data)
    assert problems.problems(ledger) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"a,b\r\n1,2\r\n", "columns? ?.*missing|missing"),
        ("id,é".encode("latin-1"), "not UTF-8"),
    ],
)
def test_what_is_no_such_file_is_refused(ledger: Ledger, data: bytes, words: str) -> None:
    with pytest.raises(AnswerRefused, match=words):
        spreadsheet.read(ledger, data)


def test_an_action_is_chosen_in_its_column_where_there_are_several(ledger: Ledger, report: Report) -> None:
    for subject in ("/a.ics", "/b.ics"):
        report(subject, **CHOICE)
    data = edited(ledger, {"decision": "apply", "action": "take_old"}, {"decision": "apply"})
    assert [each.values["action"] for each in spreadsheet.read(ledger, data)] == ["take_old", "keep_new"]
    with pytest.raises(AnswerRefused, match="choose one of"):
        spreadsheet.read(ledger, edited(ledger, {"decision": "apply", "action": "eat"}))


@pytest.mark.parametrize("other", ["apply", "leave out", "look again"])
def test_a_mailbox_is_not_kept_on_old_and_decided_otherwise_by_one_file(
    ledger: Ledger, report: Report, other: str
) -> None:
    report("~a")
    report("~b")
    report("~b", account="bert")
    keep, decide = {"decision": "keep on old"}, {"decision": other}
    with pytest.raises(AnswerRefused, match=r"^line 3: ~b: the mailbox of anna is to be kept") as refused:
        record.record(ledger, spreadsheet.read(ledger, edited(ledger, keep, decide, decide)), AUTHOR)
    assert len(refused.value.reasons) == 1
    assert len(problems.problems(ledger)) == 3


def test_a_line_that_ends_early_is_named(ledger: Ledger, report: Report) -> None:
    report()
    header, line = rows(ledger)
    line[header.index("decision")] = "apply"
    with pytest.raises(AnswerRefused, match=r"line 2: .*name '': it is empty"):
        spreadsheet.read(ledger, file_of([header, line[: header.index("name")]]))
    assert spreadsheet.read(ledger, file_of([header, line[:2]])) == []


def test_cells_beyond_the_last_column_are_not_dropped_silently(ledger: Ledger, report: Report) -> None:
    report("~a")
    report("~b")
    header, *lines = rows(ledger)
    data = file_of([header, *([*line, "Notes"] for line in lines)])
    with pytest.raises(AnswerRefused, match=r"line 2: it has more cells(.|\n)*line 3: it has more cells"):
        spreadsheet.read(ledger, data)


def test_a_quotation_mark_that_is_never_closed_is_named_with_its_line(ledger: Ledger) -> None:
    with pytest.raises(AnswerRefused, match="line 2: the file is no table"):
        spreadsheet.read(ledger, b'id,version\r\n1,"v')


def test_a_long_filter_is_read_back_as_it_was(ledger: Ledger, report: Report) -> None:
    text = "# é\r\n" * 100_000
    report("filter", room="sieve", kind="filter never ran", proposal={"action": "repair", "text": text})
    (choice,) = spreadsheet.read(ledger, edited(ledger, {"decision": "apply"}))
    assert choice.values["text"] == text


def test_the_proposal_is_the_sentence_that_the_page_shows(ledger: Ledger, report: Report) -> None:
    report()
    header, line = rows(ledger)
    assert line[header.index("proposal")] == ("carry the folder and all its messages under another name (name: x)")


def test_an_action_may_be_written_as_the_proposal_shows_it(ledger: Ledger, report: Report) -> None:
    report("/a.ics", **CHOICE)
    header, line = rows(ledger)
    assert "or, in its column, take old" in line[header.index("proposal")]
    (choice,) = spreadsheet.read(ledger, edited(ledger, {"decision": "apply", "action": " Take old"}))
    assert choice.values["action"] == "take_old"
