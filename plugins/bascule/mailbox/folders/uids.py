"""Whether a folder on new has old's UIDs under old's UIDVALIDITY, so that mail programs notice nothing; when that ends.

A mail program trusts that a UID means one message for as long as UIDVALIDITY is the same (RFC 9051 section 2.3.1.1).
So, as long as both sides have the same UIDVALIDITY, each message on new either has its UID from old, or one that old
has never given. When that can't be kept up, new's folder gets another UIDVALIDITY: programs then download it anew, and
mix nothing up. docs/engine.md has the table of all cases.
"""

import time
from collections.abc import Iterator

from bascule.ledger.base import now
from bascule.ledger.mailboxes import CHANGED, KEPT
from bascule.mailbox.context import PassContext
from bascule.mailbox.doveadm import CannotCommand, above
from bascule.mailbox.imap.acl import my_rights
from bascule.mailbox.imap.errors import TransientError
from bascule.mailbox.imap.folders import FolderStatus
from bascule.mailbox.imap.listing import Selection
from bascule.mailbox.messages.changes import Changes
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions
from bascule.text.logs import get_logger

log = get_logger(__name__)

MOST = 2**32 - 1  # UIDs and UIDVALIDITY are numbers of 32 bits
# Seconds between tries: on a Maildir, a session that was cut a moment ago may write down once more what it had read.
PAUSES = 0.0, 0.1, 0.3, 1.0
ROOM = 100_000  # UIDs that must be left for new mail: Dovecot breaks off when there is none

NOT_WANTED = "the site file wants new ones (`mailboxes.uids: new`)"
COPIED_BEFORE = "it was copied before UIDs were kept"
OWN_MAIL = "it had mail of its own on the new server before"
GIVEN_BEFORE = "the new server had given UIDs in it before, to messages that are gone"
MADE_ANEW = "it was made anew or restored on the old server after its first pass"
BOTH_GAVE = "messages came on the new server, and then others under the same UIDs on the old one"
GIVEN_FIRST = "the new server gave UIDs, to messages that are gone or were copied late, that the old one gave after it"
NOT_THE_SAME = "the lists of UIDs of both servers, when they were compared, were not the same (the log says where)"
PUT_INTO = "something was put into it on the new server while it was copied"


