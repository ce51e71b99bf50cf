"""The small structures that hold a folder's state."""

import tracemalloc
from array import array
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from bascule.mailbox.columns import ascending, in_order
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.connection import Wire
from bascule.mailbox.imap.fetch import attributes_into
from bascule.mailbox.imap.flags import before_literal, clean, only_by_store
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.imap.listing import Listing
from bascule.mailbox.imap.syntax import parse_set, set_between, write_set
from bascule.mailbox.messages.changes import Changes, SideChanges, remember_interrupted
from bascule.mailbox.messages.own_date import own_date
from bascule.mailbox.state.flags import Memory
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.state.uidmap import UidMap
from hypothesis import given
from hypothesis import strategies as st

UIDS = st.integers(1, 2**32 - 1)


@given(st.dictionaries(UIDS, UIDS, max_size=50).filter(lambda pairs: len(set(pairs.values())) == len(pairs)))
def test_map_finds_both_ways(pairs: dict[int, int]) -> None:
    uid_map = UidMap()
    uid_map.add(sorted(pairs.items()))
    uid_map.settle()
    assert len(uid_map) == len(pairs)
    assert all(uid_map.find(old) == (new, "copied") and uid_map.old_of(new) == old for old, new in pairs.items())


def test_a_hundred_thousand_messages_are_one_run() -> None:
    uid_map = UidMap()
    for first in range(1, 100_000, 100):
        uid_map.add([(uid, uid + 7) for uid in range(first, first + 100)])
    uid_map.settle()
    assert list(uid_map.runs) == [(1, 8, 100_000, "copied")]


def test_removing_splits_a_run() -> None:
    uid_map = UidMap([(1, 11, 5, "copied")])
    uid_map.remove([3])
    assert list(uid_map.runs) == [(1, 11, 2, "copied"), (4, 14, 2, "copied")]
    assert uid_map.find(3) is None and uid_map.old_of(13) is None


@given(st.permutations(range(40)), st.integers(1, 12))
def test_batches_of_several_sessions_end_in_one_run(order: list[int], per_batch: int) -> None:
    uid_map, memory = UidMap(), Memory()
    seen = frozenset((b"\\Seen",))
    for number in order:
        uids = range(1 + number * per_batch, 1 + (number + 1) * per_batch)
        uid_map.add([(uid, uid + 7) for uid in uids])
        memory.remember_batch([(uid, seen, seen) for uid in uids])
    uid_map.settle()
    assert list(uid_map.runs) == [(1, 8, 40 * per_batch, "copied")]
    again = Memory(memory.pack(uid_map.__contains__))
    assert all(again.old(uid) == seen for uid, _, _ in uid_map)


@given(st.lists(UIDS), st.sets(st.integers(0, 60)))
def test_indexes_by_ascending_value(numbers: list[int], starts: set[int]) -> None:
    keys = array("I", numbers)
    assert [keys[i] for i in ascending(keys, sorted(start for start in starts if start < len(keys)))] == sorted(numbers)
    assert list(in_order(keys)) == sorted(numbers)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 9)), max_size=20), st.sets(st.integers(1, 600)))
def test_what_is_removed_and_no_more_leaves_the_map(pieces: list[tuple[int, int]], gone: set[int]) -> None:
    olds = sorted({uid for first, length in pieces for uid in range(first, first + length)})
    uid_map = UidMap((old, 10_000 - old, 1, "found") for old in olds)
    uid_map.remove(gone)
    assert {old: (new, origin) for old, new, origin in uid_map} == {
        old: (10_000 - old, "found") for old in olds if old not in gone
    }
    assert all(uid_map.old_of(10_000 - old) == (None if old in gone else old) for old in olds)


def test_a_folder_of_scattered_uids_costs_a_few_bytes_each() -> None:
    tracemalloc.start()
    uid_map = UidMap((old, 3_000_000 - old, 1, "found") for old in range(1, 20_000, 2))
    found = [uid_map.old_of(3_000_000 - old) for old in (1, 19_999)]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [1, 19_999]
    assert held < 10_000 * 40


@given(st.dictionaries(UIDS, st.sets(st.sampled_from([b"\\Seen", b"\\Flagged", b"work", b"\xe9"])), max_size=30))
def test_memory_is_the_same_after_packing(known: dict[int, set[bytes]]) -> None:
    memory = Memory()
    for uid, flags in known.items():
        memory.remember(uid, frozenset(flags), None if uid % 3 == 0 else frozenset(flags))
    again = Memory(memory.pack(lambda uid: True))
    for uid, flags in known.items():
        assert again.old(uid) == flags
        assert again.gone(uid) == (uid % 3 == 0)


@given(st.sets(UIDS, min_size=1, max_size=40))
def test_sets_there_and_back(uids: set[int]) -> None:
    assert {uid for a, b in parse_set(write_set(uids)) for uid in range(a, b + 1)} == uids


def test_sets_leave_out_what_must_not_be_asked_for() -> None:
    assert set_between(1, None, [3]) == b"1:2,4:*"
    assert set_between(1, None, [1, 2]) == b"3:*"
    assert set_between(2, 9, {2, 5, 11}) == b"3:4,6:9"
    assert set_between(2, 9, {9}) == b"2:8"


