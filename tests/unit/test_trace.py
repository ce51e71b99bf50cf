"""What became of every accepted message, from lines as Postfix 3.7 writes them."""

import json
import re
from collections.abc import Set
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.hosts.postfix import trace
from bascule.hosts.postfix.maillog import Gap
from bascule.hosts.postfix.trace import Account, follow, tally
from bascule.ledger import Ledger
from bascule.ledger.journal import Origin
from bascule.tasks import report
from bascule.tasks.run import NeedsPerson
from structlog.testing import capture_logs

from tests.unit.changes.fakes import FakeAccess, FakeHost

AT = datetime(2026, 6, 27, 6, 30, tzinfo=UTC)

ACCEPTED = "4Abc1: client=client.obs.test[198.51.100.19]"
NAMED = "4Abc1: message-id=<one@outside.test>"
QUEUED = "4Abc1: from=<a@outside.test>, size=2345, nrcpt=1 (queue active)"
DEFERRED = "4Abc1: to=<anna@new.obs.test>, relay=none, delay=0.1, delays=0/0/0/0, dsn=4.4.1, status=deferred (refused)"
REQUEUED = "4Abc1: requeued"
AGAIN = "4Xyz2: uid=107 from=<a@outside.test> orig_id=4Abc1"
NAMED_AGAIN = "4Xyz2: message-id=<one@outside.test>"
SENT = "4Xyz2: to=<anna@new.obs.test>, relay=new.obs.test[198.51.100.12]:25, delay=9, delays=0/0/0/9, dsn=2.0.0, status=sent (250 ok)"  # noqa: E501
REMOVED = "4Xyz2: removed"


def account(*lines: str, waiting: Set[str] = frozenset(), held: Set[str] = frozenset()) -> Account:
    messages = follow(lines)
    return tally(messages, waiting, held)


def test_a_message_is_followed_through_a_requeue_to_its_delivery() -> None:
    found = account(ACCEPTED, NAMED, QUEUED, DEFERRED, REQUEUED, AGAIN, NAMED_AGAIN, SENT, REMOVED)
    assert found.counts() == {"accepted": 1, "delivered": 1, "waiting": 0, "held": 0, "given_up": 0, "unaccounted": 0}


def test_a_message_that_was_requeued_while_it_was_delivered_is_delivered() -> None:
    """As a day had it. Postfix says nothing more of either id; nobody got it when nobody had it before."""
    sent = SENT.replace("4Xyz2", "4Abc1")
    raced = "warning: qmgr_active_done_3_generic: remove 4Abc1 from active: No such file or directory"
    dropped = "warning: maildrop/4Abc1: error writing 4Xyz2: no recipients specified"

    assert account(ACCEPTED, NAMED, QUEUED, sent, raced, AGAIN, NAMED_AGAIN, dropped).counts() == {
        "accepted": 1, "delivered": 1, "waiting": 0, "held": 0, "given_up": 0, "unaccounted": 0,
    }  # fmt: skip
    assert account(ACCEPTED, NAMED, QUEUED, AGAIN, NAMED_AGAIN, dropped).unaccounted == ["<one@outside.test>"]


def test_a_message_in_the_queue_waits() -> None:
    assert account(ACCEPTED, NAMED, QUEUED, DEFERRED, waiting={"4Abc1"}).counts()["waiting"] == 1


def test_a_message_on_hold_is_counted_apart_also_when_it_was_put_there_before_it_was_queued() -> None:
    assert account(ACCEPTED, NAMED, QUEUED, DEFERRED, held={"4Abc1"}).counts()["held"] == 1
    assert account(ACCEPTED, NAMED, held={"4Abc1"}).counts() == {
        "accepted": 1, "delivered": 0, "waiting": 0, "held": 1, "given_up": 0, "unaccounted": 0,
    }  # fmt: skip


def test_a_message_that_is_nowhere_is_named() -> None:
    assert account(ACCEPTED, NAMED, QUEUED, DEFERRED).unaccounted == ["<one@outside.test>"]


