"""A folder on new that is not the one any more into which Bascule copied: its UIDVALIDITY is another one."""

from bascule.ledger.problems import Option
from bascule.mailbox.lanes import Lane
from bascule.mailbox.listing import ITEMS, Listing
from bascule.mailbox.matching import match
from bascule.mailbox.session import Session
from bascule.mailbox.state import FolderState
from bascule.mailbox.trouble import Troubles

REPLACED = "replaced on new"  # in the problem's facts


def may_begin_anew(lane: Lane, folder: FolderState, troubles: Troubles) -> bool:
    """Whether the folder's messages may be matched by content and copied again; False while a person is asked.

    Only messages on new that are not from old need a person: without them nothing of the user's can be mistaken.
    """
    assert lane.new.selected is not None
    facts = {"change": REPLACED, "uidvalidity on new": lane.new.selected.uidvalidity}
    decision = troubles.both_changed_decision(folder.shown, facts)
    if decision is not None and decision.option is Option.APPLY:
        troubles.carried_out(decision)
        return True
    old, new = _listed(lane.old, folder.old.raw), _listed(lane.new, folder.new_raw)
    same = len(match(lane.old, folder.old.raw, lane.new, folder.new_raw, old, new))
    if same == len(new):
        return True
    troubles.both_changed(
        folder.shown,
        f"The folder {folder.row.new_name!r} on the new server is not the one any more into which Bascule had copied "
        f"{folder.shown!r} (somebody has deleted and made it again, or restored it), and it holds messages that are "
        "not from the old server. The proposal copies whatever of the old folder is missing there, also what its owner "
        "may have deleted on new. To leave it out means: it stays on new as it is.",
        facts,
        {"action": "copy what is missing"},
        messages_on_old=len(old), same_on_new=same, others_on_new=len(new) - same,
    )  # fmt: skip
    return False


def _listed(session: Session, raw: bytes) -> Listing:
    listing = Listing()
    session.ensure_selected(raw)
    session.run(b"UID FETCH", b"1:*", ITEMS, handler=listing.handler(session.wire))
    return listing
