"""Small messages in the place of UIDs that old has no more: appended to new between the others, and expunged at once.

So a folder with many small gaps gets old's UIDs by as many APPENDs as one without: a command for each gap would take
new a millisecond in a small folder and twenty in one of 40,000 messages. They bear \\Deleted from the beginning. What a
crash leaves of them is known by its header, its size and its flags, and goes before anything else is done.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from bascule.ledger.mailboxes import KEPT, FolderRow
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.append import Append
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.imap.quota import Quota
from bascule.mailbox.imap.session import Session
from bascule.mailbox.imap.store import expunge, search
from bascule.mailbox.state.folder import FolderState

MOST = 8  # missing UIDs between two messages; more are left out by a command
HEADER, VALUE = b"X-Bascule-Placeholder", b"for a UID that the old server has no more"
TEXT = HEADER + b": " + VALUE + b"\r\nSubject: placeholder\r\n\r\n"
AT_ONCE = 800 * MOST  # of one session, before they are expunged
FLAGS: Flags = frozenset((b"\\Seen", b"\\Deleted"))


def are_needed(uids: Iterable[int]) -> bool:
    """Whether UIDs are missing between these, which ascend, that placeholders may stand for."""
    return any(1 < other - one <= MOST + 1 for one, other in pairwise(uids))


class Placeholders:
    """Those of one copy in order. `allowed`: whether new may be given any."""

    def __init__(self, folder: FolderState, allowed: bool) -> None:
        self._folder, self._allowed = folder, allowed
        self._first = 0  # the lowest UID of those that new has told of

    def may_fill(self, missing: int) -> bool:
        """Whether so many UIDs are left out by them."""
        return self._allowed and 0 < missing <= MOST

    def put(self, append: Append, number: int) -> None:
        """So many into an APPEND that goes on."""
        self._folder.placeholders += number
        for _ in range(number):
            if append.begin_message(FLAGS, internaldate.UNKNOWN, len(TEXT)):
                append.write(TEXT)

    def told(self, uids: Sequence[int]) -> None:
        """New has stored these, by its answer, which is not believed so far that anything was expunged by it."""
        self._first = min(self._first or uids[0], *uids)

    def remove(self, session: Session) -> None:
        """Expunge those that new has told of; the session then has the folder selected."""
        if self._first:
            self._folder.placeholders -= remove_left(session, self._folder.new_encoded, self._first)
            self._first = 0


def fit(quota: Quota, octets: int, messages: int, sessions: int) -> bool:
    """Whether so many sessions may put them into an account beside so much mail: nothing of it comes near its quota."""
    number = sessions * AT_ONCE
    return quota.fits(octets + number * len(TEXT), messages + number)


def may_be_left(row: FolderRow) -> bool:
    """Whether a copy that kept UIDs was interrupted in this folder."""
    return not row.finished and (row.uids == KEPT or row.uids_ended_at is not None)


def find_left(session: Session, name: bytes, first: int = 1) -> list[int]:
    """The UIDs of all that are in this folder from this UID on."""
    if not session.has("UIDPLUS"):
        return []  # none were ever sent there
    session.ensure_selected(name)
    octets = b"LARGER %d SMALLER %d" % (len(TEXT) - 1, len(TEXT) + 1)
    return search(session, b"UID %d:*" % first, b"DELETED SEEN", octets, b"HEADER", HEADER, b'"%s"' % VALUE)


def remove_left(session: Session, name: bytes, first: int = 1) -> int:
    """Expunge all that are in this folder from this UID on, and nothing else. How many there were."""
    left = find_left(session, name, first)
    if left:
        expunge(session, name, left)
    return len(left)
