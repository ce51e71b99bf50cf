"""The same cases with servers of other kinds as source, and as destination; with mbox files as source only."""

import pytest
from bascule.mailbox import sync_mailbox

from tests.imap_places import Box, Places
from tests.mailbox_cases import CASES, Case
from tests.mailbox_states import Contents, parse

WAYS = [(kind, way) for kind in ("courier", "cyrus", "cyrus below INBOX") for way in ("from", "to")]
WAYS.append(("mbox", "from"))


def without_empty_parents(contents: Contents) -> Contents:
    """Cyrus makes `A` a folder of its own when `A/B` is created."""
    return {
        name: messages
        for name, messages in contents.items()
        if messages or not any(other.startswith(f"{name}/") for other in contents)
    }


@pytest.mark.parametrize(("kind", "way"), WAYS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_state_is_as_expected(places: Places, box: Box, case: Case, kind: str, way: str) -> None:
    if kind == "mbox" and case.name == "hierarchy":
        pytest.skip("a file holds messages, or a directory folders")
    if way == "from":
        box.old = places[kind]
    else:
        box.old, box.new = places["sdbox"], places[kind]
    box.fill(case.old, case.new)
    if case.old_then is not None or case.new_then is not None:
        sync_mailbox(box.job(), box.ledger)
    box.fill(case.old_then or "", case.new_then or "")
    sync_mailbox(box.job(), box.ledger)
    assert without_empty_parents(box.read_new()) == without_empty_parents(parse(case.expected))
    box.settled()
    assert not box.verify("content").differences
