"""Folders that were removed on old since the last pass: what Bascule put on new goes too, if nobody has changed it."""

from bascule.ledger import mailboxes
from bascule.ledger.problems import Option
from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.context import PassContext
from bascule.mailbox.delta import DELETED, Delta
from bascule.mailbox.errors import Refused
from bascule.mailbox.folders import Folder, FolderStatus, Surroundings, begin_status, finish_status
from bascule.mailbox.lanes import Lane
from bascule.mailbox.looking import Look, SideLook
from bascule.mailbox.state import FolderState, name_hash
from bascule.mailbox.trouble import REMOVED

log = get_logger(__name__)


def remove_folders(
    context: PassContext, lane: Lane, old: Surroundings, new: Surroundings, planned: list[FolderState], held: set[int]
) -> bool:
    """Deal with every folder that the ledger knows and old has no more, but those of the rows `held`.

    Returns True when all were looked at.
    """
    ledger, account = context.troubles.ledger, context.job.account
    there = {name_hash(raw) for raw in old.folders}
    in_use = {state.new_raw for state in planned}
    with ledger.reading() as session:
        rows = [row for row in mailboxes.folders_of(session, account) if row.old_hash not in there]
    for row in rows:
        if row.id in held:
            continue
        raw = names.encode(row.new_name)
        state = FolderState(ledger, account, Folder(b""), raw, row)
        state.new = new.folders.get(raw)
        state.load()
        if state.new is not None and raw not in in_use and not _settled(context, lane, state, new):
            continue
        with ledger.session() as session:
            mailboxes.forget_folder(session, row.id)
    return True


def _settled(context: PassContext, lane: Lane, state: FolderState, new: Surroundings) -> bool:
    """Take away on new what Bascule put there; False while a person has to decide, since new was changed as well."""
    look = _look(lane, state)
    if look is None or not state.row.finished:
        _remove_folder(lane, state, new)
        return True  # its messages can't be told from others any more: all of them stay
    changed, own = _changed(state, look), len(look.unmapped)
    facts = {"change": REMOVED, "uidvalidity": state.row.old_uidvalidity}
    decision = context.troubles.both_changed_decision(state.shown, facts)
    if (changed or own) and decision is None:
        context.troubles.both_changed(
            state.shown,
            f"The folder {state.shown!r} was removed on the old server after Bascule had carried it, and in the one on "
            f"the new server ({state.row.new_name!r}) something was changed since. The proposal keeps that one whole. "
            "To leave it out means: what nobody has changed there goes, everything else stays.",
            facts,
            {"action": "keep on new"},
            messages_on_new=len(state.map) + own - len(look.vanished), changed_on_new=changed, own_on_new=own,
        )  # fmt: skip
        return False
    if decision is not None:
        context.troubles.carried_out(decision)
        if decision.option is Option.APPLY:
            log.info("folder is kept on new by decision", folder=state.shown, decided_by=decision.decided_by)
            return True
    gone = Look(FolderStatus(0, 0, 0, 0), vanished=[old for old, _, _ in state.map])
    Delta(state, lane.new, context.counts).carry(gone, look, dry_run=False)
    _remove_folder(lane, state, new)
    return True


def _look(lane: Lane, state: FolderState) -> Look | None:
    side = SideLook(lane.new, state, is_old=False)
    side.full = True
    side.begin()
    return side.finish()


def _changed(state: FolderState, look: Look) -> int:
    """How many messages that Bascule put there have other flags than it left them with."""
    changed = 0
    for new_uid, flags in look.flags.items():
        old_uid = state.map.old_of(new_uid)
        base = state.memory.new(old_uid) if old_uid is not None else None
        changed += base is not None and flags not in (base, base | DELETED)
    return changed


def _remove_folder(lane: Lane, state: FolderState, new: Surroundings) -> None:
    below = state.new_raw + new.namespace.separator
    if not state.row.created or any(raw.startswith(below) for raw in new.folders):
        return
    try:
        lane.new.ensure_selected(b"INBOX")
        status = finish_status(lane.new, begin_status(lane.new, state.new_raw))
        if status is not None and status.messages == 0:
            lane.new.run(b"UNSUBSCRIBE", names.argument(state.new_raw))
            lane.new.run(b"DELETE", names.argument(state.new_raw))
            log.info("folder removed on new, as on old", folder=state.shown)
    except Refused as error:
        log.info("folder stays on new", folder=state.shown, server_words=error.words)
