"""Folder names: modified UTF-7 (RFC 3501 5.1.3), quoting, and the way from old's hierarchy to new's."""

import base64
import re
import unicodedata
from dataclasses import dataclass, field

# Dovecot accepts folders of these names in some layouts, and then mistakes them for its own files.
RESERVED = ("cur", "new", "tmp", "subscriptions", "dbox-mails", "maildirfolder")
POISON = (b"dovecot.", b"dovecot-")

_SHIFT = re.compile(rb"&([A-Za-z0-9+,]*)-")


@dataclass(frozen=True)
class Namespace:
    """The personal namespace of one server: its prefix and separator as the server writes them (RFC 2342)."""

    prefix: bytes = b""
    separator: bytes = b"/"
    foreign: tuple[bytes, ...] = ()  # prefixes of other users' and shared folders, which are not carried


@dataclass(frozen=True)
class NameProblem:
    """Why a name can't be carried as it is, and what to call the folder instead."""

    explanation: str
    proposal: str


@dataclass
class NameMap:
    """Old names to new names, as both servers write them. `rename` and `replace` as in the site file."""

    old: Namespace
    new: Namespace
    rename: dict[str, str] = field(default_factory=dict)
    replace: dict[str, str] = field(default_factory=dict)

    def to_new(self, raw: bytes) -> bytes | NameProblem:
        """The new server's name for an old folder, or why there is none."""
        shown = display(raw)
        if shown in self.rename:
            return self.encode_new(self.rename[shown])
        parts = self.components(raw)
        if any(part.lower().startswith(POISON) for part in parts):
            return NameProblem("the new server may keep files of its own under this name", self.propose(raw))
        separator = self.new.separator
        if separator and any(separator in part for part in parts):
            mended = [self._mended(part) for part in parts]
            return NameProblem(
                f"the name contains `{separator.decode()}`, which separates levels on the new server",
                display(self._joined(mended)),
            )
        return self._joined(parts)

    def components(self, raw: bytes) -> list[bytes]:
        """The levels of an old name below the namespace's prefix; INBOX alone is [b"INBOX"]."""
        if raw.upper() == b"INBOX":
            return [b"INBOX"]
        prefix = self.old.prefix
        body = raw[len(prefix) :] if prefix and raw.startswith(prefix) else raw
        return body.split(self.old.separator) if self.old.separator else [body]

    def encode_new(self, shown: str) -> bytes:
        """The new server's form of a name that a person wrote, with the new server's separator in it."""
        return encode(shown)

    def propose(self, raw: bytes) -> str:
        """A name near to the refused one that every server takes."""
        parts = [self._mended(part) for part in self.components(raw)]
        return display(self._joined([part for part in parts if part]))

    def _mended(self, part: bytes) -> bytes:
        text = display(part)
        for bad, good in self.replace.items():
            text = text.replace(bad, good)
        text = unicodedata.normalize("NFC", text)
        text = "".join(
            "_" if c in '/.\\*%"' or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Cn") else c for c in text
        )
        text = text.strip(" ").lstrip("~") or "_"
        if text.lower() in RESERVED or text.lower().encode("utf-8").startswith(POISON):
            text = f"_{text}"
        return encode(text[:80])

    def _joined(self, parts: list[bytes]) -> bytes:
        if parts == [b"INBOX"]:
            return b"INBOX"
        return self.new.prefix + self.new.separator.join(parts)


def decode(raw: bytes) -> str:
    """Modified UTF-7 to text; raises ValueError when it is none."""
    if any(octet < 0x20 or octet > 0x7E for octet in raw):
        raise ValueError("not ASCII")
    text, at = "", 0
    while at < len(raw):
        if raw[at : at + 1] != b"&":
            text, at = text + chr(raw[at]), at + 1
            continue
        found = _SHIFT.match(raw, at)
        if not found:
            raise ValueError("an unfinished shift")
        text += "&" if not found[1] else _unshift(found[1])
        at = found.end()
    if encode(text) != raw:
        raise ValueError("not the one way to write this")
    return text


def _unshift(shifted: bytes) -> str:
    data = base64.b64decode(shifted.replace(b",", b"/") + b"=" * (-len(shifted) % 4), validate=True)
    return data.decode("utf-16-be")


def encode(text: str) -> bytes:
    """Text to modified UTF-7."""
    out, pending = b"", ""
    for character in text:
        if " " <= character <= "~":
            out, pending = out + _shift(pending), ""
            out += b"&-" if character == "&" else character.encode()
        else:
            pending += character
    return out + _shift(pending)


def _shift(text: str) -> bytes:
    if not text:
        return b""
    data = base64.b64encode(text.encode("utf-16-be", "surrogatepass")).rstrip(b"=").replace(b"/", b",")
    return b"&" + data + b"-"


def display(raw: bytes) -> str:
    """The name as people read it; octets that are no modified UTF-7 stay visible as they are."""
    try:
        return decode(raw)
    except ValueError:
        return raw.decode("utf-8", "backslashreplace")


def quote(raw: bytes) -> bytes | None:
    """The name as a quoted string, or None when only a literal can carry it."""
    if any(octet in b"\r\n\0" or octet > 0x7E for octet in raw):
        return None
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


@dataclass(frozen=True)
class Literal:
    """An argument that only a literal can carry; `binary` when it may hold NUL (literal8, RFC 3516)."""

    data: bytes
    binary: bool = False


def argument(raw: bytes) -> bytes | Literal:
    """A string argument of a command, in the simplest form that carries it."""
    return quote(raw) or Literal(raw)
