"""Functional tests over HTTP: the old webmail's name, and a calendar event by a client's hands."""

import secrets
from datetime import UTC, datetime, timedelta

from bascule.checks.functional.client import Evidence, ask, authority, login, probe
from bascule.hosts.access import Access


def webmail_redirect(access: Access) -> Evidence:
    """The old webmail's name leads to the new webmail's login page."""
    part, words = access.site.webmail, access.site.functional_tests.webmail_login
    seen = ask(access, "web_page", {"url": part.url, "authority": authority(probe(access))})
    if not seen["steps"]:
        return Evidence(False, f"{part.url} doesn't redirect (status {seen['status']}): look at the web server there")
    if not seen["url"].startswith(part.target.rstrip("/")):
        return Evidence(False, f"{part.url} leads to {seen['url']}, not to {part.target}")
    if seen["status"] != 200 or words not in seen["text"]:
        return Evidence(
            False, f"{seen['url']} (status {seen['status']}) is no login page with the words {words!r}: look at SOGo"
        )
    return Evidence(True, f"{part.url} leads with {seen['steps'][0][0]} to the login page {seen['url']}")


def calendar_event(access: Access) -> Evidence:
    """An event is written, read and removed in the probe's calendar."""
    url = access.site.functional_tests.calendar_url
    name = f"bascule-{secrets.token_hex(8)}"
    request = {"url": url, "name": f"{name}.ics", "event": _event(name), **login(access)}
    seen = ask(access, "calendar_event", request)
    steps = f"written {seen['written']}, read {seen['read']}, removed {seen['removed']}, then {seen['gone']}"
    good = seen["written"] in (201, 204) and seen["read"] == 200 and name in seen["text"]
    if good and seen["removed"] in (200, 204) and seen["gone"] in (404, 410):
        return Evidence(True, f"an event in {url} was written, read back and removed ({steps})")
    return Evidence(False, f"an event in {url} could not be written, read and removed ({steps}): look at SOGo's log")


def _event(uid: str) -> str:
    start = datetime.now(UTC) + timedelta(days=1)
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Bascule//functional test//EN", "BEGIN:VEVENT", f"UID:{uid}",
        f"DTSTAMP:{start:%Y%m%dT%H%M%SZ}", f"DTSTART:{start:%Y%m%dT%H0000Z}", "DURATION:PT1H",
        "SUMMARY:Bascule: functional test", "END:VEVENT", "END:VCALENDAR", "",
    ]  # fmt: skip
    return "\r\n".join(lines)