class KeptUids:
    """The UIDs of one folder in one pass."""

    def __init__(self, context: PassContext, folder: FolderState, sessions: Sessions) -> None:
        self.context, self.folder, self.sessions = context, folder, sessions

    # -- before anything is copied

    def decide(self, changes: Changes) -> None:
        """Once for each folder, when nothing of it is on new: may its UIDs be kept? Then new gets old's UIDVALIDITY."""
        row = self.folder.row
        if row.given_uidvalidity:
            self._give(changes, row.given_uidvalidity)
        if row.uids:
            return
        obstacle = next(self._obstacles(changes.old.status, changes), "") or self._begin(changes)
        row.uids, row.uids_reason = (CHANGED, obstacle) if obstacle else (KEPT, "")
        if obstacle and obstacle != NOT_WANTED:
            log.info("UIDs are not kept", folder=self.folder.name, reason=obstacle)

    def foresee(self, changes: Changes) -> None:
        """Dry run: say why they will not be kept, as far as both servers show it."""
        obstacle = next(self._obstacles(changes.old.status, changes), "")
        if obstacle not in ("", NOT_WANTED) and not self.folder.row.uids:
            log.info("UIDs would not be kept", folder=self.folder.name, reason=obstacle)

    def _obstacles(self, old: FolderStatus, changes: Changes) -> Iterator[str]:
        new = changes.new.status
        if self.context.job.options.uids == "new":
            yield NOT_WANTED
        if self.context.job.doveadm is None:
            yield "Bascule knows no way to command the new server"
        if not self.sessions.destination.has("UIDPLUS"):
            yield "the new server does not say which UIDs it gives"
        if not 0 < old.uidvalidity <= MOST or not old.uidnext:
            yield "the old server tells no UIDVALIDITY or no UIDNEXT of it"
        if old.uidnext > MOST - ROOM:
            yield "its UIDs on the old server are so high that new mail would soon find none"
        if len(self.folder.map):
            yield COPIED_BEFORE
        # What is there under old's UIDVALIDITY may be old's already: `check` sees when it is known which is which.
        if new.uidvalidity != old.uidvalidity:
            if new.messages:
                yield OWN_MAIL
            if new.uidnext > _first(changes):
                yield GIVEN_BEFORE

    def _begin(self, changes: Changes) -> str:
        """Give new's empty folder old's UIDVALIDITY; why that was not possible, or ""."""
        old = changes.old.status
        try:
            self._give(changes, old.uidvalidity, _first(changes))
        except CannotCommand as error:
            return f"the new server can't be commanded: {error}"
        if changes.new.status.uidvalidity != old.uidvalidity:
            return "the new server did as it was told, and shows another UIDVALIDITY by IMAP"
        return ""

    # -- when it is known which message of new is which of old

    def check(self, changes: Changes, new_messages: Selection) -> None:
        """See whether UIDs are kept still; else it ends here, before anything else is stored."""
        folder, row, old, new = self.folder, self.folder.row, changes.old.status, changes.new.status
        if not folder.keeps_uids:
            if old.uidvalidity == new.uidvalidity and self.context.job.doveadm is not None:  # by chance
                self._give_another(changes)
            return
        folder.uidnext, folder.misplaced = new.uidnext, False
        for old_uid, new_uid, _, _ in folder.map.runs:
            if old_uid != new_uid:
                folder.note_foreign(new_uid)
        for uid in changes.new.unmapped.uids():
            if folder.map.old_of(uid) is None:
                folder.note_foreign(uid)
        first = min((uid for uid in new_messages.uids() if uid not in folder.aside), default=MOST)
        if old.uidvalidity != new.uidvalidity:
            self.end(changes, MADE_ANEW)
        elif row.foreign_uid and row.foreign_uid < old.uidnext:
            self.end(changes, BOTH_GAVE)
        elif first < new.uidnext:
            self.end(changes, GIVEN_FIRST)
        else:
            self._raise_modseq(changes)

    def _raise_modseq(self, changes: Changes) -> None:
        """What this pass changes on new is newer than all that programs have seen on old (RFC 7162, CHANGEDSINCE)."""
        old, new = changes.old.status, changes.new.status
        # A new Maildir tells no MODSEQ until somebody has asked for one.
        if new.modseq < old.modseq and self.sessions.destination.capabilities.modseq:
            self._command(modseq=above(old.modseq))
            self.folder.touched = True

    def end(self, changes: Changes, reason: str) -> None:
        """UIDs are kept no longer: new's folder gets another UIDVALIDITY, so that no program takes one for another."""
        row = self.folder.row
        row.uids, row.uids_reason, row.uids_ended_at = CHANGED, reason, now()
        log.warning(
            "UIDs are kept no longer: mail programs download this folder once more",
            folder=self.folder.name, reason=reason,
        )  # fmt: skip
        if changes.new.status.uidvalidity == changes.old.status.uidvalidity:
            self._give_another(changes)

    # -- while it is copied, and after

    def leave_out(self, uid: int) -> None:
        """Let new give this UID next."""
        if uid < self.folder.uidnext:
            self.folder.misplaced = True
        elif uid > self.folder.uidnext:
            self._command(uidnext=uid)
            self.folder.uidnext, self.folder.touched = uid, True

    def takes_placeholders(self) -> bool:
        """Whether small gaps are left out by messages that are removed at once, and not by commands."""
        try:
            doveadm = self.sessions.doveadm
        except CannotCommand as error:
            raise self._not_commanded(error) from None
        if not (doveadm.takes_placeholders and self.context.counts.placeholders_fit):
            return False
        return not doveadm.limits_rights or self._may_remove()

    def _may_remove(self) -> bool:
        """Whether new lets the account flag and expunge here. Dovecot passes over in silence what it may not."""
        new = self.sessions.destination
        return new.has("ACL") and set("ste") <= my_rights(new, self.folder.new_encoded)

    def complete(self, changes: Changes) -> None:
        """Let new count on where old will: what was removed on old behind the last message is left out, too."""
        self.leave_out(max(self.folder.uidnext, changes.old.status.uidnext))

    # -- commands

    def _give(self, changes: Changes, uidvalidity: int, uidnext: int = 0) -> None:
        """Give new's folder this UIDVALIDITY. Written down first, so that it is known again whatever happens."""
        row = self.folder.row
        if row.id is not None:
            row.given_uidvalidity = uidvalidity
            self.folder.save_row()
        new = self.sessions.destination
        for pause in PAUSES:
            time.sleep(pause)
            new.unselect()
            self.sessions.doveadm.update(self.folder.new_encoded, uidvalidity=uidvalidity, uidnext=uidnext)
            changes.new.status = new.select(self.folder.new_encoded).status
            if changes.new.status.uidvalidity == uidvalidity:
                row.new_uidvalidity, row.given_uidvalidity = uidvalidity, 0
                return

    def _give_another(self, changes: Changes) -> None:
        """Another UIDVALIDITY than old's, and a higher one if there is any. Raises TransientError."""
        uidvalidity, clock = changes.old.status.uidvalidity, int(time.time())
        another = clock if uidvalidity < clock or uidvalidity == MOST else uidvalidity + 1
        try:
            self._give(changes, another)
        except CannotCommand as error:
            raise self._not_commanded(error) from None
        self.folder.touched = True

    def _command(self, *, uidnext: int = 0, modseq: int = 0) -> None:
        try:
            self.sessions.doveadm.update(self.folder.new_encoded, uidnext=uidnext, modseq=modseq)
        except CannotCommand as error:
            raise self._not_commanded(error) from None

    def _not_commanded(self, error: CannotCommand) -> TransientError:
        return TransientError(
            f"the folder {self.folder.name!r} has old's UIDs on the new server, which could be commanded before and "
            f"can't be now: {error}"
        )


def _first(changes: Changes) -> int:
    """The UID on old of the first message, or of the next one if there is none."""
    return min(changes.old.unmapped.uids(), default=changes.old.status.uidnext)
