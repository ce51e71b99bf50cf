"""Many who write about the same problems in the same moment, on PostgreSQL: nobody waits for one who waits for them."""

import itertools
import threading
from collections.abc import Callable, Sequence

from bascule.ledger import Ledger, journal
from bascule.mailbox.problems import PassProblems
from bascule.problems import record, store
from bascule.problems.model import Action, Option, Problem, Proposal

from tests.integration.test_ledger_postgresql import ledger, server, url  # isort: skip # noqa: F401 - fixtures

ROUNDS = 5
PROPOSAL = Proposal(Action.RENAME, name="x")


def problems_of(account: str) -> list[Problem]:
    return [
        Problem(account, "mailbox", "folder-name", f"a//{number}", "Why.", facts={"n": number}, proposal=PROPOSAL)
        for number in range(6)
    ]


def reported(ledger: Ledger, account: str) -> list[Problem]:  # noqa: F811 - the fixture
    with ledger.session() as session:
        for problem in problems_of(account):
            store.report(session, problem)
    return store.problems(ledger, account=account)


def at_once(*acts: Callable[[], None]) -> list[BaseException]:
    """What they raise when all begin in the same moment."""
    together, raised = threading.Barrier(len(acts)), []

    def run(act: Callable[[], None]) -> None:
        together.wait()
        try:
            act()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def decide(ledger: Ledger, who: str, about: Sequence[Problem]) -> None:  # noqa: F811 - the fixture
    choices = [record.Choice(each, Option.APPLY, {"name": f"{who} {each.id}"}) for each in about]
    record.record(ledger, choices, record.Author(who, "page", journal.Origin("control room", asked_by=who)))


def test_of_many_who_decide_in_any_order_one_does_and_the_others_are_told(ledger: Ledger) -> None:  # noqa: F811
    for number in range(ROUNDS):
        found = reported(ledger, f"anna{number}")
        orders = itertools.islice(itertools.permutations(found), 0, 720, 144)
        people = [lambda who=f"person {n}", about=about: decide(ledger, who, about) for n, about in enumerate(orders)]
        raised = at_once(*people)

        assert {type(error) for error in raised} == {record.AnswerRefused}, raised
        assert len(raised) == len(people) - 1
        assert len({decision.decided_by for _, decision in store.all_decisions(ledger, f"anna{number}")}) == 1


def test_a_pass_that_meets_the_problems_and_a_person_who_decides_about_them_both_come_through(
    ledger: Ledger,  # noqa: F811 - the fixture
) -> None:
    for number in range(ROUNDS):
        found = reported(ledger, account := f"bert{number}")
        seen = PassProblems(ledger, account)
        seen.found.extend(reversed(problems_of(account)))

        assert at_once(lambda: seen.write(True), lambda: decide(ledger, "lead", found)) == []  # noqa: B023 - it has ended
