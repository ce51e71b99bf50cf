"""The page on which a person decides about one account, as Markdown, and the fields of its form."""

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bascule.decisions.check import CHOICES, choices, editable, separator_of
from bascule.decisions.record import Refused
from bascule.kinds import kind_of
from bascule.ledger import Ledger, mailboxes, problems
from bascule.ledger.problems import AS_IT_IS, Decision, Problem, is_folder_name
from bascule.text import harmless, storable

SHOWN_AT_ONCE = 50  # problems on one page; the rest is asked next
MARK = "page"  # the form's field that says which page was answered
EXPLAINED = 300  # characters of the explanation beside a field
LONGEST = 2_000  # characters of one value on the page; the form and the ledger have all of it
# What a proposal does, by its action; another action is shown as the room calls it.
ACTIONS = {
    "rename": "carry the folder and all its messages under another name",
    "repair": "carry the message as an attachment, untouched, inside a message that says why",
    "leave out": "leave it out",
    "drop": "carry the messages without this mark",
    "accept": "leave it on the new server as it is there",
    "look again": "none that Bascule could carry out: mend it by hand, then let Bascule look again",
    "raise the quota": "raise the quota on the new server",
    "copy again": "copy it again",
    "keep on new": "keep what is on the new server, whole",
    "rename on new": "rename the one on the new server, with everything in it",
    "copy what is missing": "copy into it what is missing there",
}
# What facts and details are called for people; another one is shown as the room calls it.
LABELS = {
    "message_id": "Message-Id",
    "size": "bytes",
    "separator": "levels on the new server are separated by",
    AS_IT_IS: "to carry it as it is, write",
    "compared": "for comparison",
}
BUTTONS = [
    "**What the buttons do**, for everything above at once:",
    "",
    "- **Apply the proposals**: what is proposed is done, with what stands in the form.",
    "- **Leave these out**: they are not carried over. Journal, gate and report name them, and the owner is told.",
    "- **I repaired it by hand, look again**: nothing is decided. Bascule looks now, and asks again if it is there.",
    "- **Keep this mailbox on the old server**: nothing more of the mailbox is carried, and its mail goes on flowing "
    "to the old server.",
]


@dataclass(frozen=True)
class Field:
    """One field of the form."""

    value: str
    title: str
    description: str
    multiline: bool
    choices: tuple[str, ...] = ()  # the values that are allowed, where only some are


def shown(found: Sequence[Problem]) -> list[Problem]:
    """The problems that one page takes."""
    return list(found[:SHOWN_AT_ONCE])


def fields(found: Sequence[Problem], typed: Mapping[int, Mapping[str, Any]]) -> dict[str, Field]:
    """A field for each value that may be edited, by `problem id.value's name`; prefilled with what was `typed` last."""
    return {
        f"{problem.id}.{key}": Field(
            storable(str(typed.get(problem.id, {}).get(key, value))),
            f"{kind_of(problem.room, problem.kind).name}: {key} for {harmless(problem.subject)[:80]}",
            _description(problem),
            "\n" in value,
            tuple(choices(problem)) if key == "action" else (),
        )
        for problem in found
        for key, value in editable(problem).items()
    }


def _description(problem: Problem) -> str:
    words = harmless(problem.explanation)
    words = words if len(words) <= EXPLAINED else f"{words[:EXPLAINED]}…"
    if is_folder_name(problem):
        return f"{words} On the new server `{harmless(separator_of(problem))}` separates levels."
    return words


def mark_field(found: Sequence[Problem]) -> Field:
    """The field by which an answer says what was shown: Airflow shows an old page again when a task is cleared."""
    return Field(mark(found), "This page (leave it as it is)", "It says what was shown to you.", False)


def mark(found: Sequence[Problem]) -> str:
    """What a page with these problems is called."""
    shown = [[each.id, each.explanation, each.facts, each.proposal] for each in found]
    return hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()[:12]


def refusal(found: Sequence[Problem], answers: Mapping[str, Any], options: int) -> str:
    """Why an answer as a whole can't be taken, as a sentence; empty when it can. `found`: what was shown, as it is."""
    if options != 1:
        return "no option was chosen: choose one of the buttons"
    if found and answers.get(MARK) != mark(found):
        return "the page that was answered does not show what is open now: look at this one"
    return ""


