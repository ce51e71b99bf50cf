"""Folders with UIDs that a test has chosen, on a Dovecot that keeps Maildir; and what a server shows of them."""

import imaplib
import os
import pwd
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mail_servers import PASSWORD, Dovecot


@dataclass(frozen=True)
class Shown:
    """A folder as a mail program sees it. `messages`: UID -> its subject."""

    uidvalidity: int
    uidnext: int
    messages: dict[int, str]


def lay_out(
    server: Dovecot, user: str, folder: str, uids: Sequence[int], *, uidvalidity: int, uidnext: int = 0,
    dates: Iterable[int] = (), empty: Sequence[int] = (),
) -> None:  # fmt: skip
    """A folder ("" is INBOX) with a message for each UID, whose subject is its UID; those in `empty` have no text."""
    maildir = server.home / "mail" / user / "Maildir"
    place = maildir / f".{folder}" if folder else maildir
    for part in ("cur", "new", "tmp"):
        (place / part).mkdir(parents=True, exist_ok=True)
    dates = iter(dates)
    lines = [f"3 V{uidvalidity} N{uidnext or max(uids, default=0) + 1}"]
    for number, uid in enumerate(uids):
        file = place / "cur" / f"{1_400_000_000 + number}.M{uid}.host:2,S"
        file.write_bytes(b"" if uid in empty else f"From: a@obs.test\r\nSubject: {uid}\r\n\r\n{uid}\r\n".encode())
        os.utime(file, (date := next(dates, 1_400_000_000 + number), date))
        lines.append(f"{uid} :{file.name.partition(':')[0]}")
    (place / "dovecot-uidlist").write_text("\n".join(lines) + "\n")
    _give_to_dovecot(maildir.parent)


def _give_to_dovecot(place: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for found in (place, *place.rglob("*")):
            os.chown(found, nobody.pw_uid, nobody.pw_gid)


def shown(server: Dovecot, user: str, folder: str = "INBOX") -> Shown:
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        status = client.status(f'"{folder}"', "(UIDVALIDITY UIDNEXT MESSAGES)")[1][0]
        numbers = {name: int(value) for name, value in re.findall(rb"([A-Z]+) (\d+)", status.rpartition(b"(")[2])}
        messages = {}
        if numbers[b"MESSAGES"]:
            client.select(f'"{folder}"', readonly=True)
            found = client.fetch("1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            for head, text in (row for row in found if isinstance(row, tuple)):
                uid = re.search(rb"UID (\d+)", head)
                assert uid
                messages[int(uid[1])] = text.partition(b":")[2].strip().decode()
    return Shown(numbers[b"UIDVALIDITY"], numbers[b"UIDNEXT"], messages)


def deliver(server: Dovecot, user: str, subject: str, folder: str = "INBOX") -> None:
    """One message, as somebody else puts it there."""
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        text = f"From: b@obs.test\r\nSubject: {subject}\r\n\r\n{subject}\r\n".encode()
        assert client.append(f'"{folder}"', "", "", text)[0] == "OK"


def remove(server: Dovecot, user: str, uids: str, folder: str = "INBOX") -> None:
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        client.select(f'"{folder}"')
        client.uid("STORE", uids, "+FLAGS", "(\\Deleted)")
        assert client.expunge()[0] == "OK"


def flag(server: Dovecot, user: str, uids: str, flags: str, folder: str = "INBOX") -> None:
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        client.select(f'"{folder}"')
        sign = "-" if flags.startswith("-") else "+"
        assert client.uid("STORE", uids, f"{sign}FLAGS", f"({flags.lstrip('-')})")[0] == "OK"


def changed_since(server: Dovecot, user: str, uidvalidity: int, modseq: int, known: str) -> set[int]:
    """The UIDs of which a program with this cache of INBOX is told something (QRESYNC, RFC 7162)."""
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        client.enable("QRESYNC")
        tag = client._new_tag()  # type: ignore[attr-defined]
        client.send(tag + f" SELECT INBOX (QRESYNC ({uidvalidity} {modseq} {known}))\r\n".encode())
        told: set[int] = set()
        while not (line := client.readline()).startswith(tag):
            if found := re.search(rb"FETCH \(UID (\d+)|VANISHED \(EARLIER\) (\d+)", line):
                told.add(int(found[1] or found[2]))
        client.state = "SELECTED"
    return told


def highest_modseq(server: Dovecot, user: str, folder: str = "INBOX") -> int:
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        return int(re.findall(rb"\d+", client.status(f'"{folder}"', "(HIGHESTMODSEQ)")[1][0])[-1])
