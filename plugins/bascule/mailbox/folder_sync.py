"""The work on one folder, phase by phase: what has changed, what is to be copied, the copy, its end.

Each phase hands a value of its own to the next one: `Changes`, `Plan`, `Copied`. What a crash between two of them
leaves behind stands in docs/engine.md.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bascule.ledger.mailboxes import COPIED, FOUND
from bascule.mailbox.context import PassContext
from bascule.mailbox.folders.problems import (
    report_closed_on_new,
    report_unlisted,
    report_unreadable,
    was_incomplete,
)
from bascule.mailbox.folders.uids import NOT_THE_SAME, PUT_INTO, KeptUids
from bascule.mailbox.folders.uidvalidity import begin_anew_on_old, may_begin_anew_on_new
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.errors import (
    DestinationBroke,
    FolderBusy,
    NotUnderstood,
    Refused,
    SourceBroke,
    TransientError,
    is_busy,
)
from bascule.mailbox.imap.fetch import list_messages
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.imap.listing import Listed, Selection
from bascule.mailbox.messages.apply import ChangesOfUsers
from bascule.mailbox.messages.as_listed import select_as_listed
from bascule.mailbox.messages.bulk_copy import (
    BATCH_MESSAGES,
    BatchNotUnderstood,
    BulkCopy,
    MayEnd,
    Outcome,
    batches,
)
from bascule.mailbox.messages.changes import Changes, SideChanges, SideQuery, remember_interrupted
from bascule.mailbox.messages.in_order import InOrder
from bascule.mailbox.messages.keywords import retry_keywords, set_late_keywords
from bascule.mailbox.messages.late_arrivals import note_unanswered, remove_late_arrivals
from bascule.mailbox.messages.match import match
from bascule.mailbox.messages.new_uids import find_new_uids
from bascule.mailbox.messages.own_date import give_own_dates
from bascule.mailbox.messages.problems import dropped_keywords
from bascule.mailbox.messages.refused import MessagesAside
from bascule.mailbox.messages.unlistable import set_unlistable_aside
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.verify.after_copy import verify_after_copy
from bascule.mailbox.verify.uids import differing_uids
from bascule.mailbox.workers import Sessions, Side, Unit
from bascule.text.logs import get_logger

log = get_logger(__name__)

BUSY_TRIES = 3  # attempts in which a server may do nothing with a folder before a person is asked
MESSAGES_PER_UNIT = 800  # what one pair of sessions takes at once of a folder


@dataclass(frozen=True)
class Plan:
    """What is to be copied: most messages in bulk, and some one by one; `all` are both."""

    changes: Changes
    all: Selection
    bulk: Selection
    single: list[Listed]


@dataclass
class Copied:
    """What the bulk copy has done so far; sessions add under the lock. `alone`: old UIDs treated in their place."""

    plan: Plan
    units_left: int
    refused: list[Listed] = field(default_factory=list)
    alone: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class FolderSync:
    """One folder in one pass."""

    def __init__(self, context: PassContext, folder: FolderState) -> None:
        self.context, self.folder = context, folder
        self.is_put_off = False
        self.dropped: Flags = dropped_keywords(context.problems, folder.name)

    def run(self, sessions: Sessions) -> None:
        """All of it that can be done now: one folder holds up no other."""
        self._unless_busy(self._run, sessions)

    def _unless_busy(self, act: Unit, sessions: Sessions) -> None:
        """Nothing more is tried in this folder after a server has said that it can't be worked in for now."""
        if self.is_put_off:
            return
        try:
            act(sessions)
        except BatchNotUnderstood:
            raise
        except (FolderBusy, Refused, NotUnderstood) as error:
            if isinstance(error, NotUnderstood) and error.learned:
                raise
            sessions.close(cut=True)  # what was asked behind the refused command is still under way
            self.is_put_off = True
            self._put_off(error if isinstance(error, FolderBusy) else FolderBusy(error))

    def _put_off(self, busy: FolderBusy) -> None:
        """Until all other folders are done; when it has been so for some attempts, it is a person's business."""
        counts = self.context.counts
        counts.busy[self.folder.name] += 1
        if counts.busy[self.folder.name] < BUSY_TRIES:
            self.context.put_off.append(busy)
        elif busy.side == "new":
            report_closed_on_new(self.context.problems, self.folder.name, self.folder.row.new_name, busy.text)
        else:
            report_unreadable(self.context.problems, self.folder.name, busy.text)

    def _add(self, act: Unit, *, first: bool = False) -> None:
        self.context.queue.add(partial(self._unless_busy, act), first=first)

    def _run(self, sessions: Sessions) -> None:
        """Find out what is to be done, carry users' changes, and put the copy into the queue."""
        self.folder.load()
        changes = self._find_changes(sessions)
        if changes is None:
            return
        if self.context.dry_run:
            self._count(changes, sessions)
            return
        uids = KeptUids(self.context, self.folder, sessions)
        uids.decide(changes)
        if self.folder.row.id is None and (changes.old.unmapped or changes.new.unmapped):
            self.folder.save_row()
        give_own_dates(self.folder, self._sides(sessions)[0], changes.old.unmapped, self.context.problems)
        new_messages = self._match(sessions, changes)
        uids.check(changes, new_messages)
        self._users_changes(sessions).apply(changes)
        self._copy_when_it_fits(self._plan(changes, new_messages))

    # -- what has changed

    def _find_changes(self, sessions: Sessions) -> Changes | None:
        """None when a person has to decide first."""
        name = self.folder.name
        self._sides(sessions)  # logged in: a connection that is lost from here on is lost at this folder
        try:
            if self.context.counts.broken_listings["old", name] and not self.context.dry_run:
                set_unlistable_aside(self.folder, sessions)
            changes = self._ask_both(sessions)
        except Refused as error:
            sessions.close(cut=True)  # what was asked behind the refused command is still under way
            self._not_opened(error)
            return None
        except TransientError as error:
            self._broke_off(sessions, error)
            raise
        if changes is None:
            log.info("folder waits for a person", folder=name)
            return None
        self.folder.row.old_uidvalidity = changes.old.status.uidvalidity
        self.folder.row.new_uidvalidity = changes.new.status.uidvalidity
        if changes.new.unlisted:
            raise FolderBusy(Refused("to list all messages", _counted(changes.new), side="new"))
        if changes.old.unlisted:
            report_unlisted(self.context.problems, name, _counted(changes.old))
        remember_interrupted(self.folder, changes)
        return changes

    def _ask_both(self, sessions: Sessions) -> Changes | None:
        """None while a person is asked whether the folder may begin anew."""
        while True:
            in_full = was_incomplete(self.context.problems, self.folder.name)
            queries = [SideQuery(sessions.source, self.folder, is_old=True, in_full=in_full)]
            if self.folder.new is not None:
                queries.append(SideQuery(sessions.destination, self.folder, is_old=False))
            for query in queries:
                query.begin()
            old, *rest = [query.finish() for query in queries]
            new = rest[0] if rest else SideChanges(FolderStatus(0, 1, 0, 0))
            if old is not None and new is not None:
                return Changes(old, new)
            if old is not None and not may_begin_anew_on_new(sessions, self.folder, self.context.problems):
                return None
            if old is None and new is not None and len(self.folder.map) and not self.context.dry_run:
                begin_anew_on_old(sessions, self.folder, self.context.counts)
                continue
            log.warning("UIDVALIDITY has changed: messages are matched by content", folder=self.folder.name)
            self.folder.forget_map()

    def _broke_off(self, sessions: Sessions, error: TransientError) -> None:
        """A message of old may be the cause, which the next attempt looks for; else it is the folder itself.

        Raises FolderBusy then, so that all other folders are done.
        """
        side = "old" if sessions.source_lost else "new" if sessions.destination_lost else ""
        if not side or isinstance(error, NotUnderstood):
            return
        broken = self.context.counts.broken_listings
        broken[side, self.folder.name] += 1
        if broken[side, self.folder.name] > 1:
            raise FolderBusy(Refused("to list all messages", str(error), side=side)) from None
        if side == "old":
            raise SourceBroke(self.context.job.old) from None

    def _not_opened(self, error: Refused) -> None:
        if is_busy(error):
            raise FolderBusy(error) from None
        if error.side == "new":
            report_closed_on_new(self.context.problems, self.folder.name, self.folder.row.new_name, error.text)
        else:
            report_unreadable(self.context.problems, self.folder.name, error.text)

    def _count(self, changes: Changes, sessions: Sessions) -> None:
        """Dry run: what would be done."""
        KeptUids(self.context, self.folder, sessions).foresee(changes)
        if self.folder.new is not None:
            self._users_changes(sessions).apply(changes, dry_run=True)
        new_messages = changes.old.unmapped
        self.context.counts.add(copied=len(new_messages), bytes=new_messages.octets())

    def _users_changes(self, sessions: Sessions) -> ChangesOfUsers:
        return ChangesOfUsers(self.folder, sessions, self.context.counts, self.context.problems, self.dropped)

    # -- what is to be copied

    def _match(self, sessions: Sessions, changes: Changes) -> Selection:
        """What is not on new already: from before, or from a batch whose end was not seen."""
        folder, row, new_messages = self.folder, self.folder.row, changes.old.unmapped
        if row.finished:
            return new_messages
        in_doubt = row.old_uidnext == 0 and row.doubt_from > 1
        begin = row.doubt_from if in_doubt or len(folder.map) else 1
        candidates = [message for message in changes.new.unmapped if message.uid >= begin]
        if not candidates:
            return new_messages
        matches = match(*self._sides(sessions), new_messages, candidates)
        ours = [m for m in matches if row.doubt_from > 1 and m.destination.uid >= row.doubt_from]
        ours_by_uid = {m.source.uid for m in ours}
        theirs = [m for m in matches if m.source.uid not in ours_by_uid]
        for origin, some in ((COPIED, ours), (FOUND, theirs)):
            folder.arrived([(m.source.uid, m.destination.uid) for m in some], [], origin)
        folder.save_runs()
        folder.map.settle()
        folder.take_back([m.source.uid for m in ours])
        changes.old.flags.update({m.source.uid: m.source.flags for m in matches})
        changes.new.flags.update({m.destination.uid: m.destination.flags for m in matches})
        if matches:
            log.info("messages found on new by their content", folder=folder.name, messages=len(matches))
        return new_messages.without({m.source.uid for m in matches})

    def _plan(self, changes: Changes, new_messages: Selection) -> Plan:
        """The bulk copy does not touch what was set aside, and what no server takes."""
        largest, aside = self.context.job.options.largest_message, self.folder.aside
        single = [message for message in new_messages if message.uid in aside or not 0 < message.size <= largest]
        return Plan(changes, new_messages, new_messages.without({message.uid for message in single}), single)

    # -- the copy

    def _copy_when_it_fits(self, plan: Plan) -> None:
        begin = partial(self._begin_copy, plan)
        if plan.bulk and self.context.held is not None:
            self.context.held.hold(len(plan.bulk), plan.bulk.octets(), begin)
        else:
            begin()

    def _begin_copy(self, plan: Plan) -> None:
        if plan.bulk or plan.single or not all(uid in self.folder.map for uid in self.folder.aside):
            self.folder.begin_copy(plan.changes.new.status.uidnext)
        if self.folder.keeps_uids:
            self._add(partial(self._copy_in_order, plan))
        else:
            self._begin_units(plan)

    def _begin_units(self, plan: Plan) -> None:
        """Several sessions copy pieces of the folder side by side."""
        smaller = self._in_smaller_batches(plan.bulk)
        rest = plan.bulk.without({message.uid for message in smaller})
        units = [rest[i : i + MESSAGES_PER_UNIT] for i in range(0, len(rest), MESSAGES_PER_UNIT)]
        copied = Copied(plan, len(units) + bool(smaller))
        for unit in units:
            self._add(partial(self._copy_unit, copied, unit))
        if smaller:
            self._add(partial(self._copy_unit, copied, smaller))
        if not copied.units_left:
            self._add(partial(self.finish, copied), first=True)

    def _copy_in_order(self, plan: Plan, sessions: Sessions) -> None:
        """One session copies all of the folder, so that each message gets the UID that it has on old."""
        uids, copied = KeptUids(self.context, self.folder, sessions), Copied(plan, 0)
        limits = self.context.counts.in_smaller_batches
        copy = InOrder(
            self.folder,
            partial(self._bulk, sessions),
            partial(self._copy_alone, copied, sessions),
            uids.leave_out,
            {uid: most for (folder_id, uid), most in limits.items() if folder_id == self.folder.row.id},
        )
        late = {message.uid for message in plan.single if message.uid < self.folder.uidnext}
        alone = frozenset(message.uid for message in plan.single) - late
        with self._setting_aside():
            in_order = copy.run(plan.all.without(late).by_uid(), alone)
        if in_order:
            uids.complete(plan.changes)
            self._add(partial(self.finish, copied), first=True)
            return
        self.folder.save_runs()
        self.folder.map.settle()
        uids.end(plan.changes, PUT_INTO)
        done = copied.alone | {message.uid for message in plan.all if message.uid in self.folder.map}
        rest = [message for message in plan.single if message.uid not in done]
        self._begin_units(Plan(plan.changes, plan.all, plan.bulk.without(done), rest))

    def _copy_alone(self, copied: Copied, sessions: Sessions, message: Listed) -> None:
        copied.alone.add(message.uid)
        MessagesAside(self.context, self.folder, sessions).treat_one(message)

    def _in_smaller_batches(self, messages: Selection) -> list[Listed]:
        """Messages among which may be one at which new breaks off."""
        limits = self.context.counts.in_smaller_batches
        return [message for message in messages if (self.folder.row.id, message.uid) in limits] if limits else []

    def _copy_unit(self, copied: Copied, unit: Sequence[Listed], sessions: Sessions) -> None:
        """Copy some messages; what is refused is bisected until each refused message stands alone."""
        limits = self.context.counts.in_smaller_batches
        sizes = (limits.get((self.folder.row.id, message.uid), BATCH_MESSAGES) for message in unit if limits)
        most = min(sizes, default=BATCH_MESSAGES)
        waiting = [batches(unit)] if most == BATCH_MESSAGES else [[batch] for batch in batches(unit, most)]
        with self._setting_aside():
            while waiting:  # each to its end: what is under way when new breaks off is one of these
                if halves := self._bisect(copied, self._bulk(sessions, waiting.pop(0))):
                    waiting.append(halves)
        with copied.lock:
            copied.units_left -= 1
            last = copied.units_left == 0
        if last:  # while these sessions have the folder selected
            self._add(partial(self.finish, copied), first=True)

    @contextlib.contextmanager
    def _setting_aside(self) -> Iterator[None]:
        """The messages at which a server broke off, or which it did not understand, are left to the single copy."""
        try:
            yield
        except SourceBroke as error:
            self.folder.set_aside(error.uid, "suspect")
            raise
        except BatchNotUnderstood as error:
            for message in error.messages:
                self.folder.set_aside(message.uid, "bad")
            raise

    def _bulk(self, sessions: Sessions, todo: list[list[Listed]], may_end: MayEnd | None = None) -> Outcome:
        uidvalidity = self.folder.row.new_uidvalidity
        copy = BulkCopy(*self._sides(sessions), uidvalidity, self.context.pace, self._arrived, may_end)
        try:
            return copy.run(todo)
        except BatchNotUnderstood:
            raise
        except TransientError as error:
            if not sessions.destination_lost or sessions.source_lost:
                raise
            note_unanswered(self.context.counts, self.folder, [message.uid for message in copy.in_flight()])
            self._halve(copy.in_flight(), str(error))
            raise DestinationBroke(str(error)) from None
        finally:
            self.folder.suspects |= copy.outcome.suspects
            self.folder.save_runs()

    def _halve(self, messages: list[Listed], text: str) -> None:
        """One of these may be the cause: they go on in batches half as large, and the last one alone."""
        counts, folder_id = self.context.counts, self.folder.row.id
        counts.add(destination_broken=1)
        most = min((counts.in_smaller_batches.get((folder_id, m.uid), len(messages)) for m in messages), default=0) // 2
        for message in messages:
            counts.in_smaller_batches[folder_id, message.uid] = max(most, 1)
        if len(messages) == 1:
            counts.broken_texts[folder_id, messages[0].uid] = text
            self.folder.set_aside(messages[0].uid, "suspect")

    def _arrived(self, messages: list[Listed], new_uids: list[int]) -> None:
        self.context.progress.copied(len(messages), sum(message.size for message in messages))
        self.folder.appended(messages, new_uids)

    def _bisect(self, copied: Copied, outcome: Outcome) -> list[list[Listed]]:
        halves: list[list[Listed]] = []
        for messages, error in outcome.refused:
            if len(messages) == 1:
                log.info("message refused", folder=self.folder.name, uid=messages[0].uid, server_words=error.text)
                self.folder.set_aside(messages[0].uid, "refused")
                with copied.lock:
                    copied.refused.append(messages[0])
                continue
            middle = len(messages) // 2
            halves += [messages[:middle], messages[middle:]]
        return halves

    def _sides(self, sessions: Sessions) -> tuple[Side, Side]:
        folder = self.folder
        source = Side(sessions.source, folder.old.encoded, folder.row.old_uidvalidity)
        return source, Side(sessions.destination, folder.new_encoded)

    # -- its end

    def finish(self, copied: Copied, sessions: Sessions) -> None:
        """When all of the folder was copied: treat what was refused, verify, and remember what both servers said."""
        folder, plan, problems = self.folder, copied.plan, self.context.problems
        folder.save_runs()
        folder.map.settle()
        self._find_unsure(sessions, plan.bulk)
        single = [message for message in plan.single + copied.refused if message.uid not in copied.alone]
        single += self._not_given(sessions, plan.bulk, single)
        MessagesAside(self.context, folder, sessions).treat(single, treated=copied.alone)
        folder.map.settle()
        self._find_unsure(sessions, single)
        folder.memory.settle()
        remove_late_arrivals(self.context.counts, folder, *self._sides(sessions))
        set_late_keywords(folder, sessions, problems, self.dropped)
        retry_keywords(folder, sessions, problems)
        if plan.bulk.listing.has_unsafe_dates:
            self._let_new_forget(sessions, [*plan.bulk, *plan.single])
        select_as_listed(self._sides(sessions)[0], plan.all)
        status, verification = verify_after_copy(self.context, folder, sessions, self.dropped)
        if folder.keeps_uids and (folder.touched or not folder.row.finished):
            status = self._verify_uids(plan.changes, sessions) or status
        folder.row.bytes += plan.bulk.octets()
        folder.finish(plan.changes.old.status, status or plan.changes.new.status, verification)

    def _verify_uids(self, changes: Changes, sessions: Sessions) -> FolderStatus | None:
        """By the lists of both servers, whatever the copy believes: what is no more so ends here.

        What new says then of its folder, which has another UIDVALIDITY; None: nothing ends.
        """
        aside, memory = self.folder.aside, self.folder.memory
        differing = differing_uids(
            *self._sides(sessions), self.folder.map, changes.old.status.uidnext,
            lambda uid: uid in aside or memory.gone(uid),
        )  # fmt: skip
        if not differing:
            return None
        log.error("UIDs are not as on old", folder=self.folder.name, differences="; ".join(differing))
        KeptUids(self.context, self.folder, sessions).end(changes, NOT_THE_SAME)
        return changes.new.status

    def _let_new_forget(self, sessions: Sessions, messages: Sequence[Listed]) -> None:
        """Some servers show a date that they can't keep as they were told it, but once."""
        told = [self.folder.map.find(message.uid) for message in messages if message.date not in internaldate.SAFE]
        list_messages(sessions.destination, self.folder.new_encoded, [found[0] for found in told if found])
        sessions.close()

    def _find_unsure(self, sessions: Sessions, sent: Sequence[Listed]) -> None:
        """The new UIDs that new did not tell."""
        if self.folder.unsure:
            find_new_uids(self.folder, *self._sides(sessions), sent)
            self.folder.unsure = False

    def _not_given(self, sessions: Sessions, sent: Selection, single: list[Listed]) -> list[Listed]:
        """Messages that old still lists and did not give in bulk: each is tried alone; one holds up no other."""
        folder = self.folder
        aside = {message.uid for message in single} | set(folder.aside)
        absent = {uid for uid in sent.uids() if uid not in folder.map and uid not in aside}
        listed = {message.uid for message in list_messages(sessions.source, folder.old.encoded, absent)}
        return [message for message in sent if message.uid in listed] if listed else []


def _counted(side: SideChanges) -> str:
    return f"{side.status.messages} message(s) are there, it says, and {side.unlisted} of them are not listed"
