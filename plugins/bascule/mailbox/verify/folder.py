"""One folder verified: the messages that both servers give now, paired by identity, and each pair compared.

What the ledger says is taken for no evidence that something is the same. It only explains: a message that is not on new
because a person decided so, or flags that differ because their owner has changed them on new and nothing since.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bascule.ledger.mailboxes import REPAIRED
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.flags import SYSTEM, Flags
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.job import VerifyLevel
from bascule.mailbox.messages.describe import repaired_mark
from bascule.mailbox.messages.digests import digests
from bascule.mailbox.messages.own_date import own_dates
from bascule.mailbox.state.flags import Memory
from bascule.mailbox.state.uidmap import UidMap
from bascule.mailbox.verify.identity import WINDOW, Contents, Pairing, are_alike
from bascule.mailbox.workers import Side, in_parallel

MOST_NAMED = 1000  # differences of one folder that are named one by one


@dataclass(frozen=True)
class Known:
    """What the ledger says of a folder: hints, and what explains a difference.

    `set_aside`: old UIDs of messages that stand by name among the problems or decisions. `accepted`: those of which a
    person has accepted that they are not the same. `dropped`: keywords that are left behind by decision.
    """

    uid_map: UidMap = field(default_factory=UidMap)
    memory: Memory = field(default_factory=Memory)
    set_aside: frozenset[int] = frozenset()
    unlistable: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    dropped: Flags = frozenset()
    refused: Flags = frozenset()  # that new does not keep, and nobody has decided about
    folder: tuple[str, int] = ("", 0)  # the hash of its name on old and its UIDVALIDITY there


@dataclass
class Found:
    """What was compared in one folder. `counted`: what is no difference but must not go unsaid, and how often."""

    messages: int = 0
    bytes: int = 0
    removed_on_new: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def differs(self, kind: str, old: Listed, new_uid: int, on_old: str = "", on_new: str = "") -> None:
        self.differences.append(
            {"kind": kind, "old_uid": old.uid, "new_uid": new_uid, "old": on_old, "new": on_new, "size": old.size,
             "date": internaldate.show(old.date)}
        )  # fmt: skip


GONE = "message(s) were removed on new by their owner after they had been carried"
ASIDE = "message(s) are not on new: they stand by name among the problems and decisions"
EXTRA = "message(s) are on new and not on old (any more)"
OURS = "of these were put there by Bascule and are still there"
FLAGS = "message(s) have other flags on new, which their owner gave them there"
ACCEPTED = "message(s) differ as a person has accepted"
REPAIRED_FORM = "message(s) are on new in the repaired form that was decided"
SIZES = "message(s) have another size than old tells; their octets were compared and are the same"
FIELDS = (
    "message(s) differ in nothing but the fields in which a server keeps its own state (Status, X-UID, ...), which it "
    "has changed since"
)
DATES = "message(s) have no date that can be read on old; new has the one of their own header"


_Altered = tuple[str, Listed, Listed, str, str]  # kind of difference, the pair, what both sides have


class FolderVerification:
    """Compares one folder of both sides."""

    def __init__(self, old: Side, new: Side, level: VerifyLevel, known: Known) -> None:
        self.old, self.new, self.level, self.known = old, new, level, known
        self.found = Found()

    def run(self) -> Found:
        """Raises Refused, TransientError."""
        octets = self.level == "content"
        old, new = in_parallel(
            lambda: Contents(self.old, octets=octets, without=self.known.unlistable),
            lambda: Contents(self.new, octets=octets),
        )
        for name, contents in (("old", old), ("new", new)):
            if contents.unlisted:
                self.found.differences.append({"kind": "unlisted", "side": name, "messages": contents.unlisted})
        for first in range(0, len(old), WINDOW):
            self._compare_window(range(first, min(first + WINDOW, len(old))), old, new)
        in_parallel(old.read_left, new.read_left)
        pairing = Pairing(old, new, self._hints(old.left(), old, new))
        self._compare_pairs(pairing.pairs, old, new)
        for place in pairing.absent:
            self._absent(old.at(place))
        for place in pairing.extra:
            self._extra(new.at(place))
        if unlistable := len(self.known.unlistable):
            self.found.counted[ASIDE] += unlistable
        return self.found

    def _hints(self, places: Iterable[int], old: Contents, new: Contents) -> Iterator[tuple[int, int]]:
        """Which messages of new the map has for these of old."""
        for place in places:
            found = self.known.uid_map.find(old.listing.uids[place])
            other = new.place(found[0]) if found else None
            if other is not None:
                yield place, other

    def _compare_window(self, places: range, old: Contents, new: Contents) -> None:
        """Of these messages of old, those that have what the map has for them; of all others the traits are kept."""
        hints = list(self._hints(places, old, new))
        in_parallel(lambda: old.read(places), lambda: new.read([other for _, other in hints]))
        repaired = [(o, n) for o, n in hints if self._is_repaired(old.listing.uids[o], new.traits[n].repaired)]
        for one, other in repaired:
            old.finish(one)
            new.finish(other)
        if repaired:
            self.found.counted[REPAIRED_FORM] += len(repaired)
        rest = [hint for hint in hints if hint not in repaired] if repaired else hints
        self._compare_pairs([(o, n) for o, n in rest if are_alike(old, o, new, n)], old, new)

    def _is_repaired(self, old_uid: int, mark: bytes) -> bool:
        """Whether the message of new bears the mark of this one of old."""
        if not mark:
            return False
        found = self.known.uid_map.find(old_uid)
        return (
            found is not None
            and found[1] == REPAIRED
            and mark.decode("ascii") == repaired_mark(*self.known.folder, old_uid)
        )

    # -- pairs

    def _compare_pairs(self, places: list[tuple[int, int]], old: Contents, new: Contents) -> None:
        pairs = [(old.at(one), new.at(other)) for one, other in places]
        altered = self._altered(places, old, new, pairs)
        dates = self._own_dates(pairs)
        for mine, theirs in pairs:
            same = True
            if mine.uid in altered:
                same = self._differs(*altered[mine.uid])
            if self.level != "counts":
                same = self._compare_dates(mine, theirs, dates) and same
                same = self._compare_flags(mine, theirs) and same
            self.found.messages += same
            self.found.bytes += mine.size if same else 0
        for one, other in places:
            old.finish(one)
            new.finish(other)

    def _altered(
        self, places: list[tuple[int, int]], old: Contents, new: Contents, pairs: list[tuple[Listed, Listed]]
    ) -> "dict[int, _Altered]":
        """Pairs with other octets. Other sizes alone are no proof of that: servers tell wrong ones."""
        if self.level == "counts":
            return {}
        other_size = [(mine, theirs) for mine, theirs in pairs if mine.size != theirs.size]
        differing: dict[int, _Altered] = {}
        own_state: set[int] = set()  # they differ in nothing but a server's own fields
        if self.level == "content":
            for (one, other), (mine, theirs) in zip(places, pairs, strict=True):
                on_old, on_new = old.traits[one], new.traits[other]
                if on_old.mail != on_new.mail:
                    differing[mine.uid] = ("content", mine, theirs, on_old.octets.hex(), on_new.octets.hex())
                elif on_old.octets != on_new.octets:
                    own_state.add(mine.uid)
        elif other_size:
            old_digests = digests(self.old, [mine.uid for mine, _ in other_size])
            new_digests = digests(self.new, [theirs.uid for _, theirs in other_size])
            for mine, theirs in other_size:
                on_both = old_digests.get(mine.uid), new_digests.get(theirs.uid)
                if on_both[0] is None or on_both[1] is None or on_both[0].mail != on_both[1].mail:
                    differing[mine.uid] = ("size", mine, theirs, str(mine.size), str(theirs.size))
                elif on_both[0] != on_both[1]:
                    own_state.add(mine.uid)
        if wrong := sum(1 for mine, _ in other_size if mine.uid not in differing and mine.uid not in own_state):
            self.found.counted[SIZES] += wrong
        if own_state:
            self.found.counted[FIELDS] += len(own_state)
        return differing

    def _own_dates(self, pairs: list[tuple[Listed, Listed]]) -> dict[int, int]:
        dateless = [mine.uid for mine, _ in pairs if mine.date == internaldate.UNKNOWN]
        return own_dates(self.old, dateless) if self.level != "counts" else {}

    def _compare_dates(self, mine: Listed, theirs: Listed, own: dict[int, int]) -> bool:
        if mine.date == theirs.date != internaldate.UNKNOWN:
            return True
        shown = internaldate.show(mine.date)
        if mine.date == internaldate.UNKNOWN:
            if own.get(mine.uid) == theirs.date:
                self.found.counted[DATES] += 1
                return True
            shown = f"{internaldate.show(own.get(mine.uid, internaldate.UNKNOWN))} (of its own header)"
        return self._differs("date", mine, theirs, shown, internaldate.show(theirs.date))

    def _differs(self, kind: str, mine: Listed, theirs: Listed, on_old: str, on_new: str) -> bool:
        """A difference, unless a person has accepted it. Returns False: the pair is not the same."""
        if mine.uid in self.known.accepted:
            self.found.counted[ACCEPTED] += 1
        else:
            self.found.differs(kind, mine, theirs.uid, on_old, on_new)
        return False

    def _compare_flags(self, mine: Listed, theirs: Listed) -> bool:
        on_old, on_new = mine.flags - self.known.dropped, theirs.flags
        if on_old == on_new:
            return True
        memory, found = self.known.memory, self.known.uid_map.find(mine.uid)
        by_owner = not (on_old - on_new) & self.known.refused
        seen = found is not None and found[0] == theirs.uid and by_owner
        if seen and memory.old(mine.uid) == mine.flags and memory.new(mine.uid) == theirs.flags:
            self.found.counted[FLAGS] += 1
            return True
        for kind, these in (("flags", _system), ("keywords", _keywords)):
            if these(on_old) != these(on_new):
                self.found.differs(kind, mine, theirs.uid, _shown(these(on_old)), _shown(these(on_new)))
        return False

    # -- what has no counterpart

    def _absent(self, message: Listed) -> None:
        if message.uid in self.known.set_aside or message.uid in self.known.accepted:
            self.found.counted[ASIDE] += 1
        elif self.known.memory.gone(message.uid):
            self.found.removed_on_new += 1
            self.found.counted[GONE] += 1
        else:
            self.found.differs("missing", message, 0)

    def _extra(self, message: Listed) -> None:
        self.found.counted[EXTRA] += 1
        old_uid = self.known.uid_map.old_of(message.uid)
        if old_uid is not None:
            self.found.counted[OURS] += 1


def sentence(difference: dict[str, Any]) -> str:
    """One difference, for people."""
    if difference["kind"] == "unlisted":
        return f"{difference['side']} counts {difference['messages']} message(s) more than it lists"
    if difference["kind"] == "missing":
        return f"old UID {difference['old_uid']}, of {difference['date']}, {difference['size']} bytes: missing on new"
    return (
        f"old UID {difference['old_uid']}, new UID {difference['new_uid']}: "
        f"{difference['kind']} {difference['old']!r} on old, {difference['new']!r} on new"
    )


def _system(flags: Flags) -> Flags:
    return frozenset(flag for flag in flags if flag in SYSTEM.values())


def _keywords(flags: Flags) -> Flags:
    return flags - _system(flags)


def _shown(flags: Flags) -> str:
    return " ".join(sorted(flag.decode("latin-1") for flag in flags))
