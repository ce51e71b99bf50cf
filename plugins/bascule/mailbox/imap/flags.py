"""Flags and keywords (RFC 9051 section 2.3.2): how they are compared, and which may stand in which command."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from bascule.mailbox.imap.errors import ProtocolError

Flags = frozenset[bytes]  # of system flags and Keywords


class Keyword(bytes):
    """A keyword, compared without regard to case (RFC 9051 section 2.3.2), written as it was read."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and self.lower() == other.lower()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.lower())


NONE: Flags = frozenset()
SYSTEM = {flag.lower(): flag for flag in (b"\\Seen", b"\\Answered", b"\\Flagged", b"\\Deleted", b"\\Draft")}
_SYSTEM: Flags = frozenset(SYSTEM.values())
DELETED: Flags = frozenset((b"\\Deleted",))

# Keywords that may stand before a non-synchronising literal: a BAD there would let the server read the message's
# text as commands, so that only what no server stumbles over is sent (see docs/engine.md, security).
_SAFE_KEYWORD = re.compile(rb"[A-Za-z0-9$_.+:=-]{1,50}")
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]{1,255}")


def clean(flags: Iterable[object]) -> Flags:
    """Flags as they are compared: system flags in one spelling, without \\Recent, which belongs to sessions."""
    told = [flag for flag in flags if isinstance(flag, bytes)]
    return frozenset(SYSTEM.get(flag.lower()) or Keyword(flag) for flag in told if flag.lower() != b"\\recent")


def before_literal(flags: Flags) -> bytes:
    """Those that may stand in an APPEND before its literal, sorted, with spaces between."""
    return _of_system(flags) if flags <= _SYSTEM else _written(flags - only_by_store(flags))


@lru_cache  # not of keywords: two spellings of one are equal, and each is written as it was read
def _of_system(flags: Flags) -> bytes:
    return _written(flags)


def _written(flags: Flags) -> bytes:
    return b" ".join(sorted(flags))


@lru_cache(maxsize=1000)
def only_by_store(flags: Flags) -> Flags:
    """Those that are set by a STORE of their own after the message has arrived."""
    return frozenset(f for f in flags if f not in SYSTEM.values() and not _SAFE_KEYWORD.fullmatch(f))


def keyword(name: str) -> bytes:
    """A flag or keyword by the name that the ledger has of it."""
    (flag,) = clean([name.encode("latin-1", "replace")])
    return flag


def is_valid(flag: bytes) -> bool:
    """Whether IMAP's grammar has this flag at all."""
    return flag in SYSTEM.values() or _ATOM.fullmatch(flag) is not None


MOST_SETS = 100_000  # different ones that are held of one folder


class FlagTable:
    """Every set of flags that occurs, by a small number: folders have few different ones."""

    def __init__(self, sets: Sequence[Flags] = (NONE,)) -> None:
        self.sets = list(sets)
        self._numbers = {flags: number for number, flags in enumerate(self.sets)}
        self._texts: dict[bytes, int] = {b"": 0}

    def number(self, flags: Flags) -> int:
        if flags not in self._numbers:
            if len(self.sets) > MOST_SETS:
                raise ProtocolError(f"a folder has more than {MOST_SETS} different sets of flags")
            self._numbers[flags] = len(self.sets)
            self.sets.append(flags)
        return self._numbers[flags]

    def number_of_text(self, text: bytes) -> int:
        """The number of what stands between the parentheses of FLAGS (...)."""
        number = self._texts.get(text)
        if number is None:
            number = self.number(clean(text.split()))
            if len(self._texts) < 10_000:
                self._texts[text] = number
        return number
