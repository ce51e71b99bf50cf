"""What a person wrote in the form, looked at before it becomes a decision: every refusal says what to write instead."""

from collections.abc import Collection, Mapping
from typing import Any

from bascule import foldernames
from bascule.ledger.problems import AS_IT_IS, Problem, is_folder_name
from bascule.text import harmless, storable

LINE_CHARACTERS = 500
SEPARATOR = "/"  # of the new server where the problem doesn't say another one
EDITABLE = ("name", "text", "action")
CHOICES = "choices"  # the detail that lists the actions among which a person may choose


def editable(problem: Problem) -> dict[str, str]:
    """The values of a problem's proposal that a person may edit."""
    found = {key: problem.proposal[key] for key in EDITABLE if isinstance(problem.proposal.get(key), str)}
    if not choices(problem):
        found.pop("action", None)
    return found


def choices(problem: Problem) -> list[str]:
    """The actions among which a person may choose, where there are several."""
    return [str(action) for action in problem.details.get(CHOICES, ())]


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
    if key == "action":
        known = choices(problem)
        return "" if value in known else f"choose one of {', '.join(known)}"
    if key == "text":
        return ""  # a filter's text: the server compiles it
    if is_folder_name(problem):
        return _wrong_folder(problem, value, taken)
    if any(foldernames.is_hidden(character) for character in value):
        return "it contains a control or an invisible character; write it without"
    return f"it is longer than {LINE_CHARACTERS} characters" if len(value) > LINE_CHARACTERS else ""


def _wrong_folder(problem: Problem, name: str, taken: Collection[str]) -> str:
    if name == problem.details.get(AS_IT_IS):
        return f"the folder {harmless(name)!r} is there already; take another name" if name in taken else ""
    separator = separator_of(problem)
    levels, proposed = name.count(separator), str(problem.proposal["name"]).count(separator)
    if levels != proposed and not foldernames.wrong(name, ""):
        return (
            f"`{separator}` separates the levels of folders on the new server: write it {proposed} times, "
            f"as in {harmless(str(problem.proposal['name']))!r}"
        )
    return foldernames.wrong(name, separator, taken)


def separator_of(problem: Problem) -> str:
    """What separates the levels of folders on the new server."""
    return str(problem.details.get("separator") or SEPARATOR)
