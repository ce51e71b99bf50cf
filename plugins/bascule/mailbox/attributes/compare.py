"""Whether rights and annotations are on new as on old: both servers are asked again, and compared entry by entry."""

from collections.abc import Iterable, Mapping

from bascule.ledger import Ledger, carried
from bascule.ledger.carried import Carried
from bascule.mailbox.attributes.kinds import CALLED, Kind, fitted, kinds_of, missing_on
from bascule.mailbox.attributes.problems import Failed, covers, problem_of
from bascule.mailbox.attributes.three_way import Value
from bascule.mailbox.imap.errors import Refused
from bascule.mailbox.imap.session import Session
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.state.folder import name_hash
from bascule.mailbox.workers import Sessions
from bascule.problems import rules, store
from bascule.text.mutf7 import display


class AttributesAudit:
    """What the site file asks to be carried besides messages, compared folder by folder."""

    def __init__(self, job: MailboxJob, ledger: Ledger, sessions: Sessions) -> None:
        self.sessions = sessions
        self.kinds = [kind for kind in kinds_of(job) if not missing_on(kind, sessions.source, sessions.destination)]
        self.known = {kind.what: carried.carried(ledger, job.account, kind.what) for kind in self.kinds}
        self.left_out = {
            (problem.kind, problem.subject): problem.facts
            for problem, decision in store.decisions(ledger, job.account, "mailbox")
            if rules.leaves_out(decision)
        }

    def folder(self, old_encoded: bytes, new_encoded: bytes) -> list[str]:
        """Every difference of one folder, as a sentence."""
        return [sentence for kind in self.kinds for sentence in self._compare(kind, old_encoded, new_encoded)]

    def _compare(self, kind: Kind, old_encoded: bytes, new_encoded: bytes) -> Iterable[str]:
        old, new = self.sessions.source, self.sessions.destination
        try:
            on_old = fitted(kind, self._read(kind, old, old_encoded, is_old=True), new)
            on_new = self._read(kind, new, new_encoded, is_old=False)
        except Refused as error:
            return [f"{CALLED[kind.what]} can't be read: {error.text}"]
        known = self.known[kind.what].get(name_hash(old_encoded), {})
        return [
            f"{CALLED[kind.what]}: {_difference(kind, name, value, on_new.get(name))}{_since(known, name, value)}"
            for name, value in sorted(on_old.items())
            if not _is_there(kind, value, on_new.get(name))
            and not _stays(known, name, value, on_new.get(name))
            and not self._is_left_out(kind, Failed(display(old_encoded), name, value, ""))
        ]

    @staticmethod
    def _read(kind: Kind, session: Session, encoded: bytes, *, is_old: bool) -> dict[str, Value]:
        return kind.values(session, session.finish(kind.begin(session, encoded)), is_old=is_old)

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


def _difference(kind: Kind, name: str, wanted: Value, there: Value | None) -> str:
    if kind.what == "acl":
        return f"{name} has {wanted.token} on old and {there.token if there else 'nothing'} on new"
    return f"{name} is {'another' if there else 'not'} on new"


def _since(known: Mapping[str, Carried], name: str, wanted: Value) -> str:
    entry = known.get(name)
    return " (it was carried, and changed on new since)" if entry and entry.ours and entry.old == wanted.token else ""
