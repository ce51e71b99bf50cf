"""Rights and annotations merged: what changed on old is carried, what people set on new stays."""

import pytest
from bascule.ledger.carried import Carried
from bascule.mailbox.merging import Step, Value, changed_on_old, merge
from bascule.mailbox.rights import Rights


def v(token: str | None) -> dict[str, Value]:
    return {"bob": Value(token, token.encode())} if token is not None else {}


def row(old: str | None, new: str | None, intended: str | None = None, ours: bool = True) -> dict[str, Carried]:
    return {"bob": Carried("bob", old, new, intended, ours)}


def one(old: str | None, new: str | None, known: dict[str, Carried]) -> tuple[str, str | None, bool] | None:
    steps: list[Step] = merge(v(old), v(new), known, Rights.unite)
    if not steps:
        return None
    (step,) = steps
    return step.act, step.new.token if step.new else None, step.ours


@pytest.mark.parametrize(
    ("why", "old", "new", "known", "expected"),
    [
        ("first meeting, nothing on new", "lr", None, {}, ("put", "lr", True)),
        ("first meeting, the same on new", "lr", "lr", {}, ("note", "lr", False)),
        ("first meeting, another on new", "lr", "lw", {}, ("put", "lrw", False)),
        ("first meeting, more on new", "lr", "lrs", {}, ("note", "lrs", False)),
        ("unchanged on old, changed on new", "lr", "l", row("lr", "lr"), None),
        ("unchanged on old, removed on new", "lr", None, row("lr", "lr"), None),
        ("changed on old", "l", "lr", row("lr", "lr"), ("put", "l", True)),
        ("changed on both", "l", "lrs", row("lr", "lr"), ("note", "lrs", False)),
        ("changed on old, removed on new", "l", None, row("lr", "lr"), ("note", None, False)),
        ("changed on old, was united", "lrs", "lrw", row("lr", "lrw", ours=False), ("put", "lrsw", False)),
        ("removed on old", None, "lr", row("lr", "lr"), ("remove", "lr", False)),
        ("removed on old, changed on new", None, "l", row("lr", "lr"), ("forget", "l", False)),
        ("removed on old, not ours", None, "lr", row("lr", "lr", ours=False), ("forget", "lr", False)),
        ("removed on both", None, None, row("lr", "lr"), ("forget", None, False)),
        ("cut before the first put", "lr", None, row(None, None, "lr"), ("put", "lr", True)),
        ("cut after the first put", "lr", "lr", row(None, None, "lr"), ("note", "lr", True)),
        ("cut before a second put", "l", "lr", row("lr", "lr", "l"), ("put", "l", True)),
        ("cut after a second put", "l", "l", row("lr", "lr", "l"), ("note", "l", True)),
        ("cut after the put, then removed on old", None, "lr", row(None, None, "lr"), ("remove", "lr", False)),
    ],
)
def test_merge(why: str, old: str | None, new: str | None, known: dict[str, Carried], expected: object) -> None:
    assert one(old, new, known) == expected, why


def test_new_is_only_asked_when_old_has_changed() -> None:
    assert not changed_on_old(v("lr"), row("lr", "lr"))
    assert changed_on_old(v("l"), row("lr", "lr"))
    assert changed_on_old(v(None), row("lr", "lr"))
    assert changed_on_old(v("lr"), row(None, None, "lr"))
