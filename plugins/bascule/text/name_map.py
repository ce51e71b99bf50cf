"""A folder's name from old's hierarchy to new's: one rule, for the folders and for the filters that file into them."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field, replace

from bascule.text import folder_names
from bascule.text.mutf7 import decode, display, encode, is_well_written, readable

# Dovecot accepts folders of these names in some layouts, and then mistakes them for its own files.
RESERVED = ("cur", "new", "tmp", "subscriptions", "dbox-mails", "maildirfolder")
POISON = (b"dovecot.", b"dovecot-")
# Of one level of a proposed name, as text and as servers write it on their disks; and of all its levels together, which
# Maildir++ keeps in one name of 255 octets.
LONGEST, MOST_OCTETS, MOST_TOGETHER = 80, 160, 240
ROOM = 24  # octets that one level should have at least

_ENDS = re.compile(r"^[~\s]+|\s+$")  # what neither a server nor a mail program takes at the ends of a name


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
                "the old server writes its name in a way that is none "
                f"({raw.decode('ascii', 'backslashreplace')}, where modified UTF-7 belongs)",
                self.propose(raw),
                "folder-name-broken",
            )
        if any(part.lower().startswith(POISON) for part in parts):
            return NameProblem("the new server may keep files of its own under this name", self.propose(raw))
        separator = self.new.separator
        if separator and any(separator in part for part in parts):
            return self._separator_inside(parts, separator)
        return self._plain(raw, parts)

    def _plain(self, raw: bytes, parts: list[bytes]) -> bytes | NameProblem:
        if raw.upper() == b"INBOX":
            return b"INBOX"
        if self._joined(parts).upper() == b"INBOX":
            return NameProblem("on the new server, this is the name of the inbox itself", self.propose(raw))
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
        """The levels of an old name below the namespace's prefix; INBOX alone is [b"INBOX"].

        What lies below INBOX stays below it, in however it is written; on a server where everything does, it lies
        beside the others there.
        """
        if raw.upper() == b"INBOX":
            return [b"INBOX"]
        prefix = self.old.prefix
        if _begins_with_inbox(prefix) and _begins_with_inbox(raw):
            prefix = raw[:5] + prefix[5:]  # INBOX is the one name without regard to case (RFC 9051 section 5.1)
        body = raw[len(prefix) :] if prefix and raw.startswith(prefix) else raw
        parts = body.split(self.old.separator) if self.old.separator else [body]
        if len(parts) > 1 and parts[0].upper() == b"INBOX" and body is raw:
            return parts[1:] if _begins_with_inbox(self.new.prefix) else [b"INBOX", *parts[1:]]
        return parts

    def encode_new(self, shown: str) -> bytes:
        """The new server's form of a name that a person wrote, with the new server's separator in it."""
        return encode(shown)

    def propose(self, raw: bytes) -> str:
        """A name near to the refused one that every server takes."""
        parts = self._near([part for part in self.components(raw) if part] or [b""])
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
        return not inside and is_well_written(part) and not folder_names.wrong(decode(part), "")

    def _mended(self, part: bytes) -> bytes:
        text = readable(part)
        for bad, good in self.replace.items():
            text = text.replace(bad, good)
        text = unicodedata.normalize("NFC", text)
        text = "".join(
            "_" if c in '/.\\*%"' or folder_names.is_hidden(c) or unicodedata.category(c) in ("Cf", "Cn") else c
            for c in text
        )
        text = _ENDS.sub("", text) or "_"
        if text.lower() in RESERVED or text.lower().encode("utf-8").startswith(POISON):
            text = f"_{text}"
        return _shortened(encode(text), MOST_OCTETS)

    def _joined(self, parts: list[bytes]) -> bytes:
        return self.new.prefix + self.new.separator.join(parts)


def _begins_with_inbox(name: bytes) -> bool:
    return name[:5].upper() == b"INBOX"


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
