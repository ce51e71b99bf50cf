"""The account of every message that the MX accepted, and the final report of the day."""

import os
from pathlib import Path

from bascule.hosts.postfix import trace
from bascule.ledger import journal, phases
from bascule.problems.evidence import evidence_lines, mail_lines
from bascule.tasks import forecast
from bascule.tasks.notify import address_of
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger
from bascule.views import moves, report

log = get_logger(__name__)


def declare_in_production(run: Run) -> None:
    """All functional tests have passed, or a person goes on without: the journal says that new is in production."""
    if not run.dry_run:
        journal.append(run.ledger, journal.Entry("note", "production", "declared", run.origin))
    log.info("the new server is in production", site=run.site.name)


def account_for_mail(run: Run) -> dict[str, int]:
    """Every message that the MX accepted since the freeze began was delivered, or NeedsPerson is raised with its name.

    So it is when the mail log has gaps: nobody knows then what became of every message.

    Returns how many there are, by what became of them.
    """
    if run.dry_run:
        return {}
    account = trace.account(
        run.access.remote(run.site.queues.mx), since=phases.marked_at(run.ledger, "freeze", "started")
    )
    log.info("mail accepted at the MX since the freeze", **account.counts())
    known = {"counts": account.counts(), "unaccounted": account.unaccounted, "gaps": [str(gap) for gap in account.gaps]}
    journal.append(run.ledger, journal.Entry("note", "mail", "accounted for", run.origin, after=known))
    if account.unaccounted or account.gaps:
        raise NeedsPerson(_not_accounted_for(account))
    return account.counts()


def _not_accounted_for(account: trace.Account) -> str:
    sentences = []
    if account.unaccounted:
        sentences.append(
            f"{len(account.unaccounted)} accepted message(s) were neither delivered nor are they queued: "
            + ", ".join(account.unaccounted[:20])
        )
    if account.gaps:
        sentences.append(
            "the mail log of the MX has gaps, so that not every message can be accounted for: "
            f"{'; '.join(map(str, account.gaps))}. Look at these times in a log file there, if there is one, and in "
            "new's mail log; then mark this task as success"
        )
    return ". ".join(sentences)


def final_report(run: Run) -> None:
    """The report in the task's log; as one HTML file with its data as JSON, and the journal as JSON lines beside it."""
    told = moves.lines(moves.told(run.ledger))
    for line in [*forecast.lines(run.ledger), *evidence_lines(run.ledger), *mail_lines(run.ledger), *told]:
        log.info(line)
    folder = os.environ.get("BASCULE_REPORTS")
    if folder and not run.dry_run:
        _write(run, Path(folder))
        log.info("the report can be read in the control room too", address=address_of("report.html"))


def _write(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = report.gather(run.ledger, run.site)
    files = {
        "report.html": report.as_html(found),
        "report.json": report.as_json(found),
        "journal.jsonl": "\n".join(journal.export(run.ledger)) + "\n",
    }
    for name, text in files.items():
        path = folder / f"{run.site.name}-{name}"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        log.info("written", file=str(path))
    log.info(f"the report ends with the journal's {found.head}")
