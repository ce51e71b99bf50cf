"""What the functional tests need on the machine where the tasks run: the browser of `webmail-in-a-browser`."""

from collections.abc import Iterator

from bascule.checks.functional import browser
from bascule.checks.functional.client import CouldNotTest
from bascule.checks.preflight.finding import Finding, failure, ok
from bascule.hosts.access import Access

SUBJECT = "the workers' browser"


def starts_the_browser(access: Access) -> Iterator[Finding]:
    """Start the site file's `browser` as the test does."""
    path = access.site.functional_tests.browser
    try:
        with browser.started(str(path)) as running:
            yield ok(SUBJECT, f"{path} starts where this task ran (version {running.version})")
    except CouldNotTest as error:
        yield failure(SUBJECT, str(error))
