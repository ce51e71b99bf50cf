"""A message as it stands in problems: by the name that people know it by, asked of the old server."""

import hashlib
from dataclasses import dataclass
from typing import Any

from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.errors import Refused, TransientError
from bascule.mailbox.imap.fetch import DATE_AND_SIZE, HEADER, fetch_one
from bascule.mailbox.workers import Sessions
from bascule.text import mutf7
from bascule.text.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Message:
    """A message as it stands in problems: by name."""

    folder: str
    uid: int
    message_id: str
    sender: str
    subject: str
    sent: str
    date: str
    size: int

    def facts(self) -> dict[str, Any]:
        return {
            "folder": self.folder, "uid": self.uid, "message_id": self.message_id, "from": self.sender,
            "subject": self.subject, "sent": self.sent, "date": self.date, "size": self.size,
        }  # fmt: skip

    def named(self) -> str:
        """The message in one line, for people."""
        return (
            f"{self.message_id or 'a message without Message-Id'} in {self.folder!r} (UID {self.uid}), "
            f"from {self.sender!r}, subject {self.subject!r}, of {self.date}, {self.size} bytes"
        )


def message_subject(folder: str, uid: int) -> str:
    """How a message is named among the problems."""
    return f"{folder}/{uid}"


def repaired_mark(folder_hash: str, uidvalidity: int, uid: int) -> str:
    """How the repaired form of a message is found again; the folder by the hash of its name on old."""
    return hashlib.sha256(f"{folder_hash}/{uidvalidity}/{uid}".encode()).hexdigest()


def describe(sessions: Sessions, folder: bytes, uid: int) -> Message:
    """Ask the source for what names a message to people; what it does not tell stays empty."""
    items: dict[bytes, Any] = {}
    for asked in (HEADER, HEADER, DATE_AND_SIZE):  # a server that has just stumbled over it may need another try
        if asked == HEADER and items:
            continue
        try:
            sessions.source.ensure_selected(folder)
            items |= fetch_one(sessions.source, uid, asked)
        except (Refused, TransientError) as error:
            log.info("message can't be described", folder=mutf7.display(folder), uid=uid, reason=str(error))
    text = next((value for key, value in items.items() if key.startswith(b"BODY[")), b"") or b""
    import email.policy  # few passes have a message to describe

    header = email.message_from_bytes(text, policy=email.policy.default.clone(raise_on_defect=False))
    return Message(
        folder=mutf7.display(folder),
        uid=uid,
        message_id=_field(header, "message-id"),
        sender=_field(header, "from"),
        subject=_field(header, "subject"),
        sent=_field(header, "date"),
        date=internaldate.show(internaldate.parse(items.get(b"INTERNALDATE") or b"")),
        size=int(items.get(b"RFC822.SIZE") or 0),
    )


def _field(header: Any, name: str) -> str:
    try:
        value = str(header.get(name) or "")
    except Exception:  # the email package stumbles over some hostile headers; the rest still names the message
        return ""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)[:500]
