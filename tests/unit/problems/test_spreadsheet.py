"""The edited file: taken whole or not at all, every bad line named."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from bascule.ledger import Ledger
from bascule.problems import record, remade, spreadsheet, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import AnswerRefused, Choice

from tests.unit.problems.conftest import AUTHOR
from tests.unit.problems.test_forms import CHOICE

Report = Callable[..., Problem]


def rows(ledger: Ledger) -> list[list[str]]:
    import csv
    import io

    text = spreadsheet.as_csv(spreadsheet.open_questions(ledger)).decode("utf-8-sig")
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
    assert choices[0].chosen.name == "A; B, C"


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
    assert store.problems(ledger) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"a,b\r\n1,2\r\n", "columns? ?.*missing|missing"),
        (
            b"id,version,account,decision,name,text,decision\r\n",
            "decision stand there more than once",
        ),
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
    assert [each.chosen.stored()["action"] for each in spreadsheet.read(ledger, data)] == ["take_old", "keep_new"]
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
    assert len(store.problems(ledger)) == 3


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
    assert choice.chosen.stored()["text"] == text


def test_the_proposal_is_the_sentence_that_the_page_shows(ledger: Ledger, report: Report) -> None:
    report()
    header, line = rows(ledger)
    assert line[header.index("proposal")] == ("carry the folder and all its messages under another name (name: x)")


def test_an_action_may_be_written_as_the_proposal_shows_it(ledger: Ledger, report: Report) -> None:
    report("/a.ics", **CHOICE)
    header, line = rows(ledger)
    assert "or, in its column, take old" in line[header.index("proposal")]
    (choice,) = spreadsheet.read(ledger, edited(ledger, {"decision": "apply", "action": " Take old"}))
    assert choice.chosen.stored()["action"] == "take_old"


# What LibreOffice 7.4 with a French locale made of unguarded cells, and what others are known to make of them.
REMADE = [
    ("5 €", "5"), ("1 000", "1000"), ("mars 2024", "01/03/2024"), ("12 mars", "12/03/2026"), ("1.3.24", "01/03/2024"),
    ("007", "7"), ("2024-01-01T10:00", "2024-01-01T10:00:00"), ("janv.-24", "01/01/2024"), ("1E5", "100000"),
    ("3/4", "03/04/2026"), ("vrai", "VRAI"), ("12:30", "12:30:00"), ("2024-01", "janv.-24"), ("1-3", "01-mars"),
    ("TRUE", "VRAI"), ("3/4", "0,75"), ("2024-01", "45292"), ("12345678901234567890", "1,23457E+19"), ("=1", "#NOM?"),
    ("2024年1月", "2024/1/1"), ("x" * 40_000, "x" * 32_767), ("Réunions 会議", "R?unions ??"), ("会議", "??"),
]  # fmt: skip


@pytest.mark.parametrize(("proposed", "made"), REMADE)
def test_a_cell_that_a_spreadsheet_has_made_is_named_and_nothing_is_taken(
    ledger: Ledger, report: Report, proposed: str, made: str
) -> None:
    report("~a")
    report("filter", room="sieve", kind="filter never ran", proposal={"action": "repair", "text": proposed})
    with pytest.raises(AnswerRefused) as refused:
        spreadsheet.read(ledger, edited(ledger, {"decision": "apply"}, {"decision": "apply", "text": made}))
    (reason,) = refused.value.reasons
    assert reason.startswith("line 3: text ") and "spreadsheet" in reason
    assert len(store.problems(ledger)) == 2


@pytest.mark.parametrize("proposed", [*dict(REMADE), "Archives 2019", "'x", "v1.2", "été"])
def test_what_a_spreadsheet_would_change_is_guarded_and_reads_back_as_it_was(
    ledger: Ledger, report: Report, proposed: str
) -> None:
    """Also an account's name: students have numbers."""
    values = {"room": "sieve", "kind": "filter never ran", "proposal": {"action": "repair", "text": proposed}}
    report("filter", account=proposed[:200], **values)
    header, line = rows(ledger)
    assert not remade.is_remade(line[header.index("text")]) and not remade.is_remade(line[header.index("account")])
    (choice,) = spreadsheet.read(ledger, edited(ledger, {"decision": "apply"}))
    assert choice.chosen.text == proposed


