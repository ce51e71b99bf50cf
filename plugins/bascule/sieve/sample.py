"""A sample of an account's own mail: the latest messages of the inbox and of the folders that its filter files into."""

import email
import email.errors
import email.header
import email.policy
from collections.abc import Iterable
from dataclasses import dataclass

import imapclient
from imapclient.exceptions import IMAPClientError

from bascule.sieve.servers import FilterServer, imap

LARGEST = 256 << 10  # bytes; larger messages are left out, since their attachments decide nothing in a filter
INBOX_SHARE = 0.5


@dataclass(frozen=True)
class Message:
    """One message, and how people recognise it."""

    data: bytes
    title: str


def recent_messages(server: FilterServer, account: str, folders: Iterable[str], count: int) -> list[Message]:
    """At most `count` messages: about half of them from the inbox, the others from these folders (where they exist).

    Raises AccessError when there is no IMAP session.
    """
    found: dict[bytes, Message] = {}
    with imap(server, account) as client:
        places = ["INBOX", *(folder for folder in dict.fromkeys(folders) if folder.upper() != "INBOX")]
        share = max(1, round(count * INBOX_SHARE))
        for at, folder in enumerate(places):
            wanted = count - len(found) if len(places) == 1 else min(count - len(found), share if at == 0 else 3)
            for message in _last(client, folder, wanted):
                found[message.data] = message
            if len(found) >= count:
                break
    return list(found.values())


def _last(client: imapclient.IMAPClient, folder: str, count: int) -> list[Message]:
    try:
        selected = client.select_folder(folder, readonly=True)
        total = int(selected[b"EXISTS"])
        if not total or count < 1:
            return []
        sizes = client.fetch(client.search(f"{max(1, total - 2 * count + 1)}:{total}"), ["RFC822.SIZE"])
        small = [uid for uid in sorted(sizes, reverse=True) if sizes[uid][b"RFC822.SIZE"] <= LARGEST][:count]
        bodies = client.fetch(small, ["BODY.PEEK[]"]) if small else {}
    except IMAPClientError:
        return []  # a folder that the filter names and the mailbox doesn't have
    return [Message(item[b"BODY[]"], _title(item[b"BODY[]"])) for item in bodies.values() if item.get(b"BODY[]")]


def _title(data: bytes) -> str:
    headers = email.message_from_bytes(data[:65536], policy=email.policy.compat32)
    parts = [_readable(str(headers.get(name, ""))).strip()[:120] for name in ("Message-Id", "From", "Subject", "Date")]
    return " | ".join(part for part in parts if part) or "a message without headers"


def _readable(value: str) -> str:
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, email.errors.HeaderParseError):
        return value
