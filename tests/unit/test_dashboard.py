"""The dashboard over a ledger: what it shows, to whom, and that hostile names do no harm."""

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sqlalchemy as sa
from bascule.dashboard import overview
from bascule.dashboard.app import for_airflow, make_app
from bascule.ledger import Ledger, LedgerError, filters, journal, phases, problems
from bascule.ledger.mailboxes import set_mailbox
from bascule.ledger.problems import Option, Problem
from fastapi.testclient import TestClient

from lab.paths import CHECKOUT

ORIGIN = journal.Origin("transfer", "run-1", "mailbox.review[3]", "lead")
HOSTILE = "<script>alert(1)</script>\"'\u202egnp.exe"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def client(ledger: Ledger) -> Iterator[TestClient]:
    with TestClient(make_app(lambda: ledger, lambda: None)) as client:
        yield client


class Tags(HTMLParser):
    """Every tag's name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


class Tables(HTMLParser):
    """The text of every table cell, row by row, by the id of the heading before the table; and every tag's name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.tags: set[str] = set()
        self._heading, self._cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "h2":
            self._heading = dict(attrs)["id"] or ""
            self.rows[self._heading] = []
        elif tag == "tr":
            self.rows[self._heading].append([])
        elif tag == "td":
            self.rows[self._heading][-1].append("")
        self._cell = tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[self._heading][-1][-1] += data.strip()


def cells(client: TestClient, part: str, question: str = "/") -> list[list[str]]:
    """The rows of one part's table, without its head."""
    answer = client.get(question)
    assert answer.status_code == 200, answer.text
    return [row for row in Tables(answer.text).rows[part] if row]


def fill_mailboxes(ledger: Ledger, count: int) -> None:
    with ledger.session() as session:
        for number in range(count):
            state = "problems" if number % 10 == 0 else "verified"
            set_mailbox(session, f"user{number:04}", state, messages=number, bytes=1_500_000, passes=2)


def report(ledger: Ledger, **values: str) -> int:
    fields = {"account": "anna", "kind": "folder name", "subject": "a//b", "explanation": "new refuses it"} | values
    with ledger.session() as session:
        return problems.report(session, Problem(room="mailbox", **fields))


def test_an_empty_ledger_gives_a_page(client: TestClient) -> None:
    answer = client.get("/")

    assert answer.status_code == 200
    assert "run prepare" in answer.text
    assert "The chain holds" in answer.text


def test_phases_show_how_far_they_are(client: TestClient, ledger: Ledger) -> None:
    for phase, state in (
        ("prepare", "started"),
        ("prepare", "finished"),
        ("freeze", "started"),
        ("cutover", "started"),
    ):
        phases.mark(ledger, phase, state, ORIGIN)
    phases.mark(ledger, "cutover", "go", ORIGIN)

    found = {view.name: view.state for view in overview.phase_views(ledger)}

    assert found == {
        "prepare": "finished",
        "problems": "not begun",
        "freeze": "running",
        "transfer": "not begun",
        "cutover": "go given",
        "drain": "not begun",
        "migrate": "not begun",
    }
    assert "go given" in client.get("/").text


def test_a_phase_that_began_again_is_running(ledger: Ledger) -> None:
    for state in ("started", "finished", "started"):
        phases.mark(ledger, "prepare", state, ORIGIN)

    assert next(view.state for view in overview.phase_views(ledger) if view.name == "prepare") == "running"


def test_mailboxes_are_counted_by_state(ledger: Ledger) -> None:
    fill_mailboxes(ledger, 30)

    with ledger.reading() as session:
        found = overview.totals(session)

    assert (found.by_state, found.mailboxes) == ({"problems": 3, "verified": 27}, 30)
    assert (found.messages, found.bytes) == (sum(range(30)), 45_000_000)


def test_a_mailbox_shows_its_figures_and_its_open_problems(client: TestClient, ledger: Ledger) -> None:
    with ledger.session() as session:
        set_mailbox(session, "anna", "problems", folders=7, messages=1234, bytes=2_500_000, passes=3)
    report(ledger, subject="a//b")
    report(ledger, subject="c//d")

    row = cells(client, "mailboxes")[0]

    assert row[:7] == ["anna", "problems", "7", "1\u202f234", "2.5 MB", "2", "3"]


def test_thousands_of_mailboxes_come_page_by_page(client: TestClient, ledger: Ledger) -> None:
    fill_mailboxes(ledger, 2 * overview.ROWS_AT_ONCE + 1)

    sizes = [len(cells(client, "mailboxes", f"/?page={page}")) for page in (1, 2, 3)]
    beyond = cells(client, "mailboxes", "/?page=99")

    assert sizes == [overview.ROWS_AT_ONCE, overview.ROWS_AT_ONCE, 1]
    assert [row[0] for row in beyond] == ["user0100"]


