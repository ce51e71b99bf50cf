"""The one rule by which both sides are merged: what to do about a thing, from what the last pass left and what is now.

A thing is a message with its flags, or an entry of access rights or annotations with its value. docs/engine.md has the
rule as tables; tests read them there.
"""

import enum
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
Flag = TypeVar("Flag", bound=Hashable)


class Act(enum.Enum):
    """What is to be done on the destination. On the source nothing is ever changed."""

    ADD = "add"  # it is not there: put it there
    UPDATE = "update"  # give it what the source has
    UNITE = "unite"  # both sides had it when they first met: take nothing away from either
    REMOVE = "remove"
    KEEP = "keep"  # leave the destination as it is, though the source is otherwise: somebody has changed it there
    NOTHING = "nothing"  # it is as it shall be


@dataclass(frozen=True, slots=True)
class Base(Generic[T]):
    """What the last pass left on both sides; None: nothing.

    `ours`: Bascule put it on the destination, or, when not, it was there before.
    """

    source: T | None
    destination: T | None
    ours: bool


def merge(base: Base[T] | None, source: T | None, destination: T | None) -> Act:
    """`base`: None when no pass has met it; `source`, `destination`: what is there now, None when it is not there."""
    if source is None:
        if base is None or destination is None:
            return Act.NOTHING
        return Act.REMOVE if base.ours and destination == base.destination else Act.KEEP
    if base is None or base.source is None:
        if destination is None:
            return Act.ADD
        return Act.NOTHING if destination == source else Act.UNITE
    if source in (base.source, destination):
        return Act.NOTHING
    return Act.UPDATE if destination is not None and destination == base.destination else Act.KEEP


def merge_flags(
    base: Base[frozenset[Flag]] | None, source: frozenset[Flag], destination: frozenset[Flag]
) -> tuple[frozenset[Flag], frozenset[Flag]]:
    """The flags that a message on both sides shall have on the destination, and those that stay there as somebody has
    changed them, though the source has changed them otherwise.
    """
    if base is None or base.source is None or base.destination is None:
        return destination | source, frozenset()
    came, went, theirs = source - base.source, base.source - source, destination ^ base.destination
    return (destination | came - theirs) - (went - theirs), (came - destination | went & destination) & theirs
