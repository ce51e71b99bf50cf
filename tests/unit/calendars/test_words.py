"""What people are told of a refusal and of a new UID; and where the command line says what."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from bascule.calendars import __main__, sync_account
from bascule.ledger import Ledger
from bascule.problems import kinds, store
from bascule.tasks.run import NeedsPerson
from calendar_items import event
from test_folder import exported_to

# As SOGo answers when it can't make an item where it is to be.
GONE = b"<html><body><h3>An error occurred during object publishing</h3><p>The requested object could not be found!</p>"


def refused(there: Any, ledger: Ledger, text: str, status: str, words: bytes = b"no") -> Any:
    """The one problem about an item in the second line of a file when new refuses it."""
    (there.folder / "work.ics").write_text(
        text.replace("VERSION:2.0", "VERSION:2.0\r\nX-WR-CALNAME:Travail"), newline=""
    )
    there.new.faults.plan = lambda method, *_: (status, words) if method == "PUT" else None
    sync_account(there, ledger, "zoe")
    [problem] = store.problems(ledger)
    return problem


@pytest.fixture
def there(access: Any, servers: Any, tmp_path: Path) -> Any:
    return exported_to(access, servers, tmp_path / "export")


def test_a_404_is_told_with_the_item_its_calendar_file_and_line_and_what_can_be_done(
    there: Any, ledger: Ledger
) -> None:
    problem = refused(there, ledger, event("a", "Réunion"), "404 Not Found", GONE)
    assert problem.kind == "refused"
    assert problem.explanation.startswith(
        "“Réunion (2026-06-27 06:00 UTC)” in the calendar “Travail” (work.ics, line 5): "
    )
    assert problem.explanation.endswith("the new server refuses it (404).")
    assert "PUT /zoe/" in problem.server_words
    assert "was refused with 404: " in problem.server_words
    assert problem.server_words.endswith("The requested object could not be found!")
    assert "<" not in problem.server_words
    kind = kinds.kinds()[problem.key]
    assert kind.explanation == "The new calendar gave no reason that Bascule knows; its own words are shown."
    assert problem.proposal.action in kind.proposes
    assert kind.owner["en"] == "the new calendar does not take it"


def test_a_new_uid_is_not_said_to_be_seen_by_nobody(there: Any, ledger: Ledger) -> None:
    """Answers of people who were invited, and RELATED-TO, go by the UID."""
    problem = refused(there, ledger, event("a/b"), "400 Bad Request")
    assert (problem.kind, problem.proposal.action) == ("uid", "new_uid")
    assert "its UID can't be used on the new server: a/b" in problem.explanation
    said = " ".join(kinds.kinds()["calendar/uid"].explanation.split())
    assert "answers of people who were invited before, and entries that name it as related" in said
    assert said.endswith("go by the old mark and will not find it.")
    for kind in kinds.kinds().values():
        assert "nobody sees" not in f"{kind.explanation} {' '.join(kind.owner.values())}"


@pytest.fixture
def command_line(there: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line works on the test's account; where its log goes is undone afterwards."""
    before = structlog.get_config()
    monkeypatch.setenv("BASCULE_LEDGER", ledger.url)
    monkeypatch.setenv("BASCULE_SITE", str(Path(__file__).parents[3] / "lab" / "site.yaml"))
    opened = SimpleNamespace(site=there.site, connections=there.connections, close=lambda: None)
    monkeypatch.setattr("bascule.tasks.run.Access", lambda *_: opened)
    monkeypatch.setattr("bascule.tasks.accounts.names", lambda _: ["zoe"])
    monkeypatch.setattr("bascule.calendars.sync.sync_shares", lambda *_, **__: None)
    monkeypatch.setattr("bascule.calendars.sync.set_preferences", lambda *_, **__: 0)
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("command_line")
@pytest.mark.parametrize("words", [["sync"], ["--verbose", "sync"]], ids=["short", "verbose"])
def test_the_result_goes_to_the_standard_output_and_the_log_to_the_standard_error(
    there: Any, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (there.folder / "work.ics").write_text(event("a"), newline="")
    (there.folder / "notes.txt").write_text("nothing")
    assert __main__.main(words) == 2
    said = capsys.readouterr()
    result, asked, proposal = said.out.splitlines()
    assert result.startswith("collections 1, items 1, copied 1, ")
    assert asked.startswith("zoe: file: notes.txt ")
    assert proposal.startswith("    proposal: ")
    assert "a calendar or a file is a problem" in said.err
    assert ("calendars of one account" in said.err) is ("--verbose" in words)
    assert "items 1, copied 1" not in said.err


@pytest.mark.usefixtures("command_line")
def test_an_error_of_the_command_line_goes_to_the_standard_error(
    there: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    there.new.faults.plan = lambda *_: ("503 Busy", b"")
    (there.folder / "work.ics").write_text(event("a"), newline="")
    assert __main__.main(["sync"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("collections 0, ")
    assert said.out.count("\n") == 1
    assert "the calendars of 1 of 1 account(s) failed:\n  zoe: " in said.err


@pytest.mark.usefixtures("command_line")
@pytest.mark.parametrize("command", ["sync", "verify"])
def test_a_name_that_the_directory_has_not_is_told_in_a_sentence(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def names(_: object) -> list[str]:
        raise NeedsPerson("the directory has no account nobody")

    monkeypatch.setattr("bascule.tasks.accounts.names", names)
    assert __main__.main([command, "nobody"]) == 1
    assert capsys.readouterr().err == "the directory has no account nobody\n"
