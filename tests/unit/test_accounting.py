"""What became of every accepted message, from lines as Postfix 3.7 writes them."""

from bascule.accounting import Account, follow, settle

ACCEPTED = "4Abc1: client=client.obs.test[198.51.100.19]"
NAMED = "4Abc1: message-id=<one@outside.test>"
QUEUED = "4Abc1: from=<a@outside.test>, size=2345, nrcpt=1 (queue active)"
DEFERRED = "4Abc1: to=<anna@new.obs.test>, relay=none, delay=0.1, delays=0/0/0/0, dsn=4.4.1, status=deferred (refused)"
REQUEUED = "4Abc1: requeued"
AGAIN = "4Xyz2: uid=107 from=<a@outside.test> orig_id=4Abc1"
NAMED_AGAIN = "4Xyz2: message-id=<one@outside.test>"
SENT = "4Xyz2: to=<anna@new.obs.test>, relay=new.obs.test[198.51.100.12]:25, delay=9, delays=0/0/0/9, dsn=2.0.0, status=sent (250 ok)"  # noqa: E501
REMOVED = "4Xyz2: removed"


def account(*lines: str, waiting: set[str] = frozenset()) -> Account:  # type: ignore[assignment]
    messages = follow(lines)
    return settle(messages.values(), set(waiting), messages)


def test_a_message_is_followed_through_a_requeue_to_its_delivery() -> None:
    found = account(ACCEPTED, NAMED, QUEUED, DEFERRED, REQUEUED, AGAIN, NAMED_AGAIN, SENT, REMOVED)
    assert found.counts() == {"accepted": 1, "delivered": 1, "waiting": 0, "given_up": 0, "unaccounted": 0}


def test_a_message_in_the_queue_waits() -> None:
    assert account(ACCEPTED, NAMED, QUEUED, DEFERRED, waiting={"4Abc1"}).counts()["waiting"] == 1


def test_a_message_that_is_nowhere_is_named() -> None:
    assert account(ACCEPTED, NAMED, QUEUED, DEFERRED).unaccounted == ["<one@outside.test>"]


def test_a_message_without_message_id_is_named_by_its_queue_id() -> None:
    assert account(ACCEPTED, QUEUED).unaccounted == ["queue id 4Abc1"]


def test_a_bounce_is_given_up_even_when_another_recipient_got_it() -> None:
    bounced = SENT.replace("anna", "bert").replace("status=sent (250 ok)", "status=bounced (550 no)")
    found = account(ACCEPTED, NAMED, QUEUED, AGAIN, NAMED_AGAIN, SENT, bounced, REMOVED)
    assert found.given_up == ["<one@outside.test>"]


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
