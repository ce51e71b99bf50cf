"""What travels between the rules, the converter and those who read its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bascule.sieve.foldermap import FolderMap
from bascule.sieve.syntax import Script, position
from bascule.text.harmless import harmless

Choice = Literal["ask", "repair", "keep"]
SHOWN = 200  # characters of a value in a sentence


@dataclass(frozen=True)
class Context:
    """What the rules must know beside the script.

    `extensions`: what the new server offers (None: unknown, nothing is said about it), `old_extensions` the old one
    (None: unknown). `left_out`: old folders that are
    not carried, by decision. `old_hosts`: domains of addresses that end with the migration -> the domain that takes
    their place. `scripts`: all personal scripts of the account with their texts, `global_scripts` those that everybody
    on the new server may include, `old_global_scripts` on the old one (None: unknown). `redirects`: how many addresses
    the new server lets one script send a message to, `old_redirects` the old one (None: unknown).
    `notify_methods`: the ways in which the new server notifies (None: unknown).
    """

    folders: FolderMap = field(default_factory=FolderMap)
    left_out: frozenset[str] = frozenset()
    extensions: frozenset[str] | None = None
    old_extensions: frozenset[str] | None = None
    redirects: int | None = None
    old_redirects: int | None = None
    notify_methods: frozenset[str] | None = None
    own_addresses: frozenset[str] = frozenset()
    old_hosts: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] | None = None
    global_scripts: Mapping[str, str] | None = None
    old_global_scripts: Mapping[str, str] | None = None
    repairs: Mapping[str, Choice] = field(default_factory=dict)  # rule -> what was chosen; "ask" where nothing was


@dataclass(frozen=True)
class Edit:
    """Replace the source text from `start` to `end` (offsets in characters) by `text`."""

    start: int
    end: int
    text: str
    rule: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """Something that a person must look at: what, where, and the edits that would repair it (none: only by hand)."""

    rule: str
    message: str
    offset: int
    repair: tuple[Edit, ...] = ()


@dataclass
class Report:
    """What the rules say of one script, collected."""

    script: Script
    context: Context
    edits: list[Edit] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    renamed_extensions: dict[str, str] = field(default_factory=dict)
    added_extensions: dict[str, str] = field(default_factory=dict)  # extension -> why

    def lacks(self, extension: str) -> bool:
        """Whether the new server is known not to have this extension."""
        offered = self.context.extensions
        return offered is not None and extension not in offered

    def has_only(self, old: str, new: str) -> bool:
        """Whether the new server is known to have an extension under its old name, and not under its new one."""
        return self.lacks(new) and not self.lacks(old)

    def edit(self, start: int, end: int, text: str, rule: str, reason: str) -> None:
        """An edit that keeps the filter's behaviour: made without asking."""
        self.edits.append(Edit(start, end, text, rule, reason))

    def ask(self, offset: int, rule: str, message: str, *repair: Edit) -> None:
        """A problem; with `repair`, it can be repaired by decision."""
        self.findings.append(Finding(rule, message, offset, repair))


@dataclass(frozen=True)
class Conversion:
    """The result of converting one script.

    `text` has every edit that keeps the behaviour and the repairs that were chosen; `proposed` has all repairs.
    `findings` are those that still wait for a person.
    """

    source: str
    text: str
    proposed: str
    edits: tuple[Edit, ...]
    findings: tuple[Finding, ...]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column in the source."""
        return position(self.source, offset)


def shown(value: str) -> str:
    """A value from a script in quotes, as a sentence can hold it: one line, not too long."""
    text = value[:SHOWN].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return f"'{harmless(text)}{'...' if len(value) > SHOWN else ''}'"


def apply(source: str, edits: list[Edit]) -> str:
    """The source with the edits made. Raises ValueError when two of them overlap."""
    parts, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < at:
            raise ValueError(f"two edits overlap at {edit.start}: {edit.rule}")
        parts += [source[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, source[at:]])
