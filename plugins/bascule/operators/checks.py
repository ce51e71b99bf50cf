"""Preflight checks, functional tests, and the forecast of the window."""

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class Preflight(BasculeOperator):
    """Look at everything that the day will need; change nothing. A failure among the findings fails the task."""

    ui_color = "#e3eef9"

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        import structlog

        from bascule.checks.preflight import preflight

        log = structlog.get_logger(__name__)
        tell = {"ok": log.info, "warning": log.warning, "failure": log.error}
        findings = preflight(run.access)
        for finding in findings:
            tell[finding.level](f"{finding.level}: {finding.subject}: {finding.sentence}")
        counts = {level: sum(finding.level == level for finding in findings) for level in tell}
        log.info("preflight done", **counts)
        if counts["failure"]:
            failed = "; ".join(f"{item.subject}: {item.sentence}" for item in findings if item.level == "failure")
            raise AirflowFailException(f"{counts['failure']} check(s) failed: {failed}")
        return counts


class ListFunctionalTests(BasculeOperator):
    """The names of the functional tests that this site asks for."""

    def act(self, run: Run, context: "Context") -> list[str]:
        from bascule.checks.functional import functional_tests

        return functional_tests(run.site)


class FunctionalTest(BasculeOperator):
    """One functional test, from a user's place. Returns its sentence of evidence."""

    template_fields = ("test",)
    ui_color = "#e3eef9"

    def __init__(self, *, test: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.test = test

    def act(self, run: Run, context: "Context") -> str:
        import structlog

        from bascule.checks.functional import run_functional_test
        from bascule.ledger import journal

        log = structlog.get_logger(__name__)
        if run.dry_run:
            log.info("dry run: this test would be run", test=self.test)
            return "not run"
        found = run_functional_test(run.access, self.test)
        after = {"ok": found.ok, "evidence": found.sentence} | ({"pictures": found.picture} if found.picture else {})
        entry = journal.Entry("note", "functional test", self.test, run.origin, after=after)
        journal.append(run.ledger, entry)
        if not found.ok:
            raise AirflowFailException(f"{self.test}: {found.sentence}")
        log.info("passed", test=self.test, evidence=found.sentence)
        return found.sentence


class Forecast(BasculeOperator):
    """What the window's pass will have to carry, and which problems wait: told in the log, days before."""

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        import structlog

        from bascule.ledger.report import evidence_lines, problem_lines

        log = structlog.get_logger(__name__)
        for line in [*evidence_lines(run.ledger), *problem_lines(run.ledger)]:
            log.info(line)
        from bascule.ledger import problems

        return {"open_problems": len(problems.problems(run.ledger))}
