"""How the rights and annotations of one folder are merged: old's, new's, and what Bascule put there before.

The rules are those of messages' flags: what changed on old since the last pass is carried, what somebody changed on new
stays, and what is gone from old is removed on new only if Bascule put it there and nobody has changed it since.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bascule.ledger.carried import Carried


@dataclass(frozen=True)
class Value:
    """One entry's value: `token` is what is compared and remembered, `data` what is sent."""

    token: str
    data: bytes


Values = Mapping[str, Value]
Unite = Callable[[Value, Value], Value]  # (old's, new's) -> what shall be there when both had one at the first meeting


@dataclass(frozen=True)
class Step:
    """What to do about one entry.

    put: set it on new, and remember it. remove: take it away from new. note: remember it as it is. forget: no more.
    `stays` says that somebody changed it on new, so that old's change is not carried.
    """

    act: Literal["put", "remove", "note", "forget"]
    name: str
    old: Value | None = None
    new: Value | None = None
    ours: bool = False
    stays: bool = False


def changed_on_old(old: Values, known: Mapping[str, Carried]) -> bool:
    """Whether anything has to be done: otherwise new need not be asked."""
    return set(known) != set(old) or any(known[name].old != value.token for name, value in old.items())


def merge(old: Values, new: Values, known: Mapping[str, Carried], unite: Unite) -> list[Step]:
    """The steps that carry what changed on old."""
    steps = [
        _carry(name, value, new.get(name), known.get(name), unite)
        for name, value in sorted(old.items())
        if name not in known or known[name].old != value.token
    ]
    gone = sorted(set(known) - set(old))
    return steps + [_gone(name, new.get(name), known[name]) for name in gone]


def _carry(name: str, wanted: Value, there: Value | None, known: Carried | None, unite: Unite) -> Step:
    ours = known is not None and known.ours
    untouched = known is not None and there is not None and there.token in (known.new, known.intended)
    first = known is None or known.old is None
    if there is not None and there.token == wanted.token:
        return Step("note", name, wanted, there, ours=ours and untouched)
    if there is None:
        return Step("put", name, wanted, wanted, ours=True) if first else Step("note", name, wanted, None, stays=True)
    if untouched and ours:
        return Step("put", name, wanted, wanted, ours=True)
    if untouched or first:
        united = unite(wanted, there)
        return Step("note" if united.token == there.token else "put", name, wanted, united)
    return Step("note", name, wanted, there, stays=True)


def _gone(name: str, there: Value | None, known: Carried) -> Step:
    if there is not None and known.ours and there.token in (known.new, known.intended):
        return Step("remove", name, None, there)
    return Step("forget", name, None, there, stays=there is not None and known.ours)
