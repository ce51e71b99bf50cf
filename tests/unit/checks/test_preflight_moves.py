"""What moves need of the proxies, and who goes round them, by hosts in memory."""

import time

import pytest
from bascule.checks.preflight import moves

from tests.unit.changes.fakes import FakeAccess

BY_PROXY = "imap-login: Login: user=<anna>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.31, mpid=7, TLS, session=<x>"
BY_UNTRUSTED_PROXY = "imap-login: Login: user=<bert>, method=PLAIN, rip=198.51.100.20, lip=198.51.100.11, mpid=7, TLS"
DIRECT = "imap-login: Login: user=<carl>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.11, mpid=8, TLS"
BY_POP3 = "pop3-login: Info: Login: user=<dora>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.32, mpid=8, TLS"
COPY = "imap-login: Login: user=<eve>, method=PLAIN, rip=198.51.100.1, lip=198.51.100.11, mpid=9, TLS"


@pytest.fixture
def access() -> FakeAccess:
    made = FakeAccess()
    made.remote("proxy").answers["hostname"] = "198.51.100.20 198.51.100.31 \n"
    made.remote("old").answers["hostname"] = "198.51.100.11 198.51.100.32 \n"
    return made


def found_with(access: FakeAccess, *lines: str) -> tuple[str, str]:
    access.remote("old").answers["journalctl"] = "\n".join(lines)
    (found,) = moves.round_the_proxies(access)
    return found.level, found.sentence


def test_who_logs_in_on_old_past_the_proxies_is_named_by_any_protocol(access: FakeAccess) -> None:
    level, sentence = found_with(access, BY_PROXY, DIRECT, BY_POP3, COPY)
    assert level == "warning"
    assert "2 account(s) logged in past the proxies in the last 7 days: carl, dora." in sentence


def test_logins_by_the_proxies_and_of_the_copy_are_as_they_shall_be(access: FakeAccess) -> None:
    assert found_with(access, BY_PROXY, BY_UNTRUSTED_PROXY, COPY)[0] == "ok"


def test_a_log_without_logins_proves_nothing(access: FakeAccess) -> None:
    level, sentence = found_with(access)
    assert level == "warning" and "who goes past is unknown" in sentence


@pytest.mark.parametrize(("size", "level"), [("0\n", "ok"), ("10 M\n", "failure")])
def test_a_proxy_that_remembers_logins_is_no_proxy_for_moves(access: FakeAccess, size: str, level: str) -> None:
    access.remote("proxy").answers["doveconf"] = size
    assert [each.level for each in moves.no_cache(access)] == [level]


@pytest.mark.parametrize(("differs", "level"), [(0.0, "ok"), (90.0, "failure"), (-90.0, "failure")])
def test_the_clocks_agree(access: FakeAccess, differs: float, level: str) -> None:
    access.remote("proxy").answers["date"] = lambda command: f"{time.time() + differs:.9f}\n"
    assert [each.level for each in moves.clocks(access)] == [level]
