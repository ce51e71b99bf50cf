"""Postfix queues on real hosts: read, flushed, looked up anew, waited for, and what was given up."""

import smtplib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import ldap3
import pytest
from bascule.changes import acts
from bascule.changes.aliases import AliasMap
from bascule.changes.probes import wait_for
from bascule.checks.preflight import postfix
from bascule.hosts.access import Access
from bascule.hosts.postfix import queue, trace
from bascule.hosts.ssh import RemoteHost
from bascule.ledger import Ledger, journal
from bascule.tasks.rollback import send_waiting_mail_back
from bascule.tasks.run import Run
from structlog.testing import capture_logs

from tests.integration.conftest import Lab
from tests.integration.directory_entries import add, administrator, remove, set_destination

ACCOUNT = "queues-ada"
SIGNER = "inet:127.0.0.1:8891"  # nobody there
TAKES_BACK = "127.0.0.1:10025/inet=127.0.0.1:10025 inet n - y - - smtpd -o content_filter="


@pytest.fixture(scope="module")
def admin(lab: Lab) -> Iterator[ldap3.Connection]:
    with administrator(lab) as connection:
        remove(connection, [ACCOUNT])
        add(connection, ACCOUNT)
        change = {"mailLocalAddress": [(ldap3.MODIFY_ADD, ["Ada.Queues@obs.test"])]}
        assert connection.modify(f"uid={ACCOUNT},ou=people,dc=obs,dc=test", change), connection.result
        yield connection
        remove(connection, [ACCOUNT])


@pytest.fixture
def mx(access: Access, lab: Lab) -> Iterator[RemoteHost]:
    lab.ssh("mx", "postsuper", "-d", "ALL")
    yield access.remote("mx")
    lab.ssh("mx", "postsuper", "-d", "ALL")


@pytest.fixture
def old_is_stopped(lab: Lab) -> Iterator[None]:
    lab.ssh("old", "systemctl", "stop", "postfix")
    yield
    lab.ssh("old", "systemctl", "start", "postfix")


def send(lab: Lab, recipient: str) -> str:
    """Submit one message on the MX; returns its Message-Id."""
    message_id = f"{uuid4()}@test"
    message = f"Message-ID: <{message_id}>\nSubject: queue\n\nQueued.\n"
    lab.ssh("mx", f"sendmail -f sender@outside.test {recipient}", input=message)
    return message_id


def hand_in(lab: Lab, recipient: str) -> None:
    """Hand one message in by SMTP, as the outside does."""
    message = f"Message-ID: <{uuid4()}@test>\nSubject: queue\n\nQueued.\n"
    with smtplib.SMTP("mx.obs.test", 25, timeout=30) as session:
        session.sendmail("sender@outside.test", [recipient], message)


def deferred(mx: RemoteHost, count: int = 1) -> bool:
    return queue.read(mx).queues["deferred"] == count


def test_what_waits_is_counted_by_destination_and_reason(
    mx: RemoteHost, lab: Lab, admin: ldap3.Connection, old_is_stopped: None
) -> None:
    send(lab, "Ada.Queues@obs.test")
    assert wait_for(lambda: deferred(mx), 30)
    found = queue.read(mx)
    assert (found.total, found.destinations) == (1, {"old.obs.test": 1})
    assert "Connection refused" in next(iter(found.reasons))
    assert found.oldest and abs(found.oldest - datetime.now(UTC)) < timedelta(minutes=5)
    assert "1 messages wait" in found.lines()[0]


def test_a_flushed_queue_is_delivered(mx: RemoteHost, lab: Lab, admin: ldap3.Connection, old_is_stopped: None) -> None:
    send(lab, "Ada.Queues@obs.test")
    assert wait_for(lambda: deferred(mx), 30)
    lab.ssh("old", "systemctl", "start", "postfix")
    assert wait_for(lambda: lab.ssh("old", "ss -Hltn sport = :25") != "", 30)
    queue.wait_until_empty(mx, 60)
    assert queue.read(mx).total == 0
    assert queue.read(mx).lines() == ["mx: the queue is empty"]


