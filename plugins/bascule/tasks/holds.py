"""Whose mail is held while accounts move: shown with its age, and undone where it has lasted too long."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from bascule.ledger import Ledger, LedgerError, moves
from bascule.ledger.moves import Move
from bascule.tasks import move
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger

log = get_logger(__name__)

AGAIN_SECONDS = 120.0  # until a hold that is overdue, and could not be undone, is tried again; each time twice as long
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Seen:
    """One look: every hold as people read it, the overdue ones, and those of them that are to be undone now."""

    holds: list[str] = field(default_factory=list)
    overdue: list[int] = field(default_factory=list)
    news: list[int] = field(default_factory=list)


class Watch:
    """Looks at the holds of the environment's ledger, whoever has made them. `known`: overdue ones that were tried."""

    def __init__(self, known: Iterable[int] = ()) -> None:
        self._ledger: Ledger | None = None
        self._tried = {number: (time.monotonic(), AGAIN_SECONDS) for number in known}  # when, and for how long

    def look(self) -> Seen:
        """A ledger that is away is asked again at the next look."""
        try:
            self._ledger = self._ledger or Ledger.from_environment()
            found = moves.holds(self._ledger)
        except LedgerError as error:
            log.warning("whose mail is held can't be seen", reason=str(error))
            return Seen()
        overdue = [each.id for each in found if each.is_overdue]
        return Seen([*map(shown, found)], overdue, [number for number in overdue if self._is_due(number)])

    def _is_due(self, number: int) -> bool:
        at = time.monotonic()
        tried, wait = self._tried.get(number, (at, 0.0))
        if at < tried + wait:
            return False
        self._tried[number] = (at, min(max(2 * wait, AGAIN_SECONDS), LONGEST_SECONDS))
        return True


def shown(held: Move) -> str:
    """One hold with its age."""
    late = ", longer than it may be" if held.is_overdue else ""
    return f"{held.account}: held for {held.age:.0f} s{late}; {held.state}, on its way to {held.heading}"


def undo_overdue(run: Run) -> list[str]:
    """For a task behind which others move: what can't be undone keeps nobody else. Returns the accounts that it ended.

    It is in log, journal and page. The last task of the run, which ends what was left, fails by its name.
    """
    try:
        return move.end_what_was_left(run, overdue_only=True)
    except NeedsPerson as error:
        log.error(str(error))
        run.outcome.becomes("done", _what_became(error))
        return error.ended if isinstance(error, move.NotAllEnded) else []


def _what_became(error: NeedsPerson) -> str:
    """For the page. A move that has ended otherwise than it should holds no mail any more."""
    if not isinstance(error, move.NotAllEnded):
        return f"not all overdue holds could be undone: {error}"
    said = {
        "not all overdue holds could be undone": error.standing,
        "to be looked at, though no mail waits": error.told,
    }
    return "; ".join(f"{what}: {'; '.join(sentences)}" for what, sentences in said.items() if sentences)
