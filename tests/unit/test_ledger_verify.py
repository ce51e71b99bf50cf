"""An exported journal is checked anywhere: what was edited, left out or cut off shows."""

import json
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


def test_a_file_that_is_not_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "/no/such.jsonl"]) == 1
    assert capsys.readouterr().err == "/no/such.jsonl: No such file or directory\n"
    assert main(["verify"]) == 2
