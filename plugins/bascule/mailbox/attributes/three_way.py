"""The rights and annotations of one folder, merged by the one rule of `messages/merge.py`: the steps to be taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bascule.ledger.carried import Carried
from bascule.mailbox.messages.merge import Act, Base, merge


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


def steps(old: Values, new: Values, known: Mapping[str, Carried], unite: Unite) -> list[Step]:
    """The steps that carry what changed on old."""
    changed = [name for name, value in sorted(old.items()) if name not in known or known[name].old != value.token]
    gone = sorted(set(known) - set(old))
    return [_step(name, old.get(name), new.get(name), known.get(name), unite) for name in changed + gone]


def _step(name: str, wanted: Value | None, there: Value | None, known: Carried | None, unite: Unite) -> Step:
    base = _base(known, there)
    act = merge(base, wanted.token if wanted else None, there.token if there else None)
    ours = base is not None and base.ours
    if wanted is None:
        if act is Act.REMOVE:
            return Step("remove", name, None, there)
        return Step("forget", name, None, there, stays=act is Act.KEEP and ours)
    if act is Act.ADD or (act is Act.UPDATE and ours):
        return Step("put", name, wanted, wanted, ours=True)
    if there is not None and act in (Act.UPDATE, Act.UNITE):  # what was there before Bascule is only added to
        united = unite(wanted, there)
        return Step("note" if united.token == there.token else "put", name, wanted, united)
    untouched = base is not None and there is not None and there.token == base.destination
    return Step("note", name, wanted, there, ours=act is Act.NOTHING and ours and untouched, stays=act is Act.KEEP)


def _base(known: Carried | None, there: Value | None) -> Base[str] | None:
    """What the last pass left; also when its end was not seen, and what it intended is there."""
    if known is None:
        return None
    if there is not None and there.token == known.intended:
        return Base(known.intended, known.intended, known.ours)
    return Base(known.old, known.new, known.ours)
