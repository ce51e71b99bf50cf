"""Whether a folder has on new the UIDs that it has on old: the whole lists of both sides, as the servers tell them."""

from collections.abc import Callable

from bascule.mailbox.imap.store import search_all
from bascule.mailbox.state.uidmap import UidMap
from bascule.mailbox.workers import Side

NAMED = 5  # UIDs in a sentence


def differing_uids(
    old: Side, new: Side, uid_map: UidMap, below: int, is_explained: Callable[[int], bool]
) -> list[str]:  # fmt: skip
    """What differs, as sentences. `below`: what old had given when the copy began.

    `is_explained`: whether it is known why the message of this old UID is not on new. The map only explains others: a
    message that was carried late, or which its user has kept on new. Raises Refused, TransientError.
    """
    here, there = (side.session.select(side.name).status for side in (old, new))
    if here.uidvalidity != there.uidvalidity:
        return [f"UIDVALIDITY is {here.uidvalidity} on old and {there.uidvalidity} on new"]
    on_old, on_new = set(search_all(old.session)), set(search_all(new.session))
    sentences = []
    if there.uidnext < below:
        sentences.append(f"new's next UID is {there.uidnext}, and old had given {below - 1}")
    lacking = sorted(uid for uid in on_old - on_new if uid < below and not _is_elsewhere(uid_map, uid, is_explained))
    if lacking:
        sentences.append(f"{len(lacking)} message(s) of old are on new under no UID or another one: {_some(lacking)}")
    foreign = sorted(uid for uid in on_new - on_old if uid < below and uid_map.old_of(uid) != uid)
    if foreign:
        sentences.append(f"{len(foreign)} message(s) of new have UIDs that old had given to others: {_some(foreign)}")
    return sentences


def _is_elsewhere(uid_map: UidMap, uid: int, is_explained: Callable[[int], bool]) -> bool:
    found = uid_map.find(uid)
    return is_explained(uid) or (found is not None and found[0] != uid)


def _some(uids: list[int]) -> str:
    return ", ".join(map(str, uids[:NAMED])) + (", ..." if len(uids) > NAMED else "")
