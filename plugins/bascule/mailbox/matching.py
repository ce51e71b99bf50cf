"""Which messages of new are which of old, by content: same octets, the same date preferred, each used once."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
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
    old_session: Session, old_raw: bytes, new_session: Session, new_raw: bytes, old: Iterable[Seen], new: Iterable[Seen]
) -> list[Match]:
    """Pair messages; only those whose size occurs on both sides are read at all."""
    sizes = {seen.size for seen in old} & {seen.size for seen in new}
    old, new = [s for s in old if s.size in sizes], [s for s in new if s.size in sizes]
    if not old or not new:
        return []
    old_digests = digests(old_session, old_raw, [seen.uid for seen in old])
    new_digests = digests(new_session, new_raw, [seen.uid for seen in new])
    return _pair([s for s in old if s.uid in old_digests], [s for s in new if s.uid in new_digests],
                 old_digests, new_digests)  # fmt: skip


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
