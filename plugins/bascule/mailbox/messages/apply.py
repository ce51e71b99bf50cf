"""Carries out on new what users have changed since the last pass, message by message as `merge.py` says."""

from collections import defaultdict
from itertools import chain

from bascule.ledger.mailboxes import FOUND
from bascule.mailbox.imap.errors import NotUnderstood, Refused, passes_by_itself
from bascule.mailbox.imap.flags import DELETED, NONE, Flags, is_valid, only_by_store
from bascule.mailbox.imap.store import begin_store, expunge, store
from bascule.mailbox.messages.changes import Changes, SideChanges
from bascule.mailbox.messages.merge import Act, Base, merge, merge_flags
from bascule.mailbox.messages.problems import report_keyword
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import Counts, FolderState
from bascule.mailbox.workers import Sessions
from bascule.text.logs import get_logger

log = get_logger(__name__)


class ChangesOfUsers:
    """The changes of one folder. `dropped`: keywords that a person decided not to carry."""

    def __init__(
        self, folder: FolderState, sessions: Sessions, counts: Counts, problems: PassProblems, dropped: Flags = NONE
    ) -> None:
        self.folder, self.sessions, self.counts, self.problems = folder, sessions, counts, problems
        self.dropped = dropped
        self._refused: dict[bytes, tuple[int, str]] = {}  # keyword -> how many messages bear it, the server's text

    def apply(self, changes: Changes, *, dry_run: bool = False) -> None:
        """Removals first: a message that is gone needs no flags."""
        self._note_removals_on_new(changes.new)
        self._expunge(self._removable(changes), changes.old.vanished, dry_run=dry_run)
        wanted = self._wanted_flags(changes)
        if dry_run:
            self.counts.add(flags=len(wanted))
        elif wanted:
            self._store(wanted, 0 if self.folder.distrusted else changes.new.status.modseq)

    def _note_removals_on_new(self, new: SideChanges) -> None:
        memory = self.folder.memory
        for new_uid in new.vanished:
            old_uid = self.folder.map.old_of(new_uid)
            if old_uid is not None:
                memory.remember(old_uid, memory.old(old_uid) or NONE, None)

    def _base(self, old_uid: int) -> tuple[int, Base[Flags]] | None:
        """The message's new UID, and what the last pass left of it."""
        found = self.folder.map.find(old_uid)
        if found is None:
            return None
        memory = self.folder.memory
        return found[0], Base(memory.old(old_uid), memory.new(old_uid), ours=found[1] != FOUND)

    # -- removed on old

    def _removable(self, changes: Changes) -> list[int]:
        """New UIDs of what was removed on old."""
        removable = []
        for old_uid in changes.old.vanished:
            known = self._base(old_uid)
            if known is None:
                continue
            new_uid, base = known
            flags = changes.new.flags.get(new_uid, base.destination)
            if base.destination is not None and flags == base.destination | DELETED:
                flags = base.destination  # a removal that was interrupted leaves this
            act = merge(base, None, flags)
            if act is Act.REMOVE:
                removable.append(new_uid)
            elif act is Act.KEEP:
                log.info(
                    "removed on old, kept on new: it was there before, or its user has changed it",
                    folder=self.folder.name, old_uid=old_uid, new_uid=new_uid,
                )  # fmt: skip
        return removable

    def _expunge(self, removable: list[int], vanished: list[int], *, dry_run: bool) -> None:
        self.counts.add(removed=len(removable))
        if dry_run:
            return
        if removable:
            expunge(self.sessions.destination, self.folder.new_encoded, removable)
            self.folder.touched = True
        if vanished:
            self.folder.map.remove(vanished)
            self.folder.take_back(vanished)

    # -- flags

    def _wanted_flags(self, changes: Changes) -> dict[int, Flags]:
        """New UID -> the flags that it shall have."""
        old, new, old_of = changes.old, changes.new, self.folder.map.old_of
        wanted = {}
        for old_uid in set(old.flags) | {uid for uid in map(old_of, new.flags) if uid is not None}:
            known = self._base(old_uid)
            if known is None:
                continue
            new_uid, base = known
            old_flags, new_flags = old.flags.get(old_uid, base.source), new.flags.get(new_uid, base.destination)
            if old_flags is None or new_flags is None:
                continue  # removed by its user
            target, kept = merge_flags(base, old_flags, new_flags)
            target = target - self._not_carried(old_flags - new_flags)
            self.folder.memory.remember(old_uid, old_flags, target)
            if target != new_flags:
                self.folder.recheck.add(old_uid)
                wanted[new_uid] = target
            if kept:
                log.info(
                    "flags changed on both sides: new's stay", folder=self.folder.name, old_uid=old_uid,
                    old=_texts(old_flags), new=_texts(new_flags),
                )  # fmt: skip
        return wanted

    def _not_carried(self, flags: Flags) -> Flags:
        """Of old's flags those that IMAP can't write, or that a person decided to leave behind."""
        return frozenset(flag for flag in flags if flag in self.dropped or not is_valid(flag))

    def _store(self, wanted: dict[int, Flags], modseq: int) -> None:
        """All flags of a message in one command: interrupted anywhere, it has its old flags or its new ones."""
        groups: dict[Flags, list[int]] = defaultdict(list)
        for new_uid, target in wanted.items():
            groups[target].append(new_uid)
        self.folder.touched = True
        new = self.sessions.destination
        selected = new.begin_selected(self.folder.new_encoded, write=True)
        doubtful = {target for target in groups if only_by_store(target)}
        asked = [begin_store(new, t, sorted(groups[t]), modseq=modseq) for t in groups if t not in doubtful]
        selected()
        for pending in chain.from_iterable(asked):
            new.finish(pending)
        for target in doubtful:
            self._store_doubtful(target, sorted(groups[target]), modseq)
        for keyword, (messages, text) in self._refused.items():
            report_keyword(self.problems, self.folder.name, keyword, messages, text)
        self.counts.add(flags=len(wanted))

    def _store_doubtful(self, target: Flags, uids: list[int], modseq: int) -> None:
        """Flags with keywords that new may not take: then without these, which become problems."""
        doubtful = only_by_store(target)
        try:
            self.sessions.destination.ensure_selected(self.folder.new_encoded, write=True)
            store(self.sessions.destination, target, uids, modseq=modseq)
        except (Refused, NotUnderstood) as error:
            if isinstance(error, Refused) and passes_by_itself(error):
                raise
            for keyword in doubtful:
                messages, _ = self._refused.get(keyword, (0, ""))
                self._refused[keyword] = messages + len(uids), error.text if isinstance(error, Refused) else str(error)
            self.sessions.destination.ensure_selected(self.folder.new_encoded, write=True)
            store(self.sessions.destination, target - doubtful, uids, modseq=modseq)


def _texts(flags: Flags) -> list[str]:
    return sorted(flag.decode("latin-1") for flag in flags)
