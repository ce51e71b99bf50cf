"""How far a count is: told on the standard error, and only where it takes long."""

import pytest

from lab.measure import counting
from lab.measure.counting import Counting


def test_it_is_told_every_two_seconds_how_many_mailboxes_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(counting.time, "monotonic", lambda: now)
    progress = Counting("every message", 10)
    for _ in range(10):
        now += 0.7
        progress.one_more()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [f"lab: every message: counted {done} of 10 mailboxes" for done in (3, 6, 9)]


def test_of_a_short_count_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Counting("numbered messages", 3)
    for _ in range(3):
        progress.one_more()
    assert capsys.readouterr().err == ""
