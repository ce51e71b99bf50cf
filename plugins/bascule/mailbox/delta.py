"""What users changed since the last pass: flags and removals on old are carried, what happened on new stays."""

from collections import defaultdict
from itertools import chain

from bascule.ledger.mailboxes import FOUND
from bascule.logs import get_logger
from bascule.mailbox import flags as flag_rules
from bascule.mailbox.errors import NotUnderstood, Refused, passes_by_itself
from bascule.mailbox.flags import Flags
from bascule.mailbox.listing import write_set
from bascule.mailbox.looking import Look
from bascule.mailbox.session import Pending, Session
from bascule.mailbox.state import Counts, FolderState

log = get_logger(__name__)

MESSAGES_AT_ONCE = 1000  # in one STORE
DELETED: Flags = frozenset((b"\\Deleted",))  # a removal that was interrupted leaves this


class Delta:
    """Carries the changes of one folder. `dropped`: keywords that a person decided not to carry."""

    def __init__(self, folder: FolderState, new: Session, counts: Counts, dropped: Flags = flag_rules.NONE) -> None:
        self.folder, self.new, self.counts, self.dropped = folder, new, counts, dropped
        self.refused_keywords: dict[bytes, tuple[list[int], str]] = {}  # keyword -> new UIDs, the server's words

    def carry(self, old: Look, new: Look, *, dry_run: bool) -> None:
        """Removals first: a message that is gone needs no flags."""
        self._note_removals_on_new(new)
        self._carry_removals(old, new, dry_run)
        wanted = self._wanted_flags(old, new)
        if dry_run:
            self.counts.add(flags=len(wanted))
            return
        self._store(wanted, new.status.modseq)

    def _note_removals_on_new(self, new: Look) -> None:
        for new_uid in new.vanished:
            old_uid = self.folder.map.old_of(new_uid)
            if old_uid is not None:
                self.folder.memory.remember(old_uid, self.folder.memory.old(old_uid) or flag_rules.NONE, None)

    def _carry_removals(self, old: Look, new: Look, dry_run: bool) -> None:
        removable = []
        for old_uid in old.vanished:
            found = self.folder.map.find(old_uid)
            if found is None or self.folder.memory.gone(old_uid):
                continue
            new_uid, origin = found
            base, there = self.folder.memory.new(old_uid), new.flags.get(new_uid)
            if origin == FOUND or base is None or there not in (None, base, base | DELETED):
                log.info(
                    "removed on old, kept on new: it was there before, or its user has changed it",
                    folder=self.folder.shown, old_uid=old_uid, new_uid=new_uid,
                )  # fmt: skip
                continue
            removable.append(new_uid)
        self.counts.add(removed=len(removable))
        if dry_run:
            return
        if removable:
            remove(self.new, self.folder.new_raw, removable)
            self.folder.touched = True
        if old.vanished:
            self.folder.map.remove(old.vanished)
            self.folder.clear_exceptions(old.vanished)

    def _wanted_flags(self, old: Look, new: Look) -> dict[int, tuple[Flags, Flags]]:
        """New UID -> (what is there, what shall be there)."""
        memory, wanted = self.folder.memory, {}
        changed = set(old.flags) | {uid for uid in (self.folder.map.old_of(n) for n in new.flags) if uid is not None}
        for old_uid in changed:
            found = self.folder.map.find(old_uid)
            if found is None or memory.gone(old_uid):
                continue
            old_base, new_base = memory.old(old_uid), memory.new(old_uid)
            old_now = old.flags.get(old_uid, old_base)
            new_now = new.flags.get(found[0], new_base)
            if old_now is None or new_now is None:
                continue
            target = self._merge(old_base, new_base, old_now, new_now)
            memory.remember(old_uid, old_now, target)
            if target != new_now:
                self.folder.recheck.add(old_uid)
                wanted[found[0]] = (new_now, target)
            elif old_base is not None and old_now not in (old_base, new_now) and new_now != new_base:
                self.counts.add(conflicts=1)
                log.info(
                    "flags changed on both sides: new's stay", folder=self.folder.shown, old_uid=old_uid,
                    old=_shown(old_now), new=_shown(new_now),
                )  # fmt: skip
        return wanted

    def _merge(self, old_base: Flags | None, new_base: Flags | None, old_now: Flags, new_now: Flags) -> Flags:
        if old_base is None or new_base is None:  # first meeting: nobody's flags are taken away
            return new_now | self.carried(old_now)
        if old_now == old_base or new_now != new_base:
            return new_now
        return self.carried(old_now)

    def carried(self, flags: Flags) -> Flags:
        """Those of old's flags that new can be told."""
        return frozenset(flag for flag in flags - self.dropped if flag_rules.can_be_said(flag))

    def _store(self, wanted: dict[int, tuple[Flags, Flags]], modseq: int) -> None:
        """All flags of a message in one command: interrupted anywhere, it has its old flags or its new ones."""
        groups: dict[Flags, list[int]] = defaultdict(list)
        for new_uid, (_, target) in wanted.items():
            groups[target].append(new_uid)
        if not groups:
            return
        self.folder.touched = True
        unchanged = b"(UNCHANGEDSINCE %d) FLAGS.SILENT" % modseq if modseq else b"FLAGS.SILENT"
        selected = self.new.begin_selected(self.folder.new_raw, write=True)
        doubtful = {target for target in groups if flag_rules.afterwards(target)}
        asked = [begin_store(self.new, unchanged, t, sorted(groups[t])) for t in groups if t not in doubtful]
        selected()
        for pending in chain.from_iterable(asked):
            self.new.finish(pending)
        for target in doubtful:
            self._store_doubtful(unchanged, target, sorted(groups[target]))
        self.counts.add(flags=len(wanted))

    def _store_doubtful(self, verb: bytes, target: Flags, uids: list[int]) -> None:
        doubtful = flag_rules.afterwards(target)
        try:
            store(self.new, verb, target, uids)
        except (Refused, NotUnderstood) as error:
            if isinstance(error, Refused) and passes_by_itself(error):
                raise
            for keyword in doubtful:
                self.refused_keywords[keyword] = (uids, error.words if isinstance(error, Refused) else str(error))
            if self.new.wire.lost:
                self.new = self.new.again()
            self.new.ensure_selected(self.folder.new_raw, write=True)
            store(self.new, verb, target - doubtful, uids)

    def add_keywords(self, wanted: dict[bytes, list[int]]) -> None:
        """Set keywords that new may refuse, each by commands of its own."""
        for keyword, uids in wanted.items():
            try:
                self.new.ensure_selected(self.folder.new_raw, write=True)
                store(self.new, b"+FLAGS.SILENT", frozenset((keyword,)), sorted(uids))
            except Refused as error:
                if passes_by_itself(error):
                    raise
                self.refused_keywords[keyword] = (uids, error.words)
            except NotUnderstood as error:
                self.refused_keywords[keyword] = (uids, str(error))
                self.new = self.new.again()


