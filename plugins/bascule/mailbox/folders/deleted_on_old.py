"""Folders that were removed on old since the last pass: what Bascule put on new goes too, if nobody has changed it."""

from bascule.ledger import mailboxes
from bascule.mailbox.context import PassContext
from bascule.mailbox.folders.known import KnownFolders
from bascule.mailbox.folders.problems import (
    REMOVED,
    both_changed_decision,
    report_both_changed,
    report_not_listed,
    stays_on_new,
)
from bascule.mailbox.imap.errors import Refused, passes_by_itself
from bascule.mailbox.imap.flags import DELETED
from bascule.mailbox.imap.folders import Folder, FolderList, FolderStatus, delete, get_status
from bascule.mailbox.messages.apply import ChangesOfUsers
from bascule.mailbox.messages.changes import Changes, SideChanges, SideQuery
from bascule.mailbox.messages.placeholders import may_be_left, remove_left
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions
from bascule.problems.model import Action, Option, Proposal
from bascule.text import mutf7
from bascule.text.logs import get_logger

log = get_logger(__name__)


class Kept:
    """The folders that new has, kept up while some are removed."""

    def __init__(self, new: FolderList, in_use: set[bytes]) -> None:
        self.names, self._separator = set(new.folders) | in_use, new.namespace.separator

    def has_below(self, encoded: bytes) -> bool:
        below = encoded + self._separator
        return bool(self._separator) and any(name.startswith(below) for name in self.names)


def remove_folders(
    context: PassContext,
    sessions: Sessions,
    old: FolderList,
    new: FolderList,
    planned: list[FolderState],
    held: set[int],
) -> bool:
    """Deal with every folder that the ledger knows and old has no more, but those of the rows `held`; deepest first.

    Returns True when all were looked at.
    """
    ledger, account = context.problems.ledger, context.job.account
    in_use = {state.new_encoded for state in planned}
    kept = Kept(new, in_use)
    # What shows others' messages now, or is in nobody's mailbox, is asked about and told elsewhere: it is not gone.
    apart = {*old.virtual, *old.others, *old.shared}
    gone = [
        row for row in KnownFolders(ledger, account, old).gone()
        if row.id not in held and mutf7.encode(row.old_name) not in apart
    ]  # fmt: skip
    for row in sorted(gone, key=lambda row: len(mutf7.encode(row.new_name)), reverse=True):
        encoded = mutf7.encode(row.new_name)
        state = FolderState(ledger, account, Folder(b""), encoded, row)
        state.set_new(new.folders.get(encoded))
        state.load()
        if _is_there_all_the_same(sessions, old, row.old_name):
            report_not_listed(context.problems, row.old_name)
            continue
        if state.new is not None and encoded not in in_use and not _tried(context, sessions, state, kept):
            continue
        with ledger.session() as session:
            mailboxes.forget_folder(session, row.id)
    return True


def _is_there_all_the_same(sessions: Sessions, old: FolderList, name: str) -> bool:
    """Whether old has a folder that it does not list: a list that lacks one is no proof that its owner removed it."""
    encoded = mutf7.encode(name)
    if any(listed.lower() == encoded.lower() for listed in old.folders):
        return False  # renamed on a server to which capitals are the same
    try:
        get_status(sessions.source, encoded)
    except Refused as error:
        if passes_by_itself(error):
            raise
        return False
    return True


def _tried(context: PassContext, sessions: Sessions, state: FolderState, kept: Kept) -> bool:
    """As `_settled`; what new does not remove holds up nothing else."""
    try:
        return _settled(context, sessions, state, kept)
    except Refused as error:
        if passes_by_itself(error):
            raise
        sessions.close(cut=True)  # what was asked behind the refused command is still under way
        return stays_on_new(context.problems, state.name, state.row.new_name, error.text)


def _settled(context: PassContext, sessions: Sessions, state: FolderState, kept: Kept) -> bool:
    """Take away on new what Bascule put there; False while a person has to decide, since new was changed as well."""
    if may_be_left(state.row):
        remove_left(sessions.destination, state.new_encoded)
    on_new = _compare(sessions, state)
    if on_new is None:
        _remove_folder(sessions, state, kept)
        return True  # its messages can't be told from others any more: all of them stay
    changed, own = _changed(state, on_new), len(on_new.unmapped)
    facts = {"change": REMOVED, "uidvalidity": state.row.old_uidvalidity}
    decision = both_changed_decision(context.problems, state.name, facts)
    if (changed or own) and decision is None:
        report_both_changed(
            context.problems,
            state.name,
            f"The folder {state.name!r} was removed on the old server after Bascule had carried it, and in the one on "
            f"the new server ({state.row.new_name!r}) something was changed since. The proposal keeps that one whole. "
            "To leave it out means: what nobody has changed there goes, everything else stays.",
            facts,
            Proposal(Action.KEEP_ON_NEW),
            messages_on_new=len(state.map) + own - len(on_new.vanished), changed_on_new=changed, own_on_new=own,
        )  # fmt: skip
        return False
    if decision is not None:
        context.problems.carried_out(decision)
        if decision.option is Option.APPLY:
            log.info("folder is kept on new by decision", folder=state.name, decided_by=decision.decided_by)
            return True
    all_gone = SideChanges(FolderStatus(0, 0, 0, 0), vanished=[old for old, _, _ in state.map])
    ChangesOfUsers(state, sessions, context.counts, context.problems).apply(Changes(all_gone, on_new))
    _remove_folder(sessions, state, kept)
    return True


def _compare(sessions: Sessions, state: FolderState) -> SideChanges | None:
    query = SideQuery(sessions.destination, state, is_old=False, in_full=True)
    query.begin()
    return query.finish()


def _changed(state: FolderState, on_new: SideChanges) -> int:
    """How many messages that Bascule put there have other flags than it left them with."""
    changed = 0
    for new_uid, flags in on_new.flags.items():
        old_uid = state.map.old_of(new_uid)
        base = state.memory.new(old_uid) if old_uid is not None else None
        changed += base is not None and flags not in (base, base | DELETED)
    return changed


def _remove_folder(sessions: Sessions, state: FolderState, kept: Kept) -> None:
    if not state.row.created or kept.has_below(state.new_encoded):
        return
    try:
        sessions.destination.ensure_selected(b"INBOX")
        status = get_status(sessions.destination, state.new_encoded)
        if status is not None and status.messages == 0:
            delete(sessions.destination, state.new_encoded)
            kept.names.discard(state.new_encoded)
            log.info("folder removed on new, as on old", folder=state.name)
    except Refused as error:
        log.info("folder stays on new", folder=state.name, server_words=error.text)
