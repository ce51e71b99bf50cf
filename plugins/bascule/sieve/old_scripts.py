"""What an account has on the old server: its scripts, which one is active, and what can't be read."""

from dataclasses import dataclass, field
from typing import Protocol

from bascule.hosts.connections import AccessError
from bascule.sieve.managesieve import Refused
from bascule.sieve.managesieve_answers import ManageSieveError
from bascule.text.logs import get_logger

log = get_logger(__name__)


class Source(Protocol):
    """What is asked of the old server."""

    @property
    def redirects(self) -> int | None:
        """To how many addresses it lets one script send a message; None: unknown."""
        ...

    @property
    def extensions(self) -> frozenset[str] | None:
        """The Sieve extensions that it has; None: unknown."""
        ...

    @property
    def modified_utf7(self) -> bool | None:
        """Whether it reads folders' names in scripts as modified UTF-7; None: unknown."""
        ...

    @property
    def procmail(self) -> str | None:
        """The name of the script that is a procmailrc; None: there is none."""
        ...

    def scripts(self) -> dict[str, bool]:
        """Each script's name, and whether it is the active one."""
        ...

    def get(self, name: str) -> bytes:
        """One script, byte for byte."""
        ...

    def reopen(self) -> None:
        """Once more, after the connection broke."""
        ...


@dataclass(frozen=True)
class ActiveFile:
    """The file or link by which a server knows the active script: its text, or None where a link leads nowhere."""

    name: str
    place: str  # for people
    text: bytes | None


class ActiveFiles(Protocol):
    """Finds an active script that the server does not list. Raises AccessError when that can't be known."""

    def find(self, account: str) -> ActiveFile | None: ...


@dataclass
class OldScripts:
    """`texts`: what could be read. `unreadable`: name -> why not. `active`: the name, also of one that is unreadable.

    `doubt`: why it can't be known whether a script is active.
    """

    texts: dict[str, bytes] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    active: str | None = None
    doubt: str = ""


def read(source: Source, account: str, active_files: ActiveFiles | None) -> OldScripts:
    """All of them; one that can't be read holds no other back. Raises AccessError when the server is away."""
    listed = source.scripts()
    found = OldScripts(active=next((name for name, active in listed.items() if active), None))
    for name in listed:
        try:
            found.texts[name] = _text(source, name)
        except AccessError as error:
            found.unreadable[name] = str(error)
    if found.active is None and active_files is not None and not source.modified_utf7:  # that is Cyrus
        _add_unlisted(found, account, active_files)
    return found


def _text(source: Source, name: str) -> bytes:
    """One script; when the connection breaks over it, the others are read over another one."""
    try:
        return source.get(name)
    except Refused:
        raise
    except ManageSieveError as error:
        log.warning("connection opened once more", filter=name, why=str(error))
        source.reopen()
        try:
            return source.get(name)
        except ManageSieveError:
            source.reopen()
            raise


def _add_unlisted(found: OldScripts, account: str, active_files: ActiveFiles) -> None:
    try:
        active = active_files.find(account)
    except AccessError as error:
        found.doubt = f"whether a filter that the server does not list is active can't be known: {error}"
        log.warning("active filter not looked for", account=account, why=str(error))
        return
    if active is None:
        return
    name = active.name
    while name in found.texts or name in found.unreadable:
        name += " (active)"
    found.active = name
    if active.text is not None:
        found.texts[name] = active.text
    else:
        found.unreadable[name] = f"{active.place} is a link to a file that is not there, so that no filter runs"