def begin_store(session: Session, verb: bytes, some: Flags, uids: list[int]) -> list[Pending]:
    """Ask for a change of flags of messages in the selected folder."""
    text = b"(" + b" ".join(sorted(some)) + b")"
    pieces = [uids[i : i + MESSAGES_AT_ONCE] for i in range(0, len(uids), MESSAGES_AT_ONCE)]
    return [session.begin(b"UID STORE", write_set(piece), verb, text) for piece in pieces]


def store(session: Session, verb: bytes, some: Flags, uids: list[int]) -> None:
    """Change flags of messages in the selected folder."""
    for pending in begin_store(session, verb, some, uids):
        session.finish(pending)


def remove(session: Session, raw: bytes, uids: list[int]) -> None:
    """Expunge these messages and no other. Without UIDPLUS (RFC 4315) they only bear \\Deleted when others do too."""
    session.ensure_selected(raw, write=True)
    if session.has("UIDPLUS"):
        store(session, b"+FLAGS.SILENT", DELETED, uids)
        pieces = [uids[i : i + MESSAGES_AT_ONCE] for i in range(0, len(uids), MESSAGES_AT_ONCE)]
        for pending in [session.begin(b"UID EXPUNGE", write_set(piece)) for piece in pieces]:
            session.finish(pending)
        return
    found = session.run(b"UID SEARCH DELETED").responses
    marked = {int(uid) for response in found if response[1] == b"SEARCH" for uid in response[2:]}
    store(session, b"+FLAGS.SILENT", DELETED, uids)
    if marked <= set(uids):
        session.run(b"EXPUNGE")


def _shown(flags: Flags) -> list[str]:
    return sorted(flag.decode("latin-1") for flag in flags)
