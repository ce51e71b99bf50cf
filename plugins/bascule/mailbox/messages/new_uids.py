"""The new UIDs of copied messages where new tells none (UIDPLUS, RFC 4315), or wrong ones: found by content."""

from collections.abc import Sequence

from bascule.mailbox.imap.errors import FolderBusy, Refused, TransientError
from bascule.mailbox.imap.fetch import list_from, list_messages
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.messages.match import match
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Side
from bascule.text.logs import get_logger

log = get_logger(__name__)


def find_new_uids(folder: FolderState, source: Side, destination: Side, sent: Sequence[Listed]) -> None:
    """Put those of the `sent` messages into the map that are not in it yet. Raises TransientError."""
    listed = list_from(destination.session, destination.name, folder.row.doubt_from)
    candidates = [message for message in listed if folder.map.old_of(message.uid) is None]
    missing = [message for message in sent if message.uid not in folder.map and message.uid not in folder.aside]
    matches = match(source, destination, missing, candidates)
    pairs = [(found.source, found.destination) for found in matches]
    done = {found.source.uid for found in matches}, {found.destination.uid for found in matches}
    rest_old = [message for message in missing if message.uid not in done[0]]
    rest_new = [message for message in candidates if message.uid not in done[1]]
    if rest_old and len(rest_old) == len(rest_new):  # altered on the way in; the verification will name them
        pairs += list(zip(rest_old, rest_new, strict=True))
    elif rest_old:
        raise TransientError(f"{len(rest_old)} copied message(s) of {folder.name} are not found on new yet")
    folder.arrived(
        [(old.uid, new.uid) for old, new in pairs],
        [(old.uid, old.flags, new.flags) for old, new in pairs],
    )
    folder.map.settle()


def correct_new_uids(folder: FolderState, source: Side, destination: Side, uids: list[int]) -> None:
    """New does not show under the UIDs that it has told what was copied: all of these messages are looked for."""
    told = {uid: known[0] for uid in uids if (known := folder.map.find(uid))}
    listed = list_from(destination.session, destination.name, folder.row.doubt_from)
    if not listed:
        raise FolderBusy(Refused("to list what it has taken", "it lists none of these messages", side="new"))
    sent = list_messages(source.session, source.name, told)
    folder.map.remove(uids)
    candidates = [message for message in listed if folder.map.old_of(message.uid) is None]
    found = {pair.source.uid: pair.destination.uid for pair in match(source, destination, sent, candidates)}
    log.warning("new has told wrong UIDs: messages are found by content", folder=folder.name, found=len(found))
    folder.arrived(sorted((told | found).items()), [])
    folder.map.settle()
