"""Keywords that a server may refuse: each is set by commands of its own, and tried again in every pass."""

from bascule.mailbox.imap.errors import NotUnderstood, Refused, passes_by_itself
from bascule.mailbox.imap.flags import NONE, Flags, is_valid
from bascule.mailbox.imap.store import store
from bascule.mailbox.messages.problems import open_keywords, report_keyword
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions


def set_late_keywords(folder: FolderState, sessions: Sessions, problems: PassProblems, dropped: Flags) -> None:
    """Those that could not stand in the APPEND. `dropped`: by decision."""
    wanted: dict[bytes, list[int]] = {}
    for new_uid, keywords in folder.later_keywords.items():
        for keyword in keywords - dropped:
            wanted.setdefault(keyword, []).append(new_uid)
    for keyword, uids in wanted.items():
        _add(folder, sessions, problems, keyword, uids)


def retry_keywords(folder: FolderState, sessions: Sessions, problems: PassProblems) -> None:
    """Those that new did not take in an earlier pass, and that nobody has decided about: perhaps it does now."""
    memory = folder.memory
    for keyword in open_keywords(problems, folder.name):
        lacking = {
            new_uid: old_uid
            for old_uid, new_uid, _ in folder.map
            if keyword in (memory.old(old_uid) or ())
            and (there := memory.new(old_uid)) is not None  # else its owner has removed the message
            and keyword not in there
        }
        if lacking and _add(folder, sessions, problems, keyword, sorted(lacking)):
            folder.touched = True
            folder.recheck |= set(lacking.values())
            for old_uid in lacking.values():
                memory.remember(old_uid, memory.old(old_uid) or NONE, (memory.new(old_uid) or NONE) | {keyword})


def _add(folder: FolderState, sessions: Sessions, problems: PassProblems, keyword: bytes, uids: list[int]) -> bool:
    """Whether new has taken it; else it is a problem."""
    if not is_valid(keyword):
        report_keyword(problems, folder.name, keyword, len(uids), "IMAP has no way to write it")
        return False
    try:
        sessions.destination.ensure_selected(folder.new_encoded, write=True)
        store(sessions.destination, frozenset((keyword,)), sorted(uids), add=True)
    except Refused as error:
        if passes_by_itself(error):
            raise
        report_keyword(problems, folder.name, keyword, len(uids), error.text)
    except NotUnderstood as error:
        report_keyword(problems, folder.name, keyword, len(uids), str(error))
    else:
        return True
    return False
