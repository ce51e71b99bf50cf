"""The pages over a ledger: what they show, to whom, and that hostile names do no harm."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from bascule.dashboard.app import for_airflow, make_app
from bascule.dashboard.mailboxes import ROWS_AT_ONCE
from bascule.dashboard.room import Fresh
from bascule.ledger import Ledger, LedgerError, filters, journal, moves, phases
from bascule.ledger.base import now
from bascule.ledger.mailboxes import set_mailbox
from bascule.mailbox.folders.uids import OWN_MAIL
from bascule.problems import store
from bascule.problems.model import Action, Option, Problem, Proposal
from bascule.site import Site, SiteError
from fastapi.testclient import TestClient

from lab.measure.control_room import PaperDoor, app_of
from lab.measure.made_day import Moment
from lab.paths import CHECKOUT
from tests.unit.dashboard.conftest import client_of, made
from tests.unit.dashboard.reading import Read, cells

ORIGIN = journal.Origin("transfer", "run-1", "mailbox.sync[3]", "lead")
HOSTILE = "<script>alert(1)</script>\"'\u202egnp.exe"
PAGES = ("./", "mailboxes", "account?name=anna", "problems", "record", "moves", "filters?account=anna")


def fill_mailboxes(ledger: Ledger, count: int) -> None:
    with ledger.session() as session:
        for number in range(count):
            state = "problems" if number % 10 == 0 else "verified"
            set_mailbox(session, f"user{number:04}", state, messages=1234, bytes=1_500_000, passes=2)


def report(ledger: Ledger, **values: str) -> int:
    fields = {"account": "anna", "kind": "folder-name", "subject": "a//b", "explanation": "new refuses it"} | values
    with ledger.session() as session:
        return store.report(session, Problem(room="mailbox", proposal=Proposal(Action.RENAME, name="a-b"), **fields))


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_ledger_gives_every_page(client: TestClient, page: str) -> None:
    answer = client.get(page)

    assert answer.status_code == 200
    assert "None" not in Read(answer.text).text


def test_the_day_says_what_runs_waits_and_failed(in_transfer: Ledger, site: Site) -> None:
    page = Read(client_of(in_transfer, site).get("./").text)

    assert "Transfer runs." in page.text
    assert re.search(r"\d+ of 60 mailboxes are done", page.text)
    assert "The outage lasts 1 h" in page.text
    assert "mx can't be reached: connect to mx.obs.test:22 timed out." in page.text
    assert any("/dags/transfer/runs/" in link and "migrate_calendars" in link for link in page.links)
    assert any(link.startswith("problems?account=") for link in page.links)


def test_times_are_those_of_the_site(in_transfer: Ledger, site: Site) -> None:
    entry = next(e for e in journal.entries(in_transfer, kind="phase") if e.subject == "freeze")
    assert entry.at is not None
    winter = entry.at.hour + (2 if 3 < entry.at.month < 10 else 1)

    assert "Times are those of Europe/Paris." in (text := Read(client_of(in_transfer, site).get("./").text).text)
    assert f"{winter % 24:02}:{entry.at:%M:%S}" in text


def test_a_day_that_is_done_says_how_long_the_outage_was(done: Ledger, site: Site) -> None:
    text = Read(client_of(done, site).get("./").text).text

    assert "The day is done." in text
    assert "The outage took" in text
    assert "Nothing waits for anybody, and nothing has failed." in text


@pytest.mark.parametrize("moment", ["transfer", "done"])
def test_a_way_back_is_what_runs_and_then_what_has_run(tmp_path: Path, site: Site, moment: Moment) -> None:
    """Whatever it broke off, and also when the day was done before."""
    ledger = made(tmp_path, moment, 12)
    origin = journal.Origin("rollback", "run-2", "undo_cutover", "lead")
    told = []
    for mark in ("started", "finished"):
        phases.mark(ledger, "rollback", mark, origin)
        page = client_of(ledger, site).get("./").text
        told.append((Read(page).text, 'class="now"' in page))

    (runs, with_now), (is_over, without_now) = told
    assert "Way back runs." in runs and "The day is done." not in runs and with_now
    assert "Way back is finished." in is_over and " runs." not in is_over and not without_now


def test_every_hold_of_a_move_is_shown_with_its_age(client: TestClient, ledger: Ledger) -> None:
    begun = moves.begin(ledger, HOSTILE, "new", {}, "run-1")
    moves.hold(ledger, begun, at_once=1, until=now() - timedelta(seconds=1))

    shown = Read(client.get("./").text).text
    assert re.search(r"held for 0(\.\d)?\ss, longer than it may be", shown), shown


def test_a_page_that_has_not_changed_is_not_sent_again(in_transfer: Ledger, site: Site) -> None:
    client = client_of(in_transfer, site)
    first = client.get("record")
    again = client.get("record", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("page", PAGES)
def test_what_comes_in_the_course_of_the_day_stands_in_a_part_that_is_live(
    client: TestClient, in_transfer: Ledger, done: Ledger, site: Site, page: str
) -> None:
    """A page that is left open from the evening on has each part of the day in it as it comes."""
    parts = [re.findall(r'id="([\w-]+)" data-live', client.get(page).text)]
    parts += [
        re.findall(r'id="([\w-]+)" data-live', client_of(ledger, site).get(page).text) for ledger in (in_transfer, done)
    ]

    assert parts[0] == parts[1] == parts[2]


def test_things_are_made_once_in_some_seconds_for_all() -> None:
    times = iter([0.0, 2.9, 3.1, 3.1])
    made: list[int] = []
    fresh = Fresh(clock=lambda: next(times))
    for _ in range(3):
        fresh.get("x", lambda: made.append(1))

    assert len(made) == 2


def test_numbers_and_sizes_are_written_as_people_do(client: TestClient, ledger: Ledger) -> None:
    fill_mailboxes(ledger, 1)
    report(ledger, account="user0000")

    row = cells(client, "mailboxes", "list-title")[0]

    assert row[:6] == ["user0000", "asks a person", "1", "0", "1,234", "1.5\u00a0MB"]


def test_thousands_of_mailboxes_come_page_by_page(client: TestClient, ledger: Ledger) -> None:
    fill_mailboxes(ledger, 2 * ROWS_AT_ONCE + 1)

    sizes = [len(cells(client, f"mailboxes?page={page}", "list-title")) for page in (1, 2, 3)]
    beyond = cells(client, "mailboxes?page=99", "list-title")

    assert sizes == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
    assert [row[0] for row in beyond] == ["user0100"]


def test_mailboxes_are_narrowed_to_a_state_and_a_name(client: TestClient, ledger: Ledger) -> None:
    fill_mailboxes(ledger, 30)

    asking = cells(client, "mailboxes?state=asking", "list-title")
    assert [row[0] for row in asking] == ["user0000", "user0010", "user0020"]
    assert [row[0] for row in cells(client, "mailboxes?account=R0007", "list-title")] == ["user0007"]
    assert cells(client, "mailboxes?account=%25", "list-title") == []


def test_an_account_has_its_passes_folders_and_problems(in_transfer: Ledger, site: Site) -> None:
    account = next(each.account for each in store.problems(in_transfer) if int(each.account[-4:]) < 50)
    page = Read(client_of(in_transfer, site).get("account", params={"name": account}).text)

    assert "Réunions.2018 été" in page.text
    assert {row[5] for row in page.rows["folders-title"]} == {"kept", f"new{OWN_MAIL}"}
    assert page.rows["passes-title"]
    assert any("open" in row[0] for row in page.rows["problems-title"])
    assert f"log?account={account}" in page.links


def test_decisions_stand_in_the_account_and_in_the_record(done: Ledger, site: Site) -> None:
    problem, decision = store.all_decisions(done)[0]
    client = client_of(done, site)

    row = cells(client, f"account?name={problem.account}", "problems-title")[0]
    assert decision.decided_by in row[3] and "on the page" in row[3]
    assert "The chain holds." in Read(client.get("record").text).text


def test_the_record_has_words_for_what_the_journal_calls_by_keys(done: Ledger, site: Site) -> None:
    rows = [row[2:4] for page in (1, 2) for row in cells(client_of(done, site), f"record?page={page}", "journal-title")]
    assert ["phase: finished", "Drain"] in rows
    assert "decision: Folder name that the new server can't take" in [what for what, _ in rows]
    french = [row[2:4] for row in cells(client_of(done, site, language="fr"), "record", "journal-title")]
    assert ["phase\u00a0: finie", "Écoulement"] in french


def test_the_journal_can_be_taken_away(done: Ledger, site: Site) -> None:
    lines = client_of(done, site).get("journal.jsonl").text.splitlines()

    assert lines == [*journal.export(done)]
    assert journal.head(done).hash in lines[-1]


def test_a_journal_that_cannot_be_read_is_no_empty_file(ledger: Ledger, site: Site, tmp_path: Path) -> None:
    client = TestClient(app_of(ledger, site), "http://room/bascule", headers={"accept-language": "fr"})
    ledger.engine.dispose()
    for file in tmp_path.glob("ledger.db*"):
        file.write_bytes(b"not a database" * 500)

    answer = client.get("journal.jsonl")
    assert answer.status_code == 503
    assert "Le registre ne peut pas être lu" in Read(answer.text).text


def test_a_broken_journal_is_said(client: TestClient, ledger: Ledger) -> None:
    for number in range(3):
        journal.append(ledger, journal.Entry("note", "test", f"row {number}", ORIGIN))
    with ledger.session() as session:
        session.execute(sa.update(journal.JournalRow).where(journal.JournalRow.number == 2).values(note="edited"))

    assert "BROKEN at row 2" in client.get("record").text


@pytest.mark.parametrize("question", ["mailboxes?page=0", "mailboxes?page=x", "record?page=-1", "account", "filters",
                                      f"mailboxes?account={'a' * 300}", f"filters?account={'a' * 300}",
                                      "problems?decided=-1", "?scene=night", "account?name=%00",
                                      "filters?account=a%00", "problems?kind=%00"])  # fmt: skip
def test_a_senseless_question_is_refused_in_a_sentence(client: TestClient, question: str) -> None:
    answer = client.get(f"./{question}")

    assert answer.status_code == 422
    assert "Refused: this address asks for something that no page knows." in Read(answer.text).text


def test_whoever_is_refused_reads_why_in_their_language(ledger: Ledger, site: Site) -> None:
    english, french = (client_of(ledger, site, language=language) for language in ("en", "fr"))

    assert "Refused: there is no such page." in Read(english.get("nowhere").text).text
    assert "Refusé : il n'y a pas de telle page." in Read(french.get("static/app.py").text).text
    assert "Refused: this form is not one of this page" in Read(english.post("problems").text).text
    assert [english.get("nowhere").status_code, english.post("problems").status_code] == [404, 403]
    with TestClient(for_airflow()) as nobody:
        assert "Refused: log in to Airflow" in Read(nobody.get("/").text).text


def test_hostile_names_stay_text(client: TestClient, ledger: Ledger) -> None:
    with ledger.session() as session:
        set_mailbox(session, HOSTILE, "problems", note=HOSTILE)
    one = report(ledger, account=HOSTILE, kind=HOSTILE[:60], subject=HOSTILE, explanation=HOSTILE, server_words=HOSTILE)
    report(ledger, account=HOSTILE, subject=HOSTILE + "2")
    with ledger.session() as session:
        store.decide(session, one, Option.APPLY, Proposal(Action.RENAME, name=HOSTILE), decided_by=HOSTILE,
                     source="page", origin=ORIGIN)  # fmt: skip
    journal.append(ledger, journal.Entry("note", HOSTILE[:60], HOSTILE, ORIGIN, note=HOSTILE))
    put_filter(ledger, HOSTILE, HOSTILE, HOSTILE)

    for question in ("./", "mailboxes", "problems", "record"):
        _is_text(client.get(question).text)
    _is_text(client.get("mailboxes", params={"account": HOSTILE}).text)
    _is_text(client.get("problems", params={"account": HOSTILE, "kind": HOSTILE[:60]}).text)
    _is_text(client.get("account", params={"name": HOSTILE}).text)
    _is_text(client.get("filters", params={"account": HOSTILE}).text)


def _is_text(markup: str) -> None:
    assert "<script>alert" not in markup
    shown = re.sub(r'value="[^"]*"', "", markup)  # forms send names back as they are
    assert "\u202e" not in shown, shown[max(0, shown.find("\u202e") - 200) :][:400]


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


def test_an_accounts_filters_have_a_page_that_its_own_links(client: TestClient, ledger: Ledger) -> None:
    put_filter(ledger, "anna&co", "main", "first line\n\tsecond line")

    assert "filters?account=anna%26co" in Read(client.get("account?name=anna%26co").text).links
    page = client.get("filters", params={"account": "anna&co"}).text

    assert "first line\n\tsecond line" in page
    assert "the compiler&#39;s first line" in page
    assert "The new filter does otherwise" in page


@pytest.mark.parametrize("question", PAGES)
def test_a_page_loads_its_own_files_only(client: TestClient, question: str, ledger: Ledger) -> None:
    put_filter(ledger, "anna", "main", "keep;")
    answer = client.get(question)
    policy = answer.headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http://" not in answer.text and "https://" not in answer.text
    assert not re.search(r"<[^>]+ (style|on\w+)=", answer.text)


@pytest.mark.parametrize("file", ["control.js", "style.css", "idiomorph.min.js"])
def test_its_files_are_kept_by_browsers(client: TestClient, file: str) -> None:
    answer = client.get(f"static/{file}")

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("static/app.py").status_code == 404


def test_a_ledger_that_cannot_be_opened_is_said_without_its_url(site: Site) -> None:
    def refuse() -> Ledger:
        raise LedgerError("the ledger postgresql://bascule:***@db/bascule can't be opened")

    answer = TestClient(make_app(refuse, lambda: site, PaperDoor())).get("/mailboxes")

    assert answer.status_code == 503
    assert "can't be read" in Read(answer.text).text
    assert "postgresql" not in answer.text


def test_a_wrong_site_file_is_said_with_its_line(ledger: Ledger) -> None:
    def refuse() -> Site:
        raise SiteError("site.yaml has 1 error(s):\n  line 3: timezone: there is no such zone")

    answer = TestClient(make_app(lambda: ledger, refuse, PaperDoor())).get("/")

    assert answer.status_code == 503
    assert "line 3: timezone" in answer.text


def test_without_login_nothing_is_shown() -> None:
    app = for_airflow()
    with TestClient(app) as client:
        paths = [getattr(route, "path", "") for route in app.routes]
        answers = {path: client.get(path.replace("{name}", "style.css")).status_code for path in paths}
        sent = [client.post(path).status_code for path in ("/problems", "/problems.csv")]

    assert set(answers.values()) == {401}
    assert sent == [401, 401]


def test_the_plugin_imports_nothing_heavy() -> None:
    """What every task process pays for the plugin: Airflow's own plugin machinery is loaded there already.

    The one module more is an abstract class of a few lines.
    """
    code = (
        "import sys, airflow.sdk, airflow.sdk.plugins_manager\n"
        "before = set(sys.modules)\n"
        "import bascule_plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT / "plugins", capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "['airflow.sdk.bases.operatorlink', 'bascule_plugin']"


def test_the_first_page_costs_as_many_queries_with_many_accounts(ledger: Ledger, site: Site) -> None:
    fill_mailboxes(ledger, 500)
    asked: list[str] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))

    assert TestClient(app_of(ledger, site), "http://room/bascule").get("./").status_code == 200
    assert len([statement for statement in asked if statement.startswith("SELECT")]) < 12
