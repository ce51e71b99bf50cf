"""What servers can do beyond IMAP4rev1, and what the engine makes of it. docs/engine.md says what it does without."""

import re
from collections.abc import Iterable
from typing import Literal

Capability = Literal[
    "ACL",  # RFC 4314
    "AUTH=PLAIN",
    "COMPRESS=DEFLATE",  # RFC 4978
    "CONDSTORE",  # RFC 7162
    "CREATE-SPECIAL-USE",  # RFC 6154
    "ENABLE",  # RFC 5161
    "ESEARCH",  # RFC 4731
    "IMAP4REV2",  # RFC 9051
    "LIST-EXTENDED",  # RFC 5258
    "LIST-STATUS",  # RFC 5819
    "LITERAL+", "LITERAL-",  # RFC 7888
    "METADATA",  # RFC 5464
    "MULTIAPPEND",  # RFC 3502
    "NAMESPACE",  # RFC 2342
    "QRESYNC",  # RFC 7162
    "QUOTA",  # RFC 9208
    "SASL-IR",  # RFC 4959
    "SPECIAL-USE",  # RFC 6154
    "STATUS=SIZE",  # RFC 8438
    "UIDPLUS",  # RFC 4315
    "UNSELECT",  # RFC 3691
]  # fmt: skip


# What a command must have been announced for; the first one that fits counts.
_NEEDS: tuple[tuple[str, Capability], ...] = (
    ("NAMESPACE", "NAMESPACE"),
    ("ENABLE CONDSTORE|STATUS .*HIGHESTMODSEQ|UID STORE .*UNCHANGEDSINCE", "CONDSTORE"),
    ("ENABLE QRESYNC|UID FETCH .*VANISHED", "QRESYNC"),
    ("UID FETCH .*CHANGEDSINCE", "CONDSTORE"),
    ("LIST .* RETURN ", "LIST-EXTENDED"),
    ("STATUS .*\\(SIZE", "STATUS=SIZE"),
    ("UNSELECT", "UNSELECT"),
    ("UID EXPUNGE", "UIDPLUS"),
    ("GETQUOTAROOT", "QUOTA"),
    ("CREATE .* \\(USE ", "CREATE-SPECIAL-USE"),
    ("GETACL|SETACL|DELETEACL|MYRIGHTS", "ACL"),
    ("GETMETADATA|SETMETADATA", "METADATA"),
    ("COMPRESS", "COMPRESS=DEFLATE"),
)


def needed_by(command: str) -> Capability | None:
    """The capability without which this command would not have been sent."""
    return next((capability for pattern, capability in _NEEDS if re.match(pattern, command)), None)


class Capabilities:
    """Those of one server, without those that are not to be used."""

    def __init__(self, names: Iterable[bytes] = (), without: Iterable[str] = ()) -> None:
        told = {name.decode("ascii", "replace").upper() for name in names}
        self._names = told - {name.upper() for name in without}

    def has(self, capability: Capability) -> bool:
        return capability in self._names

    @property
    def literal_limit(self) -> int:
        """How large a literal may be sent without asking (RFC 7888): LITERAL- allows 4096 bytes."""
        if self.has("LITERAL+"):
            return 2**63
        return 4096 if self.has("LITERAL-") or self.has("IMAP4REV2") else 0

    @property
    def modseq(self) -> bool:
        """Whether the server counts changes (RFC 7162)."""
        return self.has("CONDSTORE") or self.has("QRESYNC")

    @property
    def rights_of_rfc4314(self) -> bool:
        """Whether rights are told by RFC 4314's letters, with t and e instead of RFC 2086's d."""
        return any(name.startswith("RIGHTS=") and {"T", "E"} <= set(name[7:]) for name in self._names)
