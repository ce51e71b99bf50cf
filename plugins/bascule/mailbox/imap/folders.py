"""Commands about folders: LIST, LSUB, NAMESPACE, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE (RFC 9051 section 6.3)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bascule.mailbox.imap.errors import NotUnderstood, Refused, TransientError, is_busy
from bascule.mailbox.imap.namespaces import Namespaces, Owner, parse_namespaces
from bascule.mailbox.imap.responses import text, values, whole_number
from bascule.mailbox.imap.session import FolderStatus, Pending, Session
from bascule.mailbox.imap.syntax import number, string
from bascule.text import mutf7
from bascule.text.name_map import Namespace

SPECIAL_USES = (b"\\ARCHIVE", b"\\DRAFTS", b"\\JUNK", b"\\SENT", b"\\TRASH")
UNTOLD = FolderStatus(0, 0, 0, 0)  # of a folder that may be opened all the same: whoever does so will see
VIRTUAL_USES = (b"\\ALL", b"\\FLAGGED", b"\\IMPORTANT")  # views of messages that lie in other folders (RFC 6154, 8457)


@dataclass
class Folder:
    """One folder of a server. `status` is None when it can't be selected or read; then `refusal` is the server's text.

    `encoded`: its name as the server writes it, in modified UTF-7.
    """

    encoded: bytes
    selectable: bool = True
    subscribed: bool | None = False  # None: the server does not tell
    special_use: bytes = b""
    status: FolderStatus | None = None
    refusal: str = ""
    attributes: frozenset[bytes] = frozenset()  # of LIST, in capitals


@dataclass
class FolderList:
    """The folders of one mailbox on one server, by their encoded names.

    `virtual`: those that show messages of other folders, or lie in another personal namespace, with what says so.
    `others`: those of other people. `shared`: those that are in nobody's mailbox. `nameless`: LIST responses without a
    name.
    """

    namespace: Namespace
    folders: dict[bytes, Folder] = field(default_factory=dict)
    virtual: dict[bytes, str] = field(default_factory=dict)
    others: list[bytes] = field(default_factory=list)
    shared: list[bytes] = field(default_factory=list)
    nameless: int = 0

    def set_apart(self, name: bytes, owner: Owner, why: str) -> None:
        """A folder that is not carried unasked."""
        if owner in ("others", "shared"):
            (self.shared if owner == "shared" else self.others).append(name)
        else:
            self.virtual[name] = why


# -- LIST and NAMESPACE


def list_folders(session: Session) -> FolderList:
    """All folders of the personal namespace with their STATUS, in one round trip if the server can."""
    namespace_asked = session.begin(b"NAMESPACE") if session.has("NAMESPACE") else None
    finish_list = _begin_list(session)
    told = _finish_namespaces(session, namespace_asked) if namespace_asked else None
    listed = finish_list()
    found = FolderList((told or Namespaces(_guessed(listed.folders, listed.separator))).main, nameless=listed.nameless)
    for name, folder in listed.folders.items():
        owner, prefix = (told or Namespaces(found.namespace)).owner(name)
        use = next((use for use in VIRTUAL_USES if use in folder.attributes), b"")
        if owner == "main" and not use:
            found.folders[name] = folder
        elif folder.selectable:  # a root that holds no mail is nothing to tell of
            found.set_apart(name, owner, _use(use) or mutf7.display(prefix))
    asked = [f for f in found.folders.values() if f.selectable and f.status is None]
    _ask_status(session, asked)
    return found


def _use(attribute: bytes) -> str:
    """A special use as RFC 6154 writes it: `\\All`."""
    return "\\" + attribute[1:].capitalize().decode("ascii") if attribute else ""


def _finish_namespaces(session: Session, asked: Pending) -> Namespaces | None:
    try:
        return parse_namespaces(session.finish(asked))
    except Refused:
        return None  # announced, and not told: as if it were not there


def list_names(session: Session) -> set[bytes]:
    """The encoded names of all folders."""
    names = {text(response[4]) for response in session.run(b'LIST "" "*"').named(b"LIST", 5)}
    return names - {b""}


@dataclass
class _Listed:
    """What LIST, LSUB and STATUS responses say."""

    folders: dict[bytes, Folder] = field(default_factory=dict)
    separator: bytes = b""
    nameless: int = 0

    def take(self, response: list[Any]) -> None:
        """Take one response, whatever stands in it."""
        kind = text(response[1]).upper()
        if kind == b"STATUS" and len(response) > 3:
            folder = self.folders.get(_name(response[2]))
            if folder is not None:
                folder.status = _status(values(response[3]))
        elif kind == b"LSUB" and len(response) > 4:
            folder = self.folders.get(_name(response[4]))
            if folder is not None:
                folder.subscribed = b"\\NOSELECT" not in _attributes(response)
        elif kind == b"LIST" and len(response) > 4:
            self._listed(_name(response[4]), response)

    def _listed(self, name: bytes, response: list[Any]) -> None:
        attributes = _attributes(response)
        if not name:
            self.nameless += b"\\NONEXISTENT" not in attributes and b"\\NOSELECT" not in attributes
            return
        separator = text(response[3])
        if separator.upper() != b"NIL":
            self.separator = separator or self.separator
        before = self.folders.get(name)
        self.folders[name] = Folder(
            name,
            selectable=not attributes & {b"\\NOSELECT", b"\\NONEXISTENT"},
            subscribed=b"\\SUBSCRIBED" in attributes or (before is not None and bool(before.subscribed)),
            special_use=next((use for use in SPECIAL_USES if use in attributes), b""),
            status=before.status if before else None,
            attributes=frozenset(attributes),
        )


def _name(value: Any) -> bytes:
    name = text(value)
    return b"INBOX" if name.upper() == b"INBOX" else name


def _attributes(response: list[Any]) -> set[bytes]:
    return {attribute.upper() for attribute in values(response[2]) if isinstance(attribute, bytes)}


def _begin_list(session: Session) -> Callable[[], _Listed]:
    if session.has("LIST-STATUS") and session.has("LIST-EXTENDED"):
        special = b"SPECIAL-USE " if session.has("SPECIAL-USE") else b""
        items = b"(SUBSCRIBED " + special + b"STATUS " + _status_items(session) + b")"
        extended = session.begin(b'LIST "" "*" RETURN ' + items)
        plain = None
    else:
        plain = _begin_plain_list(session)

    def finish() -> _Listed:
        if plain is not None:
            return _finish_plain_list(session, plain)
        try:
            return _finish_list(session, extended)
        except Refused:
            return _finish_plain_list(session, _begin_plain_list(session))

    return finish


def _begin_plain_list(session: Session) -> tuple[Pending, Pending]:
    return session.begin(b'LIST "" "*"'), session.begin(b'LSUB "" "*"')


def _finish_list(session: Session, *asked: Pending) -> _Listed:
    listed = _Listed()
    for pending in asked:
        for response in session.finish(pending).responses:
            listed.take(response)
    return listed


def _finish_plain_list(session: Session, asked: tuple[Pending, Pending]) -> _Listed:
    """Without the subscriptions when a server does not tell them."""
    try:
        return _finish_list(session, *asked)
    except Refused:
        listed = _finish_list(session, asked[0])
        for folder in listed.folders.values():
            folder.subscribed = None
        return listed


def _guessed(folders: dict[bytes, Folder], separator: bytes) -> Namespace:
    """Without NAMESPACE (RFC 2342): when everything lies below INBOX, that is the prefix."""
    below = b"INBOX" + separator
    rest = [name for name in folders if name != b"INBOX"]
    if separator and rest and all(name.upper().startswith(below) for name in rest):
        return Namespace(rest[0][: len(below)], separator)
    return Namespace(b"", separator)


# -- STATUS


def get_status(session: Session, name: bytes) -> FolderStatus | None:
    """STATUS of one folder that is not selected. Raises Refused when the server does not let us look."""
    answers = session.finish(_begin_status(session, name, _status_items(session))).named(b"STATUS", 4)
    return _status(values(answers[0][3])) if answers else None


def sizes_together(session: Session, folders: Iterable[Folder]) -> int | None:
    """How many bytes these folders hold (STATUS SIZE, RFC 8438); None where the server does not tell of all."""
    if not session.has("STATUS=SIZE"):
        return None
    asked = [_begin_status(session, folder.encoded, b"(SIZE)") for folder in folders]
    sizes = [_size(session, pending) for pending in asked]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _size(session: Session, pending: Pending) -> int | None:
    try:
        session.finish(pending)
    except Refused:
        return None
    for response in pending.named(b"STATUS", 4):
        if isinstance(response[3], list):
            for name, size in zip(response[3][::2], response[3][1::2], strict=False):
                if isinstance(name, bytes) and name.upper() == b"SIZE" and isinstance(size, bytes):
                    return number(size)
    return None


def _begin_status(session: Session, name: bytes, items: bytes) -> Pending:
    return session.begin(b"STATUS", string(name), items)


def _status_items(session: Session) -> bytes:
    return b"(MESSAGES UIDNEXT UIDVALIDITY" + (b" HIGHESTMODSEQ)" if session.capabilities.modseq else b")")


def _status(pairs: list[Any]) -> FolderStatus:
    told = {text(name).upper(): whole_number(value) for name, value in zip(pairs[::2], pairs[1::2], strict=False)}
    return FolderStatus(
        messages=told.get(b"MESSAGES", 0),
        uidnext=told.get(b"UIDNEXT", 0),
        uidvalidity=told.get(b"UIDVALIDITY", 0),
        modseq=told.get(b"HIGHESTMODSEQ", 0),
    )


def _ask_status(session: Session, folders: list[Folder]) -> None:
    listed = _Listed({folder.encoded: folder for folder in folders})
    items = _status_items(session)
    for folder in folders:
        if folder.encoded in session.server.bad_names:
            folder.status = UNTOLD
    told = [folder for folder in folders if folder.status is None]
    asked = [(folder, _begin_status(session, folder.encoded, items)) for folder in told]
    for folder, pending in asked:
        try:
            session.finish(pending)
        except Refused as error:
            _select_instead(session, folder, error)
        except NotUnderstood as error:
            raise _with_bad_name(session, folder.encoded, pending, error) from None
        except TransientError:
            if pending.status is None:  # perhaps at this folder: on the next connection it is opened, alone
                session.server.bad_names.add(folder.encoded)
            raise
        for response in pending.responses:
            listed.take(response)


def _with_bad_name(session: Session, name: bytes, pending: Pending, error: NotUnderstood) -> NotUnderstood:
    """Nothing is known of the connection any more; on the next one nothing is asked about this name."""
    if not error.learned and pending.status is not None:
        session.server.bad_names.add(name)
        error.learned = True
    return error


def _select_instead(session: Session, folder: Folder, refusal: Refused) -> None:
    """A refused STATUS says little: whether the folder can be opened is what counts."""
    if is_busy(refusal):
        folder.status = UNTOLD
        return
    try:
        folder.status = session.select(folder.encoded).status
    except Refused:
        folder.refusal = refusal.text


# -- making, renaming, removing, subscribing


def begin_create(session: Session, name: bytes, special_use: bytes = b"") -> Pending:
    """Make a folder, with a special use (RFC 6154) where the server can be told of it."""
    use = [b"(USE (" + special_use + b"))"] if special_use and session.has("CREATE-SPECIAL-USE") else []
    return session.begin(b"CREATE", string(name), *use)


def finish_create(session: Session, pending: Pending, name: bytes) -> None:
    """Raises Refused; a special use that the server does not take is done without."""
    try:
        session.finish(pending)
    except NotUnderstood as error:
        raise _with_bad_name(session, name, pending, error) from None
    except Refused as error:
        if error.code != "USEATTR":
            raise
        session.finish(begin_create(session, name))


def create(session: Session, name: bytes) -> None:
    session.finish(begin_create(session, name))


def rename(session: Session, name: bytes, to: bytes) -> None:
    session.run(b"RENAME", string(name), string(to))


def delete(session: Session, name: bytes) -> None:
    """Unsubscribe and delete."""
    session.finish(begin_subscribe(session, name, wanted=False))
    session.run(b"DELETE", string(name))


def begin_subscribe(session: Session, name: bytes, *, wanted: bool = True) -> Pending:
    return session.begin(b"SUBSCRIBE" if wanted else b"UNSUBSCRIBE", string(name))