def test_a_message_without_message_id_is_named_by_its_queue_id() -> None:
    assert account(ACCEPTED, QUEUED).unaccounted == ["queue id 4Abc1"]


def test_a_bounce_is_given_up_even_when_another_recipient_got_it() -> None:
    bounced = SENT.replace("anna", "bert").replace("status=sent (250 ok)", "status=bounced (550 no)")
    found = account(ACCEPTED, NAMED, QUEUED, AGAIN, NAMED_AGAIN, SENT, bounced, REMOVED)
    assert found.given_up == ["<one@outside.test>"]


@pytest.mark.parametrize("status", ["expired", "force-expired"])
def test_a_message_that_waited_too_long_is_given_up(status: str) -> None:
    expired = f"4Abc1: from=<a@outside.test>, status={status}, returned to sender"
    found = account(ACCEPTED, NAMED, QUEUED, DEFERRED, expired, "4Abc1: removed")
    assert (found.given_up, found.unaccounted) == (["<one@outside.test>"], [])


def test_what_is_delivered_between_the_looks_at_log_and_queue_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "PAUSE", 0.0)
    monkeypatch.setattr(trace.maillog, "gaps", lambda *_: [])
    told = [ACCEPTED, NAMED, QUEUED]
    mx, log = FakeHost("mx"), list(told)

    def delivered(_: object) -> str:
        log[:] = [*told, SENT.replace("4Xyz2", "4Abc1"), "4Abc1: removed"]
        return ""

    mx.answers["journalctl"] = lambda _: "\n".join(
        json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": line}) for line in log
    )
    mx.answers["postqueue -j"] = delivered
    assert trace.account(mx, AT).counts()["delivered"] == 1
    log[:], mx.answers["postqueue -j"] = told, ""
    assert trace.account(mx, AT).unaccounted == ["<one@outside.test>"]


def test_a_queue_id_used_again_is_another_message() -> None:
    first = [line.replace("4Xyz2", "4Abc1") for line in (ACCEPTED, NAMED, QUEUED, SENT, REMOVED)]
    found = account(*first, ACCEPTED, NAMED.replace("one", "two"), QUEUED)
    assert (found.delivered, found.unaccounted) == (1, ["<two@outside.test>"])


def test_mail_accepted_before_the_first_line_is_not_counted() -> None:
    assert account(SENT, REMOVED).counts()["accepted"] == 0


def test_a_client_that_broke_off_was_promised_nothing() -> None:
    assert account(ACCEPTED, NAMED).counts()["accepted"] == 0


def test_a_foreign_servers_words_are_not_taken_for_a_status() -> None:
    lying = SENT.replace("(250 ok)", "(250 ok, status=bounced (no))")
    found = account(ACCEPTED, NAMED, QUEUED, AGAIN, NAMED_AGAIN, lying, REMOVED)
    assert (found.delivered, found.given_up) == (1, [])


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Account(unaccounted=["<one@outside.test>"]), "1 accepted message(s) were neither delivered"),
        (Account(delivered=7, gaps=[Gap(AT, AT, "journald dropped 9 lines")]), "from 2026-06-27 06:30:00 to 2026"),
    ],
)
def test_what_is_not_known_of_every_message_needs_a_person_and_is_named_in_the_final_report(
    found: Account, words: str, monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    monkeypatch.setattr(trace, "account", lambda *_, **__: found)
    run: Any = SimpleNamespace(
        dry_run=False, access=FakeAccess(), site=FakeAccess().site, ledger=ledger, origin=Origin("drain")
    )
    with pytest.raises(NeedsPerson, match=re.escape(words)):
        report.account_for_mail(run)
    with capture_logs() as logged:
        report.final_report(run)
    told = [line["event"] for line in logged]
    assert [line for line in told if line.startswith("mail accepted")] == [
        f"mail accepted at the MX since the freeze: {found.counts()['accepted']} ({found.delivered} delivered, "
        f"0 given up, 0 held, {len(found.unaccounted)} unaccounted, 0 waiting)"
    ]
    for name in [*found.unaccounted, *map(str, found.gaps)]:
        assert [line for line in told if name in line]
