"""Annotations of folders (METADATA, RFC 5464): which are carried, and how they are compared."""

import hashlib
import re

from bascule.ledger.carried import What
from bascule.mailbox.attributes.three_way import Value
from bascule.mailbox.imap import metadata
from bascule.mailbox.imap.capabilities import Capability
from bascule.mailbox.imap.session import Pending, Session

# What servers keep there for themselves: sizes and dates of the folder, its special use (carried with the folder).
_SERVERS_OWN = re.compile(
    r"/(private|shared)/(specialuse$|vendor/cmu/cyrus-imapd/|vendor/vendor\.dovecot/)", re.IGNORECASE
)


class Annotations:
    """How one server tells and takes annotations."""

    what: What = "metadata"
    capability: Capability = "METADATA"

    def begin(self, session: Session, name: bytes) -> Pending:
        return metadata.begin_get_metadata(session, name)

    def values(self, session: Session, pending: Pending, *, is_old: bool) -> dict[str, Value]:
        """Every entry that a client may set; the ledger keeps a digest of its value."""
        return {
            entry: Value(hashlib.sha256(data).hexdigest(), data)
            for entry, data in metadata.entries(pending).items()
            if not _SERVERS_OWN.match(entry)
        }

    def fit(self, wanted: Value, session: Session) -> Value:
        return wanted

    def begin_put(self, session: Session, name: bytes, entry: str, wanted: Value) -> Pending:
        return metadata.begin_set_metadata(session, name, entry, wanted.data)

    def begin_remove(self, session: Session, name: bytes, entry: str) -> Pending:
        return metadata.begin_set_metadata(session, name, entry, None)

    @staticmethod
    def unite(old: Value, new: Value) -> Value:
        """Both had a value at the first meeting: new's stays."""
        return new
