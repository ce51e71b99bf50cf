"""UIDVALIDITY (RFC 9051 section 2.3.1.1): by it a folder is known again; when it changes, UIDs have lost their meaning.

- On old, a folder that is gone and one of a new name with the same UIDVALIDITY: it was renamed (`renamed_on_old.py`).
- On old, another one than before, or a UIDNEXT that has gone down: the folder was restored or made anew. Its messages
  are matched by content again; what Bascule put on new, nobody has changed and old has no more goes.
- On new, another one than before: the same, unless it holds messages that are not from old; then a person is asked.
- On new, another one in the answer to an APPEND: the folder was made anew just now; the pass begins anew.
"""

from collections.abc import Iterator, Sequence

from bascule.ledger.mailboxes import COPIED, FOUND, FolderRow
from bascule.mailbox.folders.problems import REPLACED, both_changed_decision, report_both_changed
from bascule.mailbox.imap.fetch import Identity, begin_identities, list_from
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.imap.folders import Folder
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.imap.store import expunge
from bascule.mailbox.messages.match import Match, match
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import Counts, FolderState
from bascule.mailbox.state.uidmap import Run
from bascule.mailbox.workers import Sessions, Side
from bascule.problems.model import Action, Option, Proposal
from bascule.text.logs import get_logger

log = get_logger(__name__)


def is_same_on_old(row: FolderRow, folder: Folder) -> bool:
    """Whether this folder of old is the one of the row, under whatever name."""
    status = folder.status
    return status is not None and status.uidvalidity == row.old_uidvalidity and status.uidnext >= row.old_uidnext


def is_same_on_new(row: FolderRow, folder: Folder | None) -> bool:
    """Whether this folder of new is the one into which Bascule copied."""
    return folder is not None and folder.status is not None and folder.status.uidvalidity == row.new_uidvalidity


def may_begin_anew_on_new(sessions: Sessions, folder: FolderState, problems: PassProblems) -> bool:
    """Whether the messages may be matched by content and copied again, now that new's folder is another one.

    Only messages there that are not from old need a person, who is asked: without them nothing of the user's can be
    mistaken. The folder is selected on new.
    """
    source = Side(sessions.source, folder.old.encoded)
    destination = Side(sessions.destination, folder.new_encoded)
    assert destination.session.selected is not None
    facts = {"change": REPLACED, "uidvalidity on new": destination.session.selected.status.uidvalidity}
    decision = both_changed_decision(problems, folder.name, facts)
    if decision is not None and decision.option is Option.APPLY:
        problems.carried_out(decision)
        return True
    old, new = list_from(source.session, source.name), list_from(destination.session, destination.name)
    same = len(match(source, destination, old, new))
    if same == len(new):
        return True
    report_both_changed(
        problems,
        folder.name,
        f"The folder {folder.row.new_name!r} on the new server is not the one any more into which Bascule had copied "
        f"{folder.name!r} (somebody has deleted and made it again, or restored it), and it holds messages that are "
        "not from the old server. The proposal copies whatever of the old folder is missing there, also what its owner "
        "may have deleted on new. To leave it out means: it stays on new as it is.",
        facts,
        Proposal(Action.COPY_MISSING),
        messages_on_old=len(old), same_on_new=same, others_on_new=len(new) - same,
    )  # fmt: skip
    return False


def begin_anew_on_old(sessions: Sessions, folder: FolderState, counts: Counts) -> None:
    """Old's UIDs mean other messages now: find by content which of old's are on new, and remove what is of old no more.

    Only what Bascule put there and nobody has changed is removed. Interrupted anywhere, all of it is done again.
    """
    source = Side(sessions.source, folder.old.encoded)
    destination = Side(sessions.destination, folder.new_encoded)
    old, new = list_from(source.session, source.name), list_from(destination.session, destination.name)
    before = {new_uid: (old_uid, origin) for old_uid, new_uid, origin in folder.map}
    found = {pair.destination.uid: pair for pair in match(source, destination, old, new)}
    known = [message for message in new if message.uid not in found and message.uid in before]
    done = {pair.source.uid for pair in found.values()}
    rest = [message for message in old if message.uid not in done]
    found |= {pair.destination.uid: pair for pair in _by_header(source, destination, rest, known)}
    removable = []
    assert source.session.selected is not None
    all_listed = len(old) >= source.session.selected.status.messages  # else nobody knows what is of old no more
    for message in new if all_listed else ():
        old_uid, origin = before.get(message.uid, (0, FOUND))
        if message.uid not in found and origin != FOUND and message.flags == folder.memory.new(old_uid):
            removable.append(message.uid)
    if removable:
        expunge(destination.session, destination.name, removable)
        counts.add(removed=len(removable))
    runs: list[Run] = []
    flags: list[tuple[int, Flags, Flags]] = []
    for new_uid, pair in sorted(found.items(), key=lambda item: item[1].source.uid):
        old_uid, origin = before.get(new_uid, (0, FOUND))
        runs.append((pair.source.uid, new_uid, 1, COPIED if origin == COPIED else FOUND))
        on_old, on_new = folder.memory.old(old_uid), folder.memory.new(old_uid)
        if origin == COPIED and on_old is not None and on_new is not None:
            flags.append((pair.source.uid, on_old, on_new))
    folder.distrusted = True
    folder.take_other_uids(runs, flags, max((message.uid for message in new), default=0) + 1)
    log.warning(
        "old's UIDs have changed: messages are matched by content", folder=folder.name, found=len(runs),
        removed=len(removable),
    )  # fmt: skip


def _by_header(source: Side, destination: Side, old: Sequence[Listed], new: Sequence[Listed]) -> Iterator[Match]:
    """Messages that were the same before, and that one side has altered: they are known by header and date."""
    if not old or not new:
        return
    known: list[dict[int, Identity]] = []
    for side, messages in ((source, old), (destination, new)):
        side.session.ensure_selected(side.name)
        known.append({})
        side.session.finish(begin_identities(side.session, [message.uid for message in messages], known[-1]))
    free: dict[tuple[Identity | None, int], list[Listed]] = {}
    for message in new:
        free.setdefault((known[1].get(message.uid), message.date), []).append(message)
    for message in old:
        if message.uid in known[0] and (candidates := free.get((known[0][message.uid], message.date))):
            yield Match(message, candidates.pop(0))
