"""The acts of a move on a real site."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bascule import mailbox
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, moves
from bascule.ledger.moves import Server, other
from bascule.mailbox import MailboxFailed, TransientError
from bascule.mailbox.back import sync_back
from bascule.mailbox.job import job_back
from bascule.mailbox.result import PassResult
from bascule.moves.entry import Entry
from bascule.moves.kept_out import AHEAD, LONGEST_DELAY, KeptOut
from bascule.moves.mail import Mail
from bascule.moves.sessions import Sessions
from bascule.problems import store
from bascule.sieve import sync as filters
from bascule.text.logs import get_logger

log = get_logger(__name__)

# Acts 6 and 7 take no longer than so much of what came before them, in nine of ten of 200 moves at loads of 3 to 13.
# Each part says how slow the machine is now, and misses by itself; a pass without a lock does more than the last one.
LOOKS, OF_PASS, OF_HOLDING = 4.0, 0.5, 2.0
FLIP_AT = 0.8  # of a second: who is ended by the kick logs in again early in the next one
UIDS_CHANGED = "uids-changed"  # all of the folder is there, and going back gives it no UIDs back
PASSES = 3  # last passes at most, where sessions come back behind one


class FiltersWait(Exception):
    """Raised when a filter was put on old behind the passes without a lock and needs a person."""


class MailboxWaits(Exception):
    """Raised when the last pass has met what the passes without a lock had not, and it needs a person."""


class SiteActs:
    """One account on the site. `owner` holds its lease. `pass_seconds`: what the last pass without a lock took.

    `filters_carried`: its filters were, by this process: what another one has left of them is not known here.
    `decide`: decides problems of its mailbox as the site file says; returns how many.
    """

    def __init__(self, access: Access, ledger: Ledger, account: str, owner: str) -> None:
        self.access, self.ledger, self.account, self.owner = access, ledger, account, owner
        left = moves.under_way(ledger, account)
        self.entry = Entry(access, account, left.before if left else None)
        self.mail = Mail(access, account, self.entry)
        self.sessions = Sessions(access, account)
        self.filters_carried = False
        self.decide: Callable[[], int] = lambda: 0
        self.pass_seconds = self._hold_seconds = self._look_seconds = 0.0
        self._delayed_until = self._flip_seconds = 0.0
        self._kept_out: KeptOut | None = None
        self._keeping_out = ExitStack()
        self._came_in, self._open_for = 0, 0.0  # during all last passes of this process, also those that failed

    def before(self, *, also_held: bool = False) -> dict[str, Any]:
        """Also opens what the acts need, so that none of them waits for a connection."""
        state = self.entry.check(also_held=also_held)
        self.mail.open()
        self.sessions.open()
        return state

    def let_go_of_stray_hold(self) -> bool:
        """Take a hold away that no move has: of a preflight that was killed, or of a process that slept too long.

        Whether there was one.
        """
        if not self.entry.is_held():
            return False
        log.warning("mail is held though nobody moves the account: it is let go", account=self.account)
        self.mail.release()
        return True

    def is_at(self, server: Server) -> bool:
        return self.entry.is_at(server)

    def hold(self) -> None:
        began = time.monotonic()
        self.mail.hold()
        self._hold_seconds = time.monotonic() - began

    def wait_until_quiet(self, to: Server) -> None:
        """And for the end of this second, here and not in the flip: before that it is asked whose the account is.

        A proxy waits from a login on for the instant less the login's time without its fraction of a second (seen with
        Dovecot 2.3), so for longer by that fraction: hence the flip right before a whole second.
        """
        self._look_seconds = self.mail.wait_until_quiet(to)
        time.sleep((FLIP_AT - time.time()) % 1)

    def flip(self, to: Server) -> float:
        """Who logs in waits until the last pass will have ended, as long as acts take here and now.

        And somewhat longer, so that the instant is seldom put off then: who comes after that would wait longer by
        seconds.
        """
        still_to_come = LOOKS * self._look_seconds + OF_PASS * self.pass_seconds + OF_HOLDING * self._hold_seconds
        delay = min(LONGEST_DELAY, max(self.entry.part.delay_seconds, still_to_come) + AHEAD)
        self.let_in()
        began = time.time()
        until = round(began + delay)
        self.entry.flip(to, until)
        self._delayed_until, self._flip_seconds = until, time.time() - began
        return until

    def kick(self, to: Server) -> None:
        """From here on the user is kept out: a proxy or a server that hangs may take longer than logins wait."""
        self._keep_out()
        self.sessions.kick(to)

    def _keep_out(self) -> KeptOut:
        if self._kept_out is None:
            longest = self.entry.part.longest_hold / 2
            kept = KeptOut(self._delayed_until, longest, self.entry.delay, self.sessions, self._flip_seconds)
            self._kept_out = self._keeping_out.enter_context(kept)
        return self._kept_out

    def let_in(self) -> None:
        """The user is not kept out any more: all is there, or somebody else goes on with the move."""
        self._keeping_out.close()
        if self._kept_out is not None:
            self._came_in += self._kept_out.came_in
            self._open_for += self._kept_out.open_for
            self._kept_out = None

    def carry(self, to: Server) -> dict[str, Any]:
        """What the MX had routed before it saw the hold, or who logged in before the flip, may come behind a pass."""
        kept_out = self._keep_out()
        done = self._passes(to)
        self.let_in()
        return done | self._who_came_in() | {"kept_out_longer": round(kept_out.longer, 1)}

    def _who_came_in(self) -> dict[str, Any]:
        """What the journal has of it; nothing where nobody can have been inside."""
        told: dict[str, Any] = {}
        if self._came_in:
            told["came_in"] = self._came_in
            log.warning("somebody came in before the last pass had ended", account=self.account, **told)
        if self._open_for:
            told["open_for"] = math.ceil(10 * self._open_for) / 10
            log.warning("nothing kept logins waiting until the last pass had ended", account=self.account, **told)
        return told

    def _passes(self, to: Server) -> dict[str, Any]:
        """Until one has no session behind it. Raises AccessError."""
        for _ in range(PASSES):
            self.mail.wait_until_quiet(to)
            done = self._pass(to)
            if not self.sessions.on(other(to)):
                return done
            self.sessions.kick(to)
        raise AccessError(f"sessions of {self.account} come back to {other(to)} again and again, past the proxy")

    def release(self, to: Server) -> None:
        self.mail.release()

    def release_without_entry(self) -> None:
        self.mail.release_without_entry()

    def prove(self, to: Server) -> None:
        self.sessions.prove(to)
        self.mail.prove(to)

    def _pass(self, to: Server) -> dict[str, Any]:
        try:
            if to == "new":
                result = self._pass_to_new()
            else:
                result = sync_back(job_back(self.access, self.account), self.ledger, owner=self.owner)
        except (TransientError, MailboxFailed) as error:
            raise AccessError(str(error)) from None
        return {
            "copied": result.copied, "flags": result.flags_changed, "removed": result.removed,
            "verified": result.verified, "problems": result.problems, "filters": self._filters() if to == "new" else 0,
        }  # fmt: skip

    def _pass_to_new(self) -> PassResult:
        """What it meets and nobody has decided is not left behind. Raises MailboxWaits, after all else was carried."""
        job = mailbox.job_for(self.access, self.account)
        result = mailbox.sync_mailbox(job, self.ledger, owner=self.owner)
        if result.problems and self.decide():
            result = mailbox.sync_mailbox(job, self.ledger, owner=self.owner)
        if self.account in store.kept_on_old(self.ledger, self.account):
            raise MailboxWaits("it was decided during the move that this mailbox stays on old")
        found = store.problems(self.ledger, account=self.account, room="mailbox") if result.problems else []
        if waiting := [problem for problem in found if problem.kind != UIDS_CHANGED]:
            raise MailboxWaits(
                f"the last pass has met {len(waiting)} problem(s) of the mailbox that wait for a person (the first: "
                f"{waiting[0].explanation}). Run `problems` for it, then `move` again"
            )
        return result

    def _filters(self) -> int:
        """What was put or switched on old behind the passes without a lock, before mail is delivered by it on new."""
        if self.filters_carried and not filters.changed_on_old(self.access, self.ledger, self.account):
            return 0
        self.filters_carried = False
        counts = filters.sync_filters(self.access, self.ledger, [self.account], owner=self.owner)
        if counts.waiting:
            raise FiltersWait(
                f"a filter that {self.account} has changed on old during the move waits for a person: run `problems` "
                "for it, then `move` again"
            )
        self.filters_carried = True
        return counts.put + counts.activated
