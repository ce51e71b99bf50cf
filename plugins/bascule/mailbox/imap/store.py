"""What changes messages that are there: UID STORE, UID EXPUNGE, and the UID SEARCH that goes before."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bascule.mailbox.imap.flags import DELETED, Flags
from bascule.mailbox.imap.responses import whole_number
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.imap.syntax import parse_set, write_set

MESSAGES_AT_ONCE = 1000  # in one command


def begin_store(
    session: Session, flags: Flags, uids: Sequence[int], *, add: bool = False, modseq: int = 0
) -> list[Pending]:
    """Ask for messages of the selected folder to bear these flags and no others, or (`add`) these as well.

    `modseq`: not those that have changed since (UNCHANGEDSINCE, RFC 7162); 0: all.
    """
    item = b"+FLAGS.SILENT" if add else b"FLAGS.SILENT"
    text = b"(" + b" ".join(sorted(flags)) + b")"
    guard = [b"(UNCHANGEDSINCE %d)" % modseq] if modseq else []
    return [session.begin(b"UID STORE", piece, *guard, item, text) for piece in _pieces(uids)]


def store(session: Session, flags: Flags, uids: Sequence[int], *, add: bool = False, modseq: int = 0) -> None:
    """The same, and wait for the answers. Raises Refused, NotUnderstood."""
    for pending in begin_store(session, flags, uids, add=add, modseq=modseq):
        session.finish(pending)


def expunge(session: Session, name: bytes, uids: Sequence[int]) -> None:
    """Expunge these messages and no other. Without UIDPLUS (RFC 4315) they only bear \\Deleted when others do too."""
    session.ensure_selected(name, write=True)
    if session.has("UIDPLUS"):
        store(session, DELETED, uids, add=True)
        for pending in [session.begin(b"UID EXPUNGE", piece) for piece in _pieces(uids)]:
            session.finish(pending)
        return
    marked = search(session, b"DELETED")
    store(session, DELETED, uids, add=True)
    if set(marked) <= set(uids):
        session.run(b"EXPUNGE")


def search(session: Session, *criteria: bytes) -> list[int]:
    """The UIDs of the selected folder's messages that fit."""
    found = session.run(b"UID SEARCH", *criteria).named(b"SEARCH")
    return [uid for response in found for uid in map(whole_number, response[2:]) if uid]


def search_all(session: Session) -> Iterator[int]:
    """The UIDs of all messages of the selected folder; as a set where the server writes one (ESEARCH, RFC 4731)."""
    if not session.has("ESEARCH"):
        yield from search(session, b"ALL")
        return
    for response in session.run(b"UID SEARCH RETURN (ALL) ALL").named(b"ESEARCH"):
        for name, value in pairwise(response):
            if name == b"ALL" and isinstance(value, bytes):
                yield from (uid for first, last in parse_set(value) for uid in range(first, last + 1))


def _pieces(uids: Sequence[int]) -> list[bytes]:
    return [write_set(uids[i : i + MESSAGES_AT_ONCE]) for i in range(0, len(uids), MESSAGES_AT_ONCE)]
