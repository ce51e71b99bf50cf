"""The end of a folder whose copy is done: what was set aside, verification, and what is remembered."""

from collections.abc import Sequence

from bascule.mailbox.context import PassContext
from bascule.mailbox.folder_sync.copy import Copied
from bascule.mailbox.folders.uids import NOT_THE_SAME, KeptUids
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.fetch import list_messages
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.imap.listing import Listed, Selection
from bascule.mailbox.messages.as_listed import select_as_listed
from bascule.mailbox.messages.changes import Changes
from bascule.mailbox.messages.keywords import retry_keywords, set_late_keywords
from bascule.mailbox.messages.late_arrivals import remove_late_arrivals
from bascule.mailbox.messages.new_uids import find_new_uids
from bascule.mailbox.messages.placeholders import may_be_left, remove_left
from bascule.mailbox.messages.refused import MessagesAside
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.verify.after_copy import verify_after_copy
from bascule.mailbox.verify.uids import differing_uids
from bascule.mailbox.workers import Sessions
from bascule.text.logs import get_logger

log = get_logger(__name__)


class FolderEnd:
    """By a pair of sessions that has the folder selected. `dropped`: keywords that are left out by decision."""

    def __init__(self, context: PassContext, folder: FolderState, sessions: Sessions, dropped: Flags) -> None:
        self.context, self.folder, self.sessions, self.dropped = context, folder, sessions, dropped

    def reach(self, copied: Copied) -> None:
        """Treat what was refused, verify, and remember what both servers said."""
        folder, plan, sessions, problems = self.folder, copied.plan, self.sessions, self.context.problems
        folder.save_runs()
        folder.map.settle()
        self._find_unsure(plan.bulk)
        single = [message for message in plan.single + copied.refused if message.uid not in copied.alone]
        single += self._not_given(plan.bulk, single)
        MessagesAside(self.context, folder, sessions).treat(single, treated=copied.alone)
        folder.map.settle()
        self._find_unsure(single)
        folder.memory.settle()
        unanswered = folder.row.id in self.context.counts.unanswered
        remove_late_arrivals(self.context.counts, folder, *folder.sides(sessions))
        if folder.placeholders or (unanswered and may_be_left(folder.row)):
            remove_left(sessions.destination, folder.new_encoded)
        set_late_keywords(folder, sessions, problems, self.dropped)
        retry_keywords(folder, sessions, problems)
        if plan.bulk.listing.has_unsafe_dates:
            self._let_new_forget([*plan.bulk, *plan.single])
        select_as_listed(folder.sides(sessions)[0], plan.all)
        status, verification = verify_after_copy(self.context, folder, sessions, self.dropped)
        if folder.keeps_uids and (folder.touched or not folder.row.finished):
            status = self._verify_uids(plan.changes) or status
        folder.row.bytes += plan.bulk.octets()
        folder.finish(plan.changes.old.status, status or plan.changes.new.status, verification)

    def _verify_uids(self, changes: Changes) -> FolderStatus | None:
        """By the lists of both servers, whatever the copy believes: what is no more so ends here.

        What new says then of its folder, which has another UIDVALIDITY; None: nothing ends.
        """
        aside, memory = self.folder.aside, self.folder.memory
        differing = differing_uids(
            *self.folder.sides(self.sessions), self.folder.map, changes.old.status.uidnext,
            lambda uid: uid in aside or memory.gone(uid),
        )  # fmt: skip
        if not differing:
            return None
        log.error("UIDs are not as on old", folder=self.folder.name, differences="; ".join(differing))
        KeptUids(self.context, self.folder, self.sessions).end(changes, NOT_THE_SAME)
        return changes.new.status

    def _let_new_forget(self, messages: Sequence[Listed]) -> None:
        """Some servers show a date that they can't keep as they were told it, but once."""
        told = [self.folder.map.find(message.uid) for message in messages if message.date not in internaldate.SAFE]
        list_messages(self.sessions.destination, self.folder.new_encoded, [found[0] for found in told if found])
        self.sessions.close()

    def _find_unsure(self, sent: Sequence[Listed]) -> None:
        """The new UIDs that new did not tell."""
        if self.folder.unsure:
            find_new_uids(self.folder, *self.folder.sides(self.sessions), sent)
            self.folder.unsure = False

    def _not_given(self, sent: Selection, single: list[Listed]) -> list[Listed]:
        """Messages that old still lists and did not give in bulk: each is tried alone; one holds up no other."""
        folder = self.folder
        aside = {message.uid for message in single} | set(folder.aside)
        absent = {uid for uid in sent.uids() if uid not in folder.map and uid not in aside}
        listed = {message.uid for message in list_messages(self.sessions.source, folder.old.encoded, absent)}
        return [message for message in sent if message.uid in listed] if listed else []
