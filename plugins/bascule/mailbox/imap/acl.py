"""GETACL, SETACL, DELETEACL, MYRIGHTS (RFC 4314), and the letters of servers that know RFC 2086 only."""

from typing import Any

from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.imap.syntax import string

ORDER = "lrswipkxtea"  # the rights of RFC 4314; c and d stand for others there, and all the rest is a server's own
LONGEST_IDENTIFIER = 255  # characters


def begin_get_acl(session: Session, name: bytes) -> Pending:
    return session.begin(b"GETACL", string(name))


def entries(pending: Pending, session: Session) -> list[tuple[str, set[str]]]:
    """(identifier, rights of RFC 4314) as the server tells them; one identifier may stand there twice."""
    return [
        (identifier, rights_meant(letters, session))
        for response in pending.named(b"ACL")
        for identifier, letters in _pairs(response[3:])
    ]


def my_rights(session: Session, name: bytes) -> set[str]:
    """What the server lets this account do in a folder. Raises Refused."""
    told = session.run(b"MYRIGHTS", string(name)).named(b"MYRIGHTS", 4)
    letters = b"".join(response[3] for response in told if isinstance(response[3], bytes))
    return rights_meant(letters.decode("latin-1"), session)


def begin_set_acl(session: Session, name: bytes, identifier: str, rights: str) -> Pending:
    letters = letters_for(rights, session).encode()
    return session.begin(b"SETACL", string(name), string(identifier.encode()), letters)


def begin_delete_acl(session: Session, name: bytes, identifier: str) -> Pending:
    return session.begin(b"DELETEACL", string(name), string(identifier.encode()))


def is_valid(identifier: str) -> bool:
    """Whether a server may be told this identifier: nothing invisible in it, and of a sensible length."""
    return identifier.isprintable() and 0 < len(identifier) <= LONGEST_IDENTIFIER


def rights_meant(letters: str, session: Session) -> set[str]:
    """The rights of RFC 4314 that a server's letters mean.

    Where it knows RFC 4314 (RIGHTS=), c and d only repeat others; else c is to make folders below, and d to mark and
    to expunge messages (RFC 4314 section 2.1.1; deleting the folder itself is granted to nobody who is not told so).
    """
    rights = set(letters)
    if not session.capabilities.rights_of_rfc4314:
        rights |= {"k"} if "c" in rights else set()
        rights |= {"t", "e"} if "d" in rights else set()
    return rights & set(ORDER)


def letters_for(rights: str, session: Session) -> str:
    """The letters by which a server is told rights; for RFC 2086 only what grants no more than is meant."""
    if session.capabilities.rights_of_rfc4314:
        return rights
    wanted = set(rights)
    letters = wanted - set("kxte")
    letters |= {"c"} if "k" in wanted else set()
    letters |= {"d"} if {"t", "e"} <= wanted else set()
    return "".join(sorted(letters, key="lrswipcda".index))


def _pairs(values: list[Any]) -> list[tuple[str, str]]:
    """(identifier, rights) of an ACL response; what is no text is no identifier."""
    both = zip(values[::2], values[1::2], strict=False)
    return [
        (who.decode("utf-8", "backslashreplace"), letters.decode("latin-1"))
        for who, letters in both
        if isinstance(who, bytes) and who and isinstance(letters, bytes)
    ]
