"""The preflight's frame: every check is asked, none stops another."""

from types import SimpleNamespace
from typing import Any

import pytest
from bascule.checks.preflight import postfix, run
from bascule.checks.preflight.finding import Finding, failure, ok, some
from bascule.checks.preflight.mail import sample
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import Account

from tests.unit.changes.fakes import SITE


class FakeAccess:
    """An access that nothing is reached through."""

    def __init__(self) -> None:
        self.closed = 0
        self.site: Any = SimpleNamespace(hosts={})

    def again(self) -> "FakeAccess":
        return self

    def close(self) -> None:
        self.closed += 1


def look(monkeypatch: pytest.MonkeyPatch, *groups: list[tuple[str, Any]]) -> list[Finding]:
    access = FakeAccess()
    monkeypatch.setattr(run, "_groups", lambda _: list(groups))
    found = run.preflight(access)  # type: ignore[arg-type]
    assert access.closed == len(groups)
    return found


def test_findings_come_in_the_order_of_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [[("a", lambda _: [ok("a1", "good")]), ("a", lambda _: [ok("a2", "good")])], [("b", lambda _: [])]]
    assert [finding.subject for finding in look(monkeypatch, *groups)] == ["a1", "a2", "b"]


def test_a_check_that_could_look_at_nothing_is_not_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = look(monkeypatch, [("b", lambda _: [])])
    assert (found.level, found.sentence) == ("warning", "this check found nothing to look at")


def test_a_host_is_asked_only_for_what_it_has() -> None:
    def subjects(host: str) -> set[str]:
        return {check.func.__name__ for check in run._checks_of(SITE, host)}  # type: ignore[attr-defined]

    assert subjects("web") == {"ssh_and_sudo"}
    assert subjects("hv") == {"ssh_and_sudo", "virtual_machine"}
    assert subjects("old") == {"ssh_and_sudo", "units", "users"}
    assert subjects("mx") >= {"queue_lifetime", "second_pass", "mail_log"}


@pytest.mark.parametrize("error", [AccessError("mx can't be reached by SSH"), ZeroDivisionError("a mistake")])
def test_a_check_that_fails_is_a_finding_and_stops_no_other(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(_: Any) -> list[Finding]:
        raise error

    found = look(monkeypatch, [("mx", fails), ("mx", lambda _: [ok("mx", "there")])], [("b", lambda _: [ok("b", "x")])])
    assert [(finding.level, finding.subject) for finding in found] == [("failure", "mx"), ("ok", "mx"), ("ok", "b")]
    said = found[0].sentence
    assert str(error) in said or (
        "a mistake in Bascule stopped this check (run.py, line " in said and str(error) not in said
    )


def test_a_mistake_is_a_sentence_in_the_log_and_its_traceback_stands_at_the_level_debug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Any) -> list[Finding]:
        return None.findings  # type: ignore[attr-defined]

    said: list[tuple[str, Any]] = []
    levels = ("debug", "info", "warning", "error", "exception")
    log = {level: lambda _, level=level, **fields: said.append((level, fields.get("exc_info"))) for level in levels}
    monkeypatch.setattr(run, "log", SimpleNamespace(**log))
    [found] = look(monkeypatch, [("mx", broken)])

    assert found.level == "failure" and "None" not in found.sentence and "report it" in found.sentence
    assert said == [("debug", True)]


def test_a_check_that_fails_in_the_middle_keeps_what_it_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_later(_: Any) -> Any:
        yield failure("x", "bad")
        raise AccessError("gone")

    assert [finding.sentence for finding in look(monkeypatch, [("x", fails_later)])] == ["bad", "gone"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5d", 432_000), ("12h", 43_200), ("90m", 5400), ("3600s", 3600), ("1w", 604_800), ("2", 172_800)],
)
def test_times_as_postfix_writes_them(text: str, seconds: int) -> None:
    assert postfix.postfix_seconds(text) == seconds


def test_a_sample_reaches_from_the_first_to_the_last_account() -> None:
    everyone = [Account(f"a{number:03}", "") for number in range(100)]
    assert [account.name for account in sample(everyone)] == ["a000", "a025", "a050", "a074", "a099"]
    assert sample(everyone[:3]) == everyone[:3]


def test_many_names_are_cut_for_a_sentence() -> None:
    assert some(["a", "b", "c"], most=2) == "a, b and 1 more"
