"""Pictures of Airflow's UI and of the control room with the day in it: `make screenshots` while a demo is up.

Begun while the day goes on, it shows the control room when a question waits (nobody answers for a mailbox until it is
taken), and the rest when the day is done. After `make demo-moves` it shows the page of the moves.

Debian's Chromium, headless, driven by playwright; it is given nothing but the UI on 127.0.0.1.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
from playwright.sync_api import Browser, Error, Page, sync_playwright

from lab.airflow.following import ENDED, POLL_SECONDS
from lab.airflow.processes import USER, AirflowNotReady, Home, Rest
from lab.corpus.people import FIXED
from lab.paths import CHECKOUT, Instance

CHROMIUM = Path("/usr/bin/chromium")
# No sandbox: the practice site runs as root. The others keep Chromium from calling home.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PICTURES = CHECKOUT / "docs" / "pictures"
SIZE = {"width": 1360, "height": 800}
WAIT_MS = 60_000
LARGEST = 200_000  # bytes
# The run's own page, and the page of the mapped task that shows each mailbox by its account.
VIEWS = {"migrate": "", "transfer": "/tasks/mailbox.sync/mapped"}
# The pages of the control room; first those on which a question is seen while it waits.
ROOM = {
    "problems": "problems",
    "today": "",
    "account": "account?name={account}",
    "mailboxes": "mailboxes",
    "record": "record",
    "evidence": "evidence",
    "filters": "filters?account={filter}",
}
ASKS = {"problems": "[data-question]", "today": "#needs .asking", "account": "#account .ask"}
FILTER = next(account for account, _, _, _, trouble in FIXED if trouble == "filter that never matches")
WIDTHS = {1360: 900, 390: 844}  # and their heights
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class NoPicture(Exception):
    """Raised when a picture can't be taken; the text says what is missing."""


def take_all(base: str, password: str, folder: Path, wanted: Path) -> list[Path]:
    """Take every picture of the Airflow at `base`; return the files. `wanted`: see Home. Raises NoPicture."""
    rest = Rest(base, USER, password)
    rest.wait_until_healthy()
    folder.mkdir(parents=True, exist_ok=True)
    moved = bool(runs_of(rest, "move"))
    day = "" if moved else last_run(rest, "migrate")
    with opened_browser() as browser:
        page = logged_in(browser, base, password)
        if moved:
            page.goto(f"{base}/bascule/moves")
            return list(in_every_form(page, "moves", folder))
        with unanswered(wanted):
            taken = take_room(page, base, folder, lambda: rest.run_state("migrate", day) not in ENDED)
        while rest.run_state("migrate", day) not in ENDED:
            time.sleep(POLL_SECONDS)
        runs = {dag: last_run(rest, dag) for dag in VIEWS}
        for dag, run in runs.items():
            open_run(page, base, dag, run, VIEWS[dag])
            taken.append(save(page, folder / f"{dag}.png"))
        page.goto(f"{base}/bascule/report.html")
        taken += in_every_form(page, "report", folder)
        page.set_viewport_size(SIZE)  # type: ignore[arg-type]
        open_control_room(page, base)
        taken.append(save(page, folder / "control-room.png"))
    return taken


@contextmanager
def unanswered(wanted: Path) -> Iterator[None]:
    wanted.touch()
    try:
        yield
    finally:
        wanted.unlink()


def take_room(first: Page, base: str, folder: Path, goes_on: Callable[[], bool]) -> list[Path]:
    """Every page of the control room.

    While the day goes on, a question is waited for, and the pages stay as they were then.
    """
    pages = {name: first.context.new_page() for name in ROOM}
    for page in pages.values():
        page.set_default_timeout(WAIT_MS)
        page.add_init_script("setInterval = () => 0")  # it looks for nothing new
    while not _opened(pages, base) and goes_on():
        time.sleep(POLL_SECONDS)
    return [picture for name, page in pages.items() for picture in in_every_form(page, name, folder)]


def in_every_form(page: Page, name: str, folder: Path) -> Iterator[Path]:
    """The page on a desk and on a phone, by day and by night."""
    for width, height in WIDTHS.items():
        for theme in THEMES:
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            for asked in page.locator(ASKS[name]).all()[:1] if name in ASKS else ():
                asked.scroll_into_view_if_needed()
            yield save(page, folder / f"{name}-{width}-{theme}.png")


