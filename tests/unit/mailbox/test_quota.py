"""Quotas as servers tell them, what is proposed when a mailbox does not fit, and the copies that wait till then."""

from typing import Any

import pytest
from bascule.mailbox.imap import quota
from bascule.mailbox.imap.quota import Quota
from bascule.mailbox.imap.session import Pending
from bascule.mailbox.quota import HeldCopies, Shortage


def strictest(responses: list[list[Any]]) -> Quota:
    return quota.strictest(Pending(b"", "", None, responses=responses))


def told(root: bytes, *resources: Any) -> list[Any]:
    return [b"*", b"QUOTA", root, [str(each).encode() for each in resources]]


def test_storage_is_told_in_units_of_1024_octets() -> None:
    found = strictest([[b"*", b"QUOTAROOT", b"INBOX", b"User quota"], told(b"User quota", "STORAGE", 10, 512)])
    assert found == Quota(used=10_240, limit=524_288)
    assert found.left == 514_048


def test_of_several_roots_the_one_with_the_least_space_counts() -> None:
    found = strictest([told(b"a", "STORAGE", 10, 500, "MESSAGE", 1, 9), told(b"b", "STORAGE", 450, 600)])
    assert (found.left, found.messages_left) == (150 * 1024, 8)


def test_a_full_quota_leaves_nothing() -> None:
    assert strictest([told(b"", "STORAGE", 700, 600)]).left == 0


@pytest.mark.parametrize("response", [[b"*", b"QUOTA", b"x", None], told(b"x", "STORAGE", "many"), [b"*", b"OK"], []])
def test_what_is_no_quota_limits_nothing(response: list[Any]) -> None:
    assert not strictest([response]).is_limited


def test_annotations_of_other_resources_are_passed_over() -> None:
    assert not strictest([told(b"x", "MAILBOX", 3, 10, "ANNOTATION-STORAGE", 1, 2)]).is_limited


@pytest.mark.parametrize(("octets", "messages", "fits"), [(100, 1, True), (101, 1, False), (0, 6, False), (0, 5, True)])
def test_a_mailbox_fits(octets: int, messages: int, fits: bool) -> None:
    assert Quota(used=900, limit=1000, messages=5, most_messages=10).fits(octets, messages) is fits


def test_without_a_limit_everything_fits() -> None:
    assert Quota(used=10).fits(10**15, 10**9)


@pytest.mark.parametrize(
    ("octets", "old", "mebibytes"), [(90_000_000, None, 105), (1, None, 20), (90_000_000, 2_000_000_000, 1908)]
)
def test_the_proposal_leaves_space_and_never_gives_less_than_old(octets: int, old: int | None, mebibytes: int) -> None:
    short = Shortage(octets, 1, Quota(limit=old), Quota(used=10_000_000, limit=20_000_000))
    assert short.proposed == mebibytes * 1_048_576


def test_copies_wait_until_they_are_released() -> None:
    begun: list[str] = []
    held = HeldCopies()
    held.hold(2, 100, lambda: begun.append("INBOX"))
    held.hold(1, 50, lambda: begun.append("Sent"))
    assert (held.messages, held.octets, begun) == (3, 150, [])
    held.release()
    held.release()
    assert begun == ["INBOX", "Sent"]
