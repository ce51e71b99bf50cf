"""The gate after the functional tests: a person decides what becomes of the day when some have failed."""

from collections.abc import Sequence
from typing import Any

from bascule.checks.functional.run import functional_tests
from bascule.ledger import journal
from bascule.problems.evidence import journal_line
from bascule.problems.page import plain
from bascule.tasks.gate import GateQuestion
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger

log = get_logger(__name__)

GO_ON, STOP = "Go on: in production all the same", "Not yet: somebody looks at it first"
TO_MEND = (
    "Mend what the tests say, then clear the failed `functional_test` tasks with downstream: they run again, and the "
    "day goes on when they pass."
)


def question(run: Run) -> GateQuestion | None:
    """What a person is asked; None when every test has passed, or in a dry run. Raises NeedsPerson: none was run."""
    failed = {} if run.dry_run else failed_tests(run)
    if not failed:
        log.info("every functional test has passed: nobody has to be asked")
        return None
    for test, found in failed.items():
        log.warning("a functional test failed", test=test, found=found)
    chain = journal_line(run.ledger)
    log.info(chain)
    body = f"{page(failed)}\n\n{plain(chain)}"
    return GateQuestion(f"{len(failed)} functional test(s) failed: go on?", body, run.site.gates.cutover)


def failed_tests(run: Run) -> dict[str, str]:
    """Test -> what to look at, of every test that did not pass in this run when it was run last.

    Raises NeedsPerson when none was run: something before them has failed.
    """
    last = {
        entry.subject: entry.after or {}
        for entry in journal.entries(run.ledger, kind="functional test")
        if entry.origin.run == run.origin.run
    }
    names = functional_tests(run.site)
    if not set(names) & set(last):
        raise NeedsPerson("the functional tests have not been run: mend the task before them that failed")
    never = {"ok": False, "evidence": "it was not run to its end: look at the log of its task"}
    return {name: _evidence(seen) for name in names if not (seen := last.get(name, never))["ok"]}


def _evidence(seen: dict[str, Any]) -> str:
    pictures = f" (pictures: {seen['pictures']})" if seen.get("pictures") else ""
    return f"{seen['evidence']}{pictures}"


def page(failed: dict[str, str]) -> str:
    """What a person has to know for the decision, as Markdown."""
    lines = [f"- {plain(name)}: {plain(sentence)}" for name, sentence in failed.items()]
    return "\n".join([*lines, "", TO_MEND])


def take_answer(run: Run, options: Sequence[str], person: str) -> None:
    """Write the decision down. Raises NeedsPerson unless it is to go on."""
    option = options[0] if len(options) == 1 else STOP
    failed = failed_tests(run)
    after = {"option": option, "decided_by": person}
    entry = journal.Entry("decision", "gate", "functional tests", run.origin, before={"failed": failed}, after=after)
    journal.append(run.ledger, entry)
    if option != GO_ON:
        raise NeedsPerson(f"{person} said not yet ({', '.join(failed) or 'no test'} failed). {TO_MEND}")
    log.info("the day goes on with failed tests, by decision", who=person)
