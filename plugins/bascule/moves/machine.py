"""One account's move as a state machine: which act comes when, and what becomes of a move that broke off.

Before an act begins, its state is in the ledger. A move that another run has left is taken up from there: what began
before the flip is undone (nothing but the hold is there), what began with it is flipped once more and goes on, what
began after the last pass is finished. An act that fails turns the move: by the same acts the account goes back to
where it came from. So nobody stays held, and every act may be done again at any time.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, Protocol

from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, journal, moves, waves
from bascule.ledger.base import now
from bascule.ledger.moves import ENDS, ORDER, Move, Server, State
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

KIND = "move"  # in the journal
PLACE_SECONDS = 600.0  # for which a move waits until fewer accounts are held
ASK_AGAIN_SECONDS = 0.5
TRY_AGAIN_SECONDS = 1.0
STALE_SECONDS = 30.0  # of waiting for a place, after which what has come meanwhile is carried before the hold


class MoveFailed(Exception):
    """Raised when an account was not moved; the text says why, and where it is now."""


class CannotMove(MoveFailed):
    """Raised when an account can't be moved before a person has mended something; nothing was begun."""


class NoPlace(MoveFailed):
    """Raised when so many others were held for so long that nothing was begun."""


class NotProven(MoveFailed):
    """Raised when an account was moved, but a login from outside, or an MX, does not show it."""


class EntryGone(AccessError):
    """Raised when the directory has no entry of an account any more: it was renamed, or deleted."""


class HoldGone(Exception):
    """Raised when an account that is to be flipped is not held any more: its mail would come behind the last pass."""


class StillHeld(MoveFailed):
    """Raised when a move could be neither finished nor undone, so that its account's mail waits at the MX."""


class Acts(Protocol):
    """What is done to the site for one account. Each may be called again, whatever was done of it before."""

    def before(self) -> dict[str, Any]:
        """What the directory says now, for the journal. Raises CannotMove where that can't be changed."""

    def is_at(self, server: Server) -> bool:
        """Whether the directory says so: logins and mail go there."""

    def hold(self) -> None:
        """Let the MX keep the mail of this account, and see that it does."""

    def wait_until_quiet(self, to: Server) -> None:
        """Wait until no mail for it is on its way to the server that it leaves."""

    def flip(self, to: Server) -> float:
        """One modify: logins and mail go to `to` from now on. Returns until when logins are delayed (Unix time).

        Raises HoldGone, and changes nothing, when the account is not held.
        """

    def kick(self, to: Server) -> None:
        """End its sessions at the proxies and on the server that it leaves, and see that none is left."""

    def carry(self, to: Server) -> dict[str, Any]:
        """The last pass, verified, once nothing can come any more. Returns what it did."""

    def let_in(self) -> None:
        """Keep its user out no longer, whatever was reached."""

    def release(self, to: Server) -> None:
        """Let its mail flow again, also what has waited."""

    def release_without_entry(self) -> None:
        """Let what has waited flow, where the directory has no entry any more, and so no hold."""

    def prove(self, to: Server) -> None:
        """See from outside that a login through the proxy ends on `to`, and that the MX leads its mail there."""


@dataclass(frozen=True)
class Limits:
    """How many accounts may be held at once, and for how many seconds one may be until its hold is overdue.

    `patience`: seconds in which an act is tried again, since a server that was ended comes back.
    """

    at_once: int
    longest_hold: int
    patience: float = 0.0


