"""Which messages of the destination are which of the source: same octets, the same date preferred, each used once.

Those that differ in nothing but the fields in which a server keeps its own state are the same mail: a copy of it made
yesterday has other octets than the message has today.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.messages.digests import Digest, digests
from bascule.mailbox.workers import Side


@dataclass(frozen=True, slots=True)
class Match:
    """One message on both sides. `same_octets`: else all but the server's own fields."""

    source: Listed
    destination: Listed
    same_octets: bool = True


def match(
    source: Side, destination: Side, on_source: Iterable[Listed], on_destination: Iterable[Listed]
) -> list[Match]:
    """Pair messages. First those are read whose size and date occur on both sides; of the rest, those whose size does,
    then those whose date does: the size that a server tells need not be the one that a message has.

    Messages on new whose copy is in doubt have the dates of few on old, which may hold half a million of their size.
    """
    source_digests, destination_digests = _Digests(source), _Digests(destination)
    matches: list[Match] = []
    keys: tuple[Callable[[Listed], object], ...] = (_size_and_date, _size, _date)
    for key in keys:
        done = {m.source.uid for m in matches}, {m.destination.uid for m in matches}
        rest = [message for message in on_destination if message.uid not in done[1]]
        occurring = {key(message) for message in rest}
        some = [message for message in on_source if key(message) in occurring and message.uid not in done[0]]
        occurring = {key(message) for message in some}
        rest = [message for message in rest if key(message) in occurring]
        if rest:
            matches += _pair_all(some, rest, source_digests.of(some), destination_digests.of(rest))
    return matches


def _size(message: Listed) -> int:
    return message.size


def _date(message: Listed) -> int:
    return message.date


def _size_and_date(message: Listed) -> tuple[int, int]:
    return message.size, message.date


class _Digests:
    """The digests of one side; no message is read twice."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._known: dict[int, Digest] = {}
        self._asked: set[int] = set()

    def of(self, some: list[Listed]) -> dict[int, Digest]:
        """By UID, of these messages (and of those asked about before), as far as they are still there."""
        asked = [message.uid for message in some if message.uid not in self._asked]
        self._asked.update(asked)
        self._known |= digests(self._side, asked) if asked else {}
        return self._known


_Known = dict[int, Digest]  # by UID


def _pair_all(
    on_source: list[Listed], on_destination: list[Listed], source: _Known, destination: _Known
) -> list[Match]:
    matches = _pair(on_source, on_destination, _octets(source), _octets(destination))
    done = {m.source.uid for m in matches}, {m.destination.uid for m in matches}
    rest = [message for message in on_source if message.uid not in done[0]]
    candidates = [message for message in on_destination if message.uid not in done[1]]
    mail = _pair(rest, candidates, _mail(source), _mail(destination)) if rest and candidates else []
    return matches + [Match(m.source, m.destination, same_octets=False) for m in mail]


def _octets(known: _Known) -> dict[int, bytes]:
    return {uid: digest.octets for uid, digest in known.items()}


def _mail(known: _Known) -> dict[int, bytes]:
    return {uid: digest.mail for uid, digest in known.items()}


def _pair(
    on_source: list[Listed], on_destination: list[Listed], source_digests: dict[int, bytes],
    destination_digests: dict[int, bytes],
) -> list[Match]:  # fmt: skip
    free: dict[bytes, list[Listed]] = defaultdict(list)
    for message in sorted(on_destination, key=lambda m: m.uid):
        if message.uid in destination_digests:
            free[destination_digests[message.uid]].append(message)
    matches, rest = [], []
    for message in sorted(on_source, key=lambda m: m.uid):
        candidates = free[source_digests[message.uid]] if message.uid in source_digests else []
        same_date = next((c for c in candidates if c.date == message.date), None)
        if same_date is not None:
            candidates.remove(same_date)
            matches.append(Match(message, same_date))
        elif candidates:
            rest.append((message, candidates))
    for message, candidates in rest:
        if candidates:
            matches.append(Match(message, candidates.pop(0)))
    return matches
