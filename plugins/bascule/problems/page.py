"""The page on which a person decides about one account, as Markdown, and the fields of its form."""

import hashlib
import html
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bascule.ledger import Ledger, mailboxes
from bascule.problems import store
from bascule.problems.forms import editable, separator_of
from bascule.problems.kinds import kind_of
from bascule.problems.model import AS_IT_IS, Action, Decision, Option, Problem
from bascule.problems.questions import Cause, Question, name, of_mailbox
from bascule.problems.record import Choice, Refused
from bascule.problems.rules import is_folder_name
from bascule.text.harmless import harmless, storable

SHOWN_AT_ONCE = 50  # problems on one page; the rest is asked next
MARK = "page"  # the form's field that says which page was answered
EXPLAINED = 300  # characters of the explanation beside a field
LONGEST = 2_000  # characters of one value on the page; the form and the ledger have all of it
# What a proposal does, by its action; another action is shown as the room calls it.
ACTIONS = {
    Action.RENAME: "carry the folder and all its messages under another name",
    Action.REPAIR: "carry the message as an attachment, untouched, inside a message that says why",
    Action.DROP: "carry the messages without this mark",
    Action.LEAVE_OUT: "leave it out",
    Action.ACCEPT: "leave it on the new server as it is there",
    Action.LOOK_AGAIN: "none that Bascule could carry out: mend it by hand, then let Bascule look again",
    Action.RAISE_QUOTA: "raise the quota on the new server",
    Action.KEEP_ON_NEW: "keep what is on the new server, whole",
    Action.RENAME_ON_NEW: "rename the one on the new server, with everything in it",
    Action.COPY_MISSING: "copy into it what is missing there",
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
    """The problems that one page takes: those of its first questions."""
    return [problem for question in of_mailbox(found)[:SHOWN_AT_ONCE] for problem in question.problems]


def fields(found: Sequence[Problem], typed: Mapping[int, Mapping[str, Any]]) -> dict[str, Field]:
    """A field for each value that may be edited, by `problem id.value's name`; prefilled with what was `typed` last.

    Of the problems of one question the first one has the fields.
    """
    return {
        f"{first.id}.{key}": Field(
            storable(str(typed.get(first.id, {}).get(key, getattr(first.proposal, key)))),
            f"{kind_of(first).name}: {key} for {harmless(name(first))[:80]}",
            _description(first),
            how.form == "text",
            how.choices,
        )
        for first in (question.first for question in of_mailbox(found))
        for key, how in editable(first).items()
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
    shown = [[each.id, each.explanation, each.facts, each.proposal.stored()] for each in found]
    return hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()[:12]


def refusal(found: Sequence[Problem], answers: Mapping[str, Any], options: int) -> str:
    """Why an answer as a whole can't be taken, as a sentence; empty when it can. `found`: what was shown, as it is."""
    if options != 1:
        return "no option was chosen: choose one of the buttons"
    if found and answers.get(MARK) != mark(found):
        return "the page that was answered does not show what is open now: look at this one"
    if unknown := sorted(answers.keys() - fields(found, {}).keys() - {MARK}):
        return f"the form has no {' and no '.join(map(harmless, unknown))} to edit"
    return ""


def choices(found: Sequence[Problem], option: Option, answers: Mapping[str, Any]) -> list[Choice]:
    """The answer for each problem that is open still. `found`: what was shown, as it is now."""
    return [
        Choice(problem, option, _given(question.first, answers))
        for question in of_mailbox(found)
        for problem in question.problems
        if problem.state == "open"
    ]


def _given(first: Problem, answers: Mapping[str, Any]) -> dict[str, Any]:
    """What came back from the form; fields that did not come back are not in it."""
    return {key: answers[f"{first.id}.{key}"] for key in editable(first) if f"{first.id}.{key}" in answers}


def text(ledger: Ledger, account: str, found: Sequence[Problem], refused: Refused | None, more: int) -> str:
    """What is wrong, how much of the mailbox it touches, the servers' words, what Bascule proposes.

    `more`: open problems of the account that this page does not take.
    """
    lines = []
    if refused:
        lines += ["**Your answer could not be taken; nothing of it is lost, mend it in the form:**", ""]
        lines += [f"- {plain(reason)}" for reason in refused.reasons] + [""]
    lines += [f"{_beginning(ledger, account)} What needs you:", ""]
    elsewhere = _elsewhere(ledger, account)
    for number, question in enumerate(of_mailbox(found), 1):
        lines += _question(number, question, _before(ledger, question.first))
        lines += _same_elsewhere(elsewhere[question.cause] if question.cause else 0)
    if more:
        lines.append(f"\n… and {more} more of the same account: they are asked after these.")
    return "\n".join([*lines, "", *BUTTONS])


def _elsewhere(ledger: Ledger, account: str) -> Counter[Cause]:
    """In how many other mailboxes the cause of a question stands open, by cause."""
    others = [question for question in of_mailbox(store.problems(ledger)) if question.accounts != [account]]
    return Counter(question.cause for question in others if question.cause)


def _same_elsewhere(mailboxes: int) -> list[str]:
    if not mailboxes:
        return []
    told = f"The same cause stands in {mailboxes} other mailbox(es): `make decide` takes one answer for all of them."
    return [f"    - {told}"]


def _beginning(ledger: Ledger, account: str) -> str:
    """How far the mailbox is without what is asked about: some problems hold all of it back."""
    opened = store.problems(ledger, account=account)
    state = mailboxes.mailbox_states(ledger).get(account)
    extent = f" ({state.folders} folders, {state.messages} messages)" if state and state.passes else ""
    if any(each.room == "account" for each in opened):
        return f"The mailbox of **{plain(account)}** can't be reached: nothing of it was copied now."
    if any((each.room, each.kind) == ("mailbox", "quota") for each in opened):
        return f"The mailbox of **{plain(account)}** waits for space on the new server: the rest is not copied."
    return f"Everything else of **{plain(account)}** has been copied{extent}."


def _before(ledger: Ledger, problem: Problem) -> Decision | None:
    with ledger.reading() as session:
        return store.last_decision(session, problem.id)


def _question(number: int, question: Question, before: Decision | None) -> list[str]:
    problem, kind = question.first, kind_of(question.first)
    lines = [f"{number}. **{plain(kind.name)}**: {plain(question.what)}", f"    - {plain(problem.explanation)}"]
    lines += [f"    - {plain(kind.explanation)}"] if kind.explanation else []
    details = [
        f"{LABELS.get(key, key)}: {value}" for key, value in _details(problem).items() if value not in ("", None)
    ]
    lines += [f"    - {plain('; '.join(details))}"] if details and len(question.problems) == 1 else []
    lines += [f"    - The server said: {plain(problem.server_words)}"] if problem.server_words else []
    lines.append(f"    - Proposal: {plain(proposal(problem))}")
    if kind.leave_out == "as it is":
        lines.append("    - Left out, it stays on the new server as it is there.")
    if before:
        words = f"{before.decided_by} decided {before.option.value!r} at {before.decided_at:%Y-%m-%d %H:%M} UTC"
        lines.append(f"    - Decided before: {plain(words)}; it was met again since.")
    return lines


def _details(problem: Problem) -> dict[str, Any]:
    wanted = ["message_id", "from", "subject", "sent", "size"]
    wanted += ["folder"] if problem.kind.startswith("message-") else []
    named = {key: problem.facts[key] for key in wanted if key in problem.facts}
    return named | problem.details


def proposal(problem: Problem, where: str = "the form", say: Callable[[str], str] = str) -> str:
    """The proposal in a few words, with all that may be chosen instead.

    `where` a person edits it; `say` gives our own words in the reader's language.
    """
    values = {key: value for key, value in problem.proposal.stored().items() if key != "action"}
    told = ", ".join(f"{say(key + ':')} {_value(key, value, where, say)}" for key, value in values.items())
    action = problem.proposal.action
    words = ACTIONS.get(action, action) if problem.room in ("mailbox", "account") else _words(action)
    others = [
        f"{'' if key == 'action' else say(key + ':') + ' '}{say(_words(choice))}"
        for key, how in editable(problem).items()
        for choice in how.choices
        if choice != getattr(problem.proposal, key)
    ]
    first = f"{say(words)} ({told})" if told else say(words)
    return f" {say(f'or, in {where},')} ".join([first, *others])


def _value(key: str, value: Any, where: str, say: Callable[[str], str]) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    if key == "do":
        return say(_words(text))
    return say(f"see {where}") if "\n" in text else text


def _words(choice: str) -> str:
    return choice.replace("_", " ")


def plain(value: str) -> str:
    """Harmless text that neither HTML nor Markdown takes for markup; very long text is cut."""
    cut = value if len(value) <= LONGEST else f"{value[:LONGEST]} … ({len(value)} characters)"
    escaped = html.escape(harmless(cut), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-!|~" else char for char in escaped).replace("://", "&#58;//")
