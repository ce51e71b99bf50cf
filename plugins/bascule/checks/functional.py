"""Functional tests: what a user does on the morning after, done from a user's place, each with its evidence."""

from collections.abc import Callable
from functools import partial

import structlog

from bascule.access import Access, AccessError
from bascule.checks import by_browser, by_mail, by_web
from bascule.checks.client import Evidence
from bascule.site import Site

log = structlog.get_logger(__name__)

Test = Callable[[Access], Evidence]

# The names stand in Airflow's log and in the journal: never rename one.
ALWAYS: dict[str, Test] = {
    "imap-login": by_mail.imap_login,
    "pop3-login": by_mail.pop3_login,
    "mail-arrives-once": by_mail.mail_arrives,
    "webmail-redirect": by_web.webmail_redirect,
}


def functional_tests(site: Site) -> list[str]:
    """The names of the tests that this site asks for, in the order in which they are shown."""
    return list(_tests(site))


def run_functional_test(access: Access, name: str) -> Evidence:
    """Run one test. What goes wrong on the way is evidence too, not an exception. Raises KeyError on another name."""
    test = _tests(access.site)[name]
    try:
        evidence = test(access)
    except AccessError as error:
        evidence = Evidence(False, str(error))
    log.info("functional test", test=name, ok=evidence.ok, evidence=evidence.sentence, picture=evidence.picture)
    return evidence


def _tests(site: Site) -> dict[str, Test]:
    part, tests = site.functional_tests, dict(ALWAYS)
    tests |= {f"mail-to-{kind}": partial(by_mail.mail_to, kind) for kind in part.addresses}
    if site.mailboxes.pop3:
        tests["pop3-uidls"] = by_mail.pop3_uidls
    if part.calendar_url:
        tests["calendar-event"] = by_web.calendar_event
    if part.submission:
        tests["submission"] = by_mail.submission
    if part.sieve:
        tests["managesieve-login"] = by_mail.sieve_login
    if part.outside and part.submission:
        tests["mail-to-outside"] = by_mail.mail_to_outside
    if part.outside and part.sieve:
        tests["vacation-answers-once"] = by_mail.vacation
    if part.quota:
        tests["quota-refuses"] = by_mail.quota
    if part.browser:
        tests["webmail-in-a-browser"] = by_browser.webmail
    return tests
