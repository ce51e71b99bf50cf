"""Messages at which a server breaks off when it is only asked for their flags, size and date."""

from bascule.mailbox.imap.errors import TransientError
from bascule.mailbox.imap.fetch import list_messages
from bascule.mailbox.imap.store import search
from bascule.mailbox.imap.syntax import set_between
from bascule.mailbox.state.folder import UNLISTABLE, FolderState
from bascule.mailbox.workers import Sessions


def set_unlistable_aside(folder: FolderState, sessions: Sessions) -> None:
    """Find them among what is new since the last pass. Costs a connection for every such message and halving."""
    if folder.row.id is None:
        folder.save_row()
    name = folder.old.encoded
    sessions.source.select(name)
    uids = search(sessions.source, b"UID", set_between(max(1, folder.row.old_uidnext), None))  # asks for no flags
    waiting = [sorted(set(uids))]
    while waiting:
        some = waiting.pop()
        if not _breaks_off(sessions, name, some):
            continue
        middle = len(some) // 2
        if middle:
            waiting += [some[:middle], some[middle:]]
        else:
            folder.set_aside(some[0], UNLISTABLE)


def _breaks_off(sessions: Sessions, name: bytes, uids: list[int]) -> bool:
    try:
        list_messages(sessions.source, name, uids)
    except TransientError:
        if not sessions.source_lost:
            raise
        return True
    return False