def test_mailboxes_are_narrowed_to_a_state_and_a_name(client: TestClient, ledger: Ledger) -> None:
    fill_mailboxes(ledger, 30)

    assert [row[0] for row in cells(client, "mailboxes", "/?state=problems")] == ["user0000", "user0010", "user0020"]
    assert [row[0] for row in cells(client, "mailboxes", "/?account=R0007")] == ["user0007"]


def test_a_percent_sign_in_the_search_is_a_letter(client: TestClient, ledger: Ledger) -> None:
    fill_mailboxes(ledger, 3)

    assert cells(client, "mailboxes", "/?account=%25") == []


@pytest.mark.parametrize("question", ["/?page=0", "/?page=x", "/?problems=-1", f"/?account={'a' * 300}"])
def test_a_senseless_question_is_refused(client: TestClient, question: str) -> None:
    assert client.get(question).status_code == 422


def test_open_problems_are_listed_until_they_are_decided(client: TestClient, ledger: Ledger) -> None:
    report(ledger, subject="a//b")
    decided = report(ledger, subject="c//d")
    with ledger.session() as session:
        problems.decide(
            session, decided, Option.APPLY, {"name": "c-d"}, decided_by="rita", source="page", origin=ORIGIN
        )

    assert [row[3] for row in cells(client, "problems")] == ["a//b"]
    decision = cells(client, "decisions")[0]
    assert decision[1:4] == ["rita", "Apply the proposals", "anna"]
    assert decision[6:9] == ["c//d", '{"name": "c-d"}', "1"]


def test_the_journal_shows_its_last_rows_newest_first(client: TestClient, ledger: Ledger) -> None:
    for number in range(overview.JOURNAL_ROWS + 5):
        journal.append(ledger, journal.Entry("note", "test", f"row {number}", ORIGIN))

    rows = cells(client, "journal")

    assert len(rows) == overview.JOURNAL_ROWS
    assert rows[0][4] == f"row {overview.JOURNAL_ROWS + 4}"


def test_a_broken_journal_is_said(client: TestClient, ledger: Ledger) -> None:
    for number in range(3):
        journal.append(ledger, journal.Entry("note", "test", f"row {number}", ORIGIN))
    with ledger.session() as session:
        session.execute(sa.update(journal.JournalRow).where(journal.JournalRow.number == 2).values(note="edited"))

    assert "BROKEN at row 2" in client.get("/").text


def test_the_chain_is_checked_once_a_minute(ledger: Ledger) -> None:
    now = 0.0
    check = overview.ChainCheck(clock=lambda: now)
    journal.append(ledger, journal.Entry("note", "test", "first", ORIGIN))
    assert check.look(ledger).rows == 1
    journal.append(ledger, journal.Entry("note", "test", "second", ORIGIN))

    now = overview.CHAIN_SECONDS - 1
    assert check.look(ledger).rows == 1
    now = overview.CHAIN_SECONDS + 1
    assert check.look(ledger).rows == 2


def test_hostile_names_stay_text(client: TestClient, ledger: Ledger) -> None:
    with ledger.session() as session:
        set_mailbox(session, HOSTILE, "problems", note=HOSTILE)
    one = report(ledger, account=HOSTILE, kind=HOSTILE[:60], subject=HOSTILE, explanation=HOSTILE, server_words=HOSTILE)
    report(ledger, account=HOSTILE, subject=HOSTILE + "2")
    with ledger.session() as session:
        problems.decide(
            session, one, Option.APPLY, {HOSTILE: HOSTILE}, decided_by=HOSTILE, source="page", origin=ORIGIN
        )
    journal.append(ledger, journal.Entry("note", HOSTILE[:60], HOSTILE, ORIGIN, note=HOSTILE))

    answer = client.get("/", params={"state": "problems", "account": "<script>"})

    page = Tables(answer.text)
    assert "script" not in page.tags
    assert "\u202e" not in answer.text
    assert page.rows["mailboxes"][1][0] == HOSTILE.replace("\u202e", "\\u202e")
    assert answer.text.count("&lt;script&gt;") >= 8


def put_filter(ledger: Ledger, account: str, name: str, text: str) -> None:
    """A filter that was carried over, with its page."""
    with ledger.session() as session:
        filters.keep_original(session, account, name, text.encode(), active=True)
        difference = {"message": text, "before": [text], "after": ["keep"]}
        edit = {"line": 1, "column": 2, "rule": "folder-name", "reason": text, "before": text, "after": "after"}
        filters.set_report(
            session,
            account,
            name,
            {
                "before": text, "after": "after it", "on_new": "what stands there", "proposed": text, "edits": [edit],
                "findings": [{"line": 1, "message": text}], "server_words": "the compiler's " + text, "proved": "x",
                "behaviour": [difference], "repaired_behaviour": [difference], "not_compared": "", "vacation": text,
            },
        )  # fmt: skip


