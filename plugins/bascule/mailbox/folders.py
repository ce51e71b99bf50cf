"""What folders a server has: names, subscriptions, special uses (RFC 6154), STATUS; in one round trip if it can."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bascule.mailbox import names
from bascule.mailbox.errors import Refused, TransientError, is_busy
from bascule.mailbox.names import Namespace
from bascule.mailbox.session import Pending, Session

SPECIAL_USES = {b"\\ALL", b"\\ARCHIVE", b"\\DRAFTS", b"\\FLAGGED", b"\\JUNK", b"\\SENT", b"\\TRASH"}


@dataclass(frozen=True)
class FolderStatus:
    """STATUS of one folder; `modseq` is 0 where the server keeps none."""

    messages: int
    uidnext: int
    uidvalidity: int
    modseq: int


@dataclass
class Folder:
    """One folder of a server. `status` is None when it can't be selected or read; then `trouble` says why."""

    raw: bytes
    selectable: bool = True
    subscribed: bool = False
    special_use: bytes = b""
    status: FolderStatus | None = None
    trouble: str = ""


@dataclass
class Surroundings:
    """The folders of one mailbox on one server, by the name as the server writes it."""

    namespace: Namespace
    folders: dict[bytes, Folder] = field(default_factory=dict)


def look_around(session: Session) -> Surroundings:
    """All folders of the personal namespace."""
    namespace_asked = session.begin(b"NAMESPACE") if session.has("NAMESPACE") else None
    finish_list = _begin_list(session)
    namespace = _namespace(session.finish(namespace_asked)) if namespace_asked else None
    folders, separator = finish_list()
    found = Surroundings(namespace or _guessed(folders, separator))
    found.folders = {raw: folder for raw, folder in folders.items() if not raw.startswith(found.namespace.foreign)}
    if not session.has("LIST-STATUS"):
        _ask_status(session, list(found.folders.values()))
    else:
        _ask_status(session, [f for f in found.folders.values() if f.selectable and f.status is None])
    return found


def status_items(session: Session) -> bytes:
    return b"(MESSAGES UIDNEXT UIDVALIDITY" + (b" HIGHESTMODSEQ)" if session.keeps_modseq else b")")


def begin_status(session: Session, raw: bytes) -> Pending:
    return session.begin(b"STATUS", names.argument(raw), status_items(session))


def finish_status(session: Session, pending: Pending) -> FolderStatus | None:
    """Raises Refused when the server does not let us look."""
    for response in session.finish(pending).responses:
        if len(response) > 3 and isinstance(response[1], bytes) and response[1].upper() == b"STATUS":
            return _status(response[3])
    return None


def list_names(session: Session) -> set[bytes]:
    """The names of all folders, as the server writes them."""
    answers = session.run(b'LIST "" "*"').responses
    return {response[4] for response in answers if len(response) > 4 and response[1] == b"LIST" and response[4]}


def _begin_list(session: Session) -> Callable[[], tuple[dict[bytes, Folder], bytes]]:
    folders: dict[bytes, Folder] = {}
    if session.has("LIST-STATUS") and session.has("LIST-EXTENDED"):
        special = b"SPECIAL-USE " if session.has("SPECIAL-USE") else b""
        asked = [
            session.begin(b'LIST "" "*" RETURN (SUBSCRIBED ' + special + b"STATUS " + status_items(session) + b")")
        ]
    else:
        asked = [session.begin(b'LIST "" "*"'), session.begin(b'LSUB "" "*"')]

    def finish() -> tuple[dict[bytes, Folder], bytes]:
        separator = b""
        for pending in asked:
            for response in session.finish(pending).responses:
                separator = _take(folders, response) or separator
        return folders, separator

    return finish


def _take(folders: dict[bytes, Folder], response: list[Any]) -> bytes:
    """Take one LIST, LSUB or STATUS response; return the separator if it names one."""
    kind = response[1].upper() if isinstance(response[1], bytes) else b""
    if kind == b"STATUS" and len(response) > 3 and response[2] in folders:
        folders[response[2]].status = _status(response[3])
    if kind == b"LSUB" and len(response) > 4 and response[4] in folders:
        folders[response[4]].subscribed = b"\\NOSELECT" not in {a.upper() for a in response[2]}
    if kind != b"LIST" or len(response) < 5:
        return b""
    raw, attributes = response[4], {a.upper() for a in response[2]}
    if raw.upper() == b"INBOX":
        raw = b"INBOX"
    if b"\\NONEXISTENT" in attributes and b"\\SUBSCRIBED" not in attributes and not raw:
        return b""
    folders[raw] = Folder(
        raw,
        selectable=not attributes & {b"\\NOSELECT", b"\\NONEXISTENT"},
        subscribed=b"\\SUBSCRIBED" in attributes,
        special_use=next(iter(attributes & SPECIAL_USES), b""),
    )
    return response[3] or b""


def _status(pairs: list[Any]) -> FolderStatus:
    told = {pairs[i].upper(): pairs[i + 1] for i in range(0, len(pairs) - 1, 2)}
    return FolderStatus(
        messages=int(told.get(b"MESSAGES", 0)),
        uidnext=int(told.get(b"UIDNEXT", 0)),
        uidvalidity=int(told.get(b"UIDVALIDITY", 0)),
        modseq=int(told.get(b"HIGHESTMODSEQ", 0)),
    )


def _ask_status(session: Session, folders: list[Folder]) -> None:
    by_name = {folder.raw: folder for folder in folders}
    asked = [(folder, begin_status(session, folder.raw)) for folder in folders if folder.selectable]
    for folder, pending in asked:
        try:
            session.finish(pending)
        except Refused as error:
            if is_busy(error):
                raise TransientError(str(error)) from None
            folder.trouble = error.words
        for response in pending.responses:
            _take(by_name, response)


def _namespace(pending: Pending) -> Namespace | None:
    for response in pending.responses:
        if len(response) > 4 and response[1] == b"NAMESPACE" and response[2]:
            prefix, separator = response[2][0][0] or b"", response[2][0][1] or b""
            others = [space[0] for group in response[3:5] if group for space in group if space[0]]
            return Namespace(prefix, separator, tuple(others))
    return None


def _guessed(folders: dict[bytes, Folder], separator: bytes) -> Namespace:
    """Without NAMESPACE (RFC 2342): when everything lies below INBOX, that is the prefix."""
    below = b"INBOX" + separator
    rest = [raw for raw in folders if raw != b"INBOX"]
    if separator and rest and all(raw.upper().startswith(below) for raw in rest):
        return Namespace(rest[0][: len(below)], separator)
    return Namespace(b"", separator)
