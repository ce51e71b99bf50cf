"""A mailbox's quota, compared before it is hit: what new lacks, and the copies that wait until that is known."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from bascule.mailbox.imap.quota import Quota
from bascule.mailbox.problems import PassProblems
from bascule.problems.model import LOOK_AGAIN, Action, Option, Proposal

QUOTA = "quota"  # the kind of this problem, and its subject: an account has one
HEADROOM = 10  # percent that a raised quota leaves free: a mailbox that is full to the brim takes no new mail
WHOLE = 1_048_576  # a proposed quota is a multiple of this


@dataclass(frozen=True)
class Shortage:
    """A mailbox that does not fit: what is to be copied, and both sides' quotas."""

    octets: int
    messages: int
    old: Quota
    new: Quota

    @property
    def proposed(self) -> int:
        """The quota in bytes that takes everything: never less than old allowed."""
        wanted = (self.new.used + self.octets) * (100 + HEADROOM) // 100
        return -(-max(wanted, self.old.limit or 0, self.new.limit or 0) // WHOLE) * WHOLE


class HeldCopies:
    """Copies that wait until every folder was looked at, and it is known whether all of them fit."""

    def __init__(self) -> None:
        self.messages = self.octets = 0
        self._held: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def hold(self, messages: int, octets: int, begin: Callable[[], None]) -> None:
        with self._lock:
            self.messages, self.octets = self.messages + messages, self.octets + octets
            self._held.append(begin)

    def release(self) -> None:
        held, self._held = self._held, []
        for begin in held:
            begin()


def report_full(problems: PassProblems, text: str, new: Quota) -> None:
    """New said that the quota is full, although it seemed to be large enough, or did not tell it before."""
    problems.add(
        QUOTA, QUOTA,
        "The account's quota on the new server is full: the rest of the mailbox can't be copied. "
        "Raise the quota there, then let Bascule look again.",
        facts={"limit": new.limit}, details={"used on new": new.used} if new.limit is not None else {},
        server_words=text, proposal=LOOK_AGAIN,
    )  # fmt: skip


def report_shortage(problems: PassProblems, short: Shortage) -> None:
    """What is to be copied is more than the quota leaves; nothing of it was copied."""
    by_size = short.new.left is not None and short.octets > short.new.left
    what = (
        f"{short.octets:,} bytes are to be copied, and the quota of {short.new.limit:,} bytes leaves {short.new.left:,}"
        if by_size
        else f"{short.messages:,} messages are to be copied, and the quota of {short.new.most_messages:,} messages "
        f"leaves {short.new.messages_left:,}"
    )
    problems.add(
        QUOTA, QUOTA,
        f"The mailbox does not fit into the account's quota on the new server: {what}. Nothing more is copied "
        "until this is decided, since a full mailbox would take no new mail.",
        facts={"limit": short.new.limit, "most messages": short.new.most_messages},
        details={
            "bytes to copy": short.octets,
            "messages to copy": short.messages,
            "bytes used on new": short.new.used,
            "bytes used on old": short.old.used or None,
            "quota on old in bytes": short.old.limit,
        },
        proposal=Proposal(Action.RAISE_QUOTA, bytes=short.proposed) if by_size else LOOK_AGAIN,
    )  # fmt: skip


def carry_out_decision(problems: PassProblems) -> None:
    """All fits into new's quota: what was decided about it has helped."""
    decided = problems.decided(QUOTA, QUOTA)
    if decided is not None and decided[1].option is Option.APPLY:
        problems.carried_out(decided[1])
