"""The way back: mail that reached new after the go is carried to old, where its owners will read again.

What Bascule has put on new is on old already. All the rest that came there since the last pass is copied, one message
after the other. Nothing is remembered of it: what is on old already is found by content, so that this can be
interrupted anywhere and run again. Nothing is removed or changed on new.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import FolderRow
from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.careful import CarefulCopy
from bascule.mailbox.copying import QuotaReached
from bascule.mailbox.described import describe
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.errors import Refused, TransientError
from bascule.mailbox.folders import Folder, Surroundings, look_around
from bascule.mailbox.lanes import Lane, in_parallel
from bascule.mailbox.listing import ITEMS, Listing, Seen
from bascule.mailbox.matching import match
from bascule.mailbox.names import NameMap, NameProblem
from bascule.mailbox.session import Session
from bascule.mailbox.state import FolderState, name_hash
from bascule.mailbox.uidmap import UidMap

log = get_logger(__name__)

PROGRESS_SECONDS = 2.0


@dataclass
class CarriedBack:
    """What one run did for one mailbox. `refused`: the messages that old does not take, by name, with its words."""

    copied: int = 0
    bytes: int = 0
    there: int = 0  # on old already, from an earlier run
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """One folder of new whose newer messages belong into a folder of old. `row`: what passes remember of the two."""

    new: Folder
    old_raw: bytes
    row: FolderRow | None

    @property
    def new_from(self) -> int:
        """The UID on new from which on messages came after the last pass, or by it."""
        return max(1, self.row.new_uidnext) if self.row else 1

    @property
    def old_from(self) -> int:
        """The UID on old from which on there can be messages that were carried back."""
        return max(1, self.row.old_uidnext) if self.row else 1


def carry_back(job: MailboxJob, ledger: Ledger, *, dry_run: bool = False) -> CarriedBack:
    """Bring the mail of one account that reached new since its last pass to old.

    Raises TransientError (run it again) and MailboxFailed (a person is needed first).
    """
    lane = Lane(MailboxJob(job.account, old=job.new, new=job.old, options=job.options))  # the other way round
    try:
        lane.open()
        carried = _Back(job, ledger, lane, dry_run).run()
    except Refused as error:
        lane.close(cut=True)
        raise TransientError(str(error)) from None
    except BaseException:
        lane.close(cut=True)
        raise
    lane.close()
    log.info("mail carried back to old", account=job.account, dry_run=dry_run, **vars(carried))
    return carried


class _Back:
    """One run over one mailbox. The lane's `old` is the new server here, its `new` the old one."""

    def __init__(self, job: MailboxJob, ledger: Ledger, lane: Lane, dry_run: bool) -> None:
        self.job, self.ledger, self.lane, self.dry_run = job, ledger, lane, dry_run
        self.result = CarriedBack()
        self._told_at = time.monotonic()

    def run(self) -> CarriedBack:
        new, old = in_parallel(lambda: look_around(self.lane.old), lambda: look_around(self.lane.new))
        for way in self._ways(new, old):
            self._carry(way, is_there=way.old_raw in old.folders and old.folders[way.old_raw].selectable)
        return self.result

    def _ways(self, new: Surroundings, old: Surroundings) -> Iterator[Way]:
        """The folders of new in which something has come since the last pass."""
        with self.ledger.reading() as session:
            rows = {row.new_name: row for row in mailboxes.folders_of(session, self.job.account)}
            session.expunge_all()
        by_hash = {name_hash(raw): raw for raw in old.folders}
        backwards = NameMap(new.namespace, old.namespace, replace=self.job.options.replace)
        for folder in new.folders.values():
            status = folder.status
            row = rows.get(names.display(folder.raw))
            if status is None or not status.messages:
                continue
            if row is not None and row.new_uidvalidity != status.uidvalidity:
                row = None  # made anew since: what is in it is told apart by content alone
            if row is not None and status.uidnext == row.new_uidnext:
                continue
            old_raw = by_hash.get(row.old_hash) if row else None
            yield Way(folder, old_raw or _named(backwards, folder.raw), row)

    def _carry(self, way: Way, *, is_there: bool) -> None:
        known = self._map(way.row)
        came = [seen for seen in _listed(self.lane.old, way.new.raw, way.new_from) if known.old_of(seen.uid) is None]
        if not came:
            return
        if is_there:
            there = [s for s in _listed(self.lane.new, way.old_raw, way.old_from) if s.uid not in known]
            matches = match(self.lane.old, way.new.raw, self.lane.new, way.old_raw, came, there)
            self.result.there += len(matches)
            on_old = {pair.old.uid for pair in matches}
            came = [seen for seen in came if seen.uid not in on_old]
        if self.dry_run or not came:
            self.result.copied += len(came)
            self.result.bytes += sum(seen.size for seen in came)
            return
        if not is_there and (words := self._not_created(way)):
            shown = names.display(way.old_raw)
            self.result.refused.append(f"{len(came)} message(s), because old makes no folder {shown!r}: {words}")
            return
        self._let_next_pass_look(way)
        self._copy(way, came)

    def _map(self, row: FolderRow | None) -> UidMap:
        if row is None:
            return UidMap()
        with self.ledger.reading() as session:
            return UidMap(mailboxes.runs_of(session, row.id))

    def _not_created(self, way: Way) -> str:
        """Make the folder on old; what old says when it does not."""
        old = self.lane.new
        try:
            old.run(b"CREATE", names.argument(way.old_raw))
        except Refused as error:
            if error.code != "ALREADYEXISTS":
                return error.words
        if way.new.subscribed:
            old.run(b"SUBSCRIBE", names.argument(way.old_raw))
        log.info("folder created on old", account=self.job.account, folder=names.display(way.old_raw))
        return ""

    def _let_next_pass_look(self, way: Way) -> None:
        """The next pass from old to new, days later, is to find by content that these messages are on new."""
        if way.row is None:
            return  # it meets the folder for the first time, and does so anyway
        with self.ledger.session() as session:
            row = session.merge(way.row)
            row.doubt_from = min(row.doubt_from, way.new_from) if not row.finished else way.new_from
            row.finished = False

    def _copy(self, way: Way, came: list[Seen]) -> None:
        folder = FolderState(self.ledger, self.job.account, way.new, way.old_raw, None)  # this way round, never saved
        folder.row.new_uidvalidity = self.lane.new.select(way.old_raw).uidvalidity
        for seen in came:
            try:
                CarefulCopy(self.lane.old, self.lane.new, folder).copy(seen)
            except (Refused, QuotaReached) as error:
                words = error.words if isinstance(error, Refused) else f"its quota is full: {error}"
                self.result.refused.append(f"{describe(self.lane, folder, seen.uid).named()}: {words}")
                continue
            self.result.copied += 1
            self.result.bytes += seen.size
            self._tell()

    def _tell(self) -> None:
        if time.monotonic() - self._told_at > PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            log.info("carrying back", account=self.job.account, copied=self.result.copied, bytes=self.result.bytes)


def _named(backwards: NameMap, raw: bytes) -> bytes:
    """Old's name for a folder that was made on new."""
    found = backwards.to_new(raw)
    return names.encode(found.proposal) if isinstance(found, NameProblem) else found


def _listed(session: Session, raw: bytes, first: int) -> list[Seen]:
    """The messages from this UID on."""
    listing = Listing()
    session.select(raw)
    session.run(b"UID FETCH", b"%d:*" % first, ITEMS, handler=listing.handler(session.wire))
    return [seen for seen in listing if seen.uid >= first]  # `n:*` names the last message, too, when none is newer
