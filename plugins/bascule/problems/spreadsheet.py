"""Open problems as a table, a line for each question, and the edited table read back: all of it or nothing."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

from bascule.ledger import Ledger
from bascule.problems import forms, questions, record, remade, store, table
from bascule.problems.kinds import kind_of
from bascule.problems.model import Option
from bascule.problems.page import proposal
from bascule.problems.questions import Question, whose
from bascule.problems.record import AnswerRefused, Choice
from bascule.text.harmless import harmless, storable

WORDS = {
    "apply": Option.APPLY,
    "leave out": Option.LEAVE_OUT,
    "look again": Option.LOOK_AGAIN,
    "keep on old": Option.KEEP_ON_OLD,
}
EDITED = ["name", "text", "action", "do"]
COLUMNS = ["id", "version", "account", "kind", "what", "explanation", "server said", "proposal", "decision", *EDITED]
NEEDED = ["id", "version", "account", "decision", "name", "text"]

Row = Mapping[str, str]


def open_questions(ledger: Ledger, accounts: Collection[str] | None = None, *, each: bool = False) -> list[Question]:
    """What is open, of these accounts or all, by kind: one question for each cause, or `each` problem by itself."""
    found = [problem for problem in store.problems(ledger) if accounts is None or problem.account in accounts]
    found.sort(key=lambda problem: (problem.room, problem.kind, problem.account, problem.id))
    return [Question((problem,)) for problem in found] if each else questions.of_site(found)


def as_table(found: Sequence[Question]) -> str:
    """The questions in lines, for a terminal."""
    if not found:
        return "no problem is open"
    lines = []
    for key, group in groupby(found, key=lambda each: each.first.key):
        several = list(group)
        kind = kind_of(several[0].first)
        standing = f"; the site file may say {', '.join(kind.standing)}" if kind.standing else ""
        lines.append(f"{kind.name} ({key}): {sum(len(each.problems) for each in several)}{standing}")
        for each in several:
            lines.append(f"  {each.first.id:>6}  {whose(each):<16}  {harmless(each.what)[:100]}")
            lines.append(f"          proposal: {harmless(proposal(each.first))[:100]}")
    problems = sum(len(each.problems) for each in found)
    accounts = len({account for each in found for account in each.accounts})
    asked = f" in {len(found)} question(s)" if problems != len(found) else ""
    return "\n".join([*lines, f"{problems} open problem(s) of {accounts} account(s){asked}"])


def as_csv(found: Sequence[Question]) -> bytes:
    """The questions as a file for a spreadsheet, the column `decision` empty."""
    rows = [[_row(each)[column] for column in COLUMNS] for each in found]
    return table.with_mark(table.as_csv(COLUMNS, rows))


def _row(question: Question) -> dict[str, str]:
    first = question.first
    values = {key: storable(getattr(first.proposal, key)) for key in forms.editable(first)}
    return {
        "id": numbers(question),
        "version": version(question),
        "account": whose(question),
        "kind": kind_of(first).name,
        "what": harmless(question.what),
        "explanation": harmless(first.explanation),
        "server said": harmless(first.server_words),
        "proposal": harmless(proposal(first, "its column")),
        "decision": "",
        **{key: values.get(key, "") for key in EDITED},
    }


def numbers(question: Question) -> str:
    """The problems' ids: `17`, or `17..190+201`, which no spreadsheet takes for a number."""
    ids = sorted(problem.id for problem in question.problems)
    runs = [[*run] for _, run in groupby(enumerate(ids), key=lambda pair: pair[1] - pair[0])]
    return "+".join(f"{run[0][1]}..{run[-1][1]}" if len(run) > 1 else str(run[0][1]) for run in runs)


def _ids(cell: str) -> Iterator[int]:
    """The other way round. Raises ValueError on what `numbers` never writes."""
    for run in cell.strip().split("+"):
        match = re.fullmatch(r"([0-9]{1,15})(?:\.\.([0-9]{1,15}))?", run)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise ValueError(cell)
        yield from range(first, last + 1)


def version(question: Question) -> str:
    """A mark of the problems' facts, in whatever order they are: what was written about other facts is refused."""
    in_order = sorted(question.problems, key=lambda each: each.id)
    facts = [[each.kind, each.subject, each.facts] for each in in_order]
    text = json.dumps(facts[0] if len(facts) == 1 else facts, sort_keys=True, default=str)
    return f"v{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def read(ledger: Ledger, data: bytes) -> list[Choice]:
    """The decisions of an edited file. Raises AnswerRefused, naming every bad line; then none of it may be used."""
    try:
        rows = table.read(data, NEEDED)
    except table.BadTable as error:
        raise AnswerRefused([str(error)]) from None
    return _Reading(ledger).read([(number, row) for number, row in rows if row["decision"].strip()])


