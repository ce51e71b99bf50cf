"""The copy of one folder: pieces of it side by side, or all of it in the order of its UIDs."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bascule.mailbox.context import PassContext
from bascule.mailbox.folder_sync.plan import Plan
from bascule.mailbox.folders.uids import PUT_INTO, KeptUids
from bascule.mailbox.imap.errors import DestinationBroke, SourceBroke, TransientError
from bascule.mailbox.imap.listing import Listed, Selection
from bascule.mailbox.messages.bulk_copy import (
    BATCH_MESSAGES,
    BatchNotUnderstood,
    BulkCopy,
    MayEnd,
    Outcome,
    batches,
)
from bascule.mailbox.messages.in_order import InOrder
from bascule.mailbox.messages.late_arrivals import note_unanswered
from bascule.mailbox.messages.placeholders import Placeholders, are_needed
from bascule.mailbox.messages.refused import MessagesAside
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions, Unit
from bascule.text.logs import get_logger

log = get_logger(__name__)

MESSAGES_PER_UNIT = 800  # what one pair of sessions takes at once of a folder


@dataclass
class Copied:
    """What the bulk copy has done so far; sessions add under the lock. `alone`: old UIDs treated in their place."""

    plan: Plan
    units_left: int
    refused: list[Listed] = field(default_factory=list)
    alone: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class FolderCopy:
    """Puts the copy of one folder into the queue by `add`, and behind its last unit the folder's end, `finish`."""

    def __init__(
        self,
        context: PassContext,
        folder: FolderState,
        add: Callable[[Unit], None],
        finish: Callable[[Copied], None],
    ) -> None:
        self.context, self.folder = context, folder
        self._add, self._finish = add, finish

    def begin(self, plan: Plan) -> None:
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
            self._finish(copied)

    def _copy_in_order(self, plan: Plan, sessions: Sessions) -> None:
        """One session copies all of the folder, so that each message gets the UID that it has on old."""
        uids, copied = KeptUids(self.context, self.folder, sessions), Copied(plan, 0)
        limits = self.context.counts.in_smaller_batches
        late = {message.uid for message in plan.single if message.uid < self.folder.uidnext}
        todo = plan.all.without(late).by_uid()
        # Asked now: while an APPEND is under way, its session can't ask for anything else.
        allowed = are_needed(todo.uids()) and uids.takes_placeholders()
        copy = InOrder(
            self.folder,
            partial(self._bulk, sessions, placeholders=Placeholders(self.folder, allowed)),
            partial(self._copy_alone, copied, sessions),
            uids.leave_out,
            {uid: most for (folder_id, uid), most in limits.items() if folder_id == self.folder.row.id},
        )
        alone = frozenset(message.uid for message in plan.single) - late
        with self._setting_aside():
            in_order = copy.run(todo, alone)
        if in_order:
            uids.complete(plan.changes)
            self._finish(copied)
            return
        self.folder.save_runs()
        self.folder.map.settle()
        uids.end(plan.changes, PUT_INTO)
        if self.folder.unsure:  # what has arrived is found by content before anything is sent twice
            raise TransientError(f"new has not told the UIDs of messages that it took into {self.folder.name}")
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
        most = self._largest_batch(unit)
        waiting = [batches(unit)] if most == BATCH_MESSAGES else [[batch] for batch in batches(unit, most)]
        with self._setting_aside():
            while waiting:  # each to its end: what is under way when new breaks off is one of these
                if halves := self._bisect(copied, self._bulk(sessions, waiting.pop(0))):
                    waiting.append(halves)
        with copied.lock:
            copied.units_left -= 1
            last = copied.units_left == 0
        if last:  # while these sessions have the folder selected
            self._finish(copied)

    def _largest_batch(self, unit: Sequence[Listed]) -> int:
        limits = self.context.counts.in_smaller_batches
        if not limits:
            return BATCH_MESSAGES
        return min(limits.get((self.folder.row.id, message.uid), BATCH_MESSAGES) for message in unit)

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

    def _bulk(
        self, sessions: Sessions, todo: list[list[Listed]], may_end: MayEnd | None = None,
        placeholders: Placeholders | None = None,
    ) -> Outcome:  # fmt: skip
        uidvalidity, pace = self.folder.row.new_uidvalidity, self.context.pace
        copy = BulkCopy(*self.folder.sides(sessions), uidvalidity, pace, self._arrived, may_end, placeholders)
        try:
            outcome = copy.run(todo)
            if placeholders is not None:
                placeholders.remove(sessions.destination)
            return outcome
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
