"""Access rights of folders (ACL, RFC 4314): whom they mean on the other server, and how they are compared."""

from collections.abc import Mapping
from dataclasses import dataclass

from bascule.ledger.carried import What
from bascule.mailbox.attributes.three_way import Value
from bascule.mailbox.imap import acl
from bascule.mailbox.imap.capabilities import Capability
from bascule.mailbox.imap.session import Pending, Session

SPECIAL = ("anyone", "anonymous", "authenticated")
SERVERS_OWN = ("owner", "administrators")  # Courier tells of both for every folder
GROUPS = ("$", "!", "group:")  # Dovecot's groups, and Cyrus's


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
    capability: Capability = "ACL"

    def __init__(self, people: People) -> None:
        self.people = people

    def begin(self, session: Session, name: bytes) -> Pending:
        return acl.begin_get_acl(session, name)

    def values(self, session: Session, pending: Pending, *, is_old: bool) -> dict[str, Value]:
        """Who may do what; on old under the names that they have on new. Rights of one name are united."""
        found: dict[str, set[str]] = {}
        for identifier, rights in acl.entries(pending, session):
            name = self.people.on_new(identifier) if is_old else identifier
            if name is not None:
                found.setdefault(name, set()).update(rights)
        return {name: value(rights) for name, rights in found.items() if rights}

    def fit(self, wanted: Value, session: Session) -> Value:
        """What the session's server can be told of it, as it will tell it itself."""
        return value(acl.rights_meant(acl.letters_for(wanted.token, session), session))

    def begin_put(self, session: Session, name: bytes, entry: str, wanted: Value) -> Pending:
        return acl.begin_set_acl(session, name, entry, wanted.token)

    def begin_remove(self, session: Session, name: bytes, entry: str) -> Pending:
        return acl.begin_delete_acl(session, name, entry)

    @staticmethod
    def unite(old: Value, new: Value) -> Value:
        """Both had rights for this name at the first meeting: nothing is taken from what somebody set on new."""
        return value({*old.token, *new.token})


def value(rights: set[str]) -> Value:
    text = "".join(sorted(rights, key=acl.ORDER.index))
    return Value(text, text.encode())
