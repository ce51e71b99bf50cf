"""The gate after the functional tests: a person decides what becomes of the day when some have failed."""

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import Run, check_phase, opened_run, sentences

if TYPE_CHECKING:
    from airflow.sdk import Context

GO_ON, STOP = "Go on: in production all the same", "Not yet: somebody looks at it first"
TO_MEND = (
    "Mend what the tests say, then clear the failed `functional_test` tasks with downstream: they run again, and the "
    "day goes on when they pass."
)


class GoOnDespiteFailedTests(HITLOperator):
    """Ask a person when functional tests have failed; with none failed nobody is asked.

    It runs when all tests have ended, however they did. No answer is no; nothing goes by itself.
    """

    ui_color = "#fbe3e3"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Functional tests failed", body="", options=[GO_ON, STOP], **kwargs)

    def execute(self, context: "Context") -> Any:
        with sentences(), opened_run(context) as run:
            check_phase(run)
            if run.dry_run:
                return None
            failed = failed_tests(run)
            if not failed:
                self.log.info("every functional test has passed: nobody has to be asked")
                return None
            self.subject = f"{len(failed)} functional test(s) failed: go on?"
            self.body = page(failed)
            self.log.warning("the functional tests that failed:\n%s", self.body)
            self.assigned_users = [{"id": name, "name": name} for name in run.site.gates.cutover] or None
        return super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> None:
        answer = super().execute_complete(context, event)
        user = answer["responded_by_user"] or {}
        with sentences(), opened_run(context) as run:
            decide(run, answer["chosen_options"], str(user.get("name") or user.get("id") or "unknown"))
        self.log.info("the day goes on with failed tests, by decision")


def failed_tests(run: Run) -> dict[str, str]:
    """Test -> what to look at, of every test that did not pass in this run when it was run last.

    Raises AirflowFailException when none was run: something before them has failed.
    """
    from bascule.checks.functional import functional_tests
    from bascule.ledger import journal

    last = {
        entry.subject: entry.after or {}
        for entry in journal.entries(run.ledger, kind="functional test")
        if entry.origin.run == run.origin.run
    }
    names = functional_tests(run.site)
    if not set(names) & set(last):
        raise AirflowFailException("the functional tests have not been run: mend the task before them that failed")
    never = {"ok": False, "evidence": "it was not run to its end: look at the log of its task"}
    return {name: _words(seen) for name in names if not (seen := last.get(name, never))["ok"]}


def _words(seen: dict[str, Any]) -> str:
    pictures = f" (pictures: {seen['pictures']})" if seen.get("pictures") else ""
    return f"{seen['evidence']}{pictures}"


def page(failed: dict[str, str]) -> str:
    """What a person has to know for the decision, as Markdown."""
    from bascule.decisions.page import plain

    lines = [f"- {plain(name)}: {plain(sentence)}" for name, sentence in failed.items()]
    return "\n".join([*lines, "", TO_MEND])


def decide(run: Run, chosen: list[str], person: str) -> None:
    """Write the decision down. Raises AirflowFailException unless it is to go on."""
    from bascule.ledger import journal

    option = chosen[0] if len(chosen) == 1 else STOP
    failed = failed_tests(run)
    entry = journal.Entry(
        "decision",
        "gate",
        "functional tests",
        run.origin,
        before={"failed": failed},
        after={"option": option, "decided_by": person},
    )
    journal.append(run.ledger, entry)
    if option != GO_ON:
        raise AirflowFailException(f"{person} said not yet ({', '.join(failed) or 'no test'} failed). {TO_MEND}")
