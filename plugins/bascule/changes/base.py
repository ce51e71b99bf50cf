"""Change: one reversible act on the infrastructure, and the one way in which any of them is run.

A kind of change is one module with one class: what is there (`observe`), what shall be there (`desired`), how to make
it so (`apply`), how to see it from outside (`verify`), and how to put the old state back (`revert`).
"""

import abc
import enum
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog

from bascule.access import Access, AccessError
from bascule.ledger import Ledger, journal

log = structlog.get_logger(__name__)

State = dict[str, Any]  # plain data: it goes into the journal as JSON


class ChangeFailed(Exception):
    """Raised when a change could not be applied, verified or reverted; the text says what, where and what to do."""


class Change(abc.ABC):
    """One reversible act. `parameters` make the same change again from the journal (`from_parameters`)."""

    kind: ClassVar[str]

    def __init__(self, access: Access) -> None:
        self.access = access

    @property
    @abc.abstractmethod
    def subject(self) -> str:
        """What is changed, the same in every run: `old: dovecot.service`."""

    @property
    @abc.abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Keyword arguments, as JSON, from which the constructor makes this change again."""

    @classmethod
    def from_parameters(cls, access: Access, parameters: dict[str, Any]) -> "Change":
        return cls(access, **parameters)

    @property
    @abc.abstractmethod
    def desired(self) -> State:
        """What shall be there, comparable with what `observe` returns."""

    @abc.abstractmethod
    def observe(self) -> State:
        """Look what is there now; change nothing."""

    @abc.abstractmethod
    def apply(self) -> None:
        """Make it so. Raises ChangeFailed or AccessError."""

    @abc.abstractmethod
    def verify(self) -> None:
        """Look again, from outside where that is possible. Raises ChangeFailed."""

    @abc.abstractmethod
    def revert(self, before: State) -> None:
        """Put the state `before` back and see that it is there. Raises ChangeFailed."""

    def is_desired(self, state: State) -> bool:
        return state == self.desired


class Outcome(enum.StrEnum):
    UNCHANGED = "unchanged"
    WOULD_CHANGE = "would change"
    DONE = "done"


@dataclass(frozen=True)
class Result:
    """What became of a change: the outcome, and the states before and after it."""

    outcome: Outcome
    before: State
    after: State


def run(change: Change, ledger: Ledger, origin: journal.Origin, *, dry_run: bool = False) -> Result:
    """Bring a change about: observe, note the intent, apply, verify, note the outcome.

    Already so: it is verified and noted as unchanged. Dry run: the difference is logged, nothing is done or noted.
    Raises ChangeFailed or AccessError after the failure has been noted.
    """
    before = change.observe()
    fields = {"change": change.kind, "subject": change.subject, "before": before, "desired": change.desired}
    if dry_run:
        same = change.is_desired(before)
        log.info("dry run: nothing would change" if same else "dry run: this would change", **fields)
        return Result(Outcome.UNCHANGED if same else Outcome.WOULD_CHANGE, before, before)
    if change.is_desired(before):
        change.verify()
        _note(ledger, change, origin, "unchanged", before, before)
        log.info("already as desired, and verified", **fields)
        return Result(Outcome.UNCHANGED, before, before)
    _note(ledger, change, origin, "intent", before, change.desired)
    log.info("changing", **fields)
    try:
        change.apply()
        change.verify()
    except (ChangeFailed, AccessError) as error:
        _note(ledger, change, origin, "failed", before, None, str(error))
        raise
    after = change.observe()
    _note(ledger, change, origin, "done", before, after)
    log.info("changed and verified", **fields, after=after)
    return Result(Outcome.DONE, before, after)


def undo(change: Change, before: State, ledger: Ledger, origin: journal.Origin, *, dry_run: bool = False) -> None:
    """Put the state `before` of a change back and note it. Raises what `run` raises."""
    present = change.observe()
    if dry_run:
        log.info("dry run: this would be put back", change=change.kind, subject=change.subject, now=present, to=before)
        return
    try:
        change.revert(before)
    except (ChangeFailed, AccessError) as error:
        _note(ledger, change, origin, "failed", present, None, f"revert: {error}")
        raise
    _note(ledger, change, origin, "reverted", present, before)
    log.info("put back", change=change.kind, subject=change.subject, was=present, now=before)


def _note(
    ledger: Ledger,
    change: Change,
    origin: journal.Origin,
    event: journal.Event,
    before: State,
    after: State | None,
    note: str = "",
) -> None:
    entry = journal.Entry(event, change.kind, change.subject, origin, change.parameters, before, after, note)
    journal.append(ledger, entry)
