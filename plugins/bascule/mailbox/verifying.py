"""Verification inside a pass: which folders' messages are compared, what becomes of differences, what is remembered."""

from bascule.ledger import mailboxes
from bascule.ledger.base import now
from bascule.ledger.mailboxes import COPIED, VerificationRow
from bascule.logs import get_logger
from bascule.mailbox.context import PassContext
from bascule.mailbox.flags import SYSTEM, Flags
from bascule.mailbox.folders import FolderStatus
from bascule.mailbox.lanes import Lane
from bascule.mailbox.looking import UNLISTABLE, list_messages
from bascule.mailbox.rejects import Rejects
from bascule.mailbox.state import FolderState
from bascule.mailbox.verify import Difference, Side, Verified, verify_folder

log = get_logger(__name__)


def check_folder(
    context: PassContext, folder: FolderState, lane: Lane, seen_before: FolderStatus, dropped: Flags
) -> FolderStatus:
    """Verify a folder after its copy; return what new said of it then, for the ledger."""
    level = context.job.options.verify
    if not folder.touched and folder.row.finished and folder.row.old_uidnext:
        return seen_before
    old, new = Side(lane.old, folder.old.raw), Side(lane.new, folder.new_raw)
    # Size and date never change under one UID (RFC 9051 2.3.1.1): what was verified once needs no second look.
    since = folder.row.old_uidnext if level != "none" and folder.verified_before(level) else 0
    unlistable = [uid for uid, (kind, _) in folder.exceptions.items() if kind == UNLISTABLE]
    result = verify_folder(old, new, folder.map, level, since=since, besides=folder.recheck, avoided=unlistable)
    treat(context, folder, lane, result, dropped)
    if level != "none":
        write(folder, level, result)
        context.counts.add(verified=result.messages)
    return result.new_status


def treat(context: PassContext, folder: FolderState, lane: Lane, result: Verified, dropped: Flags) -> None:
    """What differs: users' own changes on new stay, the server's alterations are problems."""
    keywords: dict[bytes, int] = {}
    changed: dict[int, list[Difference]] = {}
    lost: list[int] = []
    for difference in result.differences:
        if difference.kind == "missing":
            if folder.memory.gone(difference.old_uid):
                continue
            if _just_copied(folder, difference.old_uid):
                lost.append(difference.old_uid)
            else:
                folder.memory.remember(difference.old_uid, folder.memory.old(difference.old_uid) or frozenset(), None)
        elif difference.kind == "flags":
            for keyword in _lost_keywords(folder, result, difference.old_uid) - dropped:
                keywords[keyword] = keywords.get(keyword, 0) + 1
        else:
            changed.setdefault(difference.old_uid, []).append(difference)
    for keyword, messages in keywords.items():
        context.troubles.keyword(folder.shown, keyword.decode("latin-1"), messages, "")
    rejects = Rejects(context, folder)
    rejects.lost(lane, lost)
    for seen in list_messages(lane.old, folder.old.raw, sorted(changed)):
        first = changed[seen.uid][0]
        action = "accept" if first.kind == "date" else "repair"
        words = f"The new server shows another {first.kind}: {first.new} instead of {first.old}."
        rejects.altered(lane, seen, words, action)


def _just_copied(folder: FolderState, old_uid: int) -> bool:
    """Whether this pass has put the message on new (the row still holds what the last finished pass saw)."""
    found = folder.map.find(old_uid)
    return old_uid >= folder.row.old_uidnext and found is not None and found[1] == COPIED


def _lost_keywords(folder: FolderState, result: Verified, old_uid: int) -> Flags:
    """Keywords that this pass gave to new and that are not there; new's flags as they are go into the memory."""
    there = result.new_flags[old_uid]
    old, given = folder.memory.old(old_uid), folder.memory.new(old_uid)
    if old is None or given is None:
        return frozenset()
    folder.memory.remember(old_uid, old, there)
    return frozenset(flag for flag in given - there if flag not in SYSTEM.values())


def write(folder: FolderState, level: str, result: Verified) -> None:
    """Keep the folder's result in the ledger, with every difference by name."""
    gone = sum(1 for old_uid, _, _ in folder.map if folder.memory.gone(old_uid))
    altered = sum(1 for uid in folder.exceptions if uid in folder.map)
    with folder.ledger.session() as session:
        mailboxes.set_verification(
            session,
            VerificationRow(
                folder_id=folder.row.id,
                level=level,
                messages=len(folder.map) - gone - altered,
                bytes=folder.row.bytes,
                removed_on_new=gone,
                excepted=len(folder.exceptions),
                differences=[vars(difference) for difference in result.differences[:1000]],
                at=now(),
            ),
        )
