"""Change: one reversible act on the infrastructure, and the one way in which any of them is run and undone.

A kind of change is one module with one class: what is there (`observe`), what shall be there (`desired`), how to make
it so (`apply`), how to see it from outside (`verify`), and how to put the old state back (`revert`).
"""

import abc
import enum
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from bascule.changes import acts
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, journal, leases
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

State = dict[str, Any]  # plain data: it goes into the journal as JSON
PATIENCE = leases.LEASE_SECONDS  # that another one's hold on a subject is waited for: as long as a dead one may keep it
LONGEST = 200  # characters of a subject that tell two apart in the ledger's table of leases


class Effect(enum.StrEnum):
    """What a change means for mail on its way, so that whoever undoes it sees to the mail first."""

    NEW_TAKES_MAIL = "the new server takes mail"
    NEW_TAKES_NO_MAIL = "the new server takes no mail"


class ChangeFailed(Exception):
    """Raised when a change could not be applied, verified or reverted; the text says what, where and what to do."""


class Change(abc.ABC):
    """One reversible act. `parameters` make the same change again from the journal (`from_parameters`).

    Every method may be called again at any time, also after a crash in the middle of another one.
    """

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
    def from_parameters(cls, access: Access, parameters: dict[str, Any]) -> Self:
        return cls(access, **parameters)

    @property
    @abc.abstractmethod
    def desired(self) -> State:
        """What shall be there, comparable with what `observe` returned last."""

    @abc.abstractmethod
    def observe(self) -> State:
        """Look what is there now; change nothing."""

    @abc.abstractmethod
    def apply(self) -> None:
        """Make it so, from whatever `observe` found last. Raises ChangeFailed or AccessError."""

    @abc.abstractmethod
    def verify(self) -> None:
        """Look again, from outside where that is possible. Raises ChangeFailed or AccessError."""

    @abc.abstractmethod
    def revert(self, before: State) -> None:
        """Put the state `before` back and see that it is there. Raises ChangeFailed or AccessError.

        Where it is there already, this is to touch nothing but what an interrupted `apply` left lying about.
        """

    @property
    def effects(self) -> frozenset[Effect]:
        """What it means for mail on its way when this has been applied; undone, it is the other way round."""
        return frozenset()

    def is_desired(self, state: State) -> bool:
        return state == self.desired

    def first_state(self, earlier: State, found: State) -> State:
        """The state before the act, when an earlier try noted `earlier` and ended in the middle, and this one `found`.

        The earlier one, unless the change is made of parts that the earlier try may never have come to.
        """
        return earlier

    def summary(self, state: State) -> State:
        """The state for the task log, where it must be short; the journal has all of it."""
        return state


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
    After a try that ended between intent and outcome (a crash, a failed apply, a failed verify) this one goes on with
    the same act, so that the journal keeps the state from before the first try as the one to go back to.
    Raises ChangeFailed or AccessError after the failure has been noted, and LeaseHeld when another run is at the same
    subject.
    """
    if dry_run:
        return _would_change(change)
    with _alone(change, ledger, origin):
        return _run(change, ledger, origin)


def _would_change(change: Change) -> Result:
    found = change.observe()
    same = change.is_desired(found)
    fields = _fields(change, found=found, desired=change.desired)
    log.info("dry run: nothing would change" if same else "dry run: this would change", **fields)
    return Result(Outcome.UNCHANGED if same else Outcome.WOULD_CHANGE, found, found)


def _alone(change: Change, ledger: Ledger, origin: journal.Origin) -> AbstractContextManager[None]:
    """Nobody else applies or undoes a change of this subject during the block.

    A task may run twice at once: its queue gives it out again, or a worker that is cut off goes on.
    """
    owner = leases.this_process("/".join(filter(None, (origin.phase, origin.run, origin.task))))
    return leases.lease(ledger, change.subject[:LONGEST], owner, of="change", patience=PATIENCE)


def _run(change: Change, ledger: Ledger, origin: journal.Origin) -> Result:
    found = change.observe()
    fields = _fields(change, found=found, desired=change.desired)
    same = change.is_desired(found)
    unfinished = acts.unfinished(journal.entries(ledger, kind=change.kind, subject=change.subject), change.parameters)
    if same and unfinished is None:
        _verify_unchanged(change, ledger, origin, found)
        log.info("already as desired, and verified", **fields)
        return Result(Outcome.UNCHANGED, found, found)
    before = found if unfinished is None else change.first_state(unfinished.before, found)
    if unfinished is not None:
        log.warning("an earlier try ended before its outcome was noted: going on with it", entry=unfinished.number)
    if not same:
        _note(ledger, change, origin, "intent", before, change.desired)
        log.info("changing", **fields)
    after = _carry_out(change, ledger, origin, before, apply=not same)
    log.info("changed and verified", **_fields(change, before=before, after=after))
    return Result(Outcome.DONE, before, after)


def undo(change: Change, before: State, ledger: Ledger, origin: journal.Origin, *, dry_run: bool = False) -> None:
    """Put the state `before` of a change back and note it. Raises what `run` raises.

    `acts.in_force` says which acts of the journal there are to undo, in which order, and their states before.
    """
    if dry_run:
        log.info("dry run: this would be put back", **_fields(change, now=change.observe(), to=before))
        return
    with _alone(change, ledger, origin):
        _undo(change, before, ledger, origin)


def _undo(change: Change, before: State, ledger: Ledger, origin: journal.Origin) -> None:
    present = change.observe()
    log.info("putting back", **_fields(change, now=present, to=before))
    try:
        change.revert(before)
    except Exception as error:
        _note(ledger, change, origin, "failed", present, _state_left(change), f"revert: {_sentence(error)}")
        raise
    after = change.observe()
    _note(ledger, change, origin, "reverted", present, after)
    log.info("put back", **_fields(change, was=present, now=after))


def _verify_unchanged(change: Change, ledger: Ledger, origin: journal.Origin, found: State) -> None:
    try:
        change.verify()
    except Exception as error:
        _note(ledger, change, origin, "failed", found, found, f"found as desired, but: {_sentence(error)}")
        raise
    _note(ledger, change, origin, "unchanged", found, found)


def _carry_out(change: Change, ledger: Ledger, origin: journal.Origin, before: State, *, apply: bool) -> State:
    """Apply, verify and note the outcome; what a failure left is looked at and noted too. Returns the state after."""
    try:
        if apply:
            change.apply()
        change.verify()
        after = change.observe()
    except Exception as error:
        _note(ledger, change, origin, "failed", before, _state_left(change), _sentence(error))
        raise
    _note(ledger, change, origin, "done", before, after)
    return after


def _state_left(change: Change) -> State | None:
    """What is there now, or None when it can't be seen (the failure to be noted is another one)."""
    try:
        return change.observe()
    except (ChangeFailed, AccessError) as error:
        log.warning("what the failure left can't be looked at", change=change.kind, reason=str(error))
        return None


def _sentence(error: Exception) -> str:
    known = isinstance(error, ChangeFailed | AccessError)
    return str(error) if known else f"a mistake in Bascule ({reason(error)}): report it"


def _fields(change: Change, **states: State) -> dict[str, Any]:
    return {"change": change.kind, "subject": change.subject} | {
        name: change.summary(state) for name, state in states.items()
    }


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
