"""The way back: mail that reached new after the go is carried to old, where its owners will read again.

What Bascule has put on new is on old already. All the rest that came there since the last pass is copied, one message
after the other. Nothing is remembered of it: what is on old already is found by content, so that this can be
interrupted anywhere and run again. Nothing is removed or changed on new. Before anything is copied, old's MODSEQ of
each folder whose UIDs are kept is raised above new's, which mail programs have seen. What is copied there gets its UID
from new, or one that new has never given.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bascule.ledger import Ledger, leases, mailboxes
from bascule.ledger.mailboxes import KEPT, FolderRow
from bascule.mailbox.doveadm import CannotCommand, Doveadm, above
from bascule.mailbox.imap.errors import QuotaReached, Refused, TransientError
from bascule.mailbox.imap.fetch import list_from
from bascule.mailbox.imap.folders import Folder, FolderList, FolderStatus, begin_subscribe, create, list_folders
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.messages.describe import describe
from bascule.mailbox.messages.match import Match, match
from bascule.mailbox.messages.placeholders import find_left
from bascule.mailbox.messages.single_copy import SingleCopy
from bascule.mailbox.state.folder import name_hash
from bascule.mailbox.state.uidmap import UidMap
from bascule.mailbox.workers import Sessions, Side, in_parallel
from bascule.text import mutf7
from bascule.text.logs import get_logger
from bascule.text.name_map import NameMap, NameProblem

log = get_logger(__name__)

PROGRESS_SECONDS = 2.0
NOT_RAISED = "MODSEQ stays lower on old than on new: programs that ask for changes only miss some in these folders"
MIXED_UP = "UIDs on old mean other messages than on new: programs take one for another, or miss it, in these folders"
GAVE_OTHERS = "old gave other UIDs than new, or does not say which"
OpenDoveadm = Callable[[], Doveadm]


@dataclass
class CarriedBack:
    """What one run did for one mailbox. `refused`: the messages that old does not take, by name, with its words.

    Folders with kept UIDs, and why: `not_raised`, whose MODSEQ stays lower on old than it was on new; `mixed_up`, in
    which old gives UIDs, or has given them, that new gave to other messages.
    """

    copied: int = 0
    bytes: int = 0
    there: int = 0  # on old already, from an earlier run
    refused: list[str] = field(default_factory=list)
    not_raised: dict[str, str] = field(default_factory=dict)
    mixed_up: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FolderPair:
    """One folder of new whose newer messages belong into a folder of old. `row`: what passes remember of the two."""

    new: Folder
    old_encoded: bytes
    row: FolderRow | None

    @property
    def new_from(self) -> int:
        """The UID on new from which on messages came after the last pass, or by it."""
        return max(1, self.row.new_uidnext) if self.row else 1

    @property
    def old_from(self) -> int:
        """The UID on old from which on there can be messages that were carried back."""
        return max(1, self.row.old_uidnext) if self.row else 1


class UidsOnOld:
    """The UIDs of a folder that has the same on both sides: what programs have seen on new means the same on old.

    `uidnext`: old's. `given`: UIDs below this one are or were those of messages on new. `mixed_up`: why one of them is
    that of another message on old, or will be.
    """

    def __init__(self, sessions: Sessions, encoded: bytes, old: FolderStatus, new: FolderStatus) -> None:
        self._sessions, self.encoded, self.old, self.new = sessions, encoded, old, new
        self.uidnext, self.given = old.uidnext, new.uidnext
        self.mixed_up = self._obstacle = ""

    def look_at(self, on_old: list[Listed], matches: list[Match]) -> None:
        """These came to old after the last pass; of each that is on new, too, there is a match."""
        same = {found.source.uid for found in matches if found.source.uid == found.destination.uid}
        if any(message.uid < self.given and message.uid not in same for message in on_old):
            self.mixed_up = GAVE_OTHERS

    def in_order(self, came: list[Listed]) -> Iterator[Listed]:
        """Each before which its UID is the next one; at the end those whose UIDs old gives no more."""
        in_time = [message for message in came if message.uid >= self.uidnext]
        late = [message for message in came if message.uid < self.uidnext]
        for message in in_time:
            self._leave_out(message.uid)
            yield message
        self.complete()
        yield from late

    def complete(self) -> None:
        """Let old go on where new would."""
        self._leave_out(self.given)
        if self.uidnext < self.given:
            self.mixed_up = self.mixed_up or self._obstacle

    def stored(self, message: Listed, uid: int) -> None:
        """Old has stored it under this UID (0: it does not say)."""
        self.uidnext = max(self.uidnext, uid + 1)
        if uid != message.uid and uid < self.given:
            self.mixed_up = self.mixed_up or self._obstacle or GAVE_OTHERS

    def _leave_out(self, uid: int) -> None:
        """Let old give this UID next, if it can be told so."""
        if uid <= self.uidnext or self._obstacle:
            return
        try:
            self._sessions.doveadm.update(self.encoded, uidnext=uid)
        except CannotCommand as error:
            self._obstacle = str(error)
        else:
            self.uidnext = uid


def carry_back(
    job: MailboxJob, ledger: Ledger, doveadm: OpenDoveadm | None, *, owner: str = "", dry_run: bool = False
) -> CarriedBack:
    """Bring the mail of one account that reached new since its last pass to old, under its lease for `owner`.

    `doveadm` opens a channel for commands to old, where there can be one; that of the job goes to new. Raises
    TransientError (run it again), MailboxFailed (a person is needed first) and LeaseHeld.
    """
    with leases.lease(ledger, job.account, owner or leases.this_process("carry back")):
        return _carry_back(job, ledger, doveadm, dry_run)


def _carry_back(job: MailboxJob, ledger: Ledger, doveadm: OpenDoveadm | None, dry_run: bool) -> CarriedBack:
    sessions = Sessions(source=job.new, destination=job.old, doveadm=doveadm)
    try:
        sessions.open()
        carried = _CarryBack(job, ledger, sessions, dry_run).run()
    except Refused as error:
        sessions.close(cut=True)
        raise TransientError(str(error)) from None
    except BaseException:
        sessions.close(cut=True)
        raise
    sessions.close()
    log.info("mail carried back to old", account=job.account, dry_run=dry_run, **vars(carried))
    return carried


class _CarryBack:
    """One run over one mailbox: new is the source, old the destination."""

    def __init__(self, job: MailboxJob, ledger: Ledger, sessions: Sessions, dry_run: bool) -> None:
        self.job, self.ledger, self.sessions, self.dry_run = job, ledger, sessions, dry_run
        self.result = CarriedBack()
        self.kept: dict[bytes, UidsOnOld] = {}  # by the folder's name on old
        self._logged_at = time.monotonic()

    def run(self) -> CarriedBack:
        sessions = self.sessions
        new, old = in_parallel(lambda: list_folders(sessions.source), lambda: list_folders(sessions.destination))
        rows = self._rows()
        if not self.dry_run:
            self.kept = {uids.encoded: uids for uids in self._kept_uids(rows, new, old)}
        if sessions.destination.capabilities.modseq:
            self._raise_modseq()
        for pair in self._pairs(rows, new, old):
            self._carry(pair, is_there=pair.old_encoded in old.folders and old.folders[pair.old_encoded].selectable)
        self._complete()
        return self.result

    def _rows(self) -> dict[str, FolderRow]:
        """What passes remember of each folder, by its name on new."""
        with self.ledger.reading() as session:
            rows = {row.new_name: row for row in mailboxes.folders_of(session, self.job.account)}
            session.expunge_all()
        return rows

    def _kept_uids(self, rows: Mapping[str, FolderRow], new: FolderList, old: FolderList) -> Iterator[UidsOnOld]:
        """Of the folders with kept UIDs that both sides have under one UIDVALIDITY still."""
        on_new = {mutf7.display(encoded): folder.status for encoded, folder in new.folders.items()}
        on_old = {name_hash(encoded): folder for encoded, folder in old.folders.items()}
        for name, row in rows.items():
            there, folder = on_new.get(name), on_old.get(row.old_hash)
            if row.uids != KEPT or there is None or folder is None or folder.status is None:
                continue
            if folder.status.uidvalidity == there.uidvalidity:
                yield UidsOnOld(self.sessions, folder.encoded, folder.status, there)

    def _raise_modseq(self) -> None:
        """What changes on old from here on is newer than all that programs have seen on new (CHANGEDSINCE)."""
        not_raised = self.result.not_raised
        for encoded, uids in self.kept.items():
            if uids.old.modseq >= uids.new.modseq:
                continue
            try:
                self.sessions.doveadm.update(encoded, modseq=above(uids.new.modseq))
            except CannotCommand as error:
                not_raised[mutf7.display(encoded)] = str(error)
        if not_raised:
            log.warning(NOT_RAISED, account=self.job.account, folders=not_raised)

    def _complete(self) -> None:
        """No UID that new has given is given by old from here on."""
        mixed_up = self.result.mixed_up
        for encoded, uids in self.kept.items():
            uids.complete()
            if uids.mixed_up:
                mixed_up[mutf7.display(encoded)] = uids.mixed_up
        if mixed_up:
            log.warning(MIXED_UP, account=self.job.account, folders=mixed_up)

    def _pairs(self, rows: Mapping[str, FolderRow], new: FolderList, old: FolderList) -> Iterator[FolderPair]:
        """The folders of new in which something has come since the last pass."""
        by_hash = {name_hash(encoded): encoded for encoded in old.folders}
        backwards = NameMap(new.namespace, old.namespace, replace=self.job.options.replace)
        for folder in new.folders.values():
            status = folder.status
            row = rows.get(mutf7.display(folder.encoded))
            if status is None or not status.messages:
                continue
            if row is not None and row.new_uidvalidity != status.uidvalidity:
                row = None  # made anew since: what is in it is told apart by content alone
            if row is not None and status.uidnext == row.new_uidnext:
                continue
            old_encoded = by_hash.get(row.old_hash) if row else None
            yield FolderPair(folder, old_encoded or _named(backwards, folder.encoded), row)

    def _carry(self, pair: FolderPair, *, is_there: bool) -> None:
        source = Side(self.sessions.source, pair.new.encoded)
        destination = Side(self.sessions.destination, pair.old_encoded)
        known = self._map(pair.row)
        left = set(find_left(source.session, source.name, pair.new_from))
        came = [
            message for message in list_from(source.session, source.name, pair.new_from)
            if known.old_of(message.uid) is None and message.uid not in left
        ]  # fmt: skip
        if not came:
            return
        if is_there:
            listed = list_from(destination.session, destination.name, pair.old_from)
            unknown = [message for message in listed if message.uid not in known]
            matches = match(source, destination, came, unknown)
            if uids := self.kept.get(pair.old_encoded):
                uids.look_at(unknown, matches)
            self.result.there += len(matches)
            on_old = {found.source.uid for found in matches}
            came = [message for message in came if message.uid not in on_old]
        if self.dry_run or not came:
            self.result.copied += len(came)
            self.result.bytes += sum(message.size for message in came)
            return
        if not is_there and (refusal := self._not_created(pair)):
            name = mutf7.display(pair.old_encoded)
            self.result.refused.append(f"{len(came)} message(s), because old makes no folder {name!r}: {refusal}")
            return
        self._let_next_pass_match(pair)
        self._copy(source, destination, came)

    def _map(self, row: FolderRow | None) -> UidMap:
        if row is None:
            return UidMap()
        with self.ledger.reading(in_slices=True) as session:
            return UidMap(mailboxes.runs_of(session, row.id))

    def _not_created(self, pair: FolderPair) -> str:
        """Make the folder on old; what old says when it does not."""
        old = self.sessions.destination
        try:
            create(old, pair.old_encoded)
        except Refused as error:
            if error.code != "ALREADYEXISTS":
                return error.text
        if pair.new.subscribed:
            old.finish(begin_subscribe(old, pair.old_encoded))
        log.info("folder created on old", account=self.job.account, folder=mutf7.display(pair.old_encoded))
        return ""

    def _let_next_pass_match(self, pair: FolderPair) -> None:
        """The next pass from old to new, days later, is to find by content that these messages are on new."""
        if pair.row is None:
            return  # it meets the folder for the first time, and does so anyway
        with self.ledger.session() as session:
            row = session.merge(pair.row)
            row.doubt_from = min(row.doubt_from, pair.new_from) if not row.finished else pair.new_from
            row.finished = False

    def _copy(self, source: Side, destination: Side, came: list[Listed]) -> None:
        copy = SingleCopy(source, destination, destination.session.select(destination.name).status.uidvalidity)
        uids = self.kept.get(destination.name)
        for message in uids.in_order(came) if uids else came:
            try:
                uid = copy.copy(message)
            except (Refused, QuotaReached) as error:
                text = error.text if isinstance(error, Refused) else f"its quota is full: {error}"
                described = describe(self.sessions, source.name, message.uid)
                self.result.refused.append(f"{described.named()}: {text}")
                continue
            if uids and uid is not None:
                uids.stored(message, uid)
            self.result.copied += 1
            self.result.bytes += message.size
            self._log_progress()

    def _log_progress(self) -> None:
        if time.monotonic() - self._logged_at > PROGRESS_SECONDS:
            self._logged_at = time.monotonic()
            log.info("carrying back", account=self.job.account, copied=self.result.copied, bytes=self.result.bytes)


def _named(backwards: NameMap, encoded: bytes) -> bytes:
    """Old's name for a folder that was made on new."""
    found = backwards.to_new(encoded)
    return mutf7.encode(found.proposal) if isinstance(found, NameProblem) else found
