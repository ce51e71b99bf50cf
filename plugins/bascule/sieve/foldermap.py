"""The rule and the names that moved the folders of a mailbox, applied to the names in its filters."""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from bascule.text import mutf7
from bascule.text.name_map import NameMap, NameProblem, Namespace

INBOX = "INBOX"
CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Unsure:
    """Why a person must say what becomes of a folder's name, as the end of a sentence; `proposal`: most likely this."""

    explanation: str
    proposal: str


@dataclass(frozen=True)
class FolderMap:
    """How old folder names became new ones, for one mailbox. All names are text, in UTF-8 where they stand in files.

    `names` holds every folder that was moved (old name -> new name), with the renames that were decided. Names that
    are not in it (a filter may file into a folder that never existed) go by the rule that would move such a folder.
    What lies below a folder that has not the name of the rule goes along with it, as the mover has it.
    `modified_utf7`: whether the old server reads that in filters (RFC 3501 section 5.1.3); None: unknown.
    `shared`: prefixes of folders that are other people's or everybody's, which are not carried. `asked`: old folders
    about whose names a person is asked already.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    old_separator: str = "/"
    new_separator: str = "/"
    old_prefix: str = ""  # with its separator, such as "INBOX."
    new_prefix: str = ""
    replace: Mapping[str, str] = field(default_factory=dict)  # as in the site file, for proposals
    modified_utf7: bool | None = None
    shared: tuple[str, ...] = ()
    asked: Collection[str] = ()
    _known: dict[str, str | Unsure] = field(default_factory=dict, init=False, repr=False, compare=False)

    def new_name(self, old: str) -> str | Unsure:
        """The name on the new server of the folder that the old server takes this name for."""
        if old not in self._known:
            self._known[old] = self._new_name(old)
        return self._known[old]

    def new_start(self, start: str) -> str:
        """The most likely new form of a name's constant beginning, which must end with the old separator."""
        marker = "\N{OBJECT REPLACEMENT CHARACTER}"
        found = self.new_name(start + marker)
        return (found.proposal if isinstance(found, Unsure) else found).removesuffix(marker)

    def read_by_old(self, name: str) -> str:
        """The name in UTF-8 where it is written in modified UTF-7 and no folder is really called so."""
        decoded = from_mutf7(name)
        return name if decoded is None or name in self.names else decoded

    def waits(self, old: str) -> bool:
        """Whether the mailbox's own question about this folder, or about one above it, is open."""
        name = self._canonical(self.read_by_old(old))
        return any(name == asked or name.startswith(asked + self.old_separator) for asked in self.asked)

    @property
    def keeps_every_name(self) -> bool:
        """Whether all folders are called on new as on old."""
        same = (self.old_separator, self.old_prefix) == (self.new_separator, self.new_prefix)
        return same and all(old == new for old, new in self.names.items())

    def _new_name(self, written: str) -> str | Unsure:
        name = self.read_by_old(written)
        if name == written or self.modified_utf7:
            return self._by_name(self._canonical(name))
        named = self._by_name(self._canonical(name))
        return Unsure(
            f"is {name!r} in modified UTF-7. Cyrus reads that; Pigeonhole reads UTF-8 only, has no such folder and "
            "left the mail in the inbox",
            named.proposal if isinstance(named, Unsure) else named,
        )

    def _canonical(self, name: str) -> str:
        """INBOX is the same in any case (RFC 3501 section 5.1), also as the beginning of other names."""
        first = name.split(self.old_separator, 1)[0] if self.old_separator else name
        return name if name in self.names or first.upper() != INBOX else INBOX + name[len(INBOX) :]

    def _by_name(self, name: str) -> str | Unsure:
        if name == INBOX:
            return INBOX
        if name in self.names:
            return self.names[name]
        return self._odd(name) or self._by_rule(name)

    def _odd(self, name: str) -> Unsure | None:
        """Names that are none of a folder of the account's own."""
        if any(name.startswith(prefix) for prefix in self.shared if prefix):
            return Unsure("is other people's or everybody's: such folders are not carried", name)
        if not name.startswith(self.old_prefix):
            return self._without_prefix(name)
        inside = name[len(self.old_prefix) :]
        levels = inside.split(self.old_separator) if self.old_separator else [inside]
        if not all(levels):
            meant = self.old_separator.join(level for level in levels if level)
            return self._impossible("has a level without a name", meant)
        if CONTROL.search(inside):
            return self._impossible("has a control character or a line end in it", CONTROL.sub("", inside).strip())
        below_inbox = name.removeprefix(INBOX + self.old_separator)
        if below_inbox != name and not self.old_prefix and below_inbox in self.names:
            return Unsure(
                f"is none of the mailbox's folders; the old server may take it for {below_inbox!r}",
                self.names[below_inbox],
            )
        return None

    def _impossible(self, why: str, inside: str) -> Unsure:
        meant = self._by_name(self.old_prefix + inside) if inside else INBOX
        proposal = meant.proposal if isinstance(meant, Unsure) else meant
        return Unsure(f"{why}: no server has such a folder, and the mail stayed in the inbox", proposal)

    def _without_prefix(self, name: str) -> Unsure:
        """On new it may work for the first time."""
        meant = name if name in self._owners else self._by_name(self.old_prefix + name)
        return Unsure(
            f"lacks the prefix {self.old_prefix!r} of the old server's folders: there it is none of the account's own, "
            "and the mail stayed in the inbox",
            meant.proposal if isinstance(meant, Unsure) else meant,
        )

    def _by_rule(self, name: str) -> str | Unsure:
        """As the mover would call such a folder; it asks about the same names."""
        raw, above = mutf7.encode(name), self._renamed_above(name)
        if above is None:
            found = self._rule.to_new(raw)
        else:
            found = self._rule.below(mutf7.encode(self.names[above]), mutf7.encode(above), raw)
        if isinstance(found, NameProblem):
            return Unsure(f"can't be carried as it is: {found.explanation}", found.proposal)
        new = mutf7.display(found)
        if new in self._owners:
            return Unsure(
                f"is none of the mailbox's folders, and its name on the new server, {new!r}, is that of the old folder "
                f"{self._owners[new]!r}",
                new,
            )
        return new

    def _renamed_above(self, name: str) -> str | None:
        """The nearest folder above that was given another name than the rule's."""
        if not self.old_separator:
            return None
        at = min(len(name), self._longest + 1)
        while (at := name.rfind(self.old_separator, 0, at)) > 0:
            if name[:at] in self._renamed:
                return name[:at]
        return None

    @functools.cached_property
    def _rule(self) -> NameMap:
        old, new = (
            Namespace(mutf7.encode(prefix), separator.encode())
            for prefix, separator in ((self.old_prefix, self.old_separator), (self.new_prefix, self.new_separator))
        )
        return NameMap(old, new, replace=dict(self.replace))

    @functools.cached_property
    def _renamed(self) -> frozenset[str]:
        usual = ((old, self._rule.to_new(mutf7.encode(old))) for old in self.names)
        return frozenset(old for old, rule in usual if rule != mutf7.encode(self.names[old]))

    @functools.cached_property
    def _longest(self) -> int:
        return max(map(len, self._renamed), default=0)

    @functools.cached_property
    def _owners(self) -> dict[str, str]:
        return {new: old for old, new in self.names.items()}


FolderMaps = Callable[[str], FolderMap]


def from_mutf7(name: str) -> str | None:
    """The name in UTF-8 if it is modified UTF-7 (RFC 3501 section 5.1.3) with anything encoded in it, else None."""
    if "&" not in name or not name.isascii():
        return None
    try:
        decoded = mutf7.decode(name.encode("ascii"))
    except ValueError:
        return None
    return decoded if decoded.isprintable() else None
