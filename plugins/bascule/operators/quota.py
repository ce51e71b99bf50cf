"""Quotas that a person decided to raise: the change is made before the pass that needs the space."""

from typing import TYPE_CHECKING

from bascule.operators.runtime import Run

if TYPE_CHECKING:
    from bascule.ledger.problems import Decision


def raise_quota(run: Run, account: str) -> None:
    """Raise the account's quota on new, if that was decided and is not done. What goes wrong is told in the log.

    The pass that follows finds the space that there is then; the decision is asked for again where that is not enough.
    """
    import structlog

    from bascule import changes
    from bascule.access import AccessError
    from bascule.changes import base

    log = structlog.get_logger(__name__)
    decision = decided(run, account)
    if decision is None:
        return
    parameters = {"account": account, "bytes": int(decision.values["bytes"])}
    try:
        change = changes.kind("quota").from_parameters(run.access, parameters)
        base.run(change, run.ledger, run.origin, dry_run=run.dry_run)
    except (base.ChangeFailed, AccessError) as error:
        log.error("quota not raised", account=account, reason=str(error), decided_by=decision.decided_by)


def decided(run: Run, account: str) -> "Decision | None":
    """The decision to raise the quota that no pass has seen the good of yet."""
    from bascule.ledger import problems
    from bascule.ledger.problems import Option

    for problem, decision in problems.decisions(run.ledger, account, "mailbox"):
        wanted = problem.kind == "quota" and decision.option is Option.APPLY and "bytes" in decision.values
        if wanted and problem.state == "decided":
            return decision
    return None
