"""Postfix queues: reading `postqueue -j`, and finding in the mail log what was given up."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from bascule.hosts.connections import AccessError
from bascule.hosts.postfix import queue as queues
from bascule.hosts.ssh import Finished

from tests.unit.changes.fakes import FakeHost

TRIED = "relay=none, delay=1.5, delays=0.1/0/1.4/0, dsn=4.4.1"
LONGEST_ARGUMENT = 1 << 17  # octets, of one that Linux takes
AT = datetime(2026, 6, 27, 6, 30, tzinfo=UTC)


def message(queue: str, *recipients: tuple[str, str]) -> str:
    return json.dumps(
        {
            "queue_name": queue,
            "queue_id": "4jXhKC67zjzmmZ4",
            "arrival_time": int(AT.timestamp()),
            "message_size": 100,
            "sender": "s@outside.test",
            "recipients": [{"address": address, "delay_reason": reason} for address, reason in recipients],
        }
    )


def log_line(text: str | list[int]) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": str(int(AT.timestamp() * 1e6)), "MESSAGE": text})


@pytest.fixture
def mx() -> FakeHost:
    return FakeHost("mx")


def test_what_waits_is_counted_by_queue_destination_and_reason(mx: FakeHost) -> None:
    refused = "connect to new.obs.test[198.51.100.12]:25: Connection refused"
    mx.answers["postqueue -j"] = "\n".join(
        [
            message("deferred", ("ada@NEW.obs.test", refused), ("bob@new.obs.test", refused.replace("12", "13"))),
            message("active", ("x@outside.test", "")),
        ]
    )
    found = queues.read(mx)
    assert (found.total, found.bytes, found.oldest) == (2, 200, AT)
    assert found.destinations == {"new.obs.test": 2, "outside.test": 1}
    assert found.reasons == {"connect to new.obs.test#:#: Connection refused": 2, "it is on its way": 1}
    assert found.lines()[0] == (
        "mx: 2 messages wait (1 active, 1 deferred; 200 bytes), the oldest since 2026-06-27 06:30:00 UTC"
    )


def test_an_empty_queue_is_empty(mx: FakeHost) -> None:
    assert queues.read(mx).total == 0


def test_requeued_messages_are_counted_and_picked_up_at_once(mx: FakeHost) -> None:
    mx.answers["postsuper"] = Finished(0, "", "postsuper: Requeued: 12 messages\n", 0)
    assert queues.requeue_all(mx) == 12
    assert mx.commands[:2] == ["postsuper -r ALL incoming active deferred", "postkick public pickup W"]


@pytest.mark.parametrize(
    ("line", "status", "recipient"),
    [
        (
            f"4jX: to=<x@obs.test>, orig_to=<X.Y@obs.test>, {TRIED}, status=bounced (User unknown)",
            "bounced",
            "x@obs.test",
        ),
        ("4jX: from=<s@outside.test>, status=expired, returned to sender", "expired", ""),
        ("4jX: from=<s@outside.test>, status=force-expired, returned to sender", "expired", ""),
    ],
)
def test_what_was_given_up_is_found_with_its_message_id(mx: FakeHost, line: str, status: str, recipient: str) -> None:
    mx.answers["journalctl"] = "\n".join(
        log_line(text) for text in ("4jX: message-id=<m1@test>", f"4jX: to=<a@b>, {TRIED}, status=sent (250 ok)", line)
    )
    (bounce,) = queues.bounces(mx, AT)
    assert (bounce.message_id, bounce.status, bounce.recipient, bounce.at) == ("m1@test", status, recipient, AT)


def test_thousands_that_were_given_up_are_asked_about_in_commands_that_a_system_takes(mx: FakeHost) -> None:
    ids = [f"4jX{number:012d}" for number in range(9000)]

    def log(command: Sequence[str]) -> str:
        assert max(map(len, command)) < LONGEST_ARGUMENT
        kept = re.compile(command[command.index("--grep") + 1]) if "--grep" in command else None
        lines = [f"{one}: message-id=<{one}@test>" for one in ids]
        lines += [f"{one}: to=<a@b>, {TRIED}, status=bounced (x)" for one in ids]
        return "\n".join(log_line(line) for line in lines if not kept or kept.match(line))

    mx.answers["journalctl"] = log
    assert [bounce.message_id for bounce in queues.bounces(mx, AT)] == [f"{one}@test" for one in ids]


def test_deferred_mail_and_bytes_that_are_no_text_are_no_bounces(mx: FakeHost) -> None:
    mx.answers["journalctl"] = "\n".join(
        [log_line(f"4jX: to=<a@b>, {TRIED}, status=deferred (450 x, status=bounced (x))"), log_line([0xFF, 0xFE])]
    )
    assert queues.bounces(mx, AT) == []


def test_the_ledgers_instants_are_utc_without_a_mark(mx: FakeHost) -> None:
    asked: list[Sequence[str]] = []
    mx.answers["journalctl"] = lambda command: asked.append(command) or ""
    queues.bounces(mx, AT)
    queues.bounces(mx, AT.replace(tzinfo=None))
    assert asked[0] == asked[1]
    assert f"--since=@{AT.timestamp():.6f}" in asked[0]


def test_a_log_that_can_not_be_read_is_no_empty_log(mx: FakeHost) -> None:
    mx.answers["journalctl"] = Finished(1, "", "Failed to open journal", 0)
    with pytest.raises(AccessError, match="the mail log of mx can't be read: Failed to open journal"):
        queues.bounces(mx, AT)


@pytest.mark.parametrize("said", ["postqueue: warning: odd", '{"queue_name": "acti'])
def test_a_queue_that_can_not_be_read_is_told_in_the_words_of_postfix(mx: FakeHost, said: str) -> None:
    mx.answers["postqueue -j"] = f"{message('active', ('a@x.test', ''))}\n{said}\n"
    with pytest.raises(AccessError, match=re.escape(f"the queue of mx can't be read, `postqueue -j` says: {said}")):
        queues.read(mx)
