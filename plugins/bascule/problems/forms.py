"""What a person wrote in the form, looked at before it becomes a decision: every refusal says what to write instead."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from bascule.problems.kinds import Editable, kind_of
from bascule.problems.model import AS_IT_IS, Action, Do, Option, Problem, Proposal
from bascule.text import folder_names
from bascule.text.harmless import harmless, storable

LINE_CHARACTERS = 500
SEPARATOR = "/"  # of the new server where the problem doesn't say another one


def editable(problem: Problem) -> dict[str, Editable]:
    """The values of a problem's proposal that a person may edit, by name."""
    return kind_of(problem).editable(problem.proposal)


def written(problem: Problem, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a person wrote into the proposal, by the value's name.

    A value that did not come back, or came back as it was shown, is not among them, so that it stays as it was
    proposed, octet for octet: forms and spreadsheets change line ends, and can't show everything.
    """
    known = editable(problem)
    values = {key: _meant(known[key], value) if key in known else value for key, value in given.items()}
    return {
        key: value for key, value in values.items() if value is not None and not _as_shown(problem.proposal, key, value)
    }


def _meant(how: Editable, value: Any) -> Any:
    """One of the choices, however its words are put together: people read `keep new` for `keep_new`."""
    meant = _words(value) if isinstance(value, str) else []
    return next((choice for choice in how.choices if _words(choice) == meant), value)


def _words(text: str) -> list[str]:
    return text.replace("_", " ").lower().split()


def _as_shown(proposal: Proposal, key: str, value: Any) -> bool:
    proposed = getattr(proposal, key, None)
    if not isinstance(value, str) or not isinstance(proposed, str):
        return False
    return _lines(value) == _lines(storable(proposed))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip("\n")


def edited(problem: Problem, given: Mapping[str, Any]) -> Proposal:
    """The proposal with what a person wrote in it, which `refusal` has found good."""
    values = written(problem, given)
    if "action" in values:
        values["action"] = Action(values["action"])
    if "do" in values:
        values["do"] = Do(values["do"])
    return replace(problem.proposal, **values)


def refusal(problem: Problem, option: Option, given: Mapping[str, Any], taken: Collection[str]) -> str:
    """Why this can't be decided about the problem, as a sentence; empty when it can.

    `taken`: names that other folders of this mailbox have on new, or were given by other decisions.
    """
    subject = harmless(problem.subject)[:80]
    if not kind_of(problem).takes(option, problem.proposal):
        return f"{subject}: this can't be left out: mend it and let Bascule look again, or keep the mailbox on old"
    if option is not Option.APPLY:
        return ""
    known, values = editable(problem), written(problem, given)
    if unknown := sorted(values.keys() - known.keys()):
        return f"{subject}: it has no {' and no '.join(unknown)} to edit"
    for key, how in known.items():
        value = values.get(key, getattr(problem.proposal, key))
        wrong = "is no text" if not isinstance(value, str) else _wrong(problem, how, value, taken)
        if wrong:
            return f"{subject}: {key} {harmless(str(value))[:80]!r}: {wrong}"
    return ""


def _wrong(problem: Problem, how: Editable, value: str, taken: Collection[str]) -> str:
    if not value.strip():
        return "it is empty; write something"
    if how.form == "choice":
        return "" if value in how.choices else f"choose one of {', '.join(how.choices)}"
    if how.form == "text":
        return ""  # a filter's text: the server compiles it
    if how.form == "folder name":
        return _wrong_folder(problem, value, taken)
    if any(folder_names.is_hidden(character) for character in value):
        return "it contains a control or an invisible character; write it without"
    return f"it is longer than {LINE_CHARACTERS} characters" if len(value) > LINE_CHARACTERS else ""


def _wrong_folder(problem: Problem, name: str, taken: Collection[str]) -> str:
    if name == problem.details.get(AS_IT_IS):
        return f"the folder {harmless(name)!r} is there already; take another name" if name in taken else ""
    separator = separator_of(problem)
    proposal = problem.proposal.name or ""
    levels, proposed = name.count(separator), proposal.count(separator)
    if levels != proposed and not folder_names.wrong(name, ""):
        return (
            f"`{separator}` separates the levels of folders on the new server: write it {proposed} times, "
            f"as in {harmless(proposal)!r}"
        )
    return folder_names.wrong(name, separator, taken)


def separator_of(problem: Problem) -> str:
    """What separates the levels of folders on the new server."""
    return str(problem.details.get("separator") or SEPARATOR)
