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
WINDOW = {"width": 1280, "height": 800}


def webmail(access: Access) -> Evidence:
    """Log in at the old webmail's name, see the folders, open a message, look at the calendar."""
    from playwright.sync_api import Error, sync_playwright

    site = access.site
    _check_certificate(access)
    pictures = _place()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=site.functional_tests.browser, args=FLAGS, env={"HOME": tempfile.mkdtemp(), **os.environ}
        )
        try:
            # The certificate was checked just now, with the authority that the connection names.
            page = browser.new_context(ignore_https_errors=True, viewport=WINDOW, locale="en-GB").new_page()  # type: ignore[arg-type]
            page.set_default_timeout(WAIT)
            return _visit(access, page, pictures)
        except Error as error:
            page.screenshot(path=pictures / "stopped-here.png")
            words = str(error).split("\n", maxsplit=1)[0]
            return Evidence(False, f"the browser came no further: {words}", str(pictures / "stopped-here.png"))
        finally:
            browser.close()


def _visit(access: Access, page: "Page", pictures: Path) -> Evidence:
    connection = probe(access)
    page.goto(access.site.webmail.url)
    page.locator("input#input_1, input[name='username'], input[type='text']").first.fill(connection.login)
    page.screenshot(path=pictures / "1-login.png")
    page.locator("input[type='password']").first.fill(connection.password)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/(Mail|Calendar|Contacts)/"))
    base = page.url.split("/so/", maxsplit=1)[0] + f"/so/{connection.login}"
    page.goto(f"{base}/Mail/view#!/Mail/0/INBOX")
    page.locator("md-list-item, .sg-mailbox-list").first.wait_for()
    page.wait_for_load_state("networkidle")
    folders = [
        text.strip() for text in page.locator(".sg-mailbox-list-item, md-sidenav md-list-item").all_inner_texts()
    ]
    page.screenshot(path=pictures / "2-mail.png")
    opened = _open_first_message(page)
    page.screenshot(path=pictures / "3-message.png")
    page.goto(f"{base}/Calendar/view#!/calendar/month")
    page.wait_for_load_state("networkidle")
    page.locator(".monthView, .sg-event, sg-calendar-month-day").first.wait_for()
    events = page.locator(".sg-event").count()
    page.screenshot(path=pictures / "4-calendar.png")
    shown = f"{len(folders)} folders, {'a message opened' if opened else 'no message'}, {events} event(s) this month"
    good = bool(folders) and opened
    return Evidence(
        good, f"logged in at {access.site.webmail.url} as {connection.login}: {shown}", str(pictures / "2-mail.png")
    )


def _open_first_message(page: "Page") -> bool:
    """Open the first message of the list, if there is one; whether its text is shown."""
    messages = page.locator(".sg-tile-content, md-list-item.sg-message-list-item")
    if messages.count() == 0:
        return False
    messages.first.click()
    page.locator(".msg-body, .sg-mail-part, .mailer_plaincontent, .mailer_htmlcontent").first.wait_for()
    return True


def _check_certificate(access: Access) -> None:
    context = trust(probe(access))
    for url in (access.site.webmail.url, access.site.webmail.target):
        try:
            httpx.get(url, verify=context, timeout=30.0)
        except httpx.HTTPError as error:
            raise Trouble(f"{url} can't be opened with a checked certificate: {error}") from None


def _place() -> Path:
    """A new directory for the pictures of one run, below BASCULE_EVIDENCE (default: var/evidence)."""
    root = Path(os.environ.get("BASCULE_EVIDENCE", "var/evidence")).absolute()
    place = root / f"webmail-{datetime.now():%Y%m%d-%H%M%S}"
    place.mkdir(parents=True, exist_ok=True)
    return place
