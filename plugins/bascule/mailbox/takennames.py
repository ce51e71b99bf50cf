"""The names that folders have or will have on the new server: no two that are mistaken for one another."""

from collections.abc import Iterator

from bascule import foldernames
from bascule.mailbox import names
from bascule.mailbox.folders import Surroundings
from bascule.mailbox.names import NameProblem

ALIKE = "folder-name-alike"
MOST = 1000  # of names that are tried for a proposal


class TakenNames:
    """Names as the new server writes them. Every level of a name is looked at: `a/x` makes a folder `a`, too."""

    def __init__(self, new: Surroundings) -> None:
        self._namespace = new.namespace
        self._owners: dict[bytes, bytes] = {}  # new name -> the old folder that gets it
        self._levels: dict[str, bytes] = {}  # what is comparable -> the name or beginning of a name that was taken
        self._there = set(new.folders)
        self._there_by_key = {self._key(raw): raw for raw in new.folders}
        self._proposed: set[str] = set()
        self._instead: dict[bytes, bytes] = {}  # a beginning that clashes -> what is proposed for all below it

    def take(self, old: bytes, new: bytes) -> None:
        """The old folder gets this name."""
        self._owners[new] = old
        for beginning in self._beginnings(new):
            self._levels.setdefault(self._key(beginning), beginning)

    def clash(self, new: bytes, *, exact: bool = False) -> NameProblem | None:
        """Why a folder can't have this name beside the others. `exact`: only the very same name is in the way."""
        if new in self._owners:
            other = names.display(self._owners[new])
            return NameProblem(f"it would get the same name as {other!r}", self.propose(new), ALIKE, like=other)
        for beginning in () if exact else self._beginnings(new):
            if beginning in self._there:
                continue
            key = self._key(beginning)
            if self._levels.get(key, beginning) != beginning:
                return self._like_another(new, beginning, self._levels[key])
            if key in self._there_by_key and key not in self._levels:
                return self._like_one_on_new(new, beginning, self._there_by_key[key])
        return None

    def propose(self, wish: bytes) -> str:
        """This name, or one near to it, that nothing has and nothing else was proposed for."""
        tried = wish
        for number in range(2, MOST):
            key = self._key(tried)
            if key not in self._levels and key not in self._there_by_key and key not in self._proposed:
                break
            tried = wish + names.encode(f" ({number})")
        self._proposed.add(self._key(tried))
        return names.display(tried)

    def _like_another(self, new: bytes, beginning: bytes, other: bytes) -> NameProblem:
        if beginning not in self._instead:
            self._instead[beginning] = names.encode(self.propose(_stripped(beginning, self._namespace.separator)))
        return NameProblem(
            f"{_differs(beginning, other)} from {names.display(other)!r}, another folder of this mailbox. Mail "
            "programs and some servers take the two for one",
            names.display(self._instead[beginning] + new[len(beginning) :]),
            ALIKE,
            as_it_is=names.display(new),
            like=names.display(other),
        )

    def _like_one_on_new(self, new: bytes, beginning: bytes, there: bytes) -> NameProblem:
        return NameProblem(
            f"{_differs(beginning, there)} from {names.display(there)!r}, a folder that the account has on the new "
            "server already. The proposal puts the messages into that one",
            names.display(there + new[len(beginning) :]),
            ALIKE,
            as_it_is=names.display(new),
            like=names.display(there),
        )

    def _beginnings(self, raw: bytes) -> Iterator[bytes]:
        """`a`, `a/b` and `a/b/c` of `a/b/c`, with the namespace's prefix."""
        separator, start = self._namespace.separator, len(self._prefix(raw))
        while separator and (end := raw.find(separator, start)) >= 0:
            yield raw[:end]
            start = end + len(separator)
        yield raw

    def _key(self, raw: bytes) -> str:
        separator, body = self._namespace.separator, raw[len(self._prefix(raw)) :]
        levels = body.split(separator) if separator else [body]
        return "\0".join(foldernames.comparable(names.display(level)) for level in levels)

    def _prefix(self, raw: bytes) -> bytes:
        prefix = self._namespace.prefix
        return prefix if raw.startswith(prefix) else b""


def _differs(beginning: bytes, other: bytes) -> str:
    what = foldernames.difference(names.display(beginning), names.display(other))
    return f"the name {names.display(beginning)!r} differs only by {what}"


def _stripped(beginning: bytes, separator: bytes) -> bytes:
    """Without spaces at the ends of its last level, which would not show."""
    head, found, last = beginning.rpartition(separator) if separator else (b"", b"", beginning)
    return head + found + (last.strip(b" ") or b"_")
