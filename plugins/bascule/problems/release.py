"""After decisions that were taken elsewhere: Airflow's questions that have nothing left to ask are answered."""

from collections.abc import Sequence

from bascule.ledger import Ledger
from bascule.problems import rules, store
from bascule.problems.model import Option
from bascule.problems.record import Choice
from bascule.problems.rest import Airflow

# Which problems the tasks of `transfer` ask about, by their group.
ROOMS = {"mailbox": ("mailbox", "account"), "repair_filters": ("sieve",), "repair_calendars": ("calendar",)}
ALL_ROOMS = ("mailbox", "account", "sieve", "calendar")


def release(ledger: Ledger, airflow: Airflow, choices: Sequence[Choice]) -> int:
    """Answer the questions that wait for nothing any more, and those of which somebody wants another look.

    The decisions stand in the ledger already, also those of an earlier run that did not come to the answers: the answer
    only lets the task go on. Returns how many were answered.
    """
    known = {each.account for each in store.problems(ledger, states=("open", "decided", "settled"))}
    look_again = {choice.problem.id for choice in choices if rules.looks_again(choice.option, choice.chosen)}
    answered = 0
    for question in airflow.questions():
        if question.account not in known:
            continue
        dag, task = question.asker
        rooms = ROOMS.get(task.partition(".")[0] if dag == "transfer" else "", ALL_ROOMS)
        still = {each.id for each in store.problems(ledger, account=question.account) if each.room in rooms}
        if still <= look_again:
            answered += airflow.answer(question, Option.LOOK_AGAIN.value)
    return answered
