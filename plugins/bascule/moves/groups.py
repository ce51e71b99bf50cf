"""Who moves together: people who share something, and so many accounts in a wave."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

Tie = tuple[str, str]


@dataclass(frozen=True)
class Proposal:
    """The waves, the smallest first, and the groups that are too large for anybody but a person to plan."""

    waves: Sequence[Sequence[str]]
    too_large: Sequence[Sequence[str]]


def propose(accounts: Collection[str], ties: Iterable[Tie], *, per_wave: int, largest: int) -> Proposal:
    """Accounts that share something, directly or through others, move in one wave of `per_wave` accounts.

    A group of more than `largest` is not planned; one that is larger than a wave, and not too large, is one by itself.
    """
    planned, too_large = list[list[str]](), list[list[str]]()
    for group in groups(accounts, ties):
        (too_large if len(group) > largest else planned).append(group)
    return Proposal(_packed(planned, per_wave), too_large)


def groups(accounts: Collection[str], ties: Iterable[Tie]) -> list[list[str]]:
    """The connected components, the largest first; a tie of somebody who is not among the accounts is none."""
    partners = partners_of(accounts, ties)
    found, seen = [], set[str]()
    for first in sorted(accounts):
        if first in seen:
            continue
        group, edge = {first}, [first]
        while edge:
            new = partners[edge.pop()] - group
            group |= new
            edge.extend(new)
        seen |= group
        found.append(sorted(group))
    return sorted(found, key=lambda group: (-len(group), group))


def partners_of(accounts: Collection[str], ties: Iterable[Tie]) -> dict[str, set[str]]:
    """With whom each account shares something directly."""
    found: dict[str, set[str]] = {account: set() for account in accounts}
    for one, other in ties:
        if one in found and other in found and one != other:
            found[one].add(other)
            found[other].add(one)
    return found


def _packed(by_size: Iterable[list[str]], per_wave: int) -> list[list[str]]:
    """Each group, the largest first, into the first wave that has room for it."""
    waves: list[list[str]] = []
    for group in by_size:
        wave = next((wave for wave in waves if len(wave) + len(group) <= per_wave), None)
        if wave is None:
            waves.append(wave := [])
        wave.extend(group)
    return sorted((sorted(wave) for wave in waves), key=lambda wave: (len(wave), wave))