class Mover:
    """Moves one account. Its lease must be held by whoever calls. `still_ours`: raises LeaseHeld when it was lost."""

    def __init__(
        self, acts: Acts, ledger: Ledger, origin: journal.Origin, limits: Limits, still_ours: Callable[[], None]
    ) -> None:
        self.acts, self.ledger, self.origin, self.limits = acts, ledger, origin, limits
        self.still_ours = still_ours
        self.do = {
            State.HOLDING: lambda move: acts.hold(),
            State.QUIETING: lambda move: acts.wait_until_quiet(move.heading),
            State.FLIPPING: self._flip,
            State.KICKING: lambda move: acts.kick(move.heading),
            State.CARRYING: self._carry,
            State.RELEASING: self._release,
            State.PROVING: self._prove,
        }
        self.seconds: dict[str, float] = {}  # that each act of this process took, with its tries
        self.delayed_until = 0.0  # logins, in Unix time
        self._gone: HoldGone | None = None  # until the hold that was put there again is seen

    def move(
        self, account: str, to: Server, prepare: Callable[[], None], may_begin: Callable[[], None] = lambda: None
    ) -> bool:
        """Bring the account to `to`, first ending a move that was left; False when it is there already.

        `prepare`: passes without a lock, until the last one is small. `may_begin`: raises when it is not to be held any
        more, asked as long as nothing is. Raises MoveFailed.
        """
        left = moves.under_way(self.ledger, account)
        ended = self.take_up(left, forward=left.to == to) if left is not None else None
        if ended is not None and ended.state is State.DONE and ended.to == to:
            return True
        if self.acts.is_at(to) and not self.was_let_go(account):
            log.info("the account is there already", account=account, server=to)
            return False
        before = self.acts.before()
        prepare()
        may_begin()
        move = moves.begin(self.ledger, account, to, before, self.origin.run)
        self._journal(move, "intent", {"wave": waves.wave_of(self.ledger, account)}, before=before)
        began = time.monotonic()
        held = self._held(move, may_begin)
        if time.monotonic() - began > STALE_SECONDS:
            waiting = moves.note(self.ledger, held, State.PREPARED)  # its place is another one's meanwhile
            self._or_undone(waiting, prepare)
            held = self._held(waiting, may_begin)
        self._through(held)
        return True

    def was_let_go(self, account: str) -> bool:
        """Whether its last move ended for want of an entry: what the directory says now tells not that all is there."""
        told = journal.entries(self.ledger, kind=KIND, subject=account)
        ends = [entry.after or {} for entry in told if entry.parameters.get("what") in ENDS]
        return bool(ends) and ends[-1].get("server") == ""

    def take_up(self, left: Move, *, forward: bool) -> Move:
        """End a move that another run has left: finish it, or undo it. Raises MoveFailed."""
        log.warning(
            "a move broke off: going on with it", account=left.account, state=str(left.state), to=left.to,
            turned=left.turned, held_since=str(left.held_at),
        )  # fmt: skip
        if left.state is State.PREPARED:
            return self._end(left, State.UNDONE, "it broke off before anything was done")
        if left.state in (State.RELEASING, State.PROVING):
            return self._through(self._flipped_back(left))
        if left.state.number >= State.FLIPPING.number and (forward or left.turned):
            return self._through(moves.note(self.ledger, left, State.FLIPPING))
        return self._through(self._turned(left, f"it broke off ({left.state})"))

    def _flipped_back(self, left: Move) -> Move:
        """One that turned for want of an entry was not: it is flipped once there is one again."""
        if left.state is State.RELEASING and left.turned:
            with contextlib.suppress(AccessError):  # the release meets it as well
                if not self.acts.is_at(left.heading):
                    return moves.note(self.ledger, left, State.FLIPPING)
        return left

    def _held(self, move: Move, may_begin: Callable[[], None]) -> Move:
        """Wait for a place among those that are held at once."""
        deadline = time.monotonic() + PLACE_SECONDS
        while True:
            self._or_undone(move, may_begin)
            until = now() + timedelta(seconds=self.limits.longest_hold)
            held = moves.hold(self.ledger, move, at_once=self.limits.at_once, until=until)
            if held is not None:
                return held
            if time.monotonic() > deadline:
                self._end(move, State.UNDONE, "no place among those that are held at once came free")
                raise NoPlace(
                    f"{move.account} was not moved: for {PLACE_SECONDS:.0f} s {self.limits.at_once} other accounts "
                    "were held. Nothing was changed"
                )
            time.sleep(ASK_AGAIN_SECONDS)

    def _or_undone(self, move: Move, act: Callable[[], None]) -> None:
        """Do what comes before the first act; where it raises, nothing of the move is there to be undone."""
        try:
            act()
        except Exception as error:
            self._end(move, State.UNDONE, reason(error))
            raise

    def _through(self, move: Move) -> Move:
        """All acts from the move's state on. An act that fails turns the move, once. Raises MoveFailed.

        Raises LeaseHeld and TakenUp when somebody else has gone on with it, while this process slept.
        """
        try:
            while move.state not in ENDS:
                self.still_ours()
                try:
                    self._act(move)
                except Exception as error:
                    self.still_ours()  # who slept has nothing to turn any more
                    return self._after_failure(move, error)
                move = self._next(move)
        finally:
            self.acts.let_in()
        return move

    def _act(self, move: Move) -> None:
        log.info(
            f"{move.state.number}. {move.state}", account=move.account, heading=move.heading, turned=move.turned
        )  # fmt: skip
        began = time.monotonic()
        while True:
            try:
                self.do[move.state](move)
                self.seconds[str(move.state)] = round(time.monotonic() - began, 2)
                return
            except AccessError as error:
                if time.monotonic() > began + self.limits.patience:
                    raise
                log.warning("an act is tried again", account=move.account, state=str(move.state), reason=reason(error))
                time.sleep(TRY_AGAIN_SECONDS)
                self.still_ours()  # who slept must not hold, or release, what another run has ended

    def _next(self, move: Move) -> Move:
        """The state after this one, in the ledger."""
        following = ORDER[ORDER.index(move.state) + 1]
        if following is State.PROVING and move.turned and not self.delayed_until:
            return self._end(move, State.UNDONE, move.note)  # there was no flip: nothing is to be proven
        if following is State.DONE:
            return self._end(move, State.UNDONE if move.turned else State.DONE, move.note)
        return moves.note(self.ledger, move, following)

    def _after_failure(self, move: Move, error: Exception) -> Move:
        words = reason(error)
        self._journal(move, "failed", note=f"{move.state.number}. {move.state}: {words}")
        log.error("an act of the move failed", account=move.account, state=str(move.state), reason=words)
        if isinstance(error, EntryGone) and move.state is not State.PROVING:
            self._let_go(move, words)
        if move.state is State.PROVING:
            why = f"{move.note}; then " if move.turned else ""
            self._end(move, State.UNDONE if move.turned else State.DONE, f"{why}not proven: {words}")
            raise NotProven(
                f"{move.account} is on {move.heading} and its mail flows, but from outside it is not seen: {words}"
                + (f". It was not moved: {move.note}" if move.turned else "")
            ) from error
        if move.turned or move.state is State.RELEASING:
            raise StillHeld(
                f"the move of {move.account} stands still ({move.state}, on its way to {move.heading}), and mail for "
                f"it waits at the MX: {words}. Mend that and run `move` again: it goes on there"
            ) from error
        back = self._through(self._turned(move, words))
        raise MoveFailed(f"{back.account} was not moved and is on {back.heading} as before: {words}") from error

    def _let_go(self, move: Move, words: str) -> NoReturn:
        """Without an entry nothing is held, and nothing can be flipped: what waits flows, and the move ends there."""
        carried = move.state is State.RELEASING and not move.turned
        if State.FLIPPING.number <= move.state.number <= State.CARRYING.number:
            words += f". What has come to {move.to} since the flip may be there alone"
        if move.note:
            words = move.note if words in move.note else f"{move.note}; then {words}"
        letting = moves.note(self.ledger, move, State.RELEASING, turned=not carried, words=words)
        try:
            self.acts.release_without_entry()
        except Exception as error:
            raise StillHeld(
                f"the move of {move.account} stands still, and mail for it waits at the MX: {reason(error)} ({words})"
            ) from error
        self._journal(letting, "released", after={"held": round(move.age, 1)}, note=words)
        self._end(letting, State.DONE if carried else State.UNDONE, words, server="")
        log.warning("a move has ended without its entry: mail for it waits no more", account=move.account, reason=words)
        raise MoveFailed(f"the move of {move.account} has ended, and mail for it waits no more: {words}")

    def _turned(self, move: Move, words: str) -> Move:
        """On its way back from here on: by another flip, or by the release alone where there was none."""
        flipped = move.state.number >= State.FLIPPING.number
        if move.state is State.FLIPPING:
            with contextlib.suppress(Exception):  # what can't be asked is flipped once more, which does no harm
                flipped = self.acts.is_at(move.heading)
        start = State.FLIPPING if flipped else State.RELEASING
        return moves.note(self.ledger, move, start, turned=True, words=words)

    def _flip(self, move: Move) -> None:
        try:
            if self._gone is not None:  # its hold was put there again, and no MX was seen to know it
                raise self._gone
            self.delayed_until = self.acts.flip(move.heading)
        except HoldGone as error:
            self._gone = error
            self._hold_again(move, error)
            self._gone = None
            self.delayed_until = self.acts.flip(move.heading)
        self._journal(move, "flipped", note=f"logins and mail go to {move.heading}")

    def _hold_again(self, move: Move, gone: HoldGone) -> None:
        """Of a move that was flipped before: without another flip it would be on neither way. Else raises HoldGone.

        Raises LeaseHeld and TakenUp when it was another run that has let the account go.
        """
        self.still_ours()
        moves.note(self.ledger, move, State.FLIPPING)
        if not move.turned and not self.acts.is_at(move.heading):
            raise gone
        log.warning("the hold was gone before the flip: it is put there again", account=move.account)
        self._journal(move, "held again", note=str(gone))
        self.acts.hold()
        self.acts.wait_until_quiet(move.heading)

    def _carry(self, move: Move) -> None:
        done = self.acts.carry(move.heading)
        done |= {"let_in": round(self.delayed_until + done.get("kept_out_longer", 0.0), 1)}
        if (late := time.time() - self.delayed_until) > 0:
            log.warning("the last pass ended after the first instant", account=move.account, seconds=round(late, 1))
            done |= {"late": round(late, 1)}
        self._journal(move, "carried", after=done)

    def _release(self, move: Move) -> None:
        self.acts.release(move.heading)
        log.info("its mail flows", account=move.account, held_for=round(move.age, 1))
        self._journal(move, "released", after={"held": round(move.age, 1), "seconds": self.seconds})

    def _prove(self, move: Move) -> None:
        self.acts.prove(move.heading)
        self._journal(move, "proven", note=f"seen from outside on {move.heading}")

    def _end(self, move: Move, state: State, words: str, server: str | None = None) -> Move:
        """`server`: where the account is now, if that is not where it was heading."""
        ended = moves.note(self.ledger, move, state, words=words)
        after = {"state": str(state), "server": ended.heading if server is None else server}
        self._journal(ended, str(state), before=ended.before, after=after, note=words)
        log.info("the move has ended", account=ended.account, **after)
        return ended

    def _journal(self, move: Move, what: str, more: Mapping[str, Any] | None = None, **states: Any) -> None:
        """A note, not an intent: `rollback` undoes the day's changes, and a move is undone by a move."""
        parameters = {"what": what, "to": move.to, "turned": move.turned} | dict(more or {})
        journal.append(self.ledger, journal.Entry("note", KIND, move.account, self.origin, parameters, **states))
