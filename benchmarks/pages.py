"""How long a person waits for Airflow's pages and the control room's, in Chromium."""

import time
from collections.abc import Callable
from statistics import median

from playwright.sync_api import Page

from lab.airflow.processes import Home, Rest
from lab.measure.screenshot import last_run, logged_in, opened_browser
from lab.paths import Instance

TIMES = 3
DAG, TASK = "transfer", "mailbox.sync"
Seconds = dict[str, list[float]]  # title of the page -> seconds until it was usable, each time


def after_the_day(instance: Instance, rest: Rest) -> Seconds:
    """The pages in which a day is looked up."""
    run = f"dags/{DAG}/runs/{last_run(rest, DAG)}"
    return _seconds(instance, rest, {
        "the run's page": (run, lambda page: page.get_by_text("finish").first.wait_for()),
        "its list of mailboxes": (f"{run}/tasks/{TASK}/mapped", _shows_rows),
        "one mailbox's log": (f"{run}/tasks/{TASK}/mapped/0", _shows_log),
        "control room: today": ("bascule/", lambda page: page.get_by_role("heading", name="Timeline").wait_for()),
        "control room: mailboxes": (
            "bascule/mailboxes", lambda page: page.locator("#list a[href^='account?name=']").first.wait_for()
        ),
    })  # fmt: skip


def while_it_asks(instance: Instance, rest: Rest) -> Seconds:
    """The pages of the questions that wait now."""
    return _seconds(instance, rest, {
        f"Required Actions, {len(rest.questions())} questions": ("required_actions", _shows_rows),
        "control room: problems": ("bascule/problems", lambda page: page.locator("[data-question]").first.wait_for()),
    })  # fmt: skip


def table(found: dict[int, Seconds]) -> list[str]:
    """The lines of a table, by number of accounts."""
    lines = ["| accounts | page | s until it is usable: median | worst |", "|---|---|---|---|"]
    for accounts, pages in found.items():
        lines += [f"| {accounts} | {title} | {median(each):.1f} | {max(each):.1f} |" for title, each in pages.items()]
    return lines


def _seconds(instance: Instance, rest: Rest, pages: dict[str, tuple[str, Callable[[Page], None]]]) -> Seconds:
    found: Seconds = {title: [] for title in pages}
    with opened_browser() as browser:
        page = logged_in(browser, rest.base, Home(instance).password())
        for title, (path, shows) in pages.items():
            for _ in range(TIMES):
                began = time.monotonic()
                page.goto(f"{rest.base}/{path}")
                shows(page)
                found[title].append(round(time.monotonic() - began, 2))
    return found


def _shows_rows(page: Page) -> None:
    page.locator("table tbody tr").first.wait_for()


def _shows_log(page: Page) -> None:
    page.get_by_text("pass ended").first.wait_for()
