"""The record of vacation answers."""

import pytest
from bascule.sieve.vacation import UnknownRecord, merged, read, write
from hypothesis import given
from hypothesis import strategies as st

records = st.dictionaries(
    st.tuples(st.binary(max_size=20), st.binary(max_size=8)), st.integers(0, 2**32 - 1), max_size=5
)


@given(records)
def test_a_record_is_read_as_it_was_written(record: dict[tuple[bytes, bytes], int]) -> None:
    assert read(write(record)) == record


def test_dovecot_wrote_this() -> None:
    data = b"\x02\x00\x00\x00|I\x07k\x10\x00\x00\x00\x05\x00\x00\x00C/\xb7\xd9\xf2$\x8f|L\xde\x03\x01U[\xc1\nsonde"
    assert read(data) == {(b"C/\xb7\xd9\xf2$\x8f|L\xde\x03\x01U[\xc1\n", b"sonde"): 0x6B07497C}


@pytest.mark.parametrize("data", [b"", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00abc", write({(b"a", b"b"): 1})[:-1]])
def test_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(UnknownRecord):
        read(data)


def test_the_later_expiry_counts() -> None:
    old = {(b"a", b"u"): 5, (b"b", b"u"): 1, (b"d", b"u"): 1}
    new = {(b"a", b"u"): 3, (b"c", b"u"): 2, (b"d", b"u"): 4}
    both = merged(old, new)
    assert both == {(b"a", b"u"): 5, (b"b", b"u"): 1, (b"c", b"u"): 2, (b"d", b"u"): 4}
    assert merged(old, both) == both
