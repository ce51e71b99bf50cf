"""Which messages of new are which of old, by content: same octets, the same date preferred, each used once."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bascule.mailbox.copying import literal_uid
from bascule.mailbox.listing import Seen, fetch_items, write_set
from bascule.mailbox.parse import read_response
from bascule.mailbox.session import Session
from bascule.mailbox.wire import LITERAL

HASHED_AT_ONCE = 500  # messages asked for in one command


@dataclass(frozen=True, slots=True)
class Match:
    """One message on both sides."""

    old: Seen
    new: Seen


def match(
    old_session: Session,
    old_raw: bytes,
    new_session: Session,
    new_raw: bytes,
    old: Iterable[Seen],
    new: Iterable[Seen],
) -> list[Match]:
    """Pair messages. First those are read whose size and date occur on both sides; of the rest, those whose size does.

    Messages on new whose copy is in doubt have the dates of few on old, which may hold half a million of their size.
    """
    on_old, on_new = _Digests(old_session, old_raw), _Digests(new_session, new_raw)
    matches: list[Match] = []
    keys: tuple[Callable[[Seen], object], ...] = (_size_and_date, _size)
    for key in keys:
        done_old, done_new = {m.old.uid for m in matches}, {m.new.uid for m in matches}
        rest = [seen for seen in new if seen.uid not in done_new]
        there = {key(seen) for seen in rest}
        some = [seen for seen in old if key(seen) in there and seen.uid not in done_old]
        there = {key(seen) for seen in some}
        rest = [seen for seen in rest if key(seen) in there]
        if rest:
            old_digests, new_digests = on_old.of(some), on_new.of(rest)
            matches += _pair(
                [s for s in some if s.uid in old_digests], [s for s in rest if s.uid in new_digests],
                old_digests, new_digests,
            )  # fmt: skip
    return matches


def _size(seen: Seen) -> int:
    return seen.size


def _size_and_date(seen: Seen) -> tuple[int, int]:
    return seen.size, seen.date


class _Digests:
    """The digests of one side's folder; no message is read twice."""

    def __init__(self, session: Session, raw: bytes) -> None:
        self._session, self._raw = session, raw
        self._known: dict[int, bytes] = {}
        self._asked: set[int] = set()

    def of(self, some: list[Seen]) -> dict[int, bytes]:
        """By UID, of these messages (and of those asked about before), as far as they are still there."""
        asked = [seen.uid for seen in some if seen.uid not in self._asked]
        self._asked.update(asked)
        self._known |= digests(self._session, self._raw, asked) if asked else {}
        return self._known


def _pair(
    old: list[Seen], new: list[Seen], old_digests: dict[int, bytes], new_digests: dict[int, bytes]
) -> list[Match]:
    free: dict[bytes, list[Seen]] = defaultdict(list)
    for seen in sorted(new, key=lambda s: s.uid):
        free[new_digests[seen.uid]].append(seen)
    matches, rest = [], []
    for seen in sorted(old, key=lambda s: s.uid):
        same_date = next((c for c in free[old_digests[seen.uid]] if c.date == seen.date), None)
        if same_date is None:
            rest.append(seen)
        else:
            free[old_digests[seen.uid]].remove(same_date)
            matches.append(Match(seen, same_date))
    for seen in rest:
        candidates = free[old_digests[seen.uid]]
        if candidates:
            matches.append(Match(seen, candidates.pop(0)))
    return matches


def digests(session: Session, raw: bytes, uids: list[int]) -> dict[int, bytes]:
    """SHA-256 of these messages' octets, as far as they are still there. Nothing is held in memory."""
    found: dict[int, bytes] = {}
    session.ensure_selected(raw)

    def handle(line: bytes) -> None:
        literal = LITERAL.search(line)
        if literal is None or not line.endswith(b"BODY[] " + literal[0]):
            items = fetch_items(read_response(session.wire, line))
            if items and isinstance(items.get(b"BODY[]"), bytes):
                found[int(items[b"UID"])] = hashlib.sha256(items[b"BODY[]"]).digest()
            return
        digest = hashlib.sha256()
        for chunk in session.wire.stream(int(literal[1])):
            digest.update(chunk)
        tail = session.wire.read_line()
        uid = literal_uid(line) or literal_uid(tail)
        if uid:
            found[uid] = digest.digest()

    pieces = [uids[i : i + HASHED_AT_ONCE] for i in range(0, len(uids), HASHED_AT_ONCE)]
    asked = [session.begin(b"UID FETCH", write_set(p), b"(UID BODY.PEEK[])", handler=handle) for p in pieces]
    for pending in asked:
        session.finish(pending)
    return found
