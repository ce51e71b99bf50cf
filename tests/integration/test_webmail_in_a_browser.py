"""The webmail seen by Chromium after the probe was carried: what it must show, and how it is said when it doesn't."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from bascule.calendars import sync_accounts
from bascule.changes.webmail import WebmailRedirect
from bascule.checks.functional import browser
from bascule.checks.functional.expected import OldEvent
from bascule.checks.functional.run import run_functional_test
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.mailbox import job_for, sync_mailbox
from bascule.site import Site

from tests.integration.conftest import Lab

TEST = "webmail-in-a-browser"


@pytest.fixture(scope="module")
def after(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """The site as after the cutover, as far as this test goes: the probe is carried, the webmail's name redirects."""
    raw = lab.site.model_dump()
    raw["service_addresses"]["imap"]["name"] = "new.obs.test"
    access = lab.access(Site.model_validate(raw))
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('browser') / 'ledger.db'}")
    sync_mailbox(job_for(access, "sonde"), ledger)
    sync_accounts(access, ledger, ["sonde"])
    change = WebmailRedirect(access)
    before = change.observe()
    change.apply()
    change.verify()
    yield access
    change.revert(before)
    access.close()


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BASCULE_REPORTS", str(tmp_path))
    return tmp_path


def test_folders_a_message_and_an_event_of_old_are_seen_and_pictured(after: Access, reports: Path) -> None:
    evidence = run_functional_test(after, TEST)
    assert evidence.ok, evidence.sentence
    assert "folders of old" in evidence.sentence
    assert "opens with its text" in evidence.sentence
    assert "is in the calendar" in evidence.sentence
    assert Path(evidence.picture).parent == reports / "pictures"
    pictures = sorted(Path(evidence.picture).iterdir())
    assert [picture.name for picture in pictures] == [
        "1-login.png",
        "2-folders.png",
        "3-message.png",
        "4-calendar.png",
    ]
    assert all(picture.stat().st_size > 10_000 for picture in pictures)


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("folder", "doesn't show the folder(s) Nowhere"),
        ("subject", "doesn't show its subject"),
        ("text", "opens without the word"),
        ("event", "the calendar doesn't show 'Never happened'"),
    ],
)
def test_what_is_not_there_is_named_with_where_to_look(
    after: Access, reports: Path, monkeypatch: pytest.MonkeyPatch, lacking: str, words: str
) -> None:
    wanted = browser._wanted(after)
    assert wanted.message is not None
    other = {
        "folder": replace(wanted, folders=[*wanted.folders, "Nowhere"]),
        "subject": replace(wanted, message=replace(wanted.message, subject="Another subject")),
        "text": replace(wanted, message=replace(wanted.message, word="Zuckerbrot")),
        "event": replace(wanted, event=OldEvent("Never happened", date(2026, 6, 1))),
    }[lacking]
    monkeypatch.setattr(browser, "_wanted", lambda _: other)
    monkeypatch.setattr(browser, "WAIT", 15_000)
    evidence = run_functional_test(after, TEST)
    assert not evidence.ok
    assert words in evidence.sentence
    assert "look at" in evidence.sentence
