"""What has changed in one folder on both sides; what becomes of a folder that a server does not list."""

import contextlib

from bascule.mailbox.context import PassContext
from bascule.mailbox.folders.problems import (
    report_closed_on_new,
    report_unlisted,
    report_unreadable,
    was_incomplete,
)
from bascule.mailbox.folders.uidvalidity import begin_anew_on_old, may_begin_anew_on_new
from bascule.mailbox.imap.errors import FolderBusy, NotUnderstood, Refused, SourceBroke, TransientError, is_busy
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.messages.changes import Changes, SideChanges, SideQuery, remember_interrupted
from bascule.mailbox.messages.placeholders import may_be_left, remove_left
from bascule.mailbox.messages.unlistable import set_unlistable_aside
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions
from bascule.text.logs import get_logger

log = get_logger(__name__)


def find_changes(context: PassContext, folder: FolderState, sessions: Sessions) -> Changes | None:
    """Ask both servers. None when a person has to decide first. Raises FolderBusy, TransientError."""
    folder.sides(sessions)  # logged in: a connection that is lost from here on is lost at this folder
    try:
        if context.counts.broken_listings["old", folder.name] and not context.dry_run:
            set_unlistable_aside(folder, sessions)
        if may_be_left(folder.row) and not context.dry_run:
            _remove_placeholders(folder, sessions)
        changes = _ask_both(context, folder, sessions)
    except Refused as error:
        sessions.close(cut=True)  # what was asked behind the refused command is still under way
        _not_opened(context, folder, error)
        return None
    except TransientError as error:
        _broke_off(context, folder, sessions, error)
        raise
    if changes is None:
        log.info("folder waits for a person", folder=folder.name)
        return None
    folder.row.old_uidvalidity = changes.old.status.uidvalidity
    folder.row.new_uidvalidity = changes.new.status.uidvalidity
    if changes.new.unlisted:
        raise FolderBusy(Refused("to list all messages", _counted(changes.new), side="new"))
    if changes.old.unlisted:
        report_unlisted(context.problems, folder.name, _counted(changes.old))
    remember_interrupted(folder, changes)
    return changes


def _remove_placeholders(folder: FolderState, sessions: Sessions) -> None:
    """What a copy has left that was interrupted: of an account that has moved, it may have gone the other way."""
    if folder.new is not None:
        remove_left(sessions.destination, folder.new_encoded)
    with contextlib.suppress(Refused):
        remove_left(sessions.source, folder.old.encoded)


def _ask_both(context: PassContext, folder: FolderState, sessions: Sessions) -> Changes | None:
    """None while a person is asked whether the folder may begin anew."""
    while True:
        in_full = was_incomplete(context.problems, folder.name)
        queries = [SideQuery(sessions.source, folder, is_old=True, in_full=in_full)]
        if folder.new is not None:
            queries.append(SideQuery(sessions.destination, folder, is_old=False))
        for query in queries:
            query.begin()
        old, *rest = [query.finish() for query in queries]
        new = rest[0] if rest else SideChanges(FolderStatus(0, 1, 0, 0))
        if old is not None and new is not None:
            return Changes(old, new)
        if old is not None and not may_begin_anew_on_new(sessions, folder, context.problems):
            return None
        if old is None and new is not None and len(folder.map) and not context.dry_run:
            begin_anew_on_old(sessions, folder, context.counts)
            continue
        log.warning("UIDVALIDITY has changed: messages are matched by content", folder=folder.name)
        folder.forget_map()


def _broke_off(context: PassContext, folder: FolderState, sessions: Sessions, error: TransientError) -> None:
    """A message of old may be the cause, which the next attempt looks for; else it is the folder itself.

    Raises FolderBusy then, so that all other folders are done.
    """
    side = "old" if sessions.source_lost else "new" if sessions.destination_lost else ""
    if not side or isinstance(error, NotUnderstood):
        return
    broken = context.counts.broken_listings
    broken[side, folder.name] += 1
    if broken[side, folder.name] > 1:
        raise FolderBusy(Refused("to list all messages", str(error), side=side)) from None
    if side == "old":
        raise SourceBroke(context.job.old) from None


def _not_opened(context: PassContext, folder: FolderState, error: Refused) -> None:
    if is_busy(error):
        raise FolderBusy(error) from None
    report_unopened(context, folder, error)


def report_unopened(context: PassContext, folder: FolderState, error: Refused | FolderBusy) -> None:
    """What a server does not let into the folder for is a person's business."""
    if error.side == "new":
        report_closed_on_new(context.problems, folder.name, folder.row.new_name, error.text)
    else:
        report_unreadable(context.problems, folder.name, error.text)


def _counted(side: SideChanges) -> str:
    return f"{side.status.messages} message(s) are there, it says, and {side.unlisted} of them are not listed"
