"""Folders that were removed on old since the last pass: what Bascule put on new goes too, if nobody has changed it."""

from bascule.ledger import mailboxes
from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.context import PassContext
from bascule.mailbox.delta import Delta
from bascule.mailbox.errors import Refused
from bascule.mailbox.folders import Folder, FolderStatus, Surroundings, begin_status, finish_status
from bascule.mailbox.lanes import Lane
from bascule.mailbox.looking import Look, SideLook
from bascule.mailbox.state import FolderState, name_hash

log = get_logger(__name__)


def remove_folders(
    context: PassContext, lane: Lane, old: Surroundings, new: Surroundings, planned: list[FolderState]
) -> bool:
    """Deal with every folder that the ledger knows and old has no more. Returns True when all were dealt with."""
    ledger, account = context.troubles.ledger, context.job.account
    there = {name_hash(raw) for raw in old.folders}
    in_use = {state.new_raw for state in planned}
    with ledger.reading() as session:
        rows = [row for row in mailboxes.folders_of(session, account) if row.old_hash not in there]
    for row in rows:
        raw = names.encode(row.new_name)
        state = FolderState(ledger, account, Folder(b""), raw, row)
        state.new = new.folders.get(raw)
        state.load()
        if state.new is not None and raw not in in_use:
            _remove_messages(context, lane, state)
            _remove_folder(lane, state, new)
        with ledger.session() as session:
            mailboxes.forget_folder(session, row.id)
    return True


def _remove_messages(context: PassContext, lane: Lane, state: FolderState) -> None:
    side = SideLook(lane.new, state, is_old=False)
    side.full = True
    side.begin()
    look = side.finish()
    if look is not None and state.row.finished:
        gone = Look(FolderStatus(0, 0, 0, 0), vanished=[old for old, _, _ in state.map])
        Delta(state, lane.new, context.counts).carry(gone, look, dry_run=False)


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
