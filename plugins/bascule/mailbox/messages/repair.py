"""A message that new refuses, in a form that it takes: what can be shown of it, the original attached untouched."""

import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from bascule.mailbox.imap import internaldate
from bascule.mailbox.messages.describe import Message

READABLE = 20_000  # characters of the original that are shown in the text


def with_original_attached(
    message: Message, original: bytes, refusal: str, seconds: int, *, mark: str, postmaster: str
) -> bytes:
    """A new message that names the old one, says why, and carries it octet for octet as an attachment.

    `mark` is how a later pass finds it again.
    """
    repaired = EmailMessage(policy=email.policy.SMTP)
    repaired["Subject"] = _header(message.subject) or "(message repaired at the move of the mail server)"
    repaired["From"] = postmaster
    repaired["Date"] = format_datetime(_date(seconds))
    if message.message_id.isascii() and message.message_id.startswith("<"):
        repaired["X-Bascule-Original-Message-Id"] = _header(message.message_id)
    repaired["X-Bascule-Repaired"] = mark
    beginning = "".join(c for c in original[:READABLE].decode("utf-8", "replace") if c.isprintable() or c in "\n\t")
    repaired.set_content(
        "This message could not be stored by the new mail server as it was.\n"
        f"The server said: {''.join(c for c in refusal if c.isprintable())}\n\n"
        f"From: {message.sender}\nSubject: {message.subject}\nDate: {message.sent}\n\n"
        "The original is attached, unchanged. Its beginning:\n\n" + beginning,
        cte="base64",
    )
    repaired.add_attachment(original, maintype="application", subtype="octet-stream", filename="original.eml")
    return repaired.as_bytes()


def _header(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _date(seconds: int) -> datetime:
    if seconds == internaldate.UNKNOWN or seconds not in internaldate.SAFE:
        return datetime.now(UTC)
    return datetime.fromtimestamp(seconds, UTC)