def test_dates_are_instants() -> None:
    assert internaldate.parse(b"01-Feb-2020 12:00:00 +0200") == internaldate.parse(b" 1-Feb-2020 10:00:00 +0000")
    assert internaldate.write(internaldate.parse(b"01-Feb-2020 12:00:00 +0200")) == b'"01-Feb-2020 10:00:00 +0000"'
    assert internaldate.parse(b'01-Feb-2020 12:00:00 +0200" z1 LOGOUT') == internaldate.UNKNOWN
    assert internaldate.parse(b"31-Feb-2020 12:00:00 +0200") == internaldate.UNKNOWN


@pytest.mark.parametrize(
    ("zone", "instant"),
    [
        *((zone, 1_770_631_200) for zone in ("+0100", "+01:00", "+0100 (CET)")),
        *((zone, 1_770_634_800) for zone in ("", "GMT", "UTC", "-0000", "-00:00")),
        ("EST", 1_770_652_800),
        *((zone, None) for zone in ("CET", "GMT+1", "GMT+0100", "PM", "+1", "+01", "+010000")),
    ],
)
def test_a_zone_is_understood_or_the_date_is_not(zone: str, instant: int | None) -> None:
    for written in ("Mon, 09 Feb 2026 11:00:00", "9-Feb-2026 11:00:00", "09-FEB-26 11:00:00"):
        date = f"{written} {zone}".strip().encode()
        assert internaldate.parse(date) == (internaldate.UNKNOWN if instant is None else instant)


def test_a_year_of_three_digits_is_none() -> None:
    assert internaldate.parse(b"09-Feb-126 10:00:00 +0000") == internaldate.UNKNOWN


def test_what_a_person_is_told_of_may_be_guessed() -> None:
    assert own_date(b"Date: Mon, 9 Feb 2026 11:00:00 CET\r\n\r\n") == 1_770_634_800
    assert own_date(b"Date: Mon, 9 Feb 2026 11:00:00 +01:00\r\n\r\n") == 1_770_631_200


@given(st.lists(st.binary(min_size=1, max_size=60)))
def test_nothing_hostile_stands_before_a_literal(words: list[bytes]) -> None:
    """RFC 7888 section 8: a BAD there would make the server read the message's text as commands."""
    said = before_literal(clean(words))
    assert all(octet > 0x20 and octet < 0x7F and octet not in b'(){}%*"]' for octet in said.replace(b" ", b""))
    assert all(len(word) <= 50 for word in said.split())


def test_recent_is_nobodys_flag_and_odd_keywords_wait() -> None:
    flags = clean([b"\\RECENT", b"\\seen", b"a]b", b"work"])
    assert before_literal(flags) == b"\\Seen work"
    assert only_by_store(flags) == {b"a]b"}


def test_huge_messages_and_far_dates_are_listed_as_they_are() -> None:
    line = b'* %d FETCH (UID %d FLAGS () INTERNALDATE "%s" RFC822.SIZE %d)\r\n'
    listing = Listing()
    handle = attributes_into(None, listing)  # type: ignore[arg-type]
    handle(line % (1, 1, b"12-Mar-2024 10:00:00 +0000", 100))
    handle(line % (2, 2, b"12-Mar-2054 10:00:00 +0000", 200))
    handle(line % (3, 3, b"12-Mar-2024 10:00:00 +0000", 5_000_000_000))
    handle(line % (4, 4, b"no date", 400))
    assert [(seen.uid, internaldate.show(seen.date), seen.size) for seen in listing] == [
        (1, "2024-03-12T10:00:00+00:00", 100),
        (2, "2054-03-12T10:00:00+00:00", 200),
        (3, "2024-03-12T10:00:00+00:00", 5_000_000_000),
        (4, "unknown", 400),
    ]


def listed(count: int, flags: Callable[[int], bytes]) -> Listing:
    """What a server says of so many messages, their UIDs from 1 on."""
    listing = Listing()
    handle = attributes_into(cast(Wire, None), listing)  # lines of the usual form need no more than the line
    for uid in range(1, count + 1):
        line = b'* %d FETCH (UID %d FLAGS (%b) INTERNALDATE "01-Feb-2020 10:00:00 +0000" RFC822.SIZE 100)\r\n'
        handle(line % (uid, uid, flags(uid)))
    return listing


def test_a_copy_that_goes_on_holds_no_object_for_each_message_copied_before() -> None:
    count = 20_000
    listings = [listed(count, lambda uid: b"\\Seen" if uid % 3 else b"") for _ in ("old", "new")]
    sides = [
        SideChanges(FolderStatus(count, count + 1, 1, 0), unremembered=one.select(lambda uid: True)) for one in listings
    ]
    folder = SimpleNamespace(map=UidMap([(1, 1, count, "copied")]), memory=Memory())
    tracemalloc.start()
    remember_interrupted(cast(FolderState, folder), Changes(*sides))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (sides[0].flags, sides[1].flags) == ({}, {})
    again = Memory(folder.memory.pack(lambda uid: True))
    assert (again.old(3), again.new(4)) == (frozenset(), frozenset({b"\\Seen"}))
    assert most < count * 40


def test_a_copy_that_goes_on_merges_flags_that_differ_by_now() -> None:
    old, new = listed(3, lambda uid: b"\\Flagged" if uid == 2 else b""), listed(3, lambda uid: b"")
    sides = [
        SideChanges(FolderStatus(3, 4, 1, 0), unremembered=side.select(lambda uid: uid != 3)) for side in (old, new)
    ]
    folder = SimpleNamespace(map=UidMap([(1, 1, 3, "copied")]), memory=Memory())
    remember_interrupted(cast(FolderState, folder), Changes(*sides))
    assert (sides[0].flags, sides[1].flags) == ({2: frozenset({b"\\Flagged"})}, {2: frozenset()})