def typed(ledger: Ledger, rows: Sequence[tuple[int, Row]]) -> tuple[list[Choice], dict[int, list[str]]]:
    """The decisions of rows that a person typed on a page, and why which row can't be taken; then none may be used."""
    reading = _Reading(ledger)
    choices = reading.choices_of([(number, row, None) for number, row in rows])
    return choices, reading.refused


class _Reading:
    """One file, or what was typed, as it is read."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.known = {each.id: each for each in store.problems(ledger, states=("open", "decided", "settled"))}
        self.lines: dict[int, int] = {}  # problem's id -> the line that decides about it
        self.refused: dict[int, list[str]] = {}

    def read(self, rows: Sequence[tuple[int, Row]]) -> list[Choice]:
        """Raises AnswerRefused."""
        choices = self.choices_of(
            [(number, {column: table.unguarded(cell) for column, cell in raw.items()}, raw) for number, raw in rows]
        )
        if self.refused:
            raise AnswerRefused([f"line {line}: {why}" for line, reasons in self.refused.items() for why in reasons])
        return choices

    def choices_of(self, rows: Sequence[tuple[int, Row, Row | None]]) -> list[Choice]:
        """(number, row, the row as a spreadsheet wrote it): all choices; what can't be taken is in `refused`."""
        choices: list[Choice] = []
        for number, row, raw in rows:
            try:
                question = self._question(number, row)
                choices += self._choices(question, row, raw)
            except _BadLine as error:
                self._refuse(number, str(error))
        for problem_id, reason in record.refusals_by_problem(self.ledger, choices):
            self._refuse(self.lines[problem_id], reason)
        return choices

    def _refuse(self, number: int, reason: str) -> None:
        reasons, sentence = self.refused.setdefault(number, []), harmless(reason)
        if sentence not in reasons:  # of problems of one question it may be the same
            reasons.append(sentence)

    def _question(self, number: int, row: Row) -> Question:
        """The problems that a line is about, as they are now. Raises _BadLine."""
        try:
            problems = [self.known[each] for each in _ids(row["id"])]
        except (KeyError, ValueError):
            raise _BadLine(f"there is no problem {row['id']!r} (any more): make the list anew") from None
        for problem in problems:
            if problem.id in self.lines:
                raise _BadLine(f"the problem {problem.id} stands in line {self.lines[problem.id]} too")
        self.lines |= {problem.id: number for problem in problems}
        question = Question(tuple(problems))
        if row["account"].strip() != whose(question):
            raise _BadLine(f"problem {numbers(question)} is of {whose(question)}, not of {row['account']!r}")
        if row["version"].strip() != version(question):
            raise _BadLine(f"problem {numbers(question)} has changed since the list was made: make the list anew")
        return question

    def _choices(self, question: Question, row: Row, raw: Row | None) -> list[Choice]:
        """What the line decides about those that are still open. Raises _BadLine."""
        word = " ".join(row["decision"].lower().split())
        if word not in WORDS:
            raise _BadLine(f"no decision is called {row['decision']!r}; there are {', '.join(WORDS)}")
        editable = forms.editable(question.first)
        if extra := [key for key in EDITED if row.get(key) and key not in editable]:
            raise _BadLine(f"problem {question.first.id} has no {' and no '.join(extra)} to edit")
        given = {key: row[key] for key in editable if key in row}
        if raw is not None:
            _refuse_remade(question, given, raw)
        choices = [Choice(problem, WORDS[word], given) for problem in question.problems]
        for choice in choices:
            if choice.problem.state != "open":
                self._compare(choice)
        return [choice for choice in choices if choice.problem.state == "open"]

    def _compare(self, choice: Choice) -> None:
        """The same decision given twice is none too many; another one would be lost silently. Raises _BadLine."""
        problem = choice.problem
        if reason := forms.refusal(problem, choice.option, choice.given, ()):
            raise _BadLine(reason)
        with self.ledger.reading() as session:
            last = store.last_decision(session, problem.id)
        if last is not None and (last.option, last.chosen) != (choice.option, choice.chosen):
            raise _BadLine(
                f"problem {problem.id} was decided by {last.decided_by} already ({last.option.value}): "
                "make the list anew"
            )


def _refuse_remade(question: Question, given: Row, raw: Row) -> None:
    """Refuse what a spreadsheet has made of a cell. Raises _BadLine."""
    for key in forms.written(question.first, given).keys() - {key for key in given if raw[key] != given[key]}:
        proposed = storable(getattr(question.first.proposal, key))
        if reason := remade.why_not_written(proposed, given[key]):
            raise _BadLine(f"{key} {given[key][:80]!r}: {reason}")


class _BadLine(Exception):
    """Raised when a line can't be taken; the text says why."""
