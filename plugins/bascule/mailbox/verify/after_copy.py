"""Verification inside a pass: which folders' messages are compared, what becomes of differences, what is remembered."""

from collections import Counter

from bascule.ledger.base import now
from bascule.ledger.mailboxes import COPIED, VerificationRow
from bascule.mailbox.context import PassContext
from bascule.mailbox.imap.fetch import list_messages
from bascule.mailbox.imap.flags import NONE, Flags
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.job import VerifyLevel
from bascule.mailbox.messages.new_uids import correct_new_uids
from bascule.mailbox.messages.problems import report_keyword
from bascule.mailbox.messages.refused import OTHER_DATE, OTHER_OCTETS, MessagesAside
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.verify.compare import Difference, Verified, verify_folder
from bascule.mailbox.workers import Sessions, Side
from bascule.problems.model import Action
from bascule.text.logs import get_logger

log = get_logger(__name__)


def verify_after_copy(
    context: PassContext, folder: FolderState, sessions: Sessions, dropped: Flags
) -> tuple[FolderStatus | None, VerificationRow | None]:
    """Verify a folder after its copy: what new said of it then, and the result (None: nothing was verified)."""
    level = context.job.options.verify
    if not folder.touched and not folder.distrusted and folder.row.finished and folder.row.old_uidnext:
        return None, None
    old, new = Side(sessions.source, folder.old.encoded), Side(sessions.destination, folder.new_encoded)
    # Size and date never change under one UID (RFC 9051 2.3.1.1): what was verified once needs no second look.
    again = folder.distrusted or level == "none" or not folder.verified_before(level)
    since = 0 if again else folder.row.old_uidnext
    result = verify_folder(
        old, new, folder.map, level, since=since, besides=folder.recheck | folder.late, avoided=folder.unlistable()
    )
    if any(d.kind == "missing" and _just_copied(folder, d.old_uid) for d in result.differences):
        copied = [uid for uid, _, origin in folder.map if _just_copied(folder, uid) and origin == COPIED]
        correct_new_uids(folder, old, new, copied)
        result = verify_folder(
            old, new, folder.map, level, since=since, besides=folder.recheck | folder.late, avoided=folder.unlistable()
        )
    if result.wrong_sizes:
        log.warning(
            "the servers tell other sizes than messages have; their octets were compared and are the same",
            folder=folder.name, messages=result.wrong_sizes,
        )  # fmt: skip
    if result.server_fields:
        log.warning(
            "a server keeps its own state (Status, X-UID, ...) in messages, and has changed it since they were copied; "
            "all else is the same", folder=folder.name, messages=result.server_fields,
        )  # fmt: skip
    _treat(context, folder, sessions, result, dropped)
    if level == "none":
        return result.new_status, None
    context.counts.add(verified=result.messages)
    return result.new_status, _result(folder, level, result)


def _treat(context: PassContext, folder: FolderState, sessions: Sessions, result: Verified, dropped: Flags) -> None:
    """What differs: users' own changes on new stay, the server's alterations are problems."""
    keywords: Counter[bytes] = Counter()
    changed: dict[int, Difference] = {}  # the first of each message
    lost: list[int] = []
    for difference in result.differences:
        uid = difference.old_uid
        if difference.kind == "flags":
            keywords.update(_lost_keywords(folder, result, uid) - dropped)
        elif difference.kind != "missing":
            changed.setdefault(uid, difference)
        elif folder.memory.gone(uid):
            continue
        elif _just_copied(folder, uid):
            lost.append(uid)
        else:
            folder.memory.remember(uid, folder.memory.old(uid) or NONE, None)
    for keyword, messages in keywords.items():
        report_keyword(context.problems, folder.name, keyword, messages)
    aside = MessagesAside(context, folder, sessions)
    aside.lost(lost)
    for message in list_messages(sessions.source, folder.old.encoded, changed):
        first = changed[message.uid]
        by_date = first.kind == "date"
        action, cause = (Action.ACCEPT, OTHER_DATE) if by_date else (Action.REPAIR, OTHER_OCTETS)
        words = f"The new server shows another {first.kind}: {first.new} instead of {first.old}."
        aside.altered(message, words, action, cause)


def _just_copied(folder: FolderState, old_uid: int) -> bool:
    """Whether this pass has put the message on new (the row still holds what the last finished pass saw)."""
    found = folder.map.find(old_uid)
    is_new = old_uid >= folder.row.old_uidnext or old_uid in folder.late
    return is_new and found is not None and found[1] == COPIED


def _lost_keywords(folder: FolderState, result: Verified, old_uid: int) -> Flags:
    """Flags that this pass gave to new and that are not there; new's flags as they are go into the memory."""
    there = result.new_flags[old_uid]
    old, given = folder.memory.old(old_uid), folder.memory.new(old_uid)
    if old is None or given is None:
        return NONE
    folder.memory.remember(old_uid, old, there)
    return given - there


def _result(folder: FolderState, level: VerifyLevel, result: Verified) -> VerificationRow:
    """The folder's result for the ledger, with every difference by name."""
    gone = sum(1 for old_uid, _, _ in folder.map if folder.memory.gone(old_uid))
    altered = sum(1 for uid in folder.aside if uid in folder.map)
    return VerificationRow(
        level=level, messages=len(folder.map) - gone - altered, bytes=folder.row.bytes,
        removed_on_new=gone, excepted=len(folder.aside),
        differences=[vars(difference) for difference in result.differences[:1000]], at=now(),
    )  # fmt: skip
