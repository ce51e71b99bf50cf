"""Functional tests: what a user does on the morning after, done from a user's place, each with its evidence."""

from collections.abc import Callable

import structlog

from bascule.access import Access, AccessError
from bascule.checks import by_mail, by_web
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
EVENT = {"calendar-event": by_web.calendar_event}
ALL: dict[str, Test] = {**ALWAYS, **EVENT}


def functional_tests(site: Site) -> list[str]:
    """The names of the tests that this site asks for, in the order in which they are shown."""
    wanted = dict(ALWAYS)
    if site.functional_tests.calendar_url:
        wanted |= EVENT
    return list(wanted)


def run_functional_test(access: Access, name: str) -> Evidence:
    """Run one test. What goes wrong on the way is evidence too, not an exception. Raises KeyError on another name."""
    test = ALL[name]
    try:
        evidence = test(access)
    except AccessError as error:
        evidence = Evidence(False, str(error))
    log.info("functional test", test=name, ok=evidence.ok, evidence=evidence.sentence)
    return evidence
