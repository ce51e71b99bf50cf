"""What is remembered of a mailbox, turned round: old and new change places, so that passes carry it the other way.

The ledger's columns are named for the usual way. Turned, `old_...` is the side that passes carry from, which is new.

The first pass after it compares each folder as a whole: what was saved on the side to which passes had carried, while
one of them went on, is below the UIDs that it noted last, and nobody has carried it. What waits for a person on one
side waits for it until passes carry from there again.
"""

from sqlalchemy.orm import Session

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import COPIED, FolderRow, Source
from bascule.mailbox.imap.flags import NONE
from bascule.mailbox.state.flags import Memory
from bascule.mailbox.state.folder import name_hash
from bascule.mailbox.state.uidmap import Runs, UidMap
from bascule.text import mutf7
from bascule.text.logs import get_logger

log = get_logger(__name__)

SWAPPED = ("uidvalidity", "uidnext", "modseq", "messages")


def turn(ledger: Ledger, account: str, source: Source) -> None:
    """Let passes carry from `source` on: all of the mailbox in one transaction, or nothing where it is so already."""
    with ledger.reading() as session:
        if mailboxes.source_of(session, account) == source:
            return
    with ledger.session() as session:
        folders = mailboxes.folders_of(session, account)
        met = [folder for folder in folders if folder.new_uidvalidity]
        for folder in folders:
            if folder in met:
                folder.old_hash = f"turning {folder.id}"  # no two may have the same, in between neither
            else:
                mailboxes.forget_folder(session, folder.id)  # no pass has brought it to the other side
        session.flush()
        for folder in met:
            _turn(session, folder)
        mailboxes.set_source(session, account, source)
    log.info("passes carry this mailbox the other way from now on", account=account, source=source, folders=len(met))


def _turn(session: Session, row: FolderRow) -> None:
    memory, turned = Memory(*mailboxes.flags_of(session, row.id)), Memory()
    runs = list(mailboxes.runs_of(session, row.id))
    _turn_flags(UidMap(runs), memory, turned)
    doubt_from = max(1, row.old_uidnext)
    aside = mailboxes.turned_aside(session, row.id)
    mailboxes.forget_uids(session, row.id)
    mailboxes.keep_aside(session, row.id, aside)
    mailboxes.replace_runs(session, row.id, Runs(sorted((new, old, length, COPIED) for old, new, length, _ in runs)))
    mailboxes.set_flags(session, row.id, turned.pack(lambda uid: True))
    for name in SWAPPED:
        old, new = getattr(row, f"old_{name}"), getattr(row, f"new_{name}")
        setattr(row, f"old_{name}", new)
        setattr(row, f"new_{name}", old)
    row.old_name, row.new_name = row.new_name, row.old_name
    row.old_hash = name_hash(mutf7.encode(row.old_name))
    row.created, row.foreign_uid, row.given_uidvalidity = True, 0, 0
    row.finished, row.doubt_from = False, doubt_from


def _turn_flags(known: UidMap, memory: Memory, turned: Memory) -> None:
    for old_uid, new_uid, _ in known:
        if not memory.knows(old_uid):
            continue
        on_old, on_new = memory.old(old_uid) or NONE, memory.new(old_uid)
        turned.remember(new_uid, on_old if on_new is None else on_new, on_old)
    turned.settle()
