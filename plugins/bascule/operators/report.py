"""The account of every message that the MX accepted, and the final report of the day."""

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeclareInProduction(BasculeOperator):
    """All functional tests have passed, or a person goes on without: the journal says that new is in production."""

    def act(self, run: Run, context: "Context") -> None:
        from bascule.ledger import journal

        if not run.dry_run:
            journal.append(run.ledger, journal.Entry("note", "production", "declared", run.origin))
        self.log.info("%s: the new server is in production", run.site.name)


class AccountForMail(BasculeOperator):
    """Every message that the MX accepted since the freeze began was delivered, or is named."""

    def act(self, run: Run, context: "Context") -> dict[str, int]:
        import structlog

        from bascule import accounting
        from bascule.ledger import phases

        if run.dry_run:
            return {}
        account = accounting.account(
            run.access.remote(run.site.queues.mx), since=phases.marked_at(run.ledger, "freeze", "started")
        )
        structlog.get_logger(__name__).info("mail accepted at the MX since the freeze", **account.counts())
        if account.unaccounted:
            raise AirflowFailException(
                f"{len(account.unaccounted)} accepted message(s) were neither delivered nor are they queued: "
                + ", ".join(account.unaccounted[:20])
            )
        return account.counts()


class FinalReport(BasculeOperator):
    """The report in the task's log, and the journal as JSON lines beside the ledger."""

    def act(self, run: Run, context: "Context") -> None:
        import os

        from bascule.ledger import journal
        from bascule.ledger.report import evidence_lines

        for line in evidence_lines(run.ledger):
            self.log.info(line)
        folder = os.environ.get("BASCULE_REPORTS")
        if folder and not run.dry_run:
            path = Path(folder) / f"{run.site.name}-journal.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(journal.export(run.ledger)) + "\n", encoding="utf-8")
            self.log.info("the journal lies in %s", path)
