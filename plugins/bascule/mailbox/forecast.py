"""What would a pass cost? Asks both servers how their folders stand, compares with the ledger, copies nothing."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import CHANGED, FolderRow
from bascule.mailbox.imap.errors import MailboxFailed, Refused, TransientError
from bascule.mailbox.imap.fetch import list_from
from bascule.mailbox.imap.folders import FolderList, list_folders
from bascule.mailbox.imap.login import log_in
from bascule.mailbox.imap.session import Session
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.state.folder import last_on_old, name_hash
from bascule.text.logs import get_logger
from bascule.text.reason import mistake_of

log = get_logger(__name__)


@dataclass(frozen=True)
class Forecast:
    """What the next pass over one mailbox has to do. `looks`: folders in which something has changed.

    `gaps`: how often UIDs are left out between new messages, where they are kept. `changed_uids`: folders of which a
    pass has found that they can't be kept -> why.
    """

    account: str
    unchanged: bool
    folders: int
    looks: int
    new_messages: int
    new_bytes: int
    reason: str = ""
    gaps: int = 0
    changed_uids: Mapping[str, str] = field(default_factory=dict)


def no_forecast(account: str, reason: str) -> Forecast:
    """Of a mailbox that can't be looked at, and why; it will need a pass."""
    return Forecast(account, False, 0, 0, 0, 0, reason)


def forecast(
    jobs: Iterable[MailboxJob],
    ledger: Ledger,
    *,
    connections: int = 4,
    report: Callable[[Forecast], None] | None = None,
) -> list[Forecast]:
    """Look at many mailboxes, so many at a time; the forecasts in the order of the jobs, each with its `report`.

    A mistake of Bascule's at one mailbox is the reason for which that one has none.
    """
    rows = _rows(ledger)

    def one(job: MailboxJob) -> Forecast:
        found = _forecast(job, rows.get(job.account, {}))
        if report:
            report(found)
        return found

    with ThreadPoolExecutor(connections) as pool:
        return list(pool.map(one, jobs))


def _rows(ledger: Ledger) -> dict[str, dict[str, FolderRow]]:
    rows: dict[str, dict[str, FolderRow]] = {}
    with ledger.reading() as session:
        for row in mailboxes.all_folders(session):
            rows.setdefault(row.account, {})[row.old_hash] = row
    return rows


def _forecast(job: MailboxJob, rows: dict[str, FolderRow]) -> Forecast:
    """Only the old server is asked: what changed on new alone costs a pass next to nothing."""
    try:
        session = log_in(job.old)
        try:
            return _compare(session, job, list_folders(session), rows)
        finally:
            session.close()
    except (TransientError, MailboxFailed, Refused) as error:
        return no_forecast(job.account, str(error))
    except Exception as error:  # a mistake of ours at one odd mailbox must not hide it, nor the others
        log.exception("no forecast", account=job.account)
        return no_forecast(job.account, mistake_of(error))


def _compare(session: Session, job: MailboxJob, old: FolderList, rows: dict[str, FolderRow]) -> Forecast:
    folders = [folder for folder in old.folders.values() if folder.status is not None]
    looks = messages = octets = gaps = 0
    wanted = job.doveadm is not None and job.options.uids != "new"
    for folder in folders:
        row = rows.get(name_hash(folder.encoded))
        if folder.status is None or (row is not None and row.finished and last_on_old(row) == folder.status):
            continue
        looks += 1
        known = row is not None and row.finished and row.old_uidvalidity == folder.status.uidvalidity
        first = row.old_uidnext if known and row is not None else 1
        if folder.status.messages and folder.status.uidnext > first:
            new = list_from(session, folder.encoded, first)
            messages, octets = messages + len(new), octets + new.octets()
            if wanted and (row is None or row.uids != CHANGED):
                gaps += count_gaps(new.uids(), first if known else 0, folder.status.uidnext)
    gone = set(rows) - {name_hash(encoded) for encoded in old.folders}
    changed = {row.old_name: row.uids_reason for row in rows.values() if row.uids == CHANGED}
    return Forecast(
        job.account, not looks and not gone, len(folders), looks, messages, octets, gaps=gaps, changed_uids=changed
    )


def count_gaps(uids: Iterable[int], expected: int, uidnext: int) -> int:
    """How often a UID is not the next one, up to `uidnext`. `expected`: what comes first; 0: whatever does."""
    gaps = 0
    for uid in [*sorted(uids), uidnext]:
        gaps += 0 < expected < uid
        expected = uid + 1
    return gaps
