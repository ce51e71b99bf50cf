"""Problems decided on the page: the same checks, journal and people as elsewhere, and nobody else's form."""

import re
from html import unescape
from pathlib import Path

import pytest
from bascule.dashboard import problems
from bascule.dashboard.app import make_app
from bascule.dashboard.problem_pages import MOST_FIELDS
from bascule.dashboard.visitor import DAYS, Visitor, token
from bascule.ledger import Ledger, journal
from bascule.problems import spreadsheet, store
from bascule.problems.model import Action, Option, Problem, Proposal
from bascule.site import Site
from fastapi.testclient import TestClient
from httpx import Response

from lab.measure.control_room import PaperDoor
from tests.unit.dashboard.conftest import client_of
from tests.unit.dashboard.reading import Read
from tests.unit.dashboard.test_links import Door

NAME = "Budget 2018"
HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.exe ' + "x" * 5000


def report(ledger: Ledger, account: str, subject: str = "INBOX.Budget 2018/2019", **values: str) -> int:
    """A folder whose name is refused."""
    problem = Problem(
        account, "mailbox", "folder-name", subject, "The new server can't take the name.", facts={"name": subject},
        details={"separator": "/"}, proposal=Proposal(Action.RENAME, name=values.get("name", NAME)),
    )  # fmt: skip
    with ledger.session() as session:
        return store.report(session, problem)


def fields(page: str) -> dict[str, str]:
    """The form as it stands, nothing selected."""
    form = page[page.index('id="deciding"') :]
    found = dict(re.findall(r'<input [^>]*?name="([^"]+)" value="([^"]*)"', form))
    found.pop("about", None)
    return {unescape(key): unescape(value) for key, value in found.items()}


def answer(client: TestClient, *about: int, option: Option = Option.APPLY, **edits: str) -> Response:
    form = fields(client.get("problems").text) | edits
    sent = {**form, "about": [str(number) for number in about], "option": option.value}
    return client.post("problems", data=sent, follow_redirects=False)


def states(ledger: Ledger) -> list[str]:
    return [each.state for each in store.problems(ledger, states=("open", "decided", "settled", "withdrawn"))]


def test_many_are_decided_in_one_form_and_stand_in_the_journal(client: TestClient, ledger: Ledger) -> None:
    numbers = [report(ledger, account) for account in ("anna", "bert", "carl")]

    got = answer(client, *numbers[:2], **{f"{numbers[0]}.name": "Accounts"})

    assert (got.status_code, got.headers["location"]) == (303, "problems?decided=2&untold=1")
    assert states(ledger) == ["decided", "decided", "open"]
    decision = journal.entries(ledger, event="decision")[0]
    assert (decision.after or {})["decided_by"] == "postmaster"
    assert (decision.after or {})["source"] == "page"
    assert (decision.after or {})["values"] == {"action": "rename", "name": "Accounts"}
    assert "2 problems were decided." in Read(client.get(got.headers["location"]).text).text


def test_a_bad_name_is_refused_as_everywhere_and_what_was_typed_stays(client: TestClient, ledger: Ledger) -> None:
    good, bad = report(ledger, "anna"), report(ledger, "bert")

    got = answer(client, good, bad, **{f"{good}.name": "kept as typed", f"{bad}.name": "a/b/c"})

    assert got.status_code == 422
    assert states(ledger) == ["open", "open"]
    assert "separates the levels of folders" in Read(got.text).text
    assert 'value="kept as typed"' in got.text and 'value="a/b/c"' in got.text
    assert got.text.count(" checked") == 2


def test_many_of_one_cause_are_decided_whoever_was_met_first(client: TestClient, ledger: Ledger) -> None:
    with ledger.session() as session:
        for account in ("bert", "anna", "carl"):
            store.report(session, Problem(
                account, "mailbox", "message-refused", f"INBOX, {account}", "Refused.", facts={"message_id": account},
                proposal=Proposal(Action.REPAIR), cause="bare newlines",
            ))  # fmt: skip
    form = fields(client.get("problems").text)
    sent = {**form, "about": "1..3", "option": Option.APPLY.value}

    assert (
        client.post("problems", data=sent, follow_redirects=False).headers["location"].startswith("problems?decided=3")
    )


@pytest.mark.parametrize("option", [Option.LEAVE_OUT, Option.LOOK_AGAIN, Option.KEEP_ON_OLD])
def test_every_button_does_what_it_says(client: TestClient, ledger: Ledger, option: Option) -> None:
    number = report(ledger, "anna")

    assert answer(client, number, option=option).status_code == 303
    assert (journal.entries(ledger, event="decision")[0].after or {})["option"] == option.value


