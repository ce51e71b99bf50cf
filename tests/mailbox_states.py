"""A compact notation for the contents of a mailbox, and the means to put a server into such a state and to read it.

`INBOX: a b/S c/SF+work; Sent/2020: d` means: INBOX holds the messages a, b and c, b is \\Seen, c is \\Seen, \\Flagged
and has the keyword `work`; the folder 2020 below Sent holds d. Flags: S A F T (\\Deleted) D (\\Draft). A letter
stands for a text; the same letter twice is the same text twice, and `a'` has the same Message-Id as `a` but another
body. Levels are written with `/` whatever the server's separator is.
"""

import hashlib
import imaplib
import re
from collections import Counter
from dataclasses import dataclass

from bascule.text import mutf7

from tests.mail_servers import PASSWORD

FLAGS = {"S": "\\Seen", "A": "\\Answered", "F": "\\Flagged", "T": "\\Deleted", "D": "\\Draft"}

Contents = dict[str, Counter[tuple[str, str]]]  # folder -> how often (message, flags) is in it


def parse(notation: str) -> Contents:
    """The notation as data."""
    contents: Contents = {"INBOX": Counter()}
    for part in filter(None, (piece.strip() for piece in notation.split(";"))):
        folder, _, messages = part.partition(":")
        contents[folder.strip()] = Counter(_message(word) for word in messages.split())
    return contents


def _message(word: str) -> tuple[str, str]:
    name, _, flags = word.partition("/")
    system, *keywords = flags.split("+")
    return name, "+".join(["".join(sorted(system)), *sorted(keywords)])


def text(name: str) -> bytes:
    """The message that a name stands for; its size depends on the name, too."""
    letter = name.rstrip("'")
    filler = hashlib.sha256(name.encode()).hexdigest() * (1 + len(name) + ord(letter[0]) % 7)
    identity = f"Message-Id: <{letter}@test>\r\n" if letter[0] != "x" else ""
    body = filler if name == letter else filler[::-1][: len(filler)]
    return f"From: someone@obs.test\r\nSubject: {letter}\r\n{identity}\r\n{name}\r\n{body}\r\n".encode()


def date(name: str) -> str:
    """A fixed date for every name."""
    number = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    return f'"{1 + number % 28:02d}-Feb-20{10 + number % 15:02d} 10:{number % 60:02d}:07 +0200"'


@dataclass
class Account:
    """One user's mailbox on one server, as a client that reads and writes it."""

    port: int
    user: str
    separator: str
    prefix: str = ""
    server_fields: bytes = b""  # a pattern of header lines that the server puts into messages

    def __enter__(self) -> "Account":
        self.client = imaplib.IMAP4("127.0.0.1", self.port)
        self.client.login(self.user, PASSWORD)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.logout()

    def wire_name(self, folder: str) -> str:
        if folder == "INBOX":
            return '"INBOX"'
        raw = self.prefix.encode() + mutf7.encode(folder.replace("/", self.separator))
        return '"' + raw.decode().replace("\\", "\\\\").replace('"', '\\"') + '"'

    def folders(self) -> list[str]:
        found = []
        for line in self.client.list()[1]:
            match = re.fullmatch(rb'\(([^)]*)\) (?:"."|NIL) (.*)', line or b"")
            if match and b"\\noselect" not in match[1].lower() and b"\\nonexistent" not in match[1].lower():
                raw = match[2].strip(b'"').replace(b'\\"', b'"').replace(b"\\\\", b"\\")
                name = mutf7.display(raw)
                if name.upper() != "INBOX":
                    name = name.removeprefix(self.prefix).replace(self.separator, "/")
                found.append("INBOX" if name.upper() == "INBOX" else name)
        return found

    def make(self, contents: Contents) -> None:
        """Bring the mailbox into this state with as few acts as a user would need."""
        have = self.folders()
        for folder in sorted(contents):  # those above first: some servers make them with those below
            if folder not in have and folder != "INBOX":
                self._ok(self.client.create(self.wire_name(folder)))
        for folder in have:
            if folder not in contents and folder != "INBOX":
                self._ok(self.client.delete(self.wire_name(folder)))
        for folder, wanted in contents.items():
            self._fill(folder, wanted)

    def _fill(self, folder: str, wanted: Counter[tuple[str, str]]) -> None:
        there = self._messages(folder)
        missing = Counter(wanted)
        surplus: list[tuple[str, str, str]] = []
        for uid, name, flags in there:
            if missing[name, flags] > 0:
                missing[name, flags] -= 1
            else:
                surplus.append((uid, name, flags))
        for name, flags in list(missing.elements()):
            same = next((entry for entry in surplus if entry[1] == name), None)
            if same is None:
                self.append(folder, name, flags)
            else:
                surplus.remove(same)
                self._ok(self.client.uid("STORE", same[0], "FLAGS", spelled(flags)))
        for uid, _, _ in surplus:
            self._ok(self.client.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
        if surplus:
            self._ok(self.client.expunge())

    def append(self, folder: str, name: str, flags: str = "") -> None:
        self._ok(self.client.append(self.wire_name(folder), spelled(flags), date(name), text(name)))

    def read(self) -> Contents:
        """The state as it is; a message whose text or date is none of the notation's shows as `?`."""
        return {
            folder: Counter((name, flags) for _, name, flags in self._messages(folder)) for folder in self.folders()
        }

    def _messages(self, folder: str) -> list[tuple[str, str, str]]:
        answer, told = self.client.select(self.wire_name(folder))
        self._ok((answer, told))
        if not int(told[0] or b"0"):
            return []
        found = []
        _, rows = self.client.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        for row, tail in zip(rows, [*rows[1:], b""], strict=True):
            if not isinstance(row, tuple):
                continue
            head = row[0] + b" " + (tail if isinstance(tail, bytes) else b"")
            uid = re.search(rb"UID (\d+)", head)
            flags = re.search(rb"FLAGS \(([^)]*)\)", head)
            when = re.search(rb'INTERNALDATE "([^"]*)"', head)
            assert uid and flags and when
            body = re.sub(self.server_fields, b"", row[1]) if self.server_fields else row[1]
            found.append((uid[1].decode(), _name(body, when[1]), _letters(flags[1].decode())))
        return found

    @staticmethod
    def _ok(answer: tuple[str, object]) -> None:
        assert answer[0] == "OK", answer


def spelled(flags: str) -> str:
    system, *keywords = flags.split("+")
    return "(" + " ".join([*(FLAGS[letter] for letter in system), *keywords]) + ")"


def _letters(flags: str) -> str:
    by_flag = {flag.lower(): letter for letter, flag in FLAGS.items()}
    words = [word for word in flags.split() if word.lower() != "\\recent"]
    system = sorted(by_flag[word.lower()] for word in words if word.lower() in by_flag)
    return "+".join(["".join(system), *sorted(word for word in words if word.lower() not in by_flag)])


def _name(body: bytes, when: bytes) -> str:
    parts = body.split(b"\r\n\r\n", 1)
    name = parts[1].split(b"\r\n", 1)[0].decode(errors="replace") if len(parts) == 2 else "?"
    if not name or body != text(name):
        return "?"
    seconds = imaplib.Internaldate2tuple(b'INTERNALDATE "' + when + b'"')
    wanted = imaplib.Internaldate2tuple(b"INTERNALDATE " + date(name).encode())
    return name if seconds == wanted else f"{name}@{when.decode()}"
