"""Messages that new has stored twice: a connection was lost before it answered, and it went on storing what it had got
after the message had been looked for, not found, and sent again.
"""

import time

from bascule.mailbox.imap.fetch import list_from, list_messages
from bascule.mailbox.imap.listing import Listed
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
        counts.unanswered_from.setdefault(folder.row.id, folder.arriving_from)
        counts.lost_at = time.monotonic()


def remove_late_arrivals(counts: Counts, folder: FolderState, source: Side, destination: Side) -> None:
    """Of the messages that have been sent more than once, keep the one that is in the map.

    The others are the same in octets, date and flags, in the same folder, and came while the folder was copied: in
    whichever attempt of this pass, since a server may take some seconds for what several lost connections have brought.
    """
    uids = counts.unanswered.pop(folder.row.id, None)
    if not uids:
        return
    time.sleep(max(0.0, counts.lost_at + LATEST - time.monotonic()))
    listed = list_from(destination.session, destination.name, counts.unanswered_from.pop(folder.row.id))
    unknown = [message for message in listed if folder.map.old_of(message.uid) is None]
    sent = list_messages(source.session, source.name, [uid for uid in uids if uid in folder.map])
    late: set[int] = set()
    while again := _same(source, destination, sent, [message for message in unknown if message.uid not in late]):
        late |= again
    if late:
        expunge(destination.session, destination.name, sorted(late))
        log.warning("new had stored messages twice after it broke off", folder=folder.name, removed=len(late))


def _same(source: Side, destination: Side, sent: list[Listed], unknown: list[Listed]) -> set[int]:
    """New UIDs of one more of each of these."""
    return {
        pair.destination.uid
        for pair in match(source, destination, sent, unknown)
        if pair.same_octets and (pair.source.date, pair.source.flags) == (pair.destination.date, pair.destination.flags)
    }
