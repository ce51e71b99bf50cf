"""What the tasks need on the machine where they run: places, and the browser of `webmail-in-a-browser`."""

from collections.abc import Iterator

from bascule.checks.functional import browser
from bascule.checks.functional.client import CouldNotTest
from bascule.checks.preflight.finding import Finding, failure, ok
from bascule.hosts.access import Access
from bascule.site import SiteError, at_once

SUBJECT = "the workers' browser"
PLACES = "the workers' places"


def starts_the_browser(access: Access) -> Iterator[Finding]:
    """Start the site file's `browser` as the test does."""
    path = access.site.functional_tests.browser
    try:
        with browser.started(str(path)) as running:
            yield ok(SUBJECT, f"{path} starts where this task ran (version {running.version})")
    except CouldNotTest as error:
        yield failure(SUBJECT, str(error))


def has_places(access: Access) -> Iterator[Finding]:
    """Whether as many mailboxes can have their task at once as the pool has slots. Asks the environment alone."""
    try:
        mailboxes, tasks = at_once.mailboxes_at_once(), at_once.tasks_at_once()
    except SiteError as error:
        yield failure(PLACES, str(error))
        return
    if tasks is not None and mailboxes > tasks:
        yield failure(
            PLACES,
            f"{at_once.MAILBOXES} is {mailboxes} and {at_once.TASKS} is {tasks}: so many mailboxes are never worked on "
            f"at once. Write {tasks} or less for the mailboxes, or more tasks, with the workers for them",
        )
    else:
        yield ok(PLACES, f"up to {mailboxes} mailbox(es) at once")
