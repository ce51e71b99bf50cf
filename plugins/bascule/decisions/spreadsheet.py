"""Open problems as a table, and the edited table read back: all of it or nothing."""

import hashlib
import json
from collections.abc import Collection, Sequence
from itertools import groupby

from bascule.decisions import check, record, table
from bascule.decisions.page import proposal
from bascule.decisions.record import AnswerRefused, Choice
from bascule.kinds import kind_of
from bascule.ledger import Ledger, problems
from bascule.ledger.problems import Option, Problem
from bascule.text import harmless, storable

WORDS = {
    "apply": Option.APPLY,
    "leave out": Option.LEAVE_OUT,
    "look again": Option.LOOK_AGAIN,
    "keep on old": Option.KEEP_ON_OLD,
}
COLUMNS = [
    "id",
    "version",
    "account",
    "kind",
    "what",
    "explanation",
    "server said",
    "proposal",
    "decision",
    "name",
    "text",
    "action",
]
NEEDED = ["id", "version", "account", "decision", "name", "text"]


def open_problems(ledger: Ledger, accounts: Collection[str] | None = None) -> list[Problem]:
    """The open problems, of these accounts or all, grouped by kind and account."""
    found = problems.problems(ledger)
    chosen = [each for each in found if accounts is None or each.account in accounts]
    return sorted(chosen, key=lambda each: (each.room, each.kind, each.account, each.id))


def as_table(found: Sequence[Problem]) -> str:
    """The problems in lines, for a terminal."""
    if not found:
        return "no problem is open"
    lines = []
    for (room, kind), group in groupby(found, key=lambda each: (each.room, each.kind)):
        several = list(group)
        lines.append(f"{kind_of(room, kind).name} ({room}/{kind}): {len(several)}")
        for each in several:
            lines.append(f"  {each.id:>6}  {each.account:<16}  {harmless(each.subject)[:60]}")
            lines.append(f"          proposal: {harmless(proposal(each))[:100]}")
    accounts = len({each.account for each in found})
    return "\n".join([*lines, f"{len(found)} open problem(s) of {accounts} account(s)"])


def as_csv(found: Sequence[Problem]) -> bytes:
    """The problems as a file for a spreadsheet, the column `decision` empty."""
    rows = [[_row(each)[column] for column in COLUMNS] for each in found]
    return table.with_mark(table.as_csv(COLUMNS, rows))


def read(ledger: Ledger, data: bytes) -> list[Choice]:
    """The decisions of an edited file. Raises AnswerRefused, naming every bad line; then none of it may be used."""
    try:
        rows = table.read(data, NEEDED)
    except table.BadTable as error:
        raise AnswerRefused([str(error)]) from None
    known = {str(each.id): each for each in problems.problems(ledger, states=("open", "decided", "settled"))}
    reasons: list[str] = []
    lines: list[tuple[int, Choice]] = []
    seen: dict[str, int] = {}
    for number, row in rows:
        if not row["decision"].strip():
            continue
        name = row["id"].strip()
        reason = _wrong(ledger, known.get(name), row)
        if name in seen:
            reason = f"the problem {name} stands in line {seen[name]} too"
        seen.setdefault(name, number)
        if reason:
            reasons.append(f"line {number}: {harmless(reason)}")
        elif known[name].state == "open":
            lines.append((number, _choice(known[name], row)))
    reasons += _refused_lines(ledger, lines)
    if reasons:
        raise AnswerRefused(reasons)
    return [choice for _, choice in lines]


def _row(each: Problem) -> dict[str, str]:
    values = check.editable(each)
    return {
        "id": str(each.id),
        "version": version(each),
        "account": each.account,
        "kind": kind_of(each.room, each.kind).name,
        "what": harmless(each.subject),
        "explanation": harmless(each.explanation),
        "server said": harmless(each.server_words),
        "proposal": harmless(proposal(each, "its column")),
        "decision": "",
        "name": storable(values.get("name", "")),
        "text": storable(values.get("text", "")),
        "action": values.get("action", ""),
    }


def version(problem: Problem) -> str:
    """A mark of the problem's facts: a line that was written about other facts is refused."""
    text = json.dumps([problem.kind, problem.subject, problem.facts], sort_keys=True, default=str)
    return f"v{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _choice(problem: Problem, row: dict[str, str]) -> Choice:
    given = {key: row[key] for key in check.editable(problem) if key in row}
    if "action" in given:
        given["action"] = _action(problem, given["action"])
    return Choice(problem, WORDS[_word(row)], given)


def _action(problem: Problem, written: str) -> str:
    """The action that was meant: the column `proposal` shows them as words."""
    words = written.replace("_", " ").lower().split()
    return next((action for action in check.choices(problem) if action.replace("_", " ").split() == words), written)


def _word(row: dict[str, str]) -> str:
    return " ".join(row["decision"].lower().split())


def _wrong(ledger: Ledger, problem: Problem | None, row: dict[str, str]) -> str:
    if problem is None:
        return f"there is no problem {row['id']!r} (any more): make the list anew"
    if row["account"].strip() != problem.account:
        return f"problem {problem.id} is of {problem.account}, not of {row['account']!r}"
    if row["version"].strip() != version(problem):
        return f"problem {problem.id} has changed since the list was made: make the list anew"
    if _word(row) not in WORDS:
        return f"no decision is called {row['decision']!r}; there are {', '.join(WORDS)}"
    extra = [key for key in check.EDITABLE if row.get(key) and key not in check.editable(problem)]
    if extra:
        return f"problem {problem.id} has no {' and no '.join(extra)} to edit"
    return _decided_otherwise(ledger, problem, _choice(problem, row)) if problem.state != "open" else ""


def _decided_otherwise(ledger: Ledger, problem: Problem, choice: Choice) -> str:
    """The same decision given twice is none too many; another one would be lost silently."""
    with ledger.reading() as session:
        last = problems.last_decision(session, problem.id)
    if last is None or (last.option, last.values) == (choice.option, choice.values):
        return ""
    return f"problem {problem.id} was decided by {last.decided_by} already ({last.option.value}): make the list anew"


def _refused_lines(ledger: Ledger, lines: Sequence[tuple[int, Choice]]) -> list[str]:
    """The refusals of the decisions together, each with the number of its line."""
    numbers = {choice.problem.id: number for number, choice in lines}
    return [
        f"line {numbers[problem_id]}: {reason}"
        for problem_id, reason in record.refusals_by_problem(ledger, [choice for _, choice in lines])
    ]
