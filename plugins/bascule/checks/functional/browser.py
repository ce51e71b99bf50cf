"""Functional test of the webmail in a real browser: login, folders, a message, the calendar, a picture of each."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bascule.calendars.servers import trust
from bascule.checks.functional import expected
from bascule.checks.functional.client import CouldNotTest, Evidence, ask, login, probe
from bascule.checks.functional.expected import OldEvent, OldMessage
from bascule.hosts.access import Access
from bascule.text.reason import reason

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAIT = 30_000  # milliseconds for each page
FOLDER = ".sg-mailbox-list-item"
DETAIL = ".view-detail"  # beside the list, which shows the subject too
EVENT = ".sg-event:not(.sg-event--ghost)"
AT_SYNC = "look at the probe's `mailbox.sync` in `transfer`"
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


@dataclass(frozen=True)
class Wanted:
    """What the webmail must show: folders by name, a message by its UID on new, an event."""

    folders: list[str]
    message: OldMessage | None
    uid: int
    event: OldEvent | None


@contextlib.contextmanager
def started(path: str) -> "Iterator[Browser]":
    """The browser on this machine, ended with the block. Raises CouldNotTest when it can't be started here."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise CouldNotTest("Python's playwright is missing here: install it, or leave `browser` out") from None
    if not Path(path).exists():
        raise CouldNotTest(f"there is no {path} here: install Chromium where the tasks run, or mend `browser`")
    with contextlib.ExitStack() as stack:
        try:
            playwright = stack.enter_context(sync_playwright())
        except Exception:  # its driver is a program of its own, whose end is no error of playwright's
            raise CouldNotTest(f"playwright's driver does not start here: {_words_of_the_driver()}") from None
        environment: dict[str, str | float | bool] = {"HOME": tempfile.mkdtemp(), **os.environ}
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS, env=environment)
        except Error as error:
            raise CouldNotTest(f"{path} does not start here: {_words_of_the_browser(str(error))}") from None
        try:
            yield browser
        finally:
            browser.close()


def _words_of_the_driver() -> str:
    """What the driver says when it is asked for its version only: the library that is missing, for example."""
    from playwright._impl._driver import compute_driver_executable

    done = subprocess.run([*compute_driver_executable(), "--version"], capture_output=True, text=True, check=False)
    return (done.stderr.strip() or "it ended without a word").splitlines()[0]


def _words_of_the_browser(text: str) -> str:
    """Its own last words, as playwright passes them on; not what playwright makes of its end."""
    if said := re.findall(r"\[err\] (.+)", text):
        return str(said[-1]).strip()
    if re.search(r"spawn \S+ E", text):
        return "it is no program that may be run"
    return "it was not ready in time" if "Timeout" in text else "it ended at once, without a word"


def _what_stopped(text: str) -> str:
    """An error of playwright's without its names: `Page.goto: net::ERR_CONNECTION_REFUSED at https://...`, for one."""
    first = re.sub(r"^\w+\.\w+: ", "", text.split("\n", maxsplit=1)[0])
    if too_late := re.match(r"Timeout (\d+)ms exceeded", first):
        wanted = re.search(r"(?:waiting for|navigating to) ([^\n,]+)", text)
        return f"within {int(too_late[1]) / 1000:g} s it did not see {wanted[1] if wanted else 'what it waited for'}"
    if re.match("Target .*closed|Target crashed|Page crashed", first):
        return "it ended in the middle; has the machine or the container enough memory?"
    return re.sub(r"net::ERR_(\w+)", lambda code: code[1].replace("_", " ").lower(), first)


def webmail(access: Access) -> Evidence:
    """Log in at the old webmail's name; see the folders, a message and an event that the probe has on old."""
    site = access.site
    _check_certificate(access)
    wanted, pictures = _wanted(access), _place()
    with started(str(site.functional_tests.browser)) as browser:
        from playwright.sync_api import Error

        # The certificate was checked just now, with the authority that the connection names.
        page = browser.new_page(ignore_https_errors=True, viewport={"width": 1280, "height": 800}, locale="en-GB")
        page.set_default_timeout(WAIT)
        try:
            return _visit(access, page, pictures, wanted)
        except Error as error:
            words = f"the browser came no further: {_what_stopped(str(error))}"
            with contextlib.suppress(Error):  # a browser that has died shows nothing more
                page.screenshot(path=pictures / "stopped-here.png")
            return Evidence(False, words, str(pictures))