def _opened(pages: dict[str, Page], base: str) -> bool:
    """Open them; whether a question is seen on those that show questions."""
    account = ""
    for name, page in pages.items():
        page.goto(f"{base}/bascule/{ROOM[name].format(account=quote(account), filter=FILTER)}")
        if name == "today":
            account = _account(page, base)
    return all(pages[name].locator(asks).count() for name, asks in ASKS.items())


def _account(today: Page, base: str) -> str:
    """One about which somebody is asked; else the first of the list."""
    asked = today.locator("#needs a[href^='problems?account='] bdi")
    if asked.count():
        return asked.first.inner_text()
    today.goto(f"{base}/bascule/mailboxes")
    account = today.locator("#list a[href^='account?name=']").first.inner_text()
    today.goto(f"{base}/bascule/")
    return account


def last_run(rest: Rest, dag: str) -> str:
    """The id of the DAG's last run."""
    runs = runs_of(rest, dag)
    if not runs:
        raise NoPicture(f"`{dag}` has no run yet: run the demo first")
    return runs[0]


def runs_of(rest: Rest, dag: str) -> list[str]:
    """The id of its last run, if it has any."""
    runs = rest.call("GET", f"dags/{dag}/dagRuns?order_by=-run_after&limit=1")["dag_runs"]
    return [str(run["dag_run_id"]) for run in runs]


@contextmanager
def opened_browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        raise NoPicture("there is no Chromium here: `make screenshots` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def logged_in(browser: Browser, base: str, password: str) -> Page:
    """A page on which the demo's user has logged in, by the form."""
    context = browser.new_context(viewport=SIZE, color_scheme="light", locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(base)
    page.locator("input[name=username]").fill(USER)
    page.locator("input[name=password]").fill(password)
    page.locator("button[type=submit]").click()
    page.get_by_role("link", name="Dags").first.wait_for()
    return page


def open_run(page: Page, base: str, dag: str, run: str, view: str) -> None:
    """Open one run, with the grid beside its tasks, its groups unfolded, and wait until both are there."""
    page.goto(f"{base}/dags/{dag}/runs/{run}{view}")
    page.get_by_text("finish").first.wait_for()
    page.get_by_text("Task Instances", exact=False).first.wait_for()
    page.wait_for_load_state("networkidle")
    unfold = page.get_by_test_id("expand-all-button")
    if unfold.count():  # there is none where there are no groups
        unfold.click()
        page.get_by_text("review", exact=False).first.wait_for()


def open_control_room(page: Page, base: str) -> None:
    """Open it as a person does, in the frame of Airflow's UI."""
    page.goto(f"{base}/plugin/bascule")
    page.frame_locator("iframe").get_by_role("heading", name="Timeline").wait_for()
    page.wait_for_load_state("networkidle")


def save(page: Page, path: Path) -> Path:
    """Save what is seen. Raises NoPicture when it is too large for a repository."""
    page.screenshot(path=path, animations="disabled")
    if (size := path.stat().st_size) > LARGEST:
        raise NoPicture(f"{path} has {size} bytes, more than {LARGEST}")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.measure.screenshot", description=__doc__)
    parser.add_argument("--instance", default="main", help="name of the practice site (default: main)")
    parser.add_argument("--folder", type=Path, default=PICTURES, help="where the pictures go (default: docs/pictures)")
    asked = parser.parse_args()
    home = Home(Instance(asked.instance))
    try:
        port = json.loads((home.path / "environment.json").read_text())["port"]
        for path in take_all(f"http://127.0.0.1:{port}", home.password(), asked.folder, home.pictures_wanted):
            print(f"{path} ({path.stat().st_size // 1000} kB)")
    except FileNotFoundError:
        print(
            f"screenshot: there is no Airflow beside the practice site {asked.instance}: `make demo` first",
            file=sys.stderr,
        )
        return 2
    except (NoPicture, AirflowNotReady, httpx.HTTPError, Error) as error:
        print(f"screenshot: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
