"""Which phase may run when: read from the journal, not from Airflow's database."""

from datetime import datetime
from typing import Literal

from bascule.ledger import journal
from bascule.ledger.base import Ledger, LedgerError

Mark = Literal["started", "go", "finished"]

# What must have finished before a phase may begin.
NEEDS: dict[str, str] = {"problems": "prepare", "freeze": "prepare", "transfer": "freeze", "cutover": "transfer",
                         "drain": "cutover", "migrate": "prepare", "move": "prepare"}  # fmt: skip
# After the cutover has been decided, these would take the mail away from the server that is now in production.
NOT_AFTER_GO = ("prepare", "problems", "freeze", "transfer", "move")
# They stop services and move addresses that are everybody's: who was left out would lose sight of his mail.
FOR_EVERYBODY = ("migrate", "freeze", "cutover", "drain", "rollback")
ASKED_AT = "asked_at"  # in the journal: when a run was triggered


class PhaseRefused(LedgerError):
    """Raised when a phase may not run now; the text says what has to happen first."""


def mark(
    ledger: Ledger, phase: str, state: Mark, origin: journal.Origin, note: str = "", asked_at: datetime | None = None
) -> None:
    """Write into the journal that a phase started, was given its go, or finished.

    `asked_at`: when its run was triggered (UTC).
    """
    parameters = {ASKED_AT: asked_at.isoformat()} if asked_at else {}
    journal.append(
        ledger, journal.Entry("phase", "phase", phase, origin, parameters, after={"state": state}, note=note)
    )


def marked(ledger: Ledger, phase: str, state: Mark) -> journal.Entry | None:
    """The row by which the phase last came to this state since the last finished rollback; None when it has not.

    What `prepare` found and copied stays true after a rollback.
    """
    last: journal.Entry | None = None
    for entry in journal.entries(ledger, kind="phase"):
        reached = (entry.after or {}).get("state")
        if entry.subject == "rollback" and reached == "finished" and phase != "prepare":
            last = None
        if entry.subject == phase and reached == state:
            last = entry
    return last


def marked_at(ledger: Ledger, phase: str, state: Mark) -> datetime | None:
    """When that was (UTC)."""
    entry = marked(ledger, phase, state)
    return entry.at if entry else None


def asked_last(ledger: Ledger, phase: str) -> datetime | None:
    """When that run was triggered (UTC) which was last of those that have started; None when none has.

    Of one that an older Bascule began, the journal knows when it did.
    """
    marks = journal.entries(ledger, kind="phase", subject=phase)
    started = [each for each in marks if each.after == {"state": "started"}]
    times = [datetime.fromisoformat(asked) if (asked := each.parameters.get(ASKED_AT)) else each.at for each in started]
    return max((at for at in times if at), default=None)


def require(ledger: Ledger, phase: str) -> None:
    """See that the phase may run now. Raises PhaseRefused."""
    gone = marked_at(ledger, "cutover", "go")
    if phase in NOT_AFTER_GO and gone is not None:
        raise PhaseRefused(
            f"`{phase}` does not run any more: the cutover was decided at {gone:%Y-%m-%d %H:%M:%S} UTC and the new "
            "server is in production. Running it again would take the mail away from that server."
        )
    if phase == "move":
        require_no_freeze(ledger)
    needed = NEEDS.get(phase)
    if needed and marked_at(ledger, needed, "finished") is None:
        raise PhaseRefused(
            f"`{phase}` can't run yet: `{needed}` has not finished (the journal says so). "
            f"Run `{needed}` to its end, then trigger `{phase}` again."
        )


def require_no_freeze(ledger: Ledger) -> None:
    """See that no account's move comes into the day, also one that began before it. Raises PhaseRefused."""
    frozen = marked_at(ledger, "freeze", "started")
    if frozen is not None:
        raise PhaseRefused(
            f"`move` does not run any more: the freeze began at {frozen:%Y-%m-%d %H:%M:%S} UTC, and the proxies that "
            "it needs are stopped. Go on with the day, or run `rollback` to its end first."
        )