def test_waiting_for_a_queue_that_does_not_empty_says_what_is_left(
    mx: RemoteHost, lab: Lab, admin: ldap3.Connection, old_is_stopped: None
) -> None:
    send(lab, "Ada.Queues@obs.test")
    with pytest.raises(queue.QueueNotEmpty, match=r"(?s)is not empty.*1 recipients at old\.obs\.test"):
        queue.wait_until_empty(mx, 3)


def test_requeued_mail_goes_where_the_directory_says_now(
    mx: RemoteHost, lab: Lab, admin: ldap3.Connection, access: Access, old_is_stopped: None
) -> None:
    """Mail that the MX accepted, and expanded, before the directory was changed."""
    aliases = AliasMap(access)
    before = aliases.observe()
    send(lab, "Ada.Queues@obs.test")
    assert wait_for(lambda: deferred(mx), 30)
    lab.ssh("new", "systemctl", "stop", "postfix")
    set_destination(admin, ACCOUNT, f"{ACCOUNT}@new.obs.test")
    try:
        AliasMap(access).apply()
        assert queue.requeue_all(mx) == 1
        assert wait_for(lambda: queue.read(mx).destinations == {"new.obs.test": 1}, 30), queue.read(mx)
    finally:
        aliases.revert(before)
        set_destination(admin, ACCOUNT, f"{ACCOUNT}@old.obs.test")
        lab.ssh("new", "systemctl", "start", "postfix")


