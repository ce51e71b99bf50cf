"""Whether rights and annotations are on new as on old: both servers are asked again, and compared entry by entry."""

from collections.abc import Iterable, Mapping

from bascule.ledger import Ledger, carried, problems
from bascule.ledger.carried import Carried
from bascule.ledger.problems import Option
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.errors import Refused
from bascule.mailbox.extra_kinds import CALLED, Failed, Kind, covers, fitted, kinds_of, missing_on, problem_of
from bascule.mailbox.merging import Value
from bascule.mailbox.names import display
from bascule.mailbox.session import Session
from bascule.mailbox.state import name_hash


class ExtrasAudit:
    """What the site file asks to be carried besides messages, compared folder by folder."""

    def __init__(self, job: MailboxJob, ledger: Ledger, old: Session, new: Session) -> None:
        self.old, self.new = old, new
        self.kinds = [kind for kind in kinds_of(job) if not missing_on(kind, old, new)]
        self.known = {kind.what: carried.carried(ledger, job.account, kind.what) for kind in self.kinds}
        self.left_out = {
            (problem.kind, problem.subject): problem.facts
            for problem, decision in problems.decisions(ledger, job.account, "mailbox")
            if decision.option in (Option.APPLY, Option.LEAVE_OUT)
        }

    def folder(self, old_raw: bytes, new_raw: bytes) -> list[str]:
        """Every difference of one folder, as a sentence."""
        return [words for kind in self.kinds for words in self._compare(kind, old_raw, new_raw)]

    def _compare(self, kind: Kind, old_raw: bytes, new_raw: bytes) -> Iterable[str]:
        try:
            on_old = fitted(kind, self._read(kind, self.old, old_raw, is_old=True), self.new)
            on_new = self._read(kind, self.new, new_raw, is_old=False)
        except Refused as error:
            return [f"{CALLED[kind.what]} can't be read: {error.words}"]
        known = self.known[kind.what].get(name_hash(old_raw), {})
        return [
            f"{CALLED[kind.what]}: {_words(kind, name, value, on_new.get(name))}{_since(known, name, value)}"
            for name, value in sorted(on_old.items())
            if not _is_there(kind, value, on_new.get(name))
            and not _stays(known, name, value, on_new.get(name))
            and not self._is_left_out(kind, Failed(display(old_raw), name, value, ""))
        ]

    @staticmethod
    def _read(kind: Kind, session: Session, raw: bytes, *, is_old: bool) -> dict[str, Value]:
        return kind.values(session, session.finish(kind.begin(session, raw)), is_old=is_old)

    def _is_left_out(self, kind: Kind, failed: Failed) -> bool:
        facts = self.left_out.get(problem_of(kind.what, failed))
        return facts is not None and covers(kind.what, facts, failed)


def _is_there(kind: Kind, wanted: Value, there: Value | None) -> bool:
    if there is None:
        return False
    return set(wanted.token) <= set(there.token) if kind.what == "acl" else wanted.token == there.token


def _stays(known: Mapping[str, Carried], name: str, wanted: Value, there: Value | None) -> bool:
    """Whether a pass has seen that new has its own, and left it."""
    entry = known.get(name)
    seen = there.token if there else None
    return entry is not None and not entry.ours and (entry.old, entry.new) == (wanted.token, seen)


def _words(kind: Kind, name: str, wanted: Value, there: Value | None) -> str:
    if kind.what == "acl":
        return f"{name} has {wanted.token} on old and {there.token if there else 'nothing'} on new"
    return f"{name} is {'another' if there else 'not'} on new"


def _since(known: Mapping[str, Carried], name: str, wanted: Value) -> str:
    entry = known.get(name)
    return " (it was carried, and changed on new since)" if entry and entry.ours and entry.old == wanted.token else ""
