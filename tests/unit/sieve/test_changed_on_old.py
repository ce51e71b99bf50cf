"""Whether old has other filters than a pass has seen last, by one look at old."""

import contextlib
from types import SimpleNamespace

import pytest
from bascule.ledger import Ledger, filters
from bascule.sieve import sync
from bascule.sieve.managesieve import Refused
from bascule.sieve.managesieve_answers import Answer

from tests.unit.changes.fakes import FakeAccess

A, B = b"keep;\r\n", b"discard;\r\n"
SEEN = {"a": (A, True), "b": (B, False)}  # name -> text, active
Scripts = dict[str, tuple[bytes | None, bool]]


class Old:
    """A ManageSieve server; a script without a text can't be read."""

    modified_utf7 = False

    def __init__(self, scripts: Scripts) -> None:
        self.texts = scripts

    def scripts(self) -> dict[str, bool]:
        return {name: active for name, (_, active) in self.texts.items()}

    def get(self, name: str) -> bytes:
        text = self.texts[name][0]
        if text is None:
            raise Refused("GETSCRIPT", Answer("NO"))
        return text


@pytest.mark.parametrize(
    ("scripts", "changed"),
    [
        (SEEN, False),
        ({"a": (A, True)}, False),  # what was removed stays on new, and does nothing there
        ({"a": (B, True), "b": (B, False)}, True),
        (SEEN | {"c": (A, False)}, True),
        ({"a": (A, False), "b": (B, True)}, True),
        ({"a": (A, False), "b": (B, False)}, True),
        ({"b": (B, False)}, True),  # switched off and removed
        (SEEN | {"b": (None, False)}, True),
    ],
)
def test_what_was_put_switched_or_is_not_to_be_read(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, scripts: Scripts, changed: bool
) -> None:
    with ledger.session() as session:
        for name, (text, active) in SEEN.items():
            filters.keep_original(session, "zoe", name, text, active=active)
    old = SimpleNamespace(source=lambda account: contextlib.nullcontext(Old(scripts)))
    monkeypatch.setattr(sync.servers, "from_site", lambda *_: old)
    assert sync.changed_on_old(FakeAccess(), ledger, "zoe") is changed
