"""One folder in one pass. Each phase hands a value of its own to the next one: `Changes`, `Plan`, `Copied`.

What a crash between two of them leaves behind stands in docs/engine.md.
"""

from functools import partial

from bascule.mailbox.context import PassContext
from bascule.mailbox.folder_sync.changes import find_changes, report_unopened
from bascule.mailbox.folder_sync.copy import Copied, FolderCopy
from bascule.mailbox.folder_sync.end import FolderEnd
from bascule.mailbox.folder_sync.plan import Plan, not_on_new, plan_copy
from bascule.mailbox.folders.uids import KeptUids
from bascule.mailbox.imap.errors import FolderBusy, NotUnderstood, Refused
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.messages.apply import ChangesOfUsers
from bascule.mailbox.messages.bulk_copy import BatchNotUnderstood
from bascule.mailbox.messages.changes import Changes
from bascule.mailbox.messages.own_date import give_own_dates
from bascule.mailbox.messages.problems import dropped_keywords
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions, Unit

BUSY_TRIES = 3  # attempts in which a server may do nothing with a folder before a person is asked


class FolderSync:
    """The phases of one folder, in the pass' queue."""

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
        else:
            report_unopened(self.context, self.folder, busy)

    def _add(self, act: Unit, *, first: bool = False) -> None:
        self.context.queue.add(partial(self._unless_busy, act), first=first)

    def _run(self, sessions: Sessions) -> None:
        """Find out what is to be done, carry users' changes, and put the copy into the queue."""
        self.folder.load()
        changes = find_changes(self.context, self.folder, sessions)
        if changes is None:
            return
        if self.context.dry_run:
            self._count(changes, sessions)
            return
        uids = KeptUids(self.context, self.folder, sessions)
        uids.decide(changes)
        if self.folder.row.id is None and (changes.old.unmapped or changes.new.unmapped):
            self.folder.save_row()
        give_own_dates(self.folder, self.folder.sides(sessions)[0], changes.old.unmapped, self.context.problems)
        new_messages = not_on_new(changes, self.folder, sessions)
        uids.check(changes, new_messages)
        self._users_changes(sessions).apply(changes)
        largest = self.context.job.options.largest_message
        self._copy_when_it_fits(plan_copy(changes, new_messages, self.folder, largest))

    def _count(self, changes: Changes, sessions: Sessions) -> None:
        """Dry run: what would be done."""
        KeptUids(self.context, self.folder, sessions).foresee(changes)
        if self.folder.new is not None:
            self._users_changes(sessions).apply(changes, dry_run=True)
        new_messages = changes.old.unmapped
        self.context.counts.add(copied=len(new_messages), bytes=new_messages.octets())

    def _users_changes(self, sessions: Sessions) -> ChangesOfUsers:
        return ChangesOfUsers(self.folder, sessions, self.context.counts, self.context.problems, self.dropped)

    def _copy_when_it_fits(self, plan: Plan) -> None:
        copy = FolderCopy(self.context, self.folder, self._add, self._finish_next)
        if plan.bulk and self.context.held is not None:
            self.context.held.hold(len(plan.bulk), plan.bulk.octets(), partial(copy.begin, plan))
        else:
            copy.begin(plan)

    def _finish_next(self, copied: Copied) -> None:
        """Before other units, while these sessions have the folder selected."""
        self._add(partial(self._finish, copied), first=True)

    def _finish(self, copied: Copied, sessions: Sessions) -> None:
        FolderEnd(self.context, self.folder, sessions, self.dropped).reach(copied)