def given(problem: Problem, answers: Mapping[str, Any]) -> dict[str, Any]:
    """What came back from the form for one problem; fields that did not come back are not in it."""
    return {key: answers[f"{problem.id}.{key}"] for key in editable(problem) if f"{problem.id}.{key}" in answers}


def text(ledger: Ledger, account: str, found: Sequence[Problem], refused: Refused | None, more: int) -> str:
    """What is wrong, how much of the mailbox it touches, the servers' words, what Bascule proposes."""
    lines = []
    if refused:
        lines += ["**Your answer could not be taken; nothing of it is lost, mend it in the form:**", ""]
        lines += [f"- {plain(reason)}" for reason in refused.reasons] + [""]
    lines += [f"{_beginning(ledger, account)} What needs you:", ""]
    for number, problem in enumerate(found, 1):
        lines += _problem(number, problem, _before(ledger, problem))
    if more:
        lines.append(f"\n… and {more} more of the same account: they are asked after these.")
    return "\n".join([*lines, "", *BUTTONS])


def _beginning(ledger: Ledger, account: str) -> str:
    """How far the mailbox is without what is asked about: some problems hold all of it back."""
    opened = problems.problems(ledger, account=account)
    state = mailboxes.mailbox_states(ledger).get(account)
    extent = f" ({state.folders} folders, {state.messages} messages)" if state and state.passes else ""
    if any(each.room == "account" for each in opened):
        return f"The mailbox of **{plain(account)}** can't be reached: nothing of it was copied now."
    if any((each.room, each.kind) == ("mailbox", "quota") for each in opened):
        return f"The mailbox of **{plain(account)}** waits for space on the new server: the rest is not copied."
    return f"Everything else of **{plain(account)}** has been copied{extent}."


def _before(ledger: Ledger, problem: Problem) -> Decision | None:
    with ledger.reading() as session:
        return problems.last_decision(session, problem.id)


def _problem(number: int, problem: Problem, before: Decision | None) -> list[str]:
    kind = kind_of(problem.room, problem.kind)
    lines = [f"{number}. **{plain(kind.name)}**: {plain(problem.subject)}", f"    - {plain(problem.explanation)}"]
    lines += [f"    - {plain(kind.explanation)}"] if kind.explanation else []
    details = [
        f"{LABELS.get(key, key)}: {value}" for key, value in _details(problem).items() if value not in ("", None)
    ]
    lines += [f"    - {plain('; '.join(details))}"] if details else []
    lines += [f"    - The server said: {plain(problem.server_words)}"] if problem.server_words else []
    lines.append(f"    - Proposal: {plain(proposal(problem))}")
    if before:
        words = f"{before.decided_by} decided {before.option.value!r} at {before.decided_at:%Y-%m-%d %H:%M} UTC"
        lines.append(f"    - Decided before: {plain(words)}; it was met again since.")
    return lines


def _details(problem: Problem) -> dict[str, Any]:
    wanted = ["message_id", "from", "subject", "sent", "size"]
    wanted += ["folder"] if problem.kind.startswith("message-") else []
    named = {key: problem.facts[key] for key in wanted if key in problem.facts}
    return named | {key: value for key, value in problem.details.items() if key != CHOICES}


def proposal(problem: Problem, where: str = "the form") -> str:
    """The proposal in a few words. `where` a person edits it."""
    values = {key: value for key, value in problem.proposal.items() if key != "action"}
    words = ", ".join(f"{key}: {f'see {where}' if chr(10) in str(value) else value}" for key, value in values.items())
    action = str(problem.proposal.get("action", "look again")).replace("_", " ")
    if problem.room in ("mailbox", "account"):
        action = ACTIONS.get(action, action)
    others = [other.replace("_", " ") for other in choices(problem) if other != problem.proposal.get("action")]
    return f" or, in {where}, ".join([f"{action} ({words})" if words else action, *others])


def plain(value: str) -> str:
    """Harmless text that neither HTML nor Markdown takes for markup; very long text is cut."""
    cut = value if len(value) <= LONGEST else f"{value[:LONGEST]} … ({len(value)} characters)"
    escaped = html.escape(harmless(cut), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-!|~" else char for char in escaped).replace("://", "&#58;//")
