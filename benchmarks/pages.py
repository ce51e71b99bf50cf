"""How long a person waits for Airflow's pages and the control room's, in Chromium."""

import time
from collections.abc import Callable
from statistics import median

from playwright.sync_api import Page, TimeoutError

from lab.airflow.processes import Home, Rest
from lab.measure.screenshot import WAIT_MS, last_run, logged_in, opened_browser
from lab.paths import Instance

TIMES = 3
DAG, TASK = "transfer", "mailbox.sync"
Pages = dict[str, tuple[str, Callable[[Page], None]]]  # title of the page -> its path, and the wait until it is usable
# Title of the page -> seconds until it was usable, each time; None: it was not, for as long as is waited.
Seconds = dict[str, list[float | None]]


def after_prepare(instance: Instance, rest: Rest, run: str) -> Seconds:
    """The pages of a `prepare` in which each mailbox has a task."""
    return _seconds(instance, rest, _of_run(rest, "prepare", run))


def after_the_day(instance: Instance, rest: Rest) -> Seconds:
    """The pages in which a day is looked up."""
    day = last_run(rest, DAG)
    run = f"dags/{DAG}/runs/{day}"
    return _seconds(instance, rest, {
        **_of_run(rest, DAG, day),
        "one mailbox's log": (f"{run}/tasks/{TASK}/mapped/0", _shows_log),
        "control room: today": ("bascule/", lambda page: page.get_by_role("heading", name="Timeline").wait_for()),
        "control room: mailboxes": (
            "bascule/mailboxes", lambda page: page.locator("#list a[href^='account?name=']").first.wait_for()
        ),
    })  # fmt: skip


def _of_run(rest: Rest, dag: str, run: str) -> Pages:
    """The page of a run, and its list of mailboxes, which is the longer the more of them have a task."""
    path, number = f"dags/{dag}/runs/{run}", rest.mapped(dag, run, TASK)
    return {
        f"`{dag}`: the run's page, {number} mailboxes with a task": (path, _shows_last_task),
        f"`{dag}`: its list of mailboxes": (f"{path}/tasks/{TASK}/mapped", _shows_rows),
    }


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
        lines += [f"| {accounts} | {title} | {_told(each)} |" for title, each in pages.items()]
    return lines


def _told(each: list[float | None]) -> str:
    known = [seconds for seconds in each if seconds is not None]
    if len(known) < len(each):
        return f"| not in {WAIT_MS // 1000} s"
    return f"{median(known):.1f} | {max(known):.1f}"


def _seconds(instance: Instance, rest: Rest, pages: Pages) -> Seconds:
    found: Seconds = {title: [] for title in pages}
    with opened_browser() as browser:
        page = logged_in(browser, rest.base, Home(instance).password())
        for title, (path, shows) in pages.items():
            for _ in range(TIMES):
                began = time.monotonic()
                try:
                    page.goto(f"{rest.base}/{path}")
                    shows(page)
                except TimeoutError:  # the day goes on without it
                    found[title].append(None)
                    break
                found[title].append(round(time.monotonic() - began, 2))
    return found


def _shows_last_task(page: Page) -> None:
    page.get_by_text("finish", exact=True).first.wait_for()


def _shows_rows(page: Page) -> None:
    """Rows with something in them: until its rows are there, Airflow draws a table of grey ones."""
    page.locator("table tbody tr a").first.wait_for()


def _shows_log(page: Page) -> None:
    page.get_by_text("pass ended").first.wait_for()
