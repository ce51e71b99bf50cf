"""The same mapping that moved the folders of a mailbox, applied to the names in its filters."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from imapclient.imap_utf7 import decode, encode


@dataclass(frozen=True)
class FolderMap:
    """How old folder names became new ones, for one mailbox.

    `names` holds every folder that was moved (old name -> new name, in UTF-8), with the renames that were decided.
    Names that are not in it (a filter may file into a folder that never existed) go by separator and prefix alone.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    old_separator: str = "/"
    new_separator: str = "/"
    old_prefix: str = ""  # with its separator, such as "INBOX."
    new_prefix: str = ""

    @classmethod
    def from_data(cls, data: Mapping[str, object]) -> "FolderMap":
        """From a file's keys: either a plain {old: new}, or {"names": {...}, "old_separator": "." ...}."""
        if "names" not in data and "old_separator" not in data:
            return cls({str(old): str(new) for old, new in data.items()})
        return cls(**data)  # type: ignore[arg-type]

    def is_old(self, name: str) -> bool:
        """Whether the old mailbox has a folder of this name."""
        return name in self.names or name.upper() == "INBOX"

    def new_name(self, old: str) -> str:
        """The name on the new server."""
        if old.upper() == "INBOX":
            return "INBOX"
        if old in self.names:
            return self.names[old]
        if old in self.names.values():
            return old  # converted before
        return self._below_a_moved_folder(old) or self._by_structure(old)

    def new_start(self, start: str) -> str:
        """The new form of a name's constant beginning, which must end with the old separator."""
        marker = "\N{OBJECT REPLACEMENT CHARACTER}"
        return self.new_name(start + marker).removesuffix(marker)

    def _below_a_moved_folder(self, old: str) -> str | None:
        """`A.B.x` where A.B was moved to C/D is C/D/x."""
        at = min(len(old), self._longest + len(self.old_separator))
        while (at := old.rfind(self.old_separator, 0, at)) > 0:
            if (parent := old[:at]) in self.names:
                below = old[at + len(self.old_separator) :]
                return self.names[parent] + self.new_separator + self._levels(below)
        return None

    @functools.cached_property
    def _longest(self) -> int:
        return max(map(len, self.names), default=0)

    def _by_structure(self, old: str) -> str:
        inside = old.removeprefix(self.old_prefix)
        if inside == old and self.old_prefix and old.upper().startswith(self.old_prefix.upper()):
            inside = old[len(self.old_prefix) :]  # "inbox.x": INBOX is the same in any case
        return self.new_prefix + self._levels(inside)

    def _levels(self, name: str) -> str:
        return name.replace(self.old_separator, self.new_separator) if self.old_separator else name


FolderMaps = Callable[[str], FolderMap]


def from_mutf7(name: str) -> str | None:
    """The name in UTF-8 if it is modified UTF-7 (RFC 3501 section 5.1.3) with anything encoded in it, else None."""
    if "&" not in name or not name.isascii():
        return None
    try:
        decoded = decode(name.encode("ascii"))
        return decoded if encode(decoded) == name.encode("ascii") and decoded.isprintable() else None
    except (UnicodeError, ValueError):
        return None