def test_of_two_people_the_first_one_decides_and_the_other_is_told(ledger: Ledger, site: Site) -> None:
    number = report(ledger, "anna")
    reviewers = site.model_copy(update={"gates": site.gates.model_copy(update={"reviewers": ["postmaster", "second"]})})
    first, second = client_of(ledger, reviewers), client_of(ledger, reviewers, "second")
    old = fields(second.get("problems").text)

    assert answer(first, number, option=Option.LEAVE_OUT).status_code == 303
    late = second.post("problems", data={**old, "about": str(number), "option": Option.APPLY.value})

    assert late.status_code == 422
    assert "was decided by postmaster already" in Read(late.text).text
    assert len(journal.entries(ledger, event="decision")) == 1


def test_what_was_decided_so_already_is_said_to_whoever_comes_late(ledger: Ledger, site: Site) -> None:
    """Who presses the button twice, too: it speaks of no file."""
    number = report(ledger, "anna")
    client = client_of(ledger, site)
    form = {**fields(client.get("problems").text), "about": str(number), "option": Option.LEAVE_OUT.value}
    client.post("problems", data=form)

    told = Read(client.post("problems", data=form).text).text
    assert "had been decided so already" in told and "file decides" not in told
    assert len(journal.entries(ledger, event="decision")) == 1


def test_what_has_changed_since_the_page_was_opened_is_not_decided(client: TestClient, ledger: Ledger) -> None:
    number = report(ledger, "anna")
    old = fields(client.get("problems").text)
    changed = Problem("anna", "mailbox", "folder-name", "INBOX.Budget 2018/2019", "Why.", facts={"name": "other"},
                      proposal=Proposal(Action.RENAME, name=NAME))  # fmt: skip
    with ledger.session() as session:
        store.report(session, changed)

    late = client.post("problems", data={**old, "about": str(number), "option": Option.APPLY.value})

    assert late.status_code == 422 and "has changed since" in Read(late.text).text


def test_nothing_selected_decides_nothing(client: TestClient, ledger: Ledger) -> None:
    report(ledger, "anna")

    assert "nothing was selected" in answer(client).text
    assert states(ledger) == ["open"]


@pytest.mark.parametrize("visitor", ["helpdesk", "second"])
def test_who_may_not_decide_gets_no_form_and_no_decision(ledger: Ledger, site: Site, visitor: str) -> None:
    """`helpdesk` may not edit in Airflow; `second` may, and is no reviewer of the site file."""
    number = report(ledger, "anna")
    client = client_of(ledger, site, visitor)
    page = client.get("problems").text
    sent = {
        "about": str(number),
        "option": Option.APPLY.value,
        "token": token(PaperDoor(), Visitor(visitor, True, bool)),
    }

    assert "You may look, not decide" in Read(page).text
    assert "<button" not in page[page.index('id="deciding"') :]
    assert client.post("problems", data=sent).status_code == 403
    assert states(ledger) == ["open"]


def test_another_sites_form_is_refused(client: TestClient, ledger: Ledger) -> None:
    number = report(ledger, "anna")
    form = {**fields(client.get("problems").text), "about": str(number), "option": Option.APPLY.value}
    door, somebody = PaperDoor(), Visitor("second", True, bool)
    old = token(door, Visitor("postmaster", True, bool), day=_days_ago(DAYS))

    for origin in ("http://evil.test", "http://room@evil.test", "http://[::1", "file://"):
        assert client.post("problems", data=form, headers={"origin": origin}).status_code == 403
    for wrong in ("", "nonsense", token(door, somebody), old):
        assert client.post("problems", data={**form, "token": wrong}).status_code == 403
    assert states(ledger) == ["open"]
    assert (
        client.post("problems", data=form, headers={"origin": "http://room"}, follow_redirects=False).status_code == 303
    )


def test_a_form_that_cannot_be_read_is_refused_in_the_readers_language(ledger: Ledger, site: Site) -> None:
    client = client_of(ledger, site, language="fr")
    endless = {f"field{number}": "" for number in range(MOST_FIELDS + 1)}

    for answer in (
        client.post("problems", data=endless),
        client.post("problems", data={"token": "x"}, files={"file": b"x"}),
        client.post("problems.csv", content=b"x", headers={"content-type": "multipart/form-data"}),
    ):
        assert answer.status_code == 400
        assert "Refusé : ce qui a été envoyé est illisible" in Read(answer.text).text


def _days_ago(days: int):  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) - timedelta(days=days)).date()


def test_decisions_stand_though_something_else_answers_for_airflow(ledger: Ledger, site: Site) -> None:
    """A proxy's login page with status 200, for example."""
    number = report(ledger, "anna")
    app = make_app(lambda: ledger, lambda: site, Door("<html>Log in</html>"))
    with TestClient(app, "http://room") as client:
        got = answer(client, number)

    assert got.headers["location"] == "problems?decided=1&untold=1"
    assert states(ledger) == ["decided"]


def test_a_hostile_name_goes_back_as_it_was(client: TestClient, ledger: Ledger) -> None:
    number = report(ledger, "anna", subject=HOSTILE)

    page = client.get("problems").text
    assert "<img src=x" not in page
    assert answer(client, number, option=Option.LEAVE_OUT).status_code == 303


