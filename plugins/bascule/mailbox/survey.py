"""What would a pass cost? Asks both servers how their folders stand, compares with the ledger, copies nothing."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import FolderRow
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.errors import MailboxFailed, Refused, TransientError
from bascule.mailbox.folders import Folder, FolderStatus, Surroundings, look_around
from bascule.mailbox.listing import Listing
from bascule.mailbox.session import Session
from bascule.mailbox.state import name_hash


@dataclass(frozen=True)
class Forecast:
    """What the next pass over one mailbox has to do. `looks`: folders in which something has changed."""

    account: str
    unchanged: bool
    folders: int
    looks: int
    new_messages: int
    new_bytes: int
    trouble: str = ""


def survey(
    jobs: Iterable[MailboxJob], ledger: Ledger, *, connections: int = 4, tell: Callable[[Forecast], None] | None = None
) -> list[Forecast]:
    """Look at many mailboxes, so many at a time; the forecasts in the order of the jobs."""
    waiting = deque(enumerate(jobs))
    found: dict[int, Forecast] = {}
    rows = _rows(ledger)

    def work() -> None:
        while True:
            try:
                number, job = waiting.popleft()
            except IndexError:
                return
            found[number] = _forecast(job, rows.get(job.account, {}))
            if tell:
                tell(found[number])

    threads = [threading.Thread(target=work, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in sorted(found)]


def _rows(ledger: Ledger) -> dict[str, dict[str, FolderRow]]:
    rows: dict[str, dict[str, FolderRow]] = {}
    with ledger.reading() as session:
        for row in mailboxes.all_folders(session):
            rows.setdefault(row.account, {})[row.old_hash] = row
    return rows


def _forecast(job: MailboxJob, rows: dict[str, FolderRow]) -> Forecast:
    """Only the old server is asked: what changed on new alone costs a pass next to nothing."""
    try:
        session = Session(job.old)
        try:
            return _compare(session, job, look_around(session), rows)
        finally:
            session.close()
    except (TransientError, MailboxFailed, Refused) as error:
        return Forecast(job.account, False, 0, 0, 0, 0, str(error))


def _compare(session: Session, job: MailboxJob, old: Surroundings, rows: dict[str, FolderRow]) -> Forecast:
    folders = [folder for folder in old.folders.values() if folder.status is not None]
    looks = messages = octets = 0
    for folder in folders:
        row = rows.get(name_hash(folder.raw))
        if folder.status is None or _same(row, folder.status):
            continue
        looks += 1
        known = row is not None and row.finished and row.old_uidvalidity == folder.status.uidvalidity
        first = row.old_uidnext if known and row is not None else 1
        if folder.status.messages and folder.status.uidnext > first:
            added, size = _new_in(session, folder, first)
            messages, octets = messages + added, octets + size
    gone = set(rows) - {name_hash(raw) for raw in old.folders}
    return Forecast(job.account, not looks and not gone, len(folders), looks, messages, octets)


def _same(row: FolderRow | None, status: FolderStatus) -> bool:
    if row is None or not row.finished:
        return False
    return (row.old_uidvalidity, row.old_uidnext, row.old_modseq, row.old_messages) == (
        status.uidvalidity, status.uidnext, status.modseq, status.messages,
    )  # fmt: skip


def _new_in(session: Session, folder: Folder, first: int) -> tuple[int, int]:
    listing = Listing()
    session.ensure_selected(folder.raw)
    handler = listing.handler(session.wire)
    session.run(b"UID FETCH", b"%d:*" % first, b"(UID FLAGS INTERNALDATE RFC822.SIZE)", handler=handler)
    sizes = [size for uid, size in zip(listing.uids, listing.sizes, strict=True) if uid >= first]
    return len(sizes), sum(sizes)
