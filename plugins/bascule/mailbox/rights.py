"""Access rights of folders (RFC 4314), and those of servers that know RFC 2086 only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.ledger.carried import What
from bascule.mailbox import names
from bascule.mailbox.merging import Value
from bascule.mailbox.session import Pending, Session

ORDER = "lrswipkxtea"  # the rights of RFC 4314; c and d stand for others there, and all the rest is a server's own
SPECIAL = ("anyone", "anonymous", "authenticated")
SERVERS_OWN = ("owner", "administrators")  # Courier tells of both for every folder
GROUPS = ("$", "!", "group:")  # Dovecot's groups, and Cyrus's
LONGEST_IDENTIFIER = 255  # characters


@dataclass(frozen=True)
class People:
    """Who is meant by an identifier: `names` (old identifier -> new one) and `domain` as in the site file."""

    owners: frozenset[str]  # the account itself, under all its names: its own rights are the new server's business
    names: Mapping[str, str]
    domain: str = ""

    def on_new(self, identifier: str) -> str | None:
        """The identifier on new; None for the owner's own entry, and for those that only the server's admin makes."""
        negative = "-" if identifier.startswith("-") else ""
        name = identifier.removeprefix("-")
        if name in self.names:
            name = self.names[name]
        elif self.domain and name.lower().endswith("@" + self.domain):
            name = name[: -len(self.domain) - 1]
        if name in self.owners or name in SERVERS_OWN or name.startswith("#"):
            return None
        return negative + name


def is_person(identifier: str) -> bool:
    """Whether the site's directory must know whom this means."""
    name = identifier.removeprefix("-")
    return name not in SPECIAL and not name.startswith(GROUPS)


def person(identifier: str) -> str:
    return identifier.removeprefix("-")


class Rights:
    """How one server tells and takes rights."""

    what: What = "acl"
    capability = "ACL"

    def __init__(self, people: People) -> None:
        self.people = people

    def begin(self, session: Session, raw: bytes) -> Pending:
        return session.begin(b"GETACL", names.argument(raw))

    def values(self, session: Session, pending: Pending, *, is_old: bool) -> dict[str, Value]:
        """Who may do what; on old under the names that they have on new. Rights of one name are united."""
        found: dict[str, set[str]] = {}
        for response in pending.responses:
            if not isinstance(response[1], bytes) or response[1].upper() != b"ACL":
                continue
            for identifier, letters in pairs(response[3:]):
                name = self.people.on_new(identifier) if is_old else identifier
                if name is not None:
                    found.setdefault(name, set()).update(understood(letters, session))
        return {name: value(rights) for name, rights in found.items() if rights}

    def fit(self, wanted: Value, session: Session) -> Value:
        """What the session's server can say of it (see `said`), as it will tell it itself."""
        return value(understood(said(wanted.token, session), session))

    def begin_put(self, session: Session, raw: bytes, name: str, wanted: Value) -> Pending:
        rights = said(wanted.token, session).encode()
        return session.begin(b"SETACL", names.argument(raw), names.argument(name.encode()), rights)

    def begin_remove(self, session: Session, raw: bytes, name: str) -> Pending:
        return session.begin(b"DELETEACL", names.argument(raw), names.argument(name.encode()))

    @staticmethod
    def unite(old: Value, new: Value) -> Value:
        """Both had rights for this name at the first meeting: nothing is taken from what somebody set on new."""
        return value({*old.token, *new.token})


def pairs(values: list[Any]) -> list[tuple[str, str]]:
    """(identifier, rights) of an ACL response; what is no text is no identifier."""
    both = zip(values[::2], values[1::2], strict=False)
    return [
        (who.decode("utf-8", "backslashreplace"), letters.decode("latin-1"))
        for who, letters in both
        if isinstance(who, bytes) and who and isinstance(letters, bytes)
    ]


def is_sayable(identifier: str) -> bool:
    """Whether a server may be told this identifier: nothing invisible in it, and of a sensible length."""
    return identifier.isprintable() and 0 < len(identifier) <= LONGEST_IDENTIFIER


def understood(letters: str, session: Session) -> set[str]:
    """The rights of RFC 4314 that a server's letters mean.

    Where it knows RFC 4314 (RIGHTS=), c and d only repeat others; else c is to make folders below, and d to mark and
    to expunge messages (RFC 4314 section 2.1.1; deleting the folder itself is granted to nobody who is not told so).
    """
    rights = set(letters)
    if not knows_new_rights(session):
        rights |= {"k"} if "c" in rights else set()
        rights |= {"t", "e"} if "d" in rights else set()
    return rights & set(ORDER)


def said(rights: str, session: Session) -> str:
    """The letters by which a server is told rights; for RFC 2086 only what grants no more than is meant."""
    if knows_new_rights(session):
        return rights
    wanted = set(rights)
    letters = wanted - set("kxte")
    letters |= {"c"} if "k" in wanted else set()
    letters |= {"d"} if {"t", "e"} <= wanted else set()
    return "".join(sorted(letters, key="lrswipcda".index))


def value(rights: set[str]) -> Value:
    text = "".join(sorted(rights, key=ORDER.index))
    return Value(text, text.encode())


def knows_new_rights(session: Session) -> bool:
    return any(name.startswith("RIGHTS=") and {"T", "E"} <= set(name[7:]) for name in session.capabilities)
