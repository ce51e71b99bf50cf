"""Functional test of the webmail in a real browser: login, folders, a message, the calendar, a picture of each."""

import os
import re
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bascule.access import Access
from bascule.calendars.servers import trust
from bascule.checks.client import Evidence, Trouble, probe

if TYPE_CHECKING:
    from playwright.sync_api import Page

WAIT = 30_000  # milliseconds for each page
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


def webmail(access: Access) -> Evidence:
    """Log in at the old webmail's name, see the folders, open a message, look at the calendar."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise Trouble("Python's playwright is missing here: install it, or leave `browser` out") from None
    site = access.site
    _check_certificate(access)
    pictures = _place()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=site.functional_tests.browser, args=FLAGS, env={"HOME": tempfile.mkdtemp(), **os.environ}
        )
        try:
            # The certificate was checked just now, with the authority that the connection names.
            page = browser.new_page(ignore_https_errors=True, viewport={"width": 1280, "height": 800}, locale="en-GB")
            page.set_default_timeout(WAIT)
            return _visit(access, page, pictures)
        except Error as error:
            page.screenshot(path=pictures / "stopped-here.png")
            words = str(error).split("\n", maxsplit=1)[0]
            return Evidence(False, f"the browser came no further: {words}", str(pictures))
        finally:
            browser.close()


def _visit(access: Access, page: "Page", pictures: Path) -> Evidence:
    base = _log_in(access, page, pictures)
    page.goto(f"{base}/Mail/view#!/Mail/0/INBOX")
    page.locator(".sg-mailbox-list-item").first.wait_for()
    page.wait_for_load_state("networkidle")
    folders = page.locator(".sg-mailbox-list-item").count()
    page.screenshot(path=pictures / "2-folders.png")
    subject = _open_first_message(page)
    page.screenshot(path=pictures / "3-message.png")
    page.goto(f"{base}/Calendar/view#!/calendar/month")
    page.get_by_text(str(datetime.now().year)).first.wait_for()
    page.wait_for_load_state("networkidle")
    events = page.locator(".sg-event:not(.sg-event--ghost)").count()
    page.screenshot(path=pictures / "4-calendar.png")
    seen = f"{folders} folders, {f'the message {subject!r} opened' if subject else 'INBOX is empty'}, {events} event(s)"
    return Evidence(True, f"logged in through {access.site.webmail.url}: {seen}", str(pictures))


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
        raise Trouble(f"the webmail's login was answered with status {answer.value.status}: look at SOGo's log")
    return f"{access.site.webmail.target.rstrip('/')}/so/{connection.login}"


def _open_first_message(page: "Page") -> str:
    """Open the first message of the list; its subject, or nothing when there is no message."""
    messages = page.locator(".sg-message-list-item button.md-button")
    if messages.count() == 0:
        return ""
    subject = messages.first.get_attribute("aria-label") or "without a subject"
    messages.first.click()
    page.locator(".msg-body").first.wait_for()
    return subject


def _check_certificate(access: Access) -> None:
    context = trust(probe(access))
    for url in (access.site.webmail.url, access.site.webmail.target):
        try:
            httpx.get(url, verify=context, timeout=30.0)
        except httpx.HTTPError as error:
            raise Trouble(f"{url} can't be opened with a checked certificate: {error}") from None


def _place() -> Path:
    """A new directory for the pictures of one run, beside the reports (BASCULE_REPORTS, default var/reports)."""
    root = Path(os.environ.get("BASCULE_REPORTS", "var/reports")).absolute()
    place = root / "pictures" / f"webmail-{datetime.now():%Y%m%d-%H%M%S}"
    place.mkdir(parents=True, exist_ok=True)
    return place
