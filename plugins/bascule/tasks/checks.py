"""Preflight checks and functional tests."""

from collections.abc import Callable
from pathlib import Path

from bascule.checks.functional import run as functional
from bascule.checks.preflight.finding import Finding
from bascule.checks.preflight.run import preflight as look_at_everything
from bascule.checks.preflight.run import preflight_of_moves
from bascule.hosts.access import Access
from bascule.ledger import journal, leases, moves, pictures
from bascule.moves.acts import SiteActs
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


def preflight(run: Run) -> dict[str, int]:
    """Look at everything that the day will need; change nothing. Returns how many checks ended how.

    Raises NeedsPerson when a check failed.
    """
    return _told(run, look_at_everything)


def preflight_moves(run: Run) -> dict[str, int]:
    """Look at what moves of single accounts need, and try the hold with the probe's account; as `preflight`.

    Nobody moves the probe meanwhile. A hold that a preflight has left, because it was killed, is taken away.
    """
    if run.dry_run:
        log.info("dry run: the hold would be tried with the probe's account, and the proxies looked at")
        return {}
    probe = run.site.functional_tests.account
    with leases.lease(run.ledger, probe, run.owner, patience=run.patience):
        if moves.under_way(run.ledger, probe) is None:
            SiteActs(run.access, run.ledger, probe, run.owner).let_go_of_stray_hold()
        return _told(run, preflight_of_moves)


def _told(run: Run, look: Callable[[Access], list[Finding]]) -> dict[str, int]:
    tell = {"ok": log.info, "warning": log.warning, "failure": log.error}
    log.info("::group::Commands and look-ups")  # which Airflow's page shows folded
    findings = look(run.access)
    log.info("::endgroup::")
    for finding in findings:
        tell[finding.level](f"{finding.level}: {finding.subject}: {finding.sentence}")
    counts = {level: sum(finding.level == level for finding in findings) for level in tell}
    log.info("preflight done", **counts)
    if counts["failure"]:
        failed = "; ".join(f"{item.subject}: {item.sentence}" for item in findings if item.level == "failure")
        raise NeedsPerson(f"{counts['failure']} check(s) failed: {failed}")
    return counts


def list_functional_tests(run: Run) -> list[str]:
    """The names of the functional tests that this site asks for."""
    return functional.functional_tests(run.site)


def functional_test(run: Run, test: str) -> str:
    """One functional test, from a user's place. Returns its sentence of evidence. Raises NeedsPerson when it failed."""
    if run.dry_run:
        log.info("dry run: this test would be run", test=test)
        return "not run"
    found = functional.run_functional_test(run.access, test)
    after = {"ok": found.ok, "evidence": found.sentence} | ({"pictures": found.picture} if found.picture else {})
    journal.append(run.ledger, journal.Entry("note", "functional test", test, run.origin, after=after))
    if found.picture:
        taken = {file.name: file.read_bytes() for file in Path(found.picture).glob("*.png")}
        pictures.keep(run.ledger, found.picture, taken)
    if not found.ok:
        raise NeedsPerson(f"{test}: {found.sentence}")
    log.info("passed", test=test, evidence=found.sentence)
    return found.sentence