def test_an_accounts_filters_have_a_page_that_the_overview_links(client: TestClient, ledger: Ledger) -> None:
    with ledger.session() as session:
        set_mailbox(session, "anna&co", "verified")
    put_filter(ledger, "anna&co", "main", "first line\n\tsecond line")

    assert 'href="filters?account=anna%26co"' in client.get("/").text
    page = client.get("/filters", params={"account": "anna&co"}).text

    assert "first line\n\tsecond line" in page
    assert "what stands there" in page
    assert "the compiler&#39;s first line" in page
    assert "The new filter does otherwise" in page


def test_a_problem_of_a_filter_leads_to_its_page(client: TestClient, ledger: Ledger) -> None:
    with ledger.session() as session:
        problems.report(
            session, Problem("anna", "sieve", "filter needs a look", "main", "why", details={"global": "text of it"})
        )

    assert '<a href="filters?account=anna">filter needs a look</a>' in client.get("/").text
    assert "text of it" in client.get("/filters?account=anna").text


def test_hostile_filters_stay_text(client: TestClient, ledger: Ledger) -> None:
    put_filter(ledger, HOSTILE, HOSTILE, HOSTILE)
    with ledger.session() as session:
        problems.report(session, Problem(HOSTILE, "sieve", HOSTILE[:60], "x", HOSTILE, details={HOSTILE: HOSTILE}))

    answer = client.get("/filters", params={"account": HOSTILE})

    assert answer.status_code == 200
    assert "\u202e" not in answer.text
    assert "<script" not in answer.text
    assert answer.text.count("&lt;script&gt;") >= 16


def test_an_account_without_filters_has_a_page_too(client: TestClient) -> None:
    assert "no filter of this account" in client.get("/filters?account=nobody").text


@pytest.mark.parametrize("question", ["/filters", f"/filters?account={'a' * 300}"])
def test_a_senseless_question_about_filters_is_refused(client: TestClient, question: str) -> None:
    assert client.get(question).status_code == 422


@pytest.mark.parametrize("question", ["/", "/filters?account=anna"])
def test_the_page_loads_nothing_and_runs_nothing(client: TestClient, question: str, ledger: Ledger) -> None:
    put_filter(ledger, "anna", "main", "keep;")
    answer = client.get(question)

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "unsafe" not in policy
    assert not Tags(answer.text).found & {"script", "img", "link", "iframe", "object"}
    assert "http://" not in answer.text and "https://" not in answer.text


def test_a_ledger_that_cannot_be_opened_is_said_without_its_url() -> None:
    def refuse() -> Ledger:
        raise LedgerError("the ledger postgresql://bascule:***@db/bascule can't be opened")

    with TestClient(make_app(refuse, lambda: None)) as client:
        answer = client.get("/")

    assert answer.status_code == 503
    assert "can&#39;t be opened" in answer.text or "can't be opened" in answer.text
    assert "postgresql" not in answer.text


def test_without_login_nothing_is_shown() -> None:
    with TestClient(for_airflow()) as client:
        answers = [client.get(path) for path in ("/", "/?state=problems", "/filters?account=anna")]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert "Bascule" not in answers[0].text


def test_there_are_no_pages_beside_the_guarded_ones() -> None:
    app = for_airflow()

    assert [getattr(route, "path", None) for route in app.routes] == ["/", "/filters"]


def test_the_plugin_imports_nothing_heavy() -> None:
    """What every task process pays for the plugin: Airflow's own plugin machinery is loaded there already."""
    code = (
        "import sys, airflow.sdk, airflow.sdk.plugins_manager\n"
        "before = set(sys.modules)\n"
        "import bascule_plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT / "plugins", capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "['bascule_plugin']"


def test_a_page_costs_as_many_queries_with_many_accounts(ledger: Ledger) -> None:
    fill_mailboxes(ledger, 500)
    asked: list[str] = []

    with ledger.reading() as session:
        sa.event.listen(session, "do_orm_execute", lambda state: asked.append(str(state.statement)))
        page = overview.mailboxes(session, 3)

    assert len(page.rows) == overview.ROWS_AT_ONCE
    assert len(asked) == 3


def test_times_of_a_phase_are_shown(client: TestClient, ledger: Ledger) -> None:
    phases.mark(ledger, "freeze", "started", ORIGIN)
    started = phases.marked_at(ledger, "freeze", "started")
    assert started is not None

    assert f"{started:%Y-%m-%d %H:%M:%S} to …" in client.get("/").text
