"""Questions: problems that have one cause are asked about, and decided, as one."""

import json
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from bascule.problems.model import Problem

NAMED = 10  # problems of one question that are named

Cause = tuple[str, str, str]


@dataclass(frozen=True)
class Question:
    """One problem, or all of one cause: of one kind, with one proposal. The first one stands for all."""

    problems: tuple[Problem, ...]

    @property
    def first(self) -> Problem:
        return self.problems[0]

    @property
    def cause(self) -> Cause | None:
        """What the question has in common with one of another mailbox; None when it is alone of its kind."""
        return _cause(self.first)

    @property
    def accounts(self) -> list[str]:
        return sorted({problem.account for problem in self.problems})

    @property
    def what(self) -> str:
        """What it is about, in the words of its owner: one by its name, several by their number and the first names."""
        whose = len(self.accounts) > 1
        named = [f"{each.account}: " * whose + name(each) for each in self.problems[:NAMED]]
        if len(self.problems) == 1:
            return named[0]
        more = f", and {len(self.problems) - NAMED} more" if len(self.problems) > NAMED else ""
        return f"{len(self.problems)} of one cause: {', '.join(named)}{more}"


def whose(question: Question) -> str:
    """The account, or how many there are."""
    accounts = question.accounts
    return accounts[0] if len(accounts) == 1 else f"{len(accounts)} accounts"


def name(problem: Problem) -> str:
    """What people call the thing, and where they find it."""
    called = problem.title or problem.subject
    more = [problem.place] if problem.place else []
    if problem.kind.startswith("message-"):
        more += [str(problem.facts[key]) for key in ("subject", "from") if problem.facts.get(key)]
    return f"{called} ({', '.join(more)})" if more else called


def of_mailbox(found: Iterable[Problem]) -> list[Question]:
    """The questions about these problems, those of each account for themselves, in the order of finding."""
    return _grouped(found, lambda problem: problem.account)


def of_site(found: Iterable[Problem]) -> list[Question]:
    """The questions about these problems, one for each cause over all accounts, in the order of finding."""
    return _grouped(found, lambda problem: "")


def _grouped(found: Iterable[Problem], within: Callable[[Problem], str]) -> list[Question]:
    groups: dict[Hashable, list[Problem]] = {}
    for problem in found:
        cause = _cause(problem)
        groups.setdefault((within(problem), cause) if cause else problem.id, []).append(problem)
    return [Question(tuple(group)) for group in groups.values()]


def _cause(problem: Problem) -> Cause | None:
    """Kind, cause and proposal; None for what is asked about alone, as is a new name: no two things get one."""
    if not problem.cause or problem.proposal.name is not None:
        return None
    return problem.key, problem.cause, json.dumps(problem.proposal.stored(), sort_keys=True)
