"""Names and subjects that want to do harm: on the page, in a terminal, in a spreadsheet, in a letter."""

import csv
import email
import email.policy
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from bascule import site
from bascule.ledger import Ledger
from bascule.mailbox.folders.problems import report_name
from bascule.mailbox.messages.describe import Message
from bascule.mailbox.messages.problems import report_message
from bascule.mailbox.problems import PassProblems
from bascule.problems import letters, page, record, spreadsheet, store, table
from bascule.problems.model import Action, Option, Problem
from bascule.problems.questions import of_site
from bascule.problems.record import Choice
from bascule.text.harmless import storable
from bascule.text.name_map import NameProblem
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.problems.conftest import AUTHOR, HOSTILE

Report = Callable[..., Problem]
SITE = Path(__file__).parents[3] / "lab" / "site.yaml"
DANGEROUS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def hostile_problem(report: Report, text: str) -> Problem:
    return report(
        text,
        explanation=text,
        server_words=text,
        facts={"from": text, "subject": text},
        title=text,
        place=text,
        proposal={"action": "rename", "name": text},
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_shows_it_and_does_nothing(ledger: Ledger, report: Report, text: str) -> None:
    found = [hostile_problem(report, text)]
    body = page.text(ledger, "anna", found, record.Refused([text], {}), 0)
    assert not DANGEROUS.search(body)
    assert not re.search("[<>]|://", body)
    assert not re.search(r"(?<!\\)[`*\[\]|]", body.replace("**", ""))


@pytest.mark.parametrize("text", HOSTILE)
def test_the_forms_titles_show_it_and_its_value_is_the_text_itself(report: Report, text: str) -> None:
    ((_, field),) = page.fields([hostile_problem(report, text)], {}).items()
    assert not DANGEROUS.search(field.title + field.description)
    assert field.value == storable(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_is_not_driven_by_it(report: Report, text: str) -> None:
    shown = spreadsheet.as_table(of_site([hostile_problem(report, text)]))
    assert not DANGEROUS.search(shown)
    assert len(shown.splitlines()) == 4


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula_and_it_reads_back_as_it_was(report: Report, text: str) -> None:
    sent = spreadsheet.as_csv(of_site([hostile_problem(report, text)]))
    for row in csv.reader(io.StringIO(sent.decode("utf-8-sig"), newline="")):
        assert not [cell for cell in row if cell[:1] in tuple("=+-@\t\r\n")]
    ((_, row),) = table.read(sent, ["id", "name"])
    assert table.unguarded(row["name"]) == storable(text)


@pytest.mark.parametrize("text", [*HOSTILE, "two\r\nlines\r\n"])
def test_what_nobody_edited_is_decided_octet_for_octet(report: Report, text: str) -> None:
    problem = hostile_problem(report, text)
    ((_, field),) = page.fields([problem], {}).items()
    for shown in (field.value, field.value.replace("\r\n", "\n")):
        assert Choice(problem, Option.APPLY, {"name": shown}).chosen.name == text


@given(st.text())
def test_any_cell_reads_back_as_it_was(cell: str) -> None:
    assert table.unguarded(table.guarded(cell)) == cell
    assert table.guarded(cell)[:1] not in tuple("=+-@\t\r\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_letter_shows_it_in_one_line_and_has_no_header_of_it(ledger: Ledger, report: Report, text: str) -> None:
    problem = hostile_problem(report, text)
    record_settled(ledger, problem)
    raw = letters.letter(site.load(SITE), "anna", letters.outcomes(ledger))
    made = email.message_from_bytes(raw, policy=email.policy.default)
    body = made.get_content()
    assert not DANGEROUS.search(body.replace("\r", ""))
    assert made.keys() == LETTER_HEADERS
    assert made["Subject"] == letters_subject()
    assert "forged" not in made["Subject"]


LETTER_HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
    "MIME-Version",
]  # fmt: skip


def letters_subject() -> str:
    return "Votre boîte aux lettres a été déménagée : ce qui a changé / Your mailbox has moved: what has changed"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_log_of_a_pass_shows_it_and_drives_no_terminal(ledger: Ledger, text: str) -> None:
    problems = PassProblems(ledger, "anna")
    with structlog.testing.capture_logs() as lines:
        report_name(problems, text, NameProblem(f"it is called {text}", "x"), text, separator="/")
        message = Message(text, 1, text, text, text, text, text, 1)
        report_message(problems, "message-refused", message, text, Action.REPAIR, text=text)
    assert len(lines) == 2
    for line in lines:
        assert not [value for value in line.values() if isinstance(value, str) and re.search(DANGEROUS, value)]
        assert not [value for value in line.values() if isinstance(value, str) and "\n" in value]


def record_settled(ledger: Ledger, problem: Problem) -> None:
    with ledger.session() as session:
        store.decide(
            session, problem.id, Option.APPLY, problem.proposal, decided_by=AUTHOR.name, source="page",
            origin=AUTHOR.origin,
        )  # fmt: skip
        store.settle(session, problem.id)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_refusal_shows_it_harmlessly(ledger: Ledger, report: Report, text: str) -> None:
    for reason in record.refusals(ledger, [Choice(hostile_problem(report, text), Option.APPLY, {"name": text + "\n"})]):
        assert not DANGEROUS.search(reason)
