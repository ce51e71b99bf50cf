"""The work on one folder: look at both sides, match, carry changes, copy, treat what was refused, verify, remember."""

from dataclasses import dataclass, field
from functools import partial

from bascule.ledger.mailboxes import COPIED, FOUND
from bascule.logs import get_logger
from bascule.mailbox import flags as flag_rules
from bascule.mailbox.context import PassContext
from bascule.mailbox.copying import BulkCopy, Relay, batches
from bascule.mailbox.delta import Delta
from bascule.mailbox.errors import Refused, SourceBroke, TransientError, is_busy
from bascule.mailbox.flags import Flags
from bascule.mailbox.folders import FolderStatus
from bascule.mailbox.lanes import Lane
from bascule.mailbox.listing import Listing, Seen, Selection
from bascule.mailbox.looking import UNLISTABLE, Look, SideLook, find_unlistable, list_messages, meet
from bascule.mailbox.matching import match
from bascule.mailbox.rejects import Rejects
from bascule.mailbox.replaced import may_begin_anew
from bascule.mailbox.state import FolderState
from bascule.mailbox.verifying import check_folder

log = get_logger(__name__)

MESSAGES_PER_UNIT = 800  # what one lane takes at once of a folder


@dataclass
class FolderWork:
    """One folder in one pass."""

    context: PassContext
    folder: FolderState
    old: Look | None = None
    new: Look | None = None
    careful: list[Seen] = field(default_factory=list)
    sent: Selection = field(default_factory=Selection)  # given to the bulk copy
    dropped: Flags = flag_rules.NONE

    # -- looking

    def look(self, lane: Lane) -> None:
        """Find out what is to be done, carry the changes, and put the copy into the queue."""
        folder = self.folder
        folder.load()
        self.dropped = self.context.troubles.dropped_keywords(folder.shown)
        try:
            if self.context.counts.broken_listings[folder.shown]:
                self._set_unlistable_aside(lane)
            looks = self._look_both(lane)
        except Refused as error:
            lane.close(cut=True)  # what was asked behind the refused command is still under way
            self._not_opened(error)
            return
        except TransientError:
            broken = self.context.counts.broken_listings
            if lane.old_lost:
                broken[folder.shown] += 1
                if broken[folder.shown] == 1:
                    raise SourceBroke(0) from None
            raise
        if looks is None:
            log.info("folder waits for a person", folder=folder.shown)
            return
        self.old, self.new = looks
        todo = self.old.unmapped
        if self.context.dry_run:
            self._dry(todo, lane)
            return
        if folder.row.id is None:
            folder.save_row()
        todo = self._match(lane, todo)
        self._carry(lane)
        todo = self._set_aside(todo)
        if todo and self.context.gate is not None:
            self.context.gate.hold(len(todo), todo.octets(), partial(self._begin_copy, todo))
        else:
            self._begin_copy(todo)

    def _not_opened(self, error: Refused) -> None:
        if is_busy(error):
            raise TransientError(str(error)) from None
        if isinstance(error, RefusedByNew):
            self.context.troubles.folder_closed_on_new(self.folder.shown, self.folder.row.new_name, error.words)
        else:
            self.context.troubles.folder_unreadable(self.folder.shown, error.words)

    def _set_unlistable_aside(self, lane: Lane) -> None:
        if self.context.dry_run:
            return
        if self.folder.row.id is None:
            self.folder.save_row()
        for uid in find_unlistable(lane, self.folder.old.raw, max(1, self.folder.row.old_uidnext)):
            self.folder.except_message(uid, UNLISTABLE)

    def _look_both(self, lane: Lane) -> tuple[Look, Look] | None:
        """What both sides say; None when a person has to decide first whether the folder begins anew."""
        while True:
            sides = [SideLook(lane.old, self.folder, is_old=True)]
            if self.folder.new is not None:
                sides.append(SideLook(lane.new, self.folder, is_old=False))
            for side in sides:
                side.begin()
                side.session.wire.flush()
            looks = [_finished(side) for side in sides]
            replaced = looks[-1] is None and looks[0] is not None
            if replaced and not may_begin_anew(lane, self.folder, self.context.troubles):
                return None
            if None in looks:
                log.warning("UIDVALIDITY has changed: messages are matched by content", folder=self.folder.shown)
                self.folder.forget_map()
                self.folder.row.old_uidvalidity = self.folder.row.new_uidvalidity = 0
                continue
            old, new = looks[0], looks[1] if len(looks) > 1 else Look(FolderStatus(0, 1, 0, 0))
            assert old is not None and new is not None
            self.folder.row.old_uidvalidity = old.status.uidvalidity
            self.folder.row.new_uidvalidity = new.status.uidvalidity
            meet(self.folder, old, new)
            return old, new

    def _dry(self, todo: Selection, lane: Lane) -> None:
        assert self.old is not None and self.new is not None
        if self.folder.new is not None:
            self._delta(lane).carry(self.old, self.new, dry_run=True)
        self.context.counts.add(copied=len(todo), bytes=todo.octets())

    def _match(self, lane: Lane, todo: Selection) -> Selection:
        """Find what is on new already: from before, or from a batch whose end was not seen."""
        assert self.old is not None and self.new is not None
        folder, in_doubt = self.folder, self.folder.row.old_uidnext == 0 and self.folder.row.doubt_from > 1
        begin = folder.row.doubt_from if in_doubt or len(folder.map) or folder.row.finished else 1
        if folder.row.finished:
            return todo
        candidates = [seen for seen in self.new.unmapped if seen.uid >= begin]
        if not candidates:
            return todo
        matches = match(lane.old, folder.old.raw, lane.new, folder.new_raw, todo, candidates)
        ours = [m for m in matches if folder.row.doubt_from > 1 and m.new.uid >= folder.row.doubt_from]
        ours_by_uid = {m.old.uid for m in ours}
        theirs = [m for m in matches if m.old.uid not in ours_by_uid]
        for origin, some in ((COPIED, ours), (FOUND, theirs)):
            folder.arrived([(m.old.uid, m.new.uid) for m in some], [], origin)
        folder.save_runs()
        folder.map.settle()
        self.old.flags |= {m.old.uid: m.old.flags for m in matches}
        self.new.flags |= {m.new.uid: m.new.flags for m in matches}
        if matches:
            log.info("messages found on new by their content", folder=folder.shown, messages=len(matches))
        return todo.without({m.old.uid for m in matches})

    # -- changes

    def _delta(self, lane: Lane) -> Delta:
        return Delta(self.folder, lane.new, self.context.counts, self.dropped)

    def _carry(self, lane: Lane) -> None:
        assert self.old is not None and self.new is not None
        delta = self._delta(lane)
        delta.carry(self.old, self.new, dry_run=False)
        self._report_keywords(delta)

    def _report_keywords(self, delta: Delta) -> None:
        for keyword, (uids, words) in delta.refused_keywords.items():
            self.context.troubles.keyword(self.folder.shown, keyword.decode("latin-1"), len(uids), words)

    # -- copying

    def _set_aside(self, todo: Selection) -> Selection:
        """What the bulk copy does not touch: known exceptions, and what no server takes."""
        largest = self.context.job.options.largest_message
        self.careful = [seen for seen in todo if seen.uid in self.folder.exceptions or not 0 < seen.size <= largest]
        return todo.without({seen.uid for seen in self.careful})

    def _begin_copy(self, todo: Selection) -> None:
        assert self.new is not None
        if todo:
            self.folder.begin_copy(self.new.status.uidnext)
        self._enqueue(todo)

    def _enqueue(self, todo: Selection) -> None:
        units = [todo[i : i + MESSAGES_PER_UNIT] for i in range(0, len(todo), MESSAGES_PER_UNIT)]
        self.folder.chunks_left = len(units)
        self.sent = todo
        for unit in units:
            self.context.queue.add(partial(self._copy_unit, unit))
        if not units:
            self.context.queue.add(self.finish, first=True)

    def _copy_unit(self, unit: Selection, lane: Lane) -> None:
        """Copy some messages; what is refused is bisected until each refused message stands alone."""
        todo = batches(unit)
        try:
            while todo:
                relay = self._bulk(lane, todo)
                todo = self._bisect(relay)
        except SourceBroke as error:
            self.folder.except_message(error.uid, "suspect")
            raise
        with self.folder.lock:
            self.folder.chunks_left -= 1
            last = self.folder.chunks_left == 0
        if last:
            self.context.queue.add(self.finish, first=True)  # while this lane has the folder selected

    def _bulk(self, lane: Lane, todo: list[list[Seen]]) -> Relay:
        try:
            return BulkCopy(lane.old, lane.new, self.folder, self.context.pace, self.context.tell.copied).run(todo)
        finally:
            self.folder.save_runs()

    def _bisect(self, relay: Relay) -> list[list[Seen]]:
        halves: list[list[Seen]] = []
        for messages, error in relay.refused:
            if len(messages) == 1:
                log.info("message refused", folder=self.folder.shown, uid=messages[0].uid, server_words=error.words)
                with self.folder.lock:
                    self.careful.append(messages[0])
                    self.folder.except_message(messages[0].uid, "refused")
                continue
            middle = len(messages) // 2
            halves += [messages[:middle], messages[middle:]]
        return halves

    # -- the end

    def finish(self, lane: Lane) -> None:
        """When all of the folder was copied: treat what was refused, verify, and remember what both servers said."""
        assert self.old is not None and self.new is not None
        folder = self.folder
        folder.save_runs()
        folder.map.settle()
        if folder.unsure:
            self._find_unsure(lane)
        self._nothing_forgotten(lane)
        self._late_keywords(lane)
        self._retry_keywords(lane)
        Rejects(self.context, folder).treat(lane, self.careful)
        folder.map.settle()
        new_status = check_folder(self.context, folder, lane, self.new.status, self.dropped)
        folder.row.bytes += self.sent.octets()
        folder.finish(self.old.status, new_status)

    def _nothing_forgotten(self, lane: Lane) -> None:
        """Every message that was to be copied is on new, set aside, or gone from old meanwhile."""
        folder = self.folder
        aside = {seen.uid for seen in self.careful} | set(folder.exceptions)
        absent = [uid for uid in self.sent.uids() if uid not in folder.map and uid not in aside]
        if absent and (there := list_messages(lane.old, folder.old.raw, absent)):
            raise TransientError(f"old did not send {len(there)} message(s) of {folder.shown} that it lists")

    def _late_keywords(self, lane: Lane) -> None:
        wanted: dict[bytes, list[int]] = {}
        for new_uid, keywords in self.folder.later_keywords.items():
            for keyword in keywords - self.dropped:
                if flag_rules.can_be_said(keyword):
                    wanted.setdefault(keyword, []).append(new_uid)
        delta = self._delta(lane)
        delta.add_keywords(wanted)
        self._report_keywords(delta)

    def _retry_keywords(self, lane: Lane) -> None:
        """Keywords that new did not take in an earlier pass, and that nobody has decided about: perhaps it does now."""
        memory = self.folder.memory
        for keyword in self.context.troubles.open_keywords(self.folder.shown):
            lacking = {
                new_uid: old_uid
                for old_uid, new_uid, _ in self.folder.map
                if keyword in (memory.old(old_uid) or ()) and keyword not in (memory.new(old_uid) or (keyword,))
            }
            delta = self._delta(lane)
            delta.add_keywords({keyword: sorted(lacking)} if lacking else {})
            self._report_keywords(delta)
            if keyword not in delta.refused_keywords:
                self.folder.touched = self.folder.touched or bool(lacking)
                for old_uid in lacking.values():
                    there = (memory.new(old_uid) or flag_rules.NONE) | {keyword}
                    memory.remember(old_uid, memory.old(old_uid) or flag_rules.NONE, there)
                self.folder.recheck |= set(lacking.values())

    def _find_unsure(self, lane: Lane) -> None:
        """New did not say which UIDs it gave (no UIDPLUS): look for the messages, by content."""
        folder = self.folder
        listing = Listing()
        lane.new.select(folder.new_raw)
        lane.new.run(
            b"UID FETCH", b"%d:*" % folder.row.doubt_from, b"(UID FLAGS INTERNALDATE RFC822.SIZE)",
            handler=listing.handler(lane.new.wire),
        )  # fmt: skip
        candidates = [s for s in listing if s.uid >= folder.row.doubt_from and folder.map.old_of(s.uid) is None]
        missing = [s for s in self.sent if s.uid not in folder.map and s.uid not in folder.exceptions]
        matches = match(lane.old, folder.old.raw, lane.new, folder.new_raw, missing, candidates)
        pairs = [(m.old, m.new) for m in matches]
        rest_old = [s for s in missing if s.uid not in {m.old.uid for m in matches}]
        rest_new = [s for s in candidates if s.uid not in {m.new.uid for m in matches}]
        if rest_old and len(rest_old) == len(rest_new):  # altered on the way in; the verification will name them
            pairs += list(zip(rest_old, rest_new, strict=True))
        elif rest_old:
            raise TransientError(f"{len(rest_old)} copied message(s) of {folder.shown} are not found on new yet")
        folder.arrived(
            [(old.uid, new.uid) for old, new in pairs],
            [(old.uid, old.flags, new.flags) for old, new in pairs],
        )
        folder.map.settle()


class RefusedByNew(Refused):
    """Raised when it is the new server that does not open the folder: nothing is wrong with what is on old."""


def _finished(side: SideLook) -> Look | None:
    try:
        return side.finish()
    except Refused as error:
        if side.is_old:
            raise
        raise RefusedByNew("to open a folder on new", error.words, error.code) from None