def _visit(access: Access, page: "Page", pictures: Path, wanted: Wanted) -> Evidence:
    base = _log_in(access, page, pictures)
    lacking = _look_at_folders(page, base, wanted)
    page.screenshot(path=pictures / "2-folders.png")
    if lacking:
        return Evidence(False, f"the webmail doesn't show the folder(s) {', '.join(lacking)}: {AT_SYNC}", str(pictures))
    seen = [f"{len(wanted.folders)} folders of old are there"]
    if wanted.message:
        wrong = _look_at_message(page, base, wanted.message, wanted.uid)
        page.screenshot(path=pictures / "3-message.png")
        if wrong:
            return Evidence(False, f"{wrong}: {AT_SYNC}", str(pictures))
        seen.append(f"the message {wanted.message.subject!r} opens with its text")
    if wanted.event:
        visible = _look_at_event(page, base, wanted.event)
        page.screenshot(path=pictures / "4-calendar.png")
        event = f"{wanted.event.title!r} on {wanted.event.day}"
        if not visible:
            return Evidence(
                False, f"the calendar doesn't show {event}: look at `migrate_calendars` in `transfer`", str(pictures)
            )
        seen.append(f"the event {event} is in the calendar")
    return Evidence(True, f"logged in through {access.site.webmail.url}: {'; '.join(seen)}", str(pictures))


def _look_at_folders(page: "Page", base: str, wanted: Wanted) -> list[str]:
    """Open the list of folders; which of those wanted aren't in it."""
    page.goto(f"{base}/Mail/view#!/Mail/0/INBOX")
    page.locator(FOLDER).first.wait_for()
    page.wait_for_load_state("networkidle")
    shown = {" ".join(text.split()) for text in page.locator(FOLDER).all_inner_texts()}
    return [name for name in wanted.folders if not any(" ".join(name.split()) in text for text in shown)]


def _look_at_message(page: "Page", base: str, message: OldMessage, uid: int) -> str:
    """Open the message; what isn't as on old, or ""."""
    page.goto(f"{base}/Mail/view#!/Mail/0/INBOX/{uid}")
    body = page.locator(".msg-body")
    body.first.wait_for()
    page.wait_for_load_state("networkidle")
    if page.locator(DETAIL).get_by_text(message.subject).count() == 0:
        return f"the message {message.message_id} doesn't show its subject {message.subject!r}"
    if message.word not in "\n".join(body.all_inner_texts()):
        return f"the message {message.subject!r} opens without the word {message.word!r} of its text"
    return ""


def _look_at_event(page: "Page", base: str, event: OldEvent) -> bool:
    page.goto(f"{base}/Calendar/view#!/calendar/day/{event.day:%Y%m%d}")
    page.reload()  # an address that differs behind the # alone is no new page
    shown = page.locator(EVENT).filter(has_text=event.title).first
    from playwright.sync_api import TimeoutError as TooLate

    try:
        shown.wait_for(timeout=WAIT / 2)
    except TooLate:
        return False
    return True


def _log_in(access: Access, page: "Page", pictures: Path) -> str:
    """Log in as the probe, by the old webmail's name; the address below which the probe's pages are."""
    connection = probe(access)
    page.goto(access.site.webmail.url)
    page.locator("input[ng-model='app.creds.username']").fill(connection.login)
    page.screenshot(path=pictures / "1-login.png")
    page.locator("input[type='password']").fill(connection.password)
    with page.expect_response(re.compile("/connect$")) as answer:
        page.keyboard.press("Enter")
    if not answer.value.ok:
        page.screenshot(path=pictures / "stopped-here.png")
        raise CouldNotTest(f"the webmail's login was answered with status {answer.value.status}: look at SOGo's log")
    return f"{access.site.webmail.target.rstrip('/')}/so/{connection.login}"


def _wanted(access: Access) -> Wanted:
    """What the probe has on old, and must see. Raises CouldNotTest when the message isn't on new."""
    message = expected.newest_message(access)
    uids = []
    if message:
        part = access.site.service_addresses.imap
        request = {"host": part.name, "port": part.port, **login(access), "message_id": message.message_id}
        uids = ask(access, "uids_in_inbox", request)["uids"]
        if not uids:
            raise CouldNotTest(f"the probe's message {message.message_id} of old is not in INBOX on new: {AT_SYNC}")
    event = expected.event_near(access, datetime.now(UTC).date())
    return Wanted(expected.folder_names(access), message, uids[0] if uids else 0, event)


def _check_certificate(access: Access) -> None:
    context = trust(probe(access))
    for url in (access.site.webmail.url, access.site.webmail.target):
        try:
            httpx.get(url, verify=context, timeout=30.0)
        except httpx.HTTPError as error:
            raise CouldNotTest(f"{url} can't be opened with a checked certificate: {reason(error)}") from None


def _place() -> Path:
    """A new directory for the pictures of one run, beside the reports (BASCULE_REPORTS, default var/reports)."""
    root = Path(os.environ.get("BASCULE_REPORTS", "var/reports")).absolute()
    place = root / "pictures" / f"webmail-{datetime.now():%Y%m%d-%H%M%S}"
    place.mkdir(parents=True, exist_ok=True)
    return place
