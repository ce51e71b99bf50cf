"""The mail log of a real host: whole, with lines that journald dropped, and shorter than the day."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from bascule.checks.preflight import postfix
from bascule.hosts.access import Access
from bascule.hosts.postfix import maillog, queue, trace
from bascule.hosts.ssh import RemoteHost

from tests.integration.conftest import Lab

MESSAGES = 40
LIMIT = "/run/systemd/journald.conf.d/zz-limit.conf"


@pytest.fixture
def mx(access: Access) -> RemoteHost:
    return access.remote("mx")


@contextmanager
def limited(lab: Lab) -> Iterator[None]:
    """The MX with a journal that takes few lines at once, as many systems do."""
    lab.write("mx", LIMIT, "[Journal]\nRateLimitIntervalSec=5s\nRateLimitBurst=20\n")
    lab.ssh("mx", "systemctl", "restart", "systemd-journald")
    try:
        yield
    finally:
        lab.ssh("mx", f"rm {LIMIT}; systemctl restart systemd-journald")


def send(*recipients: str) -> None:
    with smtplib.SMTP("mx.obs.test", 25, timeout=30) as session:
        for recipient in recipients:
            session.sendmail("sender@outside.test", [recipient], "Subject: log\n\nLogged.\n")


def test_a_log_that_dropped_lines_is_never_taken_for_a_whole_one(mx: RemoteHost, lab: Lab, access: Access) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    with limited(lab):
        send(*["accueil@obs.test"] * MESSAGES, "nobody@outside.test")
        queue.wait_until_empty(mx, 60)
        found = trace.account(mx, began)
        told = [finding for finding in postfix.mail_log(access, "mx") if finding.level != "ok"]
    assert found.counts()["accepted"] <= MESSAGES
    assert any("dropped" in finding.sentence for finding in told)
    assert any("RateLimitIntervalSec=0" in finding.sentence for finding in told)
    assert [gap.why.split()[:2] for gap in found.gaps] == [["journald", "dropped"]]
    assert "postfix" in found.gaps[0].why
    assert began < found.gaps[0].begin < found.gaps[0].end < datetime.now(UTC)


def test_a_whole_log_has_no_gap(mx: RemoteHost) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    send("accueil@obs.test")
    queue.wait_until_empty(mx, 60)
    found = trace.account(mx, began)
    assert (found.counts()["delivered"], found.gaps) == (1, [])


def test_a_journal_that_begins_later_has_a_gap_before_it(mx: RemoteHost) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3650)
    gap = maillog.gaps(mx, long_ago)[0]
    assert (gap.begin, gap.why) == (long_ago, "the journal begins later")
    assert gap.end > long_ago


def test_a_postfix_that_logs_elsewhere_is_noticed(
    mx: RemoteHost, lab: Lab, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maillog, "KNOCK_SECONDS", 3)
    lab.ssh("mx", "postconf -e maillog_file=/var/log/postfix.log; postfix stop; systemctl restart postfix")
    try:
        [gap] = maillog.gaps(mx, datetime.now(UTC))
        told = [finding.sentence for finding in postfix.mail_log(access, "mx") if finding.level == "failure"]
    finally:
        lab.ssh("mx", "postconf -X maillog_file; systemctl restart postfix")
    assert "maillog_file" in gap.why
    assert [gap.why in sentence for sentence in told] == [True]


@pytest.mark.parametrize(("act", "reasons"), [("destroy", ["the host ended without a shutdown"]), ("off", [])])
def test_a_host_that_lost_its_power_may_have_lost_lines(lab: Lab, act: str, reasons: list[str]) -> None:
    access, began = lab.access(), datetime.now(UTC)
    lab.power("mx", act)
    lab.power("mx", "on")
    assert [gap.why for gap in maillog.gaps(access.remote("mx"), began)] == reasons
    access.close()
