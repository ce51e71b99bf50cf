"""Folder names as people and mail programs see them: which two are mistaken for one, and which can't be used."""

import unicodedata
from collections.abc import Collection

from bascule.text.harmless import harmless

LEVEL_BYTES = 240  # of one level of a folder's name: file systems end at 255, servers add their own marks
NAME_CHARACTERS = 255  # of the whole name


def comparable(name: str) -> str:
    """Names that people, mail programs or file systems mistake for one another come out the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def difference(one: str, other: str) -> str:
    """In what two names differ that are comparable, in words for people."""
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return "the way in which accents are stored (Unicode normal form)"
    if one.casefold() == other.casefold():
        return "capital letters"
    if one.strip() == other.strip():
        return "spaces at its beginning or end"
    return "capital letters, spaces at its ends, or the way in which accents are stored"


def wrong(name: str, separator: str, taken: Collection[str] = ()) -> str:
    """Why a folder can't have this name on the new server, as the end of a sentence; empty when it can.

    `taken`: names that other folders of this mailbox have there. Levels are written with `separator`.
    """
    if not name.strip():
        return "it is empty; write something"
    if any(is_hidden(character) for character in name):
        return "it contains a control or an invisible character; write it without"
    levels = name.split(separator) if separator else [name]
    if sentence := next(filter(None, map(_wrong_level, levels)), ""):
        return sentence
    if len(name) > NAME_CHARACTERS:
        return f"it is longer than {NAME_CHARACTERS} characters"
    if name.casefold() == "inbox":
        return "INBOX is the mailbox's own folder; take another name"
    same = [other for other in taken if comparable(other) == comparable(name)]
    return f"the folder {harmless(same[0])!r} has this name already; take another one" if same else ""


def _wrong_level(level: str) -> str:
    wrongs = {
        "one of its levels is empty": not level,
        "it begins or ends with a space, which mail programs drop": level != level.strip(),
        "`.` and `..` are no names": level in (".", ".."),
        "it begins with `~`, which the new server takes for somebody's home": level.startswith("~"),
        "it contains `%` or `*`, which mail programs take for a pattern": bool(set(level) & set("%*")),
        f"it is longer than {LEVEL_BYTES} bytes": len(level.encode("utf-8", "surrogatepass")) > LEVEL_BYTES,
    }
    return next((sentence for sentence, is_so in wrongs.items() if is_so), "")


def is_hidden(character: str) -> bool:
    """Whether people can't see what it is."""
    return harmless(character) != character or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
