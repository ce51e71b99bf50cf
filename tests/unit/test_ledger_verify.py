"""An exported journal is checked anywhere: what was edited, left out or cut off shows."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from bascule.ledger import Ledger, journal
from bascule.ledger.__main__ import main

ORIGIN = journal.Origin("cutover", "run-1", "go_no_go", "lead")


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    after = {"name": "Réunions", "octet": "\udce9", "share": 0.1, "of": [1, None, {"b": 1, "a": True}]}
    for number in range(4):
        entry = journal.Entry("note", "test", f"row {number}", ORIGIN, {"n": number}, None, after, "\u202e")
        journal.append(ledger, entry)
    file = tmp_path / "journal.jsonl"
    file.write_text("\n".join(journal.export(ledger)) + "\n", encoding="utf-8")
    return file


def test_a_whole_journal_holds(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = json.loads(exported.read_text().splitlines()[-1])["hash"]

    assert main(["verify", str(exported)]) == 0
    assert f"4 rows, the chain holds; head {head}" in capsys.readouterr().out
    assert main(["verify", str(exported), head.upper()]) == 0


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda lines: [lines[0], lines[1].replace("row 1", "row X"), *lines[2:]], "BROKEN at row 2"),
        (lambda lines: [lines[0], *lines[2:]], "BROKEN at row 3"),
        (lambda lines: lines[1:], "BROKEN at row 2"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "BROKEN at row 3"),
        (lambda lines: [lines[0], "{}"], "line 2 is no row of a journal"),
        (lambda lines: ["[1]"], "line 1 is no row of a journal"),
        (lambda lines: [lines[0], lines[1][:50]], "line 2 is no row of a journal"),
        (lambda lines: [lines[0], "[" * 100_000], "line 2 is no row of a journal"),
        (lambda lines: [lines[0].replace("row 0", "\\ud800")], "line 1 is no row of a journal"),
        (lambda lines: [lines[0].replace('"number": 1', '"number": "\\u001b[2J"')], "line 1 is no row of a journal"),
        (lambda lines: [lines[0].replace('{"event"', '{"approved_by": "boss", "event"')], "line 1 is no row"),
        (lambda lines: [lines[0].replace('"phase"', '"host": "new", "phase"')], "line 1 is no row"),
        (lambda lines: [lines[0].replace('"note": ', '"note": "forged", "note": ')], "line 1 is no row"),
        (lambda lines: [lines[0].replace('{"n": 0}', '{"n": 9, "n": 0}')], "line 1 is no row"),
        (lambda lines: [], "there is no row in it"),
    ],
)
def test_what_was_damaged_is_told(exported: Path, capsys: pytest.CaptureFixture[str], damage, told: str) -> None:  # type: ignore[no-untyped-def]
    exported.write_text("\n".join(damage(exported.read_text().splitlines())), encoding="utf-8")

    assert main(["verify", str(exported)]) == 1
    assert told in capsys.readouterr().err


def test_a_cut_off_end_is_told_by_the_head_on_paper(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = exported.read_text().splitlines()
    head = json.loads(lines[-1])["hash"]
    exported.write_text("\n".join(lines[:-1]), encoding="utf-8")

    assert main(["verify", str(exported)]) == 0
    assert main(["verify", str(exported), head]) == 1
    assert "rows are missing at its end" in capsys.readouterr().err


def test_the_head_on_paper_must_be_a_rows_own_hash(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever cuts rows off can write others that follow, with the lost hash among what they tell."""
    lines = exported.read_text().splitlines()
    wanted, last = json.loads(lines[-1])["hash"], json.loads(lines[-2])
    (exported.parent / "forged").mkdir()
    forged = Ledger(f"sqlite:///{exported.parent / 'forged' / 'ledger.db'}")
    with forged.session() as session:
        session.add(
            journal.JournalRow(
                number=last["number"], at=datetime(2026, 1, 1), event="note", kind="", subject="", phase="", run="",
                task="", asked_by="", parameters="{}", note="", previous_hash="", hash=last["hash"],
            )
        )  # fmt: skip
    journal.append(forged, journal.Entry("note", "test", "row 3", ORIGIN, after={"hash": wanted}))
    exported.write_text("\n".join([*lines[:-1], [*journal.export(forged)][-1]]), encoding="utf-8")

    assert main(["verify", str(exported)]) == 0
    assert main(["verify", str(exported), wanted]) == 1
    assert "no row has the hash" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0c", "\x1d", "\r", "\n"])
def test_a_name_with_an_odd_line_end_breaks_no_line(tmp_path: Path, end: str) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    journal.append(ledger, journal.Entry("note", "test", f"a{end}b", ORIGIN, before={"problem": f"a{end}b"}))
    file = tmp_path / "journal.jsonl"
    file.write_text("\n".join(journal.export(ledger)) + "\n", encoding="utf-8")

    assert main(["verify", str(file)]) == 0


def test_what_editors_and_other_programs_do_to_the_lines_does_no_harm(exported: Path) -> None:
    rows = [json.loads(line) for line in exported.read_text().splitlines()]
    compact = [json.dumps(row, separators=(",", ":"), sort_keys=True) for row in rows]
    exported.write_bytes("\ufeff".encode() + "\r\n".join(compact).encode())

    assert main(["verify", str(exported), rows[-1]["hash"]]) == 0


def test_a_file_that_is_no_text_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")

    assert main(["verify", str(tmp_path / "picture.png")]) == 1
    assert "it is no text in UTF-8" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "/no/such.jsonl"]) == 1
    assert capsys.readouterr().err == "/no/such.jsonl: No such file or directory\n"
    assert main(["verify"]) == 2
