"""The problems of one pass: collected, matched with the decisions in force, written to the ledger at the end.

What kinds there are, and what each says to people, stands in the rooms that meet them.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bascule.ledger import Ledger
from bascule.ledger.base import now
from bascule.mailbox.imap.errors import MailboxFailed
from bascule.problems import store
from bascule.problems.model import LEAVE_OUT, LOOK_AGAIN, Decision, Option, Problem, Proposal, Room
from bascule.text.logs import get_logger

log = get_logger(__name__)

ROOM: Room = "mailbox"
Decided = tuple[Problem, Decision]  # the problem as the person saw it who decided


@dataclass
class PassProblems:
    """What this pass met. All sessions add under the lock."""

    ledger: Ledger
    account: str
    found: list[Problem] = field(default_factory=list)
    dateless: Counter[str] = field(default_factory=Counter)  # folder -> messages of which old tells no readable date
    without_any_date: int = 0  # of these
    applied: set[int] = field(default_factory=set)  # problems whose decision this pass has carried out
    lock: threading.Lock = field(default_factory=threading.Lock)
    open_before: list[Problem] = field(default_factory=list)  # met by earlier passes, and nobody has decided
    _decided: dict[tuple[str, str], Decided] = field(default_factory=dict)
    _open_before: dict[tuple[str, str], Problem] = field(default_factory=dict)
    _loaded_at: datetime = field(default_factory=now)
    _look_again: set[int] = field(default_factory=set)  # ids of open problems

    def load(self) -> None:
        """Read the decisions in force, and what nobody has decided about yet."""
        self._loaded_at = now()
        for problem, decision in store.decisions(self.ledger, self.account, ROOM):
            self._decided[problem.kind, problem.subject] = (problem, decision)
        self.open_before = store.problems(self.ledger, account=self.account, room=ROOM)
        self._open_before = {(problem.kind, problem.subject): problem for problem in self.open_before}
        self._look_again = store.to_look_at_again(self.ledger, self.account, ROOM)

    def decided(self, kind: str, subject: str) -> Decided | None:
        """What a person chose for this problem, on the same facts."""
        return self._decided.get((kind, subject))

    def all_decided(self) -> Iterator[Decided]:
        return iter(self._decided.values())

    def keep_on_old(self) -> Decision | None:
        """Whether a person chose that this mailbox stays where it is."""
        chosen = (decision for _, decision in self.all_decided() if decision.option is Option.KEEP_ON_OLD)
        return next(chosen, None)

    def carried_out(self, decision: Decision) -> None:
        with self.lock:
            self.applied.add(decision.problem_id)

    def add(
        self, kind: str, subject: str, explanation: str, *, facts: Mapping[str, Any],
        details: Mapping[str, Any] | None = None, server_words: str = "", proposal: Proposal = LOOK_AGAIN,
        cause: str = "",
    ) -> None:  # fmt: skip
        """A problem was met (again). Those of one `cause` are one question."""
        problem = Problem(
            self.account, ROOM, kind, subject, explanation, dict(facts), dict(details or {}), server_words, proposal,
            cause=cause,
        )  # fmt: skip
        log.warning(
            "problem in mailbox", account=self.account, kind=kind, subject=subject, explanation=explanation,
            server_words=server_words,
        )  # fmt: skip
        with self.lock:
            self.found.append(problem)

    def unchanged(self, kind: str, subject: str) -> Problem | None:
        """The problem as an earlier pass left it, unless somebody has asked since to look again."""
        found = self._open_before.get((kind, subject))
        return found if found is not None and found.id not in self._look_again else None

    def keep_open(self, problem: Problem) -> None:
        """It is as it was: nothing was tried anew."""
        with self.lock:
            self.found.append(problem)

    def leave_out_or_ask(
        self, kind: str, subject: str, explanation: str, *, facts: Mapping[str, Any], details: Mapping[str, Any]
    ) -> None:
        """Met in every pass, and asked about until a person has decided that it is left out."""
        decided = self.decided(kind, subject)
        if decided is None:
            self.add(kind, subject, explanation, facts=facts, details=details, proposal=LEAVE_OUT, cause=subject)
        else:
            self.carried_out(decided[1])

    def write(self, complete: bool) -> int:
        """Write everything to the ledger; after a complete pass, what was not met again is withdrawn.

        What was decided and was met again all the same is open again. Returns how many problems are open.
        """
        with self.ledger.session() as session:
            store.hold_account(session, self.account)
            met = {store.report(session, problem) for problem in self.found}
            for problem_id in self.applied - met:
                store.settle(session, problem_id)
            if complete:
                store.withdraw_unseen(session, self.account, ROOM, met | self.applied)
            store.reopen_unsettled(session, self.account, (ROOM,), since=self._loaded_at)
        return len(store.problems(self.ledger, account=self.account, room=ROOM))


class NobodyIsAsked(PassProblems):
    """On the way back: what was decided was about the other way, and what is met ends the pass as failed."""

    def load(self) -> None:
        pass

    def write(self, complete: bool) -> int:
        """Raises MailboxFailed; everything else of the mailbox has been carried."""
        if self.found:
            some = "; ".join(problem.explanation for problem in self.found[:5])
            raise MailboxFailed(f"{len(self.found)} thing(s) can't be carried: {some}")
        return 0
