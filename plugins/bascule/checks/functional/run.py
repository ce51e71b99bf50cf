"""Functional tests: what a user does on the morning after, done from a user's place, each with its evidence."""

from collections.abc import Callable
from functools import partial

from bascule.checks.functional import browser, delivery, logins, mail_program, web
from bascule.checks.functional.client import Evidence
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.site import Site
from bascule.text.logs import get_logger
from bascule.text.reason import place_of

log = get_logger(__name__)

Test = Callable[[Access], Evidence]

# The names stand in Airflow's log and in the journal: never rename one.
ALWAYS: dict[str, Test] = {
    "imap-login": logins.imap_login,
    "pop3-login": logins.pop3_login,
    "mail-arrives-once": delivery.mail_arrives,
    "webmail-redirect": web.webmail_redirect,
}


# Where a postmaster looks when a test could not be done at all: refused, timed out, a wrong certificate, a wrong login.
LOOK_AT = {
    "imap-login": "who has the address of `service_addresses.imap` now (`take_imap_address`), and Dovecot's log on new",
    "pop3-login": "who has the address of `service_addresses.pop` now (`take_pop_address`), and Dovecot's log on new",
    "pop3-uidls": "the log of `carry_pop3_uidls` in `transfer`, and Dovecot's log on new",
    "mail-program": "the preflight's log in `prepare` (`mail program`), and Dovecot's log on new",
    "mail-": "the queue and the log of the MX, then the mail log of new",
    "submission": "the log of the submission service on new (`functional_tests.submission`)",
    "managesieve-login": "Dovecot's log of ManageSieve on new (`functional_tests.sieve`)",
    "vacation-answers-once": "Dovecot's and the mail log of new, and whether the probe's own filter is active",
    "quota-refuses": "Dovecot's quota settings on new",
    "webmail-redirect": "the log of `redirect_webmail_to_new`, and the web server of the old webmail",
    "calendar-event": "SOGo's log, and its web server's (`functional_tests.calendar_url`)",
    "webmail-in-a-browser": "SOGo's log, and the pictures of the run",
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
        evidence = Evidence(False, f"{error}. Look at {look_at(name)}")
    except Exception as error:
        log.debug("a functional test broke", test=name, exc_info=True)
        words = f"a mistake in Bascule stopped this test ({place_of(error)}): report it, and do by hand what it does"
        evidence = Evidence(False, f"{words}. Look at {look_at(name)}")
    log.info("functional test", test=name, ok=evidence.ok, evidence=evidence.sentence, picture=evidence.picture)
    return evidence


def look_at(name: str) -> str:
    """What a postmaster should look at when this test fails."""
    return next(where for test, where in LOOK_AT.items() if name.startswith(test))


def _tests(site: Site) -> dict[str, Test]:
    part, tests = site.functional_tests, dict(ALWAYS)
    tests |= {f"mail-to-{kind}": partial(delivery.mail_to, kind) for kind in part.addresses}
    if site.mailboxes.pop3:
        tests["pop3-uidls"] = logins.pop3_uidls
    if part.calendar_url:
        tests["calendar-event"] = web.calendar_event
    if part.submission:
        tests["submission"] = delivery.submission
    if part.sieve:
        tests["managesieve-login"] = logins.sieve_login
    if part.outside and part.submission:
        tests["mail-to-outside"] = delivery.mail_to_outside
    if part.outside and part.sieve:
        tests["vacation-answers-once"] = delivery.vacation
    if part.quota:
        tests["quota-refuses"] = logins.quota
    if part.mail_program and site.mailboxes.uids != "new":
        tests["mail-program-with-a-cache"] = mail_program.with_a_cache
    if part.browser:
        tests["webmail-in-a-browser"] = browser.webmail
    return tests
