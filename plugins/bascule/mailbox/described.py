"""A message as it stands in problems: by the name that people know it by, asked of the old server."""

from dataclasses import dataclass
from typing import Any

from bascule.logs import get_logger
from bascule.mailbox import dates
from bascule.mailbox.errors import Refused, TransientError
from bascule.mailbox.lanes import Lane
from bascule.mailbox.listing import fetch_items
from bascule.mailbox.state import FolderState

log = get_logger(__name__)

HEADERS = b"(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID FROM SUBJECT DATE)])"
SIZES = b"(UID INTERNALDATE RFC822.SIZE)"


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


def describe(lane: Lane, folder: FolderState, uid: int) -> Message:
    """Ask the old server for what names a message to people; what it does not tell stays empty."""
    items: dict[bytes, Any] = {}
    for asked in (HEADERS, HEADERS, SIZES):  # a server that has just stumbled over the message may need another try
        if asked == HEADERS and items:
            continue
        try:
            lane.old.ensure_selected(folder.old.raw)
            responses = lane.old.run(b"UID FETCH", b"%d" % uid, asked).responses
        except (Refused, TransientError) as error:
            log.info("message can't be described", folder=folder.shown, uid=uid, reason=str(error))
            continue
        for told in map(fetch_items, responses):
            if told and told.get(b"UID") == b"%d" % uid:
                items |= told
    text = next((value for key, value in items.items() if key.startswith(b"BODY[")), b"") or b""
    import email.policy  # few passes have a message to describe

    header = email.message_from_bytes(text, policy=email.policy.default.clone(raise_on_defect=False))
    return Message(
        folder=folder.shown,
        uid=uid,
        message_id=_field(header, "message-id"),
        sender=_field(header, "from"),
        subject=_field(header, "subject"),
        sent=_field(header, "date"),
        date=dates.show(dates.parse(items.get(b"INTERNALDATE") or b"")),
        size=int(items.get(b"RFC822.SIZE") or 0),
    )


def _field(header: Any, name: str) -> str:
    try:
        value = str(header.get(name) or "")
    except Exception:  # the email package stumbles over some hostile headers; the rest still names the message
        return ""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)[:500]