def test_what_is_on_hold_stays_so_is_not_waited_for_and_is_counted_apart(
    mx: RemoteHost, lab: Lab, admin: ldap3.Connection, old_is_stopped: None
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(3):
        hand_in(lab, "Ada.Queues@obs.test")
    assert wait_for(lambda: deferred(mx, 3), 30)
    kept = sorted(queue.ids(mx)[0])[0]
    lab.ssh("mx", "postsuper", "-h", kept)
    with capture_logs() as logged:
        assert queue.requeue_all(mx) == 2
    assert any(kept in line["event"] and "on hold" in line["event"] for line in logged)
    assert queue.ids(mx)[1] == {kept}
    found = trace.account(mx, began).counts()
    assert (found["accepted"], found["waiting"], found["held"]) == (3, 2, 1)
    lab.ssh("old", "systemctl", "start", "postfix")
    assert wait_for(lambda: lab.ssh("old", "ss -Hltn sport = :25") != "", 30)
    queue.wait_until_empty(mx, 60)
    assert queue.read(mx).lines()[0] == "mx: the queue is empty"
    assert kept in queue.read(mx).lines()[1]
    found = trace.account(mx, began).counts()
    assert (found["delivered"], found["held"], found["unaccounted"]) == (2, 1, 0)


def test_a_second_copy_and_a_second_filtering_of_requeued_mail_are_told_before(
    access: Access, mx: RemoteHost, lab: Lab
) -> None:
    assert [finding.level for finding in postfix.second_pass(access, "mx")] == ["ok"]
    lab.ssh("mx", "postconf -e always_bcc=archive@outside.test content_filter=smtp:[127.0.0.1]:10024")
    try:
        copied, filtered = postfix.second_pass(access, "mx")
        lab.ssh("mx", f"postconf -e smtpd_milters={SIGNER}; postconf -M '{TAKES_BACK}'")
        *_, signed = postfix.second_pass(access, "mx")
        lab.ssh("mx", "postconf -P pickup/unix/content_filter=")
        assert [finding.sentence for finding in postfix.second_pass(access, "mx")] == [copied.sentence]
    finally:
        lab.ssh("mx", "postconf -X always_bcc content_filter smtpd_milters; postconf -MX 127.0.0.1:10025/inet")
        lab.ssh("mx", "postconf -PX pickup/unix/content_filter")
    assert "`always_bcc` (archive@outside.test)" in copied.sentence
    assert "smtp:[127.0.0.1]:10024" in filtered.sentence
    assert f"through 127.0.0.1:10025 and passes `smtpd_milters` ({SIGNER}) there a second time" in signed.sentence


def test_what_is_requeued_goes_past_the_milters(
    mx: RemoteHost, lab: Lab, admin: ldap3.Connection, old_is_stopped: None
) -> None:
    """So none signs it twice. What a milter that isn't there would meet is put on hold."""
    send(lab, "Ada.Queues@obs.test")
    assert wait_for(lambda: deferred(mx), 30)
    lab.ssh("mx", "postconf -e non_smtpd_milters=inet:127.0.0.1:9 milter_default_action=quarantine; postfix reload")
    try:
        send(lab, "Ada.Queues@obs.test")
        assert wait_for(lambda: len(queue.ids(mx)[1]) == 1, 30)
        held = queue.ids(mx)[1]
        assert queue.requeue_all(mx) == 1
        assert wait_for(lambda: deferred(mx), 30)
        assert queue.ids(mx)[1] == held
    finally:
        lab.ssh("mx", "postconf -X non_smtpd_milters milter_default_action; postfix reload")


def test_mail_that_waits_for_new_goes_to_old_when_the_freeze_is_taken_back(
    mx: RemoteHost, lab: Lab, admin: ldap3.Connection, access: Access, old_is_stopped: None, ledger_url: str
) -> None:
    """The changes are undone already; Postfix keeps what it expanded while they were in force."""
    aliases, ledger = AliasMap(access), Ledger(ledger_url)
    before = aliases.observe()
    lab.ssh("new", "systemctl", "stop", "postfix")
    set_destination(admin, ACCOUNT, f"{ACCOUNT}@new.obs.test")
    try:
        AliasMap(access).apply()
        send(lab, "Ada.Queues@obs.test")
        assert wait_for(lambda: queue.read(mx).destinations == {"new.obs.test": 1}, 30)
        aliases.revert(before)
        set_destination(admin, ACCOUNT, f"{ACCOUNT}@old.obs.test")
        run = Run(access.site, access, ledger, journal.Origin("rollback"), dry_run=False, selection="all")
        send_waiting_mail_back(run)
        assert wait_for(lambda: queue.read(mx).destinations == {"old.obs.test": 1}, 30), queue.read(mx)
        assert AliasMap(access).observe() == before
        assert acts.in_force(journal.entries(ledger)) == []
        send_waiting_mail_back(run)
        assert queue.read(mx).destinations == {"old.obs.test": 1}, "a second time changes nothing"
    finally:
        ledger.engine.dispose()
        set_destination(admin, ACCOUNT, f"{ACCOUNT}@old.obs.test")
        lab.ssh("new", "systemctl", "start", "postfix")


def test_a_bounce_is_found_with_its_message_id(mx: RemoteHost, lab: Lab, admin: ldap3.Connection) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    message_id = send(lab, "Nobody.Here@obs.test")
    assert wait_for(lambda: queue.bounces(mx, since) != [], 30)
    (bounce,) = queue.bounces(mx, since)
    assert (bounce.message_id, bounce.recipient, bounce.status) == (message_id, "Nobody.Here@obs.test", "bounced")
    assert message_id in str(bounce)


def test_bounces_before_the_instant_are_not_the_days(mx: RemoteHost, lab: Lab, admin: ldap3.Connection) -> None:
    began = datetime.now(UTC)
    send(lab, "Nobody.Here@obs.test")
    assert wait_for(lambda: queue.bounces(mx, began) != [], 30)
    time.sleep(0.1)  # the log's instants are those of the host, which has our clock
    after = datetime.now(UTC)
    assert queue.bounces(mx, after) == []
    assert queue.bounces(mx, after.replace(tzinfo=None)) == [], "the ledger's instants are UTC without a mark"
