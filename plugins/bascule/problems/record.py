"""From an answer to decisions in the ledger: all of an answer or nothing of it, and mailboxes that are kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from bascule.ledger import Ledger, journal, mailboxes, moves
from bascule.problems import forms, rules, store
from bascule.problems.model import Option, Problem, Proposal
from bascule.text.harmless import harmless

REFUSED = "answer refused"  # the journal's kind of an answer that could not be taken


class AnswerRefused(Exception):
    """Raised when an answer can't be taken; its lines say of which problem, why, and what would be right."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = list(reasons)


@dataclass(frozen=True)
class Choice:
    """What a person wants for one problem: `given` holds the edited values by key."""

    problem: Problem
    option: Option
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chosen(self) -> Proposal:
        """What is to be done; what was written beside another option than to apply it means nothing."""
        return forms.edited(self.problem, self.given) if self.option is Option.APPLY else self.problem.proposal


@dataclass(frozen=True)
class Author:
    """Who decides, and how it came: `page`, `csv`, `standing`, `answers`."""

    name: str
    source: str
    origin: journal.Origin


def record(ledger: Ledger, choices: Sequence[Choice], author: Author) -> int:
    """Record all choices in one transaction; return how many. Raises AnswerRefused, and then nothing is recorded.

    Of two people who decide at the same moment the first one does; the other one is told.
    Keeping a mailbox on old decides all its open problems, in every room.
    """
    reasons = refusals(ledger, choices)
    if reasons:
        raise AnswerRefused(reasons)
    wanted = _with_siblings(ledger, choices)
    with ledger.session() as session:
        store.hold_all(session, [choice.problem.id for choice in wanted])
        for choice in wanted:
            _decide(session, choice, author)
    return len(wanted)


def refusals(ledger: Ledger, choices: Sequence[Choice]) -> list[str]:
    """One sentence for each choice that can't be taken."""
    return [reason for _, reason in refusals_by_problem(ledger, choices)]


def refusals_by_problem(ledger: Ledger, choices: Sequence[Choice]) -> list[tuple[int, str]]:
    """(id of the problem, why its choice can't be taken), looking at all choices together."""
    reasons = []
    asked = {choice.problem.id for choice in choices}
    taken: dict[str, list[str]] = {}
    kept = {choice.problem.account for choice in choices if choice.option is Option.KEEP_ON_OLD}
    gone = kept & moves.moved(ledger) if kept else set()
    for choice in choices:
        account = choice.problem.account
        if account in gone:
            reasons.append((choice.problem.id, _kept_and_gone(account)))
            continue
        if account in kept and choice.option is not Option.KEEP_ON_OLD:
            reasons.append((choice.problem.id, _kept_and_more(choice)))
            continue
        gives_name = choice.option is Option.APPLY and rules.is_folder_name(choice.problem)
        if (
            gives_name and account not in taken
        ):  # only a name can be taken: who decides about thousands pays for no other
            taken[account] = names_taken(ledger, account, without=asked)
        names = taken[account] if gives_name else []
        if reason := forms.refusal(choice.problem, choice.option, choice.given, names):
            reasons.append((choice.problem.id, reason))
        elif gives_name:
            names.append(str(choice.chosen.name))
    return reasons


def _kept_and_more(choice: Choice) -> str:
    return (
        f"{harmless(choice.problem.subject)[:80]}: the mailbox of {choice.problem.account} is to be kept on the old "
        "server by another decision of this answer, which decides all of it: keep it, or decide each of its problems"
    )


def _kept_and_gone(account: str) -> str:
    return (
        f"the mailbox of {account} can't be kept on the old server: it has moved to new on its own. Accept the "
        "problem, or let the account move back (`move` with `to: old`)"
    )


def names_taken(ledger: Ledger, account: str, without: Collection[int]) -> list[str]:
    """The names that folders of this account have on new or will get, except by the problems `without`."""
    renamed = {
        problem.subject: name
        for problem, decision in store.decisions(ledger, account, "mailbox")
        if problem.id not in without and (name := rules.new_name_of(problem, decision))
    }
    asked = {
        problem.subject
        for problem in store.problems(ledger, account=account, room="mailbox", states=("open", "decided", "settled"))
        if rules.is_folder_name(problem) and problem.id in without
    }
    carried = {old: new for old, new in mailboxes.folder_map(ledger, account).items() if old not in asked}
    return [*(carried | renamed).values()]


def note_refused(
    ledger: Ledger, account: str, choices: Sequence[Choice], reasons: Sequence[str], author: Author
) -> None:
    """Write an answer that could not be taken into the journal, so that nothing of it has to be typed again."""
    given = {str(choice.problem.id): dict(choice.given) for choice in choices}
    after = {"given": given, "decided_by": author.name, "source": author.source, "reasons": list(reasons)}
    journal.append(
        ledger, journal.Entry("note", REFUSED, account, author.origin, after=after, note="; ".join(reasons)[:2000])
    )


@dataclass(frozen=True)
class Refused:
    """The last answer about an account that could not be taken: why, and what was typed, by problem."""

    reasons: list[str]
    given: dict[int, dict[str, Any]]


def last_refused(ledger: Ledger, account: str, shown: Collection[int]) -> Refused | None:
    """The refused answer that is newer than every decision about the account, if it was about problems of `shown`."""
    entries = [
        entry
        for entry in journal.entries(ledger, subject=account)
        if entry.event == "decision" or entry.kind == REFUSED
    ]
    if not entries or entries[-1].kind != REFUSED:
        return None
    after = entries[-1].after or {}
    given = {int(number): values for number, values in after.get("given", {}).items() if int(number) in shown}
    return Refused(list(after.get("reasons", [])), given) if given else None


def _decide(session: Session, choice: Choice, author: Author) -> None:
    other = store.decided_otherwise(session, choice.problem.id, choice.option, choice.chosen)
    if other is not None:
        raise AnswerRefused(
            [
                f"{harmless(choice.problem.subject)[:80]}: {other.decided_by} has decided about it meanwhile "
                f"({other.option.value}); that holds, and nothing of this answer was taken"
            ]
        )
    store.decide(
        session,
        choice.problem.id,
        choice.option,
        choice.chosen,
        decided_by=author.name,
        source=author.source,
        origin=author.origin,
    )


def _with_siblings(ledger: Ledger, choices: Sequence[Choice]) -> list[Choice]:
    kept = {choice.problem.account for choice in choices if choice.option is Option.KEEP_ON_OLD}
    chosen = {choice.problem.id for choice in choices}
    others = [
        Choice(problem, Option.KEEP_ON_OLD)
        for account in sorted(kept)
        for problem in store.problems(ledger, account=account)
        if problem.id not in chosen
    ]
    return [*choices, *others]
