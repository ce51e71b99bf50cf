"""Messages that new has stored twice: a connection was lost before it answered, and it went on storing what it had got
after the message had been looked for, not found, and sent again.
"""

import time

from bascule.mailbox.imap.fetch import list_from, list_messages
from bascule.mailbox.imap.store import expunge
from bascule.mailbox.messages.match import match
from bascule.mailbox.state.folder import Counts, FolderState
from bascule.mailbox.workers import Side
from bascule.text.logs import get_logger

log = get_logger(__name__)

LATEST = 2.0  # seconds after a connection is lost in which a server may still store what it has got by it


def note_unanswered(counts: Counts, folder: FolderState, uids: list[int]) -> None:
    """These messages were on their way to new when its connection was lost."""
    with counts.lock:
        counts.unanswered.setdefault(folder.row.id, set()).update(uids)
        counts.lost_at = time.monotonic()


def remove_late_arrivals(counts: Counts, folder: FolderState, source: Side, destination: Side) -> None:
    """Of the messages that have been sent twice, remove the one that no answer has told.

    It is the same in octets, date and flags, in the same folder, and came while the folder was copied.
    """
    uids = counts.unanswered.pop(folder.row.id, None)
    if not uids:
        return
    time.sleep(max(0.0, counts.lost_at + LATEST - time.monotonic()))
    listed = list_from(destination.session, destination.name, folder.arriving_from)
    unknown = [message for message in listed if folder.map.old_of(message.uid) is None]
    sent = list_messages(source.session, source.name, [uid for uid in uids if uid in folder.map])
    late = [
        pair.destination.uid
        for pair in match(source, destination, sent, unknown)
        if pair.same_octets and (pair.source.date, pair.source.flags) == (pair.destination.date, pair.destination.flags)
    ]
    if late:
        expunge(destination.session, destination.name, late)
        log.warning("new had stored messages twice after it broke off", folder=folder.name, removed=len(late))
