"""Verification: what both servers list, compared by the UID map alone; the copier's own knowledge is not asked."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import islice

from bascule.ledger.mailboxes import REPAIRED
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.fetch import begin_attributes
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.imap.listing import Listed, Listing
from bascule.mailbox.imap.syntax import set_between, write_set
from bascule.mailbox.job import VerifyLevel
from bascule.mailbox.messages.digests import digests
from bascule.mailbox.messages.own_date import own_dates
from bascule.mailbox.state.uidmap import UidMap
from bascule.mailbox.workers import Side

WINDOW = 2000  # messages compared at once: it bounds the memory
SPARSE = 4  # a window is asked for as one span unless that names so many times more messages
Pair = tuple[int, int, str]  # old UID, new UID, origin
BothListed = tuple[dict[int, Listed], dict[int, Listed]]  # by UID: what old and new list


@dataclass(frozen=True)
class Difference:
    """One message that is not the same on both sides. `kind`: missing, size, date, flags, content."""

    kind: str
    old_uid: int
    new_uid: int
    old: str
    new: str


@dataclass
class Verified:
    """What was compared in one folder: messages and bytes that are the same, and every difference."""

    new_status: FolderStatus
    messages: int = 0
    bytes: int = 0
    differences: list[Difference] = field(default_factory=list)
    new_flags: dict[int, Flags] = field(default_factory=dict)  # old UID -> what new says, where flags differ
    wrong_sizes: int = 0  # that servers tell of messages whose octets are the same
    server_fields: int = 0  # messages that differ in nothing but the fields in which a server keeps its own state


def verify_folder(
    old: Side,
    new: Side,
    uid_map: UidMap,
    level: VerifyLevel,
    *,
    since: int = 0,
    besides: Collection[int] = (),
    avoided: Collection[int] = (),
) -> Verified:
    """Compare the mapped messages from old UID `since` on, and those `besides`.

    `avoided`: old UIDs that must not even be listed.
    """
    wanted = ((o, n, origin) for o, n, origin in uid_map if level != "none" and (o >= since or o in besides))
    window = list(islice(wanted, WINDOW))
    known = new.session.selected is not None and new.session.selected.name == new.name  # so that it is surely there
    selecting = new.session.begin_select(new.name)
    selected = None if known else new.session.finish_select(selecting, new.name)
    listed = _ask_both(old, new, window, avoided) if window else None
    selected = selected or new.session.finish_select(selecting, new.name)
    result = Verified(selected.status)
    while listed is not None:
        _verify_window(result, old, new, window, level, listed())
        window = list(islice(wanted, WINDOW))
        listed = _ask_both(old, new, window, avoided) if window else None
    return result


def _verify_window(
    result: Verified, old: Side, new: Side, pairs: list[Pair], level: VerifyLevel, both: BothListed
) -> None:
    old_listed, new_listed = both
    present = [(old_listed[o], new_listed.get(n), n, origin) for o, n, origin in pairs if o in old_listed]
    same_text = _with_other_size(result, old, new, present) if level == "attributes" else set()
    dateless = [ours.uid for ours, _, _, _ in present if ours.date == internaldate.UNKNOWN]
    own = own_dates(old, dateless) if level != "counts" else {}
    for ours, theirs, new_uid, origin in present:  # the others were removed on old: the next pass carries that
        size = theirs.size if theirs is not None and ours.uid in same_text else ours.size
        date = own.get(ours.uid, internaldate.UNKNOWN) if ours.date == internaldate.UNKNOWN else ours.date
        as_told = (size, date) == (ours.size, ours.date)
        mine = ours if as_told else replace(ours, size=size, date=date)
        _compare(result, mine, theirs, new_uid, origin, level)
    if level == "content":
        _compare_content(result, old, new, pairs)


def _with_other_size(
    result: Verified, old: Side, new: Side, present: list[tuple[Listed, Listed | None, int, str]]
) -> set[int]:
    """Old UIDs of those that have other sizes on both sides and the same text: servers tell wrong ones, or keep their
    own state in it."""
    other = {
        ours.uid: theirs.uid
        for ours, theirs, _, origin in present
        if theirs is not None and ours.size != theirs.size and origin != REPAIRED
    }
    if not other:
        return set()
    on_old, on_new = digests(old, list(other)), digests(new, list(other.values()))
    both = {uid: (on_old[uid], on_new[new]) for uid, new in other.items() if uid in on_old and new in on_new}
    same = {uid: one.octets == two.octets for uid, (one, two) in both.items() if one.mail == two.mail}
    result.wrong_sizes += sum(same.values())
    result.server_fields += len(same) - sum(same.values())
    return set(same)


def _ask_both(old: Side, new: Side, pairs: list[Pair], avoided: Collection[int]) -> Callable[[], BothListed]:
    """Both sides are asked before either is read; call what is returned to read them."""
    listings = []
    asked = []
    old_selected = old.session.begin_selected(old.name)
    for side, column_uids in ((old, [o for o, _, _ in pairs]), (new, [n for _, n, _ in pairs])):
        listing = Listing()
        uids = _set(column_uids, avoided if side is old else ())
        asked.append(begin_attributes(side.session, uids, listing))
        side.session.wire.flush()
        listings.append(listing)

    def read() -> BothListed:
        old_selected()
        for side, pending in zip((old, new), asked, strict=True):
            side.session.finish(pending)
        return {s.uid: s for s in listings[0]}, {s.uid: s for s in listings[1]}

    return read


def _set(uids: list[int], avoided: Collection[int]) -> bytes:
    """From the first to the last, unless most of what lies between was not asked for."""
    if max(uids) - min(uids) < SPARSE * len(uids):
        return set_between(min(uids), max(uids), avoided)
    return write_set(uid for uid in uids if uid not in avoided)


def _compare(result: Verified, old: Listed, new: Listed | None, new_uid: int, origin: str, level: VerifyLevel) -> None:
    if new is None:
        result.differences.append(Difference("missing", old.uid, new_uid, "", ""))
        return
    if origin == REPAIRED:
        return
    before = len(result.differences)
    if level != "counts":
        if level != "content" and old.size != new.size:
            result.differences.append(Difference("size", old.uid, new_uid, str(old.size), str(new.size)))
        if old.date not in (new.date, internaldate.UNKNOWN):
            result.differences.append(
                Difference("date", old.uid, new_uid, internaldate.show(old.date), internaldate.show(new.date))
            )
        if old.flags != new.flags:
            result.differences.append(Difference("flags", old.uid, new_uid, _show(old.flags), _show(new.flags)))
            result.new_flags[old.uid] = new.flags
    if len(result.differences) == before or result.differences[-1].kind == "flags":
        result.messages += 1
        result.bytes += old.size


def _compare_content(result: Verified, old: Side, new: Side, pairs: list[Pair]) -> None:
    compared = [(o, n) for o, n, origin in pairs if origin != REPAIRED]
    old_digests = digests(old, [o for o, _ in compared])
    new_digests = digests(new, [n for _, n in compared])
    for old_uid, new_uid in compared:
        mine, theirs = old_digests.get(old_uid), new_digests.get(new_uid)
        if mine is None or theirs is None or mine == theirs:
            continue
        if mine.mail == theirs.mail:
            result.server_fields += 1
        else:
            result.differences.append(Difference("content", old_uid, new_uid, mine.octets.hex(), theirs.octets.hex()))


def _show(flags: Flags) -> str:
    return " ".join(sorted(flag.decode("latin-1") for flag in flags))
