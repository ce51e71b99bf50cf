"""Days before, the preflight says whether the test in a browser can run where the tasks run."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.checks.preflight import run, worker

from tests.unit.changes.fakes import SITE


def findings(browser: str) -> list[tuple[str, str]]:
    access: Any = SimpleNamespace(site=SimpleNamespace(functional_tests=SimpleNamespace(browser=browser)))
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
    [("/nowhere/chromium", "there is no /nowhere/chromium here"), ("/bin/false", "does not start")],
)
def test_a_browser_that_can_not_start_is_a_failure(browser: str, words: str) -> None:
    [(level, sentence)] = findings(browser)

    assert level == "failure" and words in sentence and "Traceback" not in sentence


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
