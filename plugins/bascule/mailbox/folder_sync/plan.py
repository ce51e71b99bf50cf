"""What is to be copied of one folder: what is not on new already, in bulk or one by one."""

from dataclasses import dataclass

from bascule.ledger.mailboxes import COPIED, FOUND
from bascule.mailbox.imap.listing import Listed, Selection
from bascule.mailbox.messages.changes import Changes
from bascule.mailbox.messages.match import match
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions
from bascule.text.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Plan:
    """What is to be copied: most messages in bulk, and some one by one; `all` are both."""

    changes: Changes
    all: Selection
    bulk: Selection
    single: list[Listed]


def plan_copy(changes: Changes, new_messages: Selection, folder: FolderState, largest: int) -> Plan:
    """The bulk copy does not touch what was set aside, and what no server takes (more than `largest` octets)."""
    aside = folder.aside
    single = new_messages.where(lambda uid, size: uid in aside or not 0 < size <= largest)
    return Plan(changes, new_messages, new_messages.without({message.uid for message in single}), single)


def not_on_new(changes: Changes, folder: FolderState, sessions: Sessions) -> Selection:
    """Old's new messages without those that are on new already: from before, or from a batch whose end was not seen."""
    row, new_messages = folder.row, changes.old.unmapped
    if row.finished:
        return new_messages
    in_doubt = row.old_uidnext == 0 and row.doubt_from > 1
    begin = row.doubt_from if in_doubt or len(folder.map) else 1
    candidates = [message for message in changes.new.unmapped if message.uid >= begin]
    if not candidates:
        return new_messages
    matches = match(*folder.sides(sessions), new_messages, candidates)
    ours = [m for m in matches if row.doubt_from > 1 and m.destination.uid >= row.doubt_from]
    ours_by_uid = {m.source.uid for m in ours}
    theirs = [m for m in matches if m.source.uid not in ours_by_uid]
    for origin, some in ((COPIED, ours), (FOUND, theirs)):
        folder.arrived([(m.source.uid, m.destination.uid) for m in some], [], origin)
    folder.save_runs()
    folder.map.settle()
    folder.take_back([m.source.uid for m in ours])
    changes.old.flags.update({m.source.uid: m.source.flags for m in matches})
    changes.new.flags.update({m.destination.uid: m.destination.flags for m in matches})
    if matches:
        log.info("messages found on new by their content", folder=folder.name, messages=len(matches))
    return new_messages.without({m.source.uid for m in matches})
