"""What a person wrote in the form, looked at before it becomes a decision: every refusal says what to write instead."""

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from bascule.ledger.problems import Problem
from bascule.text import harmless, storable

LEVEL_BYTES = 240  # of one level of a folder's name: file systems end at 255, servers add their own marks
NAME_CHARACTERS = 255  # of the whole name
LINE_CHARACTERS = 500
SEPARATOR = "/"  # of the new server where the problem doesn't say another one
EDITABLE = ("name", "text")


def editable(problem: Problem) -> dict[str, str]:
    """The values of a problem's proposal that a person may edit."""
    return {key: problem.proposal[key] for key in EDITABLE if isinstance(problem.proposal.get(key), str)}


def edited(problem: Problem, given: Mapping[str, Any]) -> dict[str, Any]:
    """The proposal with what a person wrote in it.

    A value that did not come back, or came back as it was shown, keeps what was proposed, octet for octet: forms and
    spreadsheets change line ends, and can't show everything.
    """
    known = editable(problem)
    written = {key: value for key, value in given.items() if key in known and value is not None}
    return problem.proposal | {
        key: known[key] if isinstance(value, str) and _lines(value) == _lines(storable(known[key])) else value
        for key, value in written.items()
    }


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip("\n")


def refusal(problem: Problem, values: Mapping[str, Any], taken: Collection[str]) -> str:
    """Why these values can't be decided for this problem, as a sentence; empty when they can.

    `taken`: names that other folders of this mailbox have on new, or were given by other decisions.
    """
    for key in editable(problem):
        value = values.get(key)
        wrong = "is no text" if not isinstance(value, str) else _wrong(problem, key, value, taken)
        if wrong:
            return f"{harmless(problem.subject)[:80]}: {key} {harmless(str(value))[:80]!r}: {wrong}"
    return ""


def _wrong(problem: Problem, key: str, value: str, taken: Collection[str]) -> str:
    if not value.strip():
        return "it is empty; write something"
    if key == "text":
        return ""  # a filter's text: the server compiles it
    if any(_is_hidden(character) for character in value):
        return "it contains a control or an invisible character; write it without"
    if problem.kind == "folder-name":
        return _wrong_folder(problem, value, taken)
    return f"it is longer than {LINE_CHARACTERS} characters" if len(value) > LINE_CHARACTERS else ""


def _wrong_folder(problem: Problem, name: str, taken: Collection[str]) -> str:
    separator = str(problem.details.get("separator") or SEPARATOR)
    levels, proposed = name.split(separator), str(problem.proposal["name"]).split(separator)
    if len(levels) != len(proposed):
        return (
            f"`{separator}` separates the levels of folders on the new server: write it {len(proposed) - 1} times, "
            f"as in {harmless(separator.join(proposed))!r}"
        )
    if wrong := next(filter(None, map(_wrong_level, levels)), ""):
        return wrong
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


def comparable(name: str) -> str:
    """Names that people, mail programs or file systems mistake for one another come out the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_hidden(character: str) -> bool:
    return harmless(character) != character or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