@pytest.mark.parametrize(("written", "name"), [("'2024-01", "2024-01"), ("Budget 2024", "Budget 2024"), ("17", "17")])
def test_a_person_may_write_a_name_that_looks_like_a_date(
    ledger: Ledger, report: Report, written: str, name: str
) -> None:
    report()
    (choice,) = spreadsheet.read(ledger, edited(ledger, {"decision": "apply", "name": written}))
    assert choice.chosen.name == name


CAUSE = {"kind": "message-refused", "proposal": {"action": "repair"}, "cause": "NUL"}


def test_one_cause_is_one_line_over_the_site_and_decides_about_all(ledger: Ledger, report: Report) -> None:
    for account in ("anna", "bert"):
        for uid in (1, 2, 3):
            report(f"INBOX/{uid}", account, **CAUSE)
    report()
    header, *lines = rows(ledger)
    assert [line[: header.index("kind")][0::2] for line in lines] == [["7", "anna"], ["'1..6", "2 accounts"]]
    assert lines[1][header.index("what")].startswith("6 of one cause: anna: INBOX/1, anna: INBOX/2")
    data = edited(ledger, {}, {"decision": "leave out"})
    assert record.record(ledger, spreadsheet.read(ledger, data), AUTHOR) == 6
    assert [each.kind for each in store.problems(ledger)] == ["folder-name"]
    assert spreadsheet.read(ledger, data) == []
    assert spreadsheet.as_table(spreadsheet.open_questions(ledger)).endswith("1 open problem(s) of 1 account(s)")


def test_many_of_one_cause_are_decided_whoever_was_met_first(ledger: Ledger, report: Report) -> None:
    """Passes meet accounts in any order, so that the list, by account, has another one than the numbers."""
    for account in ("bert", "anna", "dora", "carl"):
        report("INBOX/1", account, facts={"size": len(account)}, **CAUSE)
        report(f"INBOX/{account}", account, **CAUSE)
    choices = spreadsheet.read(ledger, edited(ledger, {"decision": "apply"}))
    assert len(choices) == 8


def test_a_line_of_many_is_refused_when_one_of_them_has_changed(ledger: Ledger, report: Report) -> None:
    problem = report("INBOX/1", **CAUSE)
    report("INBOX/2", **CAUSE)
    data = edited(ledger, {"decision": "apply"})
    with ledger.session() as session:
        store.report(session, replace(problem, facts={"size": 17}))
    with pytest.raises(AnswerRefused, match=r"line 2: problem 1\.\.2 has changed since"):
        spreadsheet.read(ledger, data)


def test_each_problem_has_a_line_where_that_is_wanted(ledger: Ledger, report: Report) -> None:
    for uid in (1, 2):
        report(f"INBOX/{uid}", **CAUSE)
    assert [each.what for each in spreadsheet.open_questions(ledger, each=True)] == ["INBOX/1", "INBOX/2"]


@pytest.mark.parametrize("written", ["", "x", "1..", "2..1", "1..99999999999999999999", "1..999999999", "-1", "1+1"])
def test_ids_that_no_list_has_are_refused(ledger: Ledger, report: Report, written: str) -> None:
    report()
    with pytest.raises(AnswerRefused, match="line 2: "):
        spreadsheet.read(ledger, edited(ledger, {"decision": "apply", "id": written}))


def test_a_line_about_no_problem_at_all_is_refused(ledger: Ledger, report: Report) -> None:
    """Also with the account and the version that a question without problems would have."""
    report()
    version = spreadsheet.version(spreadsheet.Question(()))
    with pytest.raises(AnswerRefused, match=r"line 2: there is no problem '2\.\.1'"):
        edit = {"decision": "apply", "id": "2..1", "account": "0 accounts", "version": version}
        spreadsheet.read(ledger, edited(ledger, edit))
