"""Mail that came to old behind the last pass of an account that has moved: it is put on new, where its user reads.

Its own user leaves nothing there. But whoever is still on old may write into a folder that the account shares, and a
way past the proxies may be left. Messages alone are carried, into folders that passes know: nothing is changed or
removed on either side, whatever becomes of old's mailbox. What is on new already is found by content, so that this can
be interrupted anywhere; how far each folder was looked through is given back, since what the user removes on new
afterwards must not come once more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bascule.ledger import Ledger, leases, mailboxes
from bascule.ledger.mailboxes import FolderRow
from bascule.mailbox.imap.errors import QuotaReached, Refused, TransientError
from bascule.mailbox.imap.fetch import list_from
from bascule.mailbox.imap.folders import create, list_folders
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.messages.describe import describe
from bascule.mailbox.messages.match import match
from bascule.mailbox.messages.single_copy import NotGiven, SingleCopy
from bascule.mailbox.state.folder import name_hash
from bascule.mailbox.state.uidmap import UidMap
from bascule.mailbox.workers import Sessions, Side
from bascule.text import mutf7

Seen = dict[str, int]  # FolderRow.old_hash -> the UID from which on nobody has looked yet


@dataclass
class Behind:
    """What was found behind the last pass. `refused`: messages that new does not take, with its words."""

    copied: int = 0
    there: int = 0  # on new already
    refused: list[str] = field(default_factory=list)
    seen: Seen = field(default_factory=dict)  # only of folders in which something had come


def carry_behind(job: MailboxJob, ledger: Ledger, seen: Mapping[str, int], *, owner: str) -> Behind:
    """Look through what came to old since the last pass, and since it was `seen`.

    Nothing where the last pass went the other way (a way back that was not gone): its own end compares whole folders.
    Raises TransientError, MailboxFailed and LeaseHeld.
    """
    with leases.lease(ledger, job.account, owner):
        with ledger.reading() as session:
            if mailboxes.source_of(session, job.account) != "old":
                return Behind()
        sessions = Sessions(job.old, job.new)
        try:
            sessions.open()
            found = _Look(job.account, ledger, sessions, seen).run()
        except Refused as error:
            sessions.close(cut=True)
            raise TransientError(str(error)) from None
        except BaseException:
            sessions.close(cut=True)
            raise
        sessions.close()
        return found


class _Look:
    def __init__(self, account: str, ledger: Ledger, sessions: Sessions, seen: Mapping[str, int]) -> None:
        self.account, self.ledger, self.sessions, self.seen = account, ledger, sessions, seen
        self.result = Behind()

    def run(self) -> Behind:
        for name, row, first, last in [*self._grown()]:
            refused = len(self.result.refused)
            self._carry(name, row, first)
            if len(self.result.refused) == refused:
                self.result.seen[row.old_hash] = last
        return self.result

    def _grown(self) -> Iterator[tuple[bytes, FolderRow, int, int]]:
        """(name on old, row, the first UID to look at, UIDNEXT). A folder that was made anew on old is another one."""
        with self.ledger.reading() as session:
            rows = {row.old_hash: row for row in mailboxes.folders_of(session, self.account) if row.new_uidvalidity}
            session.expunge_all()
        for folder in list_folders(self.sessions.source).folders.values():
            row = rows.get(name_hash(folder.encoded))
            if row is None or folder.status is None or folder.status.uidvalidity != row.old_uidvalidity:
                continue
            first = max(1, row.old_uidnext, self.seen.get(row.old_hash, 1))
            if folder.status.uidnext > first:
                yield folder.encoded, row, first, folder.status.uidnext

    def _carry(self, name: bytes, row: FolderRow, first: int) -> None:
        with self.ledger.reading(in_slices=True) as session:
            known = UidMap(mailboxes.runs_of(session, row.id))
        source, destination = Side(self.sessions.source, name), self._destination(row)
        came = [message for message in list_from(source.session, name, first) if message.uid not in known]
        if not came:
            return
        uidvalidity = destination.session.select(destination.name).status.uidvalidity
        begin = max(1, row.new_uidnext) if uidvalidity == row.new_uidvalidity else 1
        listed = list_from(destination.session, destination.name, begin)
        matches = match(source, destination, came, [message for message in listed if known.old_of(message.uid) is None])
        self.result.there += len(matches)
        on_new = {found.source.uid for found in matches}
        self._copy(SingleCopy(source, destination, uidvalidity), [each for each in came if each.uid not in on_new])

    def _destination(self, row: FolderRow) -> Side:
        """Its user may have renamed or removed it since: what came behind is then in a folder of its former name."""
        session, name = self.sessions.destination, mutf7.encode(row.new_name)
        if name not in list_folders(session).folders:
            create(session, name)
        return Side(session, name)

    def _copy(self, copy: SingleCopy, messages: list[Listed]) -> None:
        for message in messages:
            try:
                self.result.copied += copy.copy(message) is not None
            except (Refused, QuotaReached, NotGiven) as error:
                text = f"its quota is full: {error}" if isinstance(error, QuotaReached) else error.text
                named = describe(self.sessions, copy.source.name, message.uid).named()
                self.result.refused.append(f"{named}: {text}")
