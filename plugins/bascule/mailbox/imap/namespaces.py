"""Whose folders are whose (NAMESPACE, RFC 2342): a name belongs to the namespace with the longest prefix that fits."""

from dataclasses import dataclass
from typing import Any, Literal

from bascule.mailbox.imap.responses import text, values
from bascule.mailbox.imap.session import Pending
from bascule.text.name_map import Namespace

Owner = Literal["main", "personal", "others", "shared"]


@dataclass(frozen=True)
class Namespaces:
    """The main personal namespace, and the prefixes of other personal ones, of other people's and of shared ones."""

    main: Namespace
    personal: tuple[bytes, ...] = ()
    others: tuple[bytes, ...] = ()
    shared: tuple[bytes, ...] = ()

    def owner(self, name: bytes) -> tuple[Owner, bytes]:
        """Whose a folder is, and the prefix of its namespace; what fits none is the person's own."""
        if name == b"INBOX":
            return "main", self.main.prefix
        spaces: list[tuple[Owner, bytes]] = [("main", self.main.prefix)]
        spaces += [("personal", prefix) for prefix in self.personal]
        spaces += [("others", prefix) for prefix in self.others]
        spaces += [("shared", prefix) for prefix in self.shared]
        fitting = [space for space in spaces if _fits(name, space[1])]
        return max(fitting, key=lambda space: len(space[1]), default=spaces[0])  # the first one of several alike


def _fits(name: bytes, prefix: bytes) -> bool:
    """Whether a name stands below this prefix, or is its root: `Shared` of the prefix `Shared/`."""
    if name[:5].upper() == prefix[:5].upper() == b"INBOX":
        name, prefix = name[5:], prefix[5:]
    return name.startswith(prefix) or name == prefix[:-1]


def parse_namespaces(answer: Pending) -> Namespaces | None:
    """None when the server tells no personal namespace."""
    for response in answer.named(b"NAMESPACE", 3):
        personal = _spaces(response[2])
        if not personal:
            continue
        # Where INBOX's own namespace does not come first, it is the one without a prefix, or below INBOX.
        own = [space for space in personal if not space[0] or space[0][:5].upper() == b"INBOX"]
        main = (own or personal)[0]
        others, shared = (
            tuple(prefix for group in response[at : at + 1] for prefix, _ in _spaces(group)) for at in (3, 4)
        )
        more = tuple(prefix for prefix, _ in personal if prefix != main[0])
        return Namespaces(Namespace(main[0], main[1], (*others, *shared)), more, others, shared)
    return None


def _spaces(group: Any) -> list[tuple[bytes, bytes]]:
    """(prefix, separator) of one kind of namespaces; NIL is none of that kind."""
    told = [values(space) for space in values(group)]
    return [(text(space[0]), text(space[1])) for space in told if len(space) > 1]
