"""Folder names: modified UTF-7 (RFC 3501 5.1.3), quoting, and the way from old's hierarchy to new's."""

import base64
import hashlib
import re
import unicodedata
from dataclasses import dataclass, field, replace

from bascule import foldernames

# Dovecot accepts folders of these names in some layouts, and then mistakes them for its own files.
RESERVED = ("cur", "new", "tmp", "subscriptions", "dbox-mails", "maildirfolder")
POISON = (b"dovecot.", b"dovecot-")
# Of one level of a proposed name, as text and as servers write it on their disks; and of all its levels together, which
# Maildir++ keeps in one name of 255 octets.
LONGEST, MOST_OCTETS, MOST_TOGETHER = 80, 160, 240
ROOM = 24  # octets that one level should have at least

_ENDS = re.compile(r"^[~\s]+|\s+$")  # what neither a server nor a mail program takes at the ends of a name
_SHIFT = re.compile(rb"&([A-Za-z0-9+,]*)-")
_SHIFT_TEXT = re.compile(r"&[A-Za-z0-9+,]*-", re.ASCII)


@dataclass(frozen=True)
class Namespace:
    """The personal namespace of one server: its prefix and separator as the server writes them (RFC 2342)."""

    prefix: bytes = b""
    separator: bytes = b"/"
    foreign: tuple[bytes, ...] = ()  # prefixes of other users' and shared folders, which are not carried


@dataclass(frozen=True)
class NameProblem:
    """Why a name can't be carried as it is, and what to call the folder instead.

    `as_it_is`: the new name that carries it unchanged all the same, where there is one; a person may want that.
    """

    explanation: str
    proposal: str
    kind: str = "folder-name"
    as_it_is: str = ""
    like: str = ""  # the other folder that is in the way


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
        if any(not is_well_written(part) for part in parts):
            return NameProblem(
                f"the old server writes its name in a way that is none ({_ascii(raw)}, where modified UTF-7 belongs)",
                self.propose(raw),
                "folder-name-broken",
            )
        if any(part.lower().startswith(POISON) for part in parts):
            return NameProblem("the new server may keep files of its own under this name", self.propose(raw))
        separator = self.new.separator
        if separator and any(separator in part for part in parts):
            return self._separator_inside(parts, separator)
        return self._joined(parts)

    def _separator_inside(self, parts: list[bytes], separator: bytes) -> NameProblem:
        inside = next(part for part in parts if separator in part)
        levels = " and in it ".join(f"`{display(level)}`" for level in inside.split(separator))
        return NameProblem(
            f"the name contains `{separator.decode()}`, which separates levels on the new server: as it is, it would "
            f"be the folder {levels}",
            display(self._joined(self._near(parts))),
            as_it_is=display(self._joined(parts)),
        )

    def below(self, above: bytes, old_above: bytes, raw: bytes) -> bytes | NameProblem:
        """The new name of an old folder below one that is called `above` on new."""
        parts = raw[len(old_above) + len(self.old.separator) :].split(self.old.separator)
        plain = self.to_new(raw)
        rest = self._near(parts) if isinstance(plain, NameProblem) else parts
        name = self.new.separator.join([above, *rest])
        return replace(plain, proposal=display(name), as_it_is="") if isinstance(plain, NameProblem) else name

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
        parts = self._near([part for part in self.components(raw) if part])
        above = len(self._joined(parts)) - len(parts[-1]) if parts else 0
        if parts and above + ROOM <= MOST_TOGETHER:
            parts[-1] = _shortened(parts[-1], MOST_TOGETHER - above)
        else:
            parts = [_shortened(part, MOST_TOGETHER // len(parts) - 1) for part in parts]
        return display(self._joined(parts))

    def _near(self, parts: list[bytes]) -> list[bytes]:
        """The last level mended; those above it as their own folders are carried, where the form takes them."""
        above = [part if self._is_usual(part) else self._mended(part) for part in parts[:-1]]
        return [*above, *map(self._mended, parts[-1:])]

    def _is_usual(self, part: bytes) -> bool:
        inside = self.new.separator and self.new.separator in part
        return not inside and is_well_written(part) and not foldernames.wrong(decode(part), "")

    def _mended(self, part: bytes) -> bytes:
        text = readable(part)
        for bad, good in self.replace.items():
            text = text.replace(bad, good)
        text = unicodedata.normalize("NFC", text)
        text = "".join(
            "_" if c in '/.\\*%"' or foldernames.is_hidden(c) or unicodedata.category(c) in ("Cf", "Cn") else c
            for c in text
        )
        text = _ENDS.sub("", text) or "_"
        if text.lower() in RESERVED or text.lower().encode("utf-8").startswith(POISON):
            text = f"_{text}"
        return _shortened(encode(text), MOST_OCTETS)

    def _joined(self, parts: list[bytes]) -> bytes:
        if parts == [b"INBOX"]:
            return b"INBOX"
        return self.new.prefix + self.new.separator.join(parts)


def _shortened(raw: bytes, most: int) -> bytes:
    """A level that is no longer than servers take (`most` octets); what was cut off leaves a mark, always the same one.

    So two long names that begin alike do not become one.
    """
    text = decode(raw)
    if len(text) <= LONGEST and len(raw) <= most:
        return raw
    mark = f"-{hashlib.sha256(raw).hexdigest()[:6]}"
    kept = text[: LONGEST - len(mark)]
    while kept and len(encode(kept)) > most - len(mark):
        kept = kept[:-1]
    return encode(kept.rstrip() + mark)


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


def is_well_written(raw: bytes) -> bool:
    """Whether this is modified UTF-7, in the one way to write it."""
    try:
        decode(raw)
    except ValueError:
        return False
    return True


def display(raw: bytes) -> str:
    """The name as people read it; what is no modified UTF-7 is shown as it came, escaped.

    So that no badly written name looks like a well written one: an `&` that begins nothing is shown as `\\x26`.
    """
    try:
        return decode(raw)
    except ValueError:
        return "".join(
            chr(octet) if " " <= chr(octet) <= "~" and octet not in b"&\\" else f"\\x{octet:02x}" for octet in raw
        )


def readable(raw: bytes) -> str:
    """The name that was most likely meant: modified UTF-7 where it is that, else UTF-8 or Latin-1."""
    try:
        return decode(raw)
    except ValueError:
        pass  # not written well: its pieces may be
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return _SHIFT_TEXT.sub(_meant, text)


def _meant(found: re.Match[str]) -> str:
    try:
        return decode(found[0].encode("ascii"))
    except ValueError:
        return found[0]


def _ascii(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace")


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
