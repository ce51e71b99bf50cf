"""The cases of the engine's tests, and the pair of servers on which they run."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, TransientError, sync_mailbox
from bascule.mailbox.doveadm import Doveadm

from tests.imap_relay import Faults, relay
from tests.mail_servers import Dovecot
from tests.mailbox_states import Account, parse


@dataclass(frozen=True)
class Case:
    """`old` and `new` before the first pass; `old_then`, `new_then` after it (None: no change, and no second pass)."""

    name: str
    old: str
    new: str
    expected: str
    old_then: str | None = None
    new_then: str | None = None


CASES = [
    Case("first copy", "INBOX: a b/S c/SF+work; Sent: d/A; Empty:", "", "INBOX: a b/S c/SF+work; Sent: d/A; Empty:"),
    Case("hierarchy", "A/B/C: a; A/B: b; Réunions/2018 été: c", "", "A/B/C: a; A/B: b; Réunions/2018 été: c"),
    Case("same mail twice", "INBOX: a a b", "", "INBOX: a a b"),
    Case("same id, other body", "INBOX: a a'", "INBOX: a", "INBOX: a a'"),
    Case("beta tester's own mail stays", "INBOX: a b", "INBOX: q/S z", "INBOX: a b q/S z"),
    Case("found by content", "INBOX: a b/F c", "INBOX: b/S c", "INBOX: a b/SF c"),
    Case("no Message-Id", "INBOX: x xx x", "INBOX: x", "INBOX: x xx x"),
    Case("new mail", "INBOX: a b", "", "INBOX: a b c d/S", "INBOX: a b c d/S"),
    Case("flags from old", "INBOX: a b c/S", "", "INBOX: a/S b c/F+new", "INBOX: a/S b c/F+new"),
    Case("flags on new stay", "INBOX: a b", "", "INBOX: a/S b", None, "INBOX: a/S b"),
    Case("flags on both sides", "INBOX: a b/F", "", "INBOX: a/SF b/S", "INBOX: a/F b", "INBOX: a/S b/FS"),
    Case("flags of before stay", "INBOX: a b c/S", "INBOX: a/F b/F", "INBOX: a/FS b/F c", "INBOX: a/S b c"),
    Case("removed on old", "INBOX: a b c", "INBOX: z", "INBOX: a c z", "INBOX: a c"),
    Case("removed on old, changed on new", "INBOX: a b", "", "INBOX: a b/F", "INBOX: a", "INBOX: a b/F"),
    Case("removed on old, was on new before", "INBOX: a b", "INBOX: b", "INBOX: a b", "INBOX: a"),
    Case("removed on new", "INBOX: a b", "", "INBOX: a c", "INBOX: a b c", "INBOX: a"),
    Case("folder added and removed", "Old: a; Kept: b", "", "Kept: b; New: c", "Kept: b; New: c"),
    Case(
        "everything at once", "INBOX: a b c d; Sent: e f/S", "INBOX: z; Mine: y",
        "INBOX: a/S c d/F g z; Sent: e f/S h; Mine: y; More: i",
        "INBOX: a/S c d g; Sent: e f/S h; More: i", "INBOX: a b c d/F z; Sent: e f/S; Mine: y",
    ),
]  # fmt: skip


@dataclass
class Pair:
    """Old and new behind relays that share their faults."""

    old: Dovecot
    new: Dovecot
    old_port: int
    new_port: int
    faults: Faults
    without: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())  # capabilities not used: old, new
    keeps_uids: bool = False  # new can be commanded; what is told to it counts as commands, and is cut like them

    def job(self, user: str, options: Options) -> MailboxJob:
        old, new = self.old.server(user), self.new.server(user)
        return MailboxJob(
            user,
            replace(old, endpoint=replace(old.endpoint, port=self.old_port), without=self.without[0]),
            replace(new, endpoint=replace(new.endpoint, port=self.new_port), without=self.without[1]),
            options,
            self._doveadm(user) if self.keeps_uids else None,
        )

    def _doveadm(self, user: str) -> Callable[[], Doveadm]:
        opened = self.new.doveadm(user)
        return lambda: cast(Doveadm, CutDoveadm(opened(), self.faults))

    def old_account(self, user: str) -> Account:
        return Account(self.old.port, user, ".")

    def new_account(self, user: str) -> Account:
        return Account(self.new.port, user, "/")


@dataclass
class CutDoveadm:
    """Commands to new's Dovecot that are carried out, and whose answers may be lost."""

    doveadm: Doveadm
    faults: Faults

    def update(self, folder: bytes, **given: int) -> None:
        self.doveadm.update(folder, **given)
        if self.faults.command():
            raise TransientError("the SSH connection broke")

    @property
    def takes_placeholders(self) -> bool:
        return self.doveadm.takes_placeholders

    @property
    def limits_rights(self) -> bool:
        return self.doveadm.limits_rights

    def close(self) -> None:
        self.doveadm.close()


@contextlib.contextmanager
def relayed_pair(old: Dovecot, new: Dovecot) -> Iterator[Pair]:
    faults = Faults()
    with relay(old.port, faults) as old_port, relay(new.port, faults) as new_port:
        yield Pair(old, new, old_port, new_port, faults)


def prepare(pair: Pair, case: Case, ledger: Ledger, options: Options) -> MailboxJob:
    """Everything before the pass that is looked at."""
    user = f"u{uuid.uuid4().hex[:12]}"
    pair.faults.arm(None)
    with pair.old_account(user) as old, pair.new_account(user) as new:
        old.make(parse(case.old))
        new.make(parse(case.new))
        job = pair.job(user, options)
        if case.old_then is not None or case.new_then is not None:
            sync_mailbox(job, ledger)
        if case.old_then is not None:
            old.make(parse(case.old_then))
        if case.new_then is not None:
            new.make(parse(case.new_then))
    return job


def check(pair: Pair, case: Case, job: MailboxJob, ledger: Ledger, where: str) -> None:
    """As expected; and one more pass changes nothing."""
    with pair.new_account(job.account) as new:
        assert new.read() == parse(case.expected), f"{case.name}, {where}"
    again = sync_mailbox(job, ledger)
    assert (again.copied, again.flags_changed, again.removed, again.problems) == (0, 0, 0, 0), f"{case.name}, {where}"
    with pair.new_account(job.account) as new:
        assert new.read() == parse(case.expected), f"{case.name}, {where}, one more pass"
