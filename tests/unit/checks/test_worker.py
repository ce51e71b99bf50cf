"""Days before, the preflight says whether the test in a browser can run where the tasks run."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.checks.functional import browser
from bascule.checks.preflight import run, worker

from tests.unit.changes.fakes import SITE


def findings(path: str) -> list[tuple[str, str]]:
    access: Any = SimpleNamespace(site=SimpleNamespace(functional_tests=SimpleNamespace(browser=path)))
    return [(finding.level, finding.sentence) for finding in worker.starts_the_browser(access)]


@pytest.mark.parametrize(("browser", "asked"), [(None, False), ("/usr/bin/chromium", True)])
def test_only_a_site_with_a_browser_is_asked_for_one(browser: str | None, asked: bool) -> None:
    tests = SITE.functional_tests.model_copy(update={"browser": browser})
    access: Any = SimpleNamespace(site=SITE.model_copy(update={"functional_tests": tests}))
    assert any(check is worker.starts_the_browser for group in run._groups(access) for _, check in group) is asked


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium on this machine")
def test_a_browser_that_starts_is_said_with_its_version() -> None:
    [(level, sentence)] = findings(shutil.which("chromium"))

    assert level == "ok" and "version 1" in sentence


@pytest.mark.parametrize(
    ("browser", "words"),
    [
        ("/nowhere/chromium", "there is no /nowhere/chromium here"),
        ("/bin/false", "/bin/false does not start here: it ended at once, without a word"),
        ("/etc/passwd", "/etc/passwd does not start here: it is no program that may be run"),
    ],
)
def test_a_browser_that_can_not_start_is_a_failure(browser: str, words: str) -> None:
    [(level, sentence)] = findings(browser)

    assert level == "failure" and words in sentence and "Traceback" not in sentence


def test_a_browser_that_can_not_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'error while loading shared libraries: libnss3.so' >&2\nexit 127\n")
    program.chmod(0o755)

    [(level, sentence)] = findings(str(program))

    assert level == "failure"
    assert sentence == f"{program} does not start here: error while loading shared libraries: libnss3.so"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Page.goto: net::ERR_NAME_NOT_RESOLVED at https://x/\nCall log:\n", "name not resolved at https://x/"),
        (
            'Locator.fill: Timeout 30000ms exceeded.\nCall log:\n  - waiting for locator("input")\n',
            'within 30 s it did not see locator("input")',
        ),
        ("Page.goto: Timeout 500ms exceeded.", "within 0.5 s it did not see what it waited for"),
        (
            "Page.goto: Target page, context or browser has been closed",
            "it ended in the middle; has the machine or the container enough memory?",
        ),
    ],
)
def test_what_stopped_the_browser_has_no_name_of_playwrights(said: str, words: str) -> None:
    assert browser._what_stopped(said) == words


def test_a_driver_that_can_not_start_is_a_failure_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "node"
    driver.write_text("#!/bin/sh\necho 'node: error while loading shared libraries: libatomic.so.1' >&2\nexit 127\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(driver))

    [(level, sentence)] = findings("/bin/true")

    assert level == "failure" and "libatomic.so.1" in sentence and "exc" not in sentence.lower()


def test_a_worker_without_the_driver_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)

    assert findings("/bin/true") == [
        ("failure", "Python's playwright is missing here: install it, or leave `browser` out")
    ]


@pytest.mark.parametrize(
    ("mailboxes", "tasks", "level", "words"),
    [
        ("", "", "ok", "up to 4 mailbox"),
        ("8", "", "ok", "up to 8 mailbox"),
        ("8", "8", "ok", "up to 8 mailbox"),
        ("9", "8", "failure", "BASCULE_MAILBOXES_AT_ONCE is 9 and BASCULE_TASKS_AT_ONCE is 8"),
        (" 8 ", "8\n", "ok", "up to 8 mailbox"),
        ("many", "8", "failure", "BASCULE_MAILBOXES_AT_ONCE is 'many' in the environment"),
        ("8", "8.5", "failure", "BASCULE_TASKS_AT_ONCE is '8.5' in the environment"),
        ("0", "8", "failure", "BASCULE_MAILBOXES_AT_ONCE is '0' in the environment"),
        ("-1", "8", "failure", "write a whole number from 1 on"),
    ],
)
def test_places_that_are_no_numbers_or_more_than_tasks_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, mailboxes: str, tasks: str, level: str, words: str
) -> None:
    monkeypatch.setenv("BASCULE_MAILBOXES_AT_ONCE", mailboxes)
    monkeypatch.setenv("BASCULE_TASKS_AT_ONCE", tasks)
    access: Any = SimpleNamespace(site=SITE)
    [finding] = worker.has_places(access)

    assert finding.level == level and words in finding.sentence
    assert any(check is worker.has_places for group in run._groups(access) for _, check in group)
