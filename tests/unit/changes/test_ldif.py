"""LDIF as the journal keeps it."""

import pytest
from bascule.changes import ldif
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ENTRIES = st.dictionaries(TEXT.filter(bool), st.lists(TEXT, max_size=4), max_size=6)


@given(ENTRIES)
def test_what_is_dumped_is_loaded_as_it_was(entries: dict[str, list[str]]) -> None:
    assert ldif.load(ldif.dump("mail", entries)) == {dn: sorted(values) for dn, values in entries.items()}


@given(ENTRIES)
def test_the_order_of_entries_and_values_does_not_matter(entries: dict[str, list[str]]) -> None:
    turned = {dn: values[::-1] for dn, values in reversed(entries.items())}
    assert ldif.dump("mail", entries) == ldif.dump("mail", turned)


def test_plain_values_are_readable_and_others_are_base64() -> None:
    text = ldif.dump("mail", {"uid=élise,dc=x": ["a@new.test"], "uid=bob,dc=x": [" space", ":colon"]})
    assert text == (
        "version: 1\n\ndn: uid=bob,dc=x\nmail:: IHNwYWNl\nmail:: OmNvbG9u\n\n"
        "dn:: dWlkPcOpbGlzZSxkYz14\nmail: a@new.test\n"
    )


def test_text_that_is_no_ldif_is_refused() -> None:
    with pytest.raises(ValueError, match="no LDIF"):
        ldif.load("dn: x\nnonsense\n")
