"""Standing decisions: what the site file decides once and for all about a kind of problem."""

from collections.abc import Collection, Mapping

from bascule.ledger import Ledger, journal
from bascule.problems import forms, rules, store
from bascule.problems.model import Option, Problem, Room
from bascule.problems.record import AnswerRefused, Author, Choice, record

OPTIONS = {"apply": Option.APPLY, "leave out": Option.LEAVE_OUT, "keep on old": Option.KEEP_ON_OLD}


def take_standing(
    ledger: Ledger, decisions: Mapping[str, str], account: str, rooms: Collection[Room], origin: journal.Origin
) -> int:
    """Decide the account's open problems as the site file says by kind; return how many.

    A problem that was decided before on the same facts is never decided so again: a person looks at it. Nor is one
    whose proposal is a repair by hand, which nobody has made.
    """
    if not decisions:
        return 0
    author = Author("the site file", "standing", origin)
    taken = 0
    for problem in store.problems(ledger, account=account):
        wanted = decisions.get(problem.key)
        if wanted is None or problem.room not in rooms or _was_decided(ledger, problem):
            continue
        choice = chosen(problem, wanted)
        if choice is None or rules.looks_again(choice.option, problem.proposal):
            continue
        try:
            record(ledger, [choice], author)
        except AnswerRefused:
            continue  # what the site file wants does not fit this one: a person is asked
        taken += 1
    return taken


def chosen(problem: Problem, wanted: str) -> Choice | None:
    """The choice that these words of the site file name: an option, or one of what may be chosen in the form."""
    if wanted in OPTIONS:
        return Choice(problem, OPTIONS[wanted])
    fields = (key for key, how in forms.editable(problem).items() if wanted in how.choices)
    return next((Choice(problem, Option.APPLY, {key: wanted}) for key in fields), None)


def _was_decided(ledger: Ledger, problem: Problem) -> bool:
    with ledger.reading() as session:
        return store.last_decision(session, problem.id) is not None
