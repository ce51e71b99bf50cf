"""The dashboard inside the running Airflow: in its navigation, behind its login, with the day in it."""

import pytest
from bascule.ledger import filters, mailboxes
from markupsafe import escape

from lab.airflow.processes import USER, Rest
from tests.end_to_end.conftest import Day
from tests.end_to_end.control_room import dashboard


def test_nobody_reads_the_dashboard_without_login(rest: Rest) -> None:
    assert dashboard(rest).status_code == 401
    assert dashboard(rest, token="not.a.token").status_code in (401, 403)
    assert dashboard(rest, page="filters", account="sonde").status_code == 401


@pytest.mark.parametrize("user", [USER, "helpdesk"])
def test_whoever_may_read_task_logs_reads_the_dashboard(rest: Rest, user: str) -> None:
    answer = dashboard(rest, user)

    assert answer.status_code == 200
    assert "Timeline" in answer.text


def test_the_dashboard_stands_in_the_navigation(rest: Rest) -> None:
    views = [view for plugin in rest.call("GET", "plugins")["plugins"] for view in plugin["external_views"]]

    assert [(view["name"], view["destination"], view["href"]) for view in views] == [("Bascule", "nav", "/bascule/")]
    assert rest.call("GET", "plugins/importErrors")["import_errors"] == []


def test_the_dashboard_shows_the_day(day: Day) -> None:
    text = dashboard(day.rest, USER).text
    listed = dashboard(day.rest, USER, page="mailboxes").text
    record = dashboard(day.rest, USER, page="record").text

    first_of_the_first_page = sorted(mailboxes.mailbox_states(day.ledger))[:12]
    assert [account for account in first_of_the_first_page if f"<bdi>{account}</bdi>" not in listed] == []
    assert "The outage took" in text
    assert "The chain holds" in record


def test_the_dashboard_shows_what_became_of_a_filter(day: Day) -> None:
    edited = next(status for status in filters.filters(day.ledger) if status.report["edits"] and status.active)

    text = dashboard(day.rest, USER, page="filters", account=edited.account).text

    assert f"Filters of {edited.account}" in text
    assert escape(edited.report["edits"][0]["reason"]) in text
    assert "No difference in what the old and the new filter do." in text or "does otherwise" in text


def test_a_tasks_button_leads_to_its_page(day: Day) -> None:
    """As Airflow's UI shows it: of a mailbox's task to the page of its account."""
    run = day.seen["transfer"]
    mailbox = run.named("mailbox.sync")[0]
    place = f"dags/transfer/dagRuns/{run.id}/taskInstances/mailbox.sync/links?map_index={mailbox['map_index']}"
    button = day.rest.call("GET", place)["extra_links"]["Bascule"]

    page = dashboard(day.rest, USER, page=button.removeprefix("/bascule/"))
    assert page.status_code == 303
    assert page.headers["location"] == f"account?name={mailbox['rendered_map_index']}"