def test_the_table_goes_out_and_comes_back(client: TestClient, ledger: Ledger) -> None:
    for account in ("anna", "bert"):
        report(ledger, account)
    out = client.get("problems.csv").content.decode("utf-8-sig").splitlines()
    column = out[0].split(",").index("decision")
    filled = [
        out[0],
        *(",".join([*line.split(",")[:column], "leave out", *line.split(",")[column + 1 :]]) for line in out[1:]),
    ]
    csrf = {"token": fields(client.get("problems").text)["token"]}

    bad = client.post("problems.csv", data=csrf, files={"file": ("x.csv", "\n".join(filled).replace("bert", "carl"))})
    assert bad.status_code == 422 and "line 3" in Read(bad.text).text
    assert states(ledger) == ["open", "open"]

    good = client.post("problems.csv", data=csrf, files={"file": ("x.csv", "\n".join(filled))}, follow_redirects=False)
    assert good.headers["location"].startswith("problems?decided=2")
    assert (journal.entries(ledger, event="decision")[0].after or {})["source"] == "csv"


def upload(client: TestClient, data: bytes | str) -> Response:
    csrf = {"token": fields(client.get("problems").text)["token"]}
    return client.post("problems.csv", data=csrf, files={"file": ("x.csv", data)})


def test_a_table_that_decides_nothing_is_said(client: TestClient, ledger: Ledger) -> None:
    report(ledger, "anna")

    assert (
        "No line of the file decides about anything"
        in Read(upload(client, client.get("problems.csv").content).text).text
    )
    assert "No line of the file" not in client.get("problems").text


def test_a_table_that_is_too_large_is_not_cut(
    client: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands behind the cut would be lost silently."""
    report(ledger, "anna")
    monkeypatch.setattr(problems, "LARGEST_FILE", 2000)
    refused = upload(client, client.get("problems.csv").content + b"\r\n" * 2000)

    assert refused.status_code == 422 and "the file is larger than 2,000 bytes" in Read(refused.text).text


def test_of_very_many_bad_lines_the_rest_is_counted(client: TestClient, ledger: Ledger) -> None:
    report(ledger, "anna")
    lines = ["id,version,account,decision,name,text", *(f"{number},v,anna,apply,," for number in range(1000, 1060))]
    text = Read(upload(client, "\n".join(lines)).text).text

    assert "x.csv: line 51: there is no problem '1049'" in text and "and 10 more" in text


def test_what_waits_stands_before_what_is_counted(ledger: Ledger, site: Site) -> None:
    report(ledger, "anna")
    page = client_of(ledger, site, language="fr").get("problems").text
    order = [page.index(each) for each in ('id="open"', 'id="deciding"', 'id="csv-title"', 'id="counts"')]

    assert order == sorted(order)
    assert "est en anglais" in page and "is in English" not in client_of(ledger, site).get("problems").text


def test_the_live_part_says_what_is_open_now(ledger: Ledger, site: Site) -> None:
    def open_now() -> str:
        page = client_of(ledger, site).get("problems", headers={"x-bascule-live": "1"}).text
        return Read(page[page.index('id="open" data-live') :].partition("</div>")[0]).text

    before = open_now()
    report(ledger, "anna")

    assert "Nothing is open." in before
    assert "Folder name that the new server can't take 1" in open_now()


def test_the_live_part_leaves_the_form_alone(client: TestClient, ledger: Ledger) -> None:
    report(ledger, "anna")

    assert 'id="deciding"' not in client.get("problems", headers={"x-bascule-live": "1"}).text


def test_what_is_typed_passes_by_the_spreadsheets_own_checks(ledger: Ledger) -> None:
    """A name that a spreadsheet would have remade into a date is one that a person may type."""
    number = report(ledger, "anna", name="2018-06")
    (question,) = spreadsheet.open_questions(ledger)
    row = {"id": str(number), "version": spreadsheet.version(question), "account": "anna", "decision": "apply"}

    choices, refused = spreadsheet.typed(ledger, [(0, {**row, "name": "2018-07"})])

    assert refused == {}
    assert choices[0].chosen.name == "2018-07"


def test_airflows_waiting_questions_are_answered(tmp_path: Path) -> None:
    """The address of Airflow's API beside the page, under whatever path it is published."""
    from bascule.dashboard.airflow import AirflowDoor
    from fastapi import Request

    class User:
        def get_name(self) -> str:
            return "lead"

    scope = {
        "type": "http", "server": ("127.0.0.1", 8080), "scheme": "http", "root_path": "/flow/bascule",
        "path": "/problems",
        "headers": [(b"cookie", b"_token=secret")], "query_string": b"", "state": {"bascule_user": User()},
    }  # fmt: skip
    airflow = AirflowDoor().airflow(Request(scope))

    assert (airflow.base, airflow.user) == ("http://127.0.0.1:8080/flow", "lead")
