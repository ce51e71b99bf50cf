"""The names that folders have or will have on the new server: no two that are mistaken for one another."""

from collections.abc import Iterator

from bascule.mailbox.imap.folders import FolderList
from bascule.text import folder_names, mutf7
from bascule.text.name_map import NameProblem

ALIKE = "folder-name-alike"
MOST = 1000  # of names that are tried for a proposal


class TakenNames:
    """Names as the new server writes them. Every level of a name is looked at: `a/x` makes a folder `a`, too."""

    def __init__(self, new: FolderList) -> None:
        self._namespace = new.namespace
        self._owners: dict[bytes, bytes] = {}  # new name -> the old folder that gets it
        self._levels: dict[str, bytes] = {}  # what is comparable -> the name or beginning of a name that was taken
        self._on_new = set(new.folders)
        self._on_new_by_key = {self._key(encoded): encoded for encoded in new.folders}
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
            other = mutf7.display(self._owners[new])
            return NameProblem(f"it would get the same name as {other!r}", self.propose(new), ALIKE, like=other)
        for beginning in () if exact else self._beginnings(new):
            if beginning in self._on_new:
                continue
            key = self._key(beginning)
            if self._levels.get(key, beginning) != beginning:
                return self._like_another(new, beginning, self._levels[key])
            if key in self._on_new_by_key and key not in self._levels:
                return self._like_one_on_new(new, beginning, self._on_new_by_key[key])
        return None

    def propose(self, wish: bytes) -> str:
        """This name, or one near to it, that nothing has and nothing else was proposed for."""
        tried = wish
        for number in range(2, MOST):
            key = self._key(tried)
            if key not in self._levels and key not in self._on_new_by_key and key not in self._proposed:
                break
            tried = wish + mutf7.encode(f" ({number})")
        self._proposed.add(self._key(tried))
        return mutf7.display(tried)

    def _like_another(self, new: bytes, beginning: bytes, other: bytes) -> NameProblem:
        if beginning not in self._instead:
            self._instead[beginning] = mutf7.encode(self.propose(_stripped(beginning, self._namespace.separator)))
        return NameProblem(
            f"{_differs(beginning, other)} from {mutf7.display(other)!r}, another folder of this mailbox. Mail "
            "programs and some servers take the two for one",
            mutf7.display(self._instead[beginning] + new[len(beginning) :]),
            ALIKE,
            as_it_is=mutf7.display(new),
            like=mutf7.display(other),
        )

    def _like_one_on_new(self, new: bytes, beginning: bytes, on_new: bytes) -> NameProblem:
        return NameProblem(
            f"{_differs(beginning, on_new)} from {mutf7.display(on_new)!r}, a folder that the account has on the new "
            "server already. The proposal puts the messages into that one",
            mutf7.display(on_new + new[len(beginning) :]),
            ALIKE,
            as_it_is=mutf7.display(new),
            like=mutf7.display(on_new),
        )

    def _beginnings(self, encoded: bytes) -> Iterator[bytes]:
        """`a`, `a/b` and `a/b/c` of `a/b/c`, with the namespace's prefix."""
        separator, start = self._namespace.separator, len(self._prefix(encoded))
        while separator and (end := encoded.find(separator, start)) >= 0:
            yield encoded[:end]
            start = end + len(separator)
        yield encoded

    def _key(self, encoded: bytes) -> str:
        separator, body = self._namespace.separator, encoded[len(self._prefix(encoded)) :]
        levels = body.split(separator) if separator else [body]
        return "\0".join(folder_names.comparable(mutf7.display(level)) for level in levels)

    def _prefix(self, encoded: bytes) -> bytes:
        prefix = self._namespace.prefix
        return prefix if encoded.startswith(prefix) else b""


def _differs(beginning: bytes, other: bytes) -> str:
    what = folder_names.difference(mutf7.display(beginning), mutf7.display(other))
    return f"the name {mutf7.display(beginning)!r} differs only by {what}"


def _stripped(beginning: bytes, separator: bytes) -> bytes:
    """Without spaces at the ends of its last level, which would not show."""
    head, found, last = beginning.rpartition(separator) if separator else (b"", b"", beginning)
    return head + found + (last.strip(b" ") or b"_")
