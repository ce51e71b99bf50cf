"""What a pass carries of folders besides messages: access rights and annotations, where both servers have them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from bascule.ledger import carried
from bascule.ledger.carried import Carried
from bascule.logs import get_logger
from bascule.mailbox import annotations, rights
from bascule.mailbox.context import PassContext
from bascule.mailbox.errors import NotUnderstood, Refused, TransientError, passes_by_itself
from bascule.mailbox.extra_kinds import Failed, Kind, covers, fitted, kinds_of, missing_on, problem_of
from bascule.mailbox.folders import Surroundings
from bascule.mailbox.lanes import Lane
from bascule.mailbox.merging import Step, Value, Values, changed_on_old, merge
from bascule.mailbox.rights import Rights
from bascule.mailbox.session import Pending, Session
from bascule.mailbox.state import FolderState, name_hash

if TYPE_CHECKING:
    from sqlalchemy.orm import Session as LedgerSession

log = get_logger(__name__)

AT_ONCE = 25  # folders looked at together: it bounds the memory, and what may be unanswered on a connection


@dataclass(frozen=True)
class Todo:
    """One step in one folder."""

    folder: FolderState
    step: Step

    @property
    def key(self) -> str:
        return name_hash(self.folder.old.raw)


def carry_extras(context: PassContext, lane: Lane, old: Surroundings, planned: list[FolderState]) -> None:
    """Carry what changed on old since the last pass; what can't be carried is among the problems."""
    for kind in kinds_of(context.job):
        if reason := missing_on(kind, lane.old, lane.new):
            log.warning(reason, account=context.job.account)
            continue
        work = _Work(context, lane, kind)
        work.carry(planned)
        work.report()
    if not context.dry_run and (context.job.options.acl or context.job.options.metadata):
        _forget_gone(context, old)


def begin_anew(context: PassContext, planned: Iterable[FolderState]) -> None:
    """Folders that are not on new (any more): what was put there before went with them."""
    if not kinds_of(context.job) or context.dry_run:
        return
    known = carried.known_folders(context.troubles.ledger, context.job.account)
    absent = {name_hash(state.old.raw) for state in planned if state.new is None} & known
    if absent:
        with context.troubles.ledger.session() as session:
            carried.forget_folders(session, context.job.account, absent)


def _forget_gone(context: PassContext, old: Surroundings) -> None:
    ledger, account = context.troubles.ledger, context.job.account
    gone = carried.known_folders(ledger, account) - {name_hash(raw) for raw in old.folders}
    if gone:
        with ledger.session() as session:
            carried.forget_folders(session, account, gone)


class _Work:
    """One kind in one pass."""

    def __init__(self, context: PassContext, lane: Lane, kind: Kind) -> None:
        self.context, self.lane, self.kind = context, lane, kind
        self.known = carried.carried(context.troubles.ledger, context.job.account, kind.what)
        self.failed: list[Failed] = []
        self.left_out: list[Failed] = []  # by decision

    def carry(self, planned: Iterable[FolderState]) -> None:
        rest = iter(planned)
        while some := list(islice(rest, AT_ONCE)):
            self._carry(some)

    def _carry(self, folders: list[FolderState]) -> None:
        on_old = self._read(self.lane.old, [(state, state.old.raw) for state in folders], is_old=True)
        differing = [state for state in folders if self._differs(state, on_old)]
        on_new = self._read(
            self.lane.new, [(state, state.new_raw) for state in differing if state.new is not None], is_old=False
        )
        todo = [
            Todo(state, step)
            for state in differing
            if state.new is None or state.new_raw in on_new
            for step in merge(on_old[state.old.raw], on_new.get(state.new_raw, {}), self._of(state), self.kind.unite)
        ]
        for item in todo:
            if item.step.stays:
                log.info(
                    "changed on new, so it stays", what=self.kind.what, folder=item.folder.shown, name=item.step.name
                )
        todo = self._vetted(todo)
        if self.context.dry_run:
            self._dry(todo)
        elif todo:
            self._apply(todo)

    def _differs(self, state: FolderState, on_old: Mapping[bytes, Values]) -> bool:
        return state.old.raw in on_old and changed_on_old(on_old[state.old.raw], self._of(state))

    def _of(self, state: FolderState) -> dict[str, Carried]:
        return self.known.get(name_hash(state.old.raw), {})

    # -- reading

    def _read(
        self, session: Session, folders: list[tuple[FolderState, bytes]], *, is_old: bool
    ) -> dict[bytes, dict[str, Value]]:
        """The entries of each folder, by its name there; without the folders of which the server does not tell."""
        asked = [(state, raw, self.kind.begin(session, raw)) for state, raw in folders]
        found: dict[bytes, dict[str, Value]] = {}
        for state, raw, pending in asked:
            try:
                session.finish(pending)
            except Refused as error:
                self._unreadable(state, error, is_old)
                continue
            values = self.kind.values(session, pending, is_old=is_old)
            if self.kind.what == "metadata":
                self._too_large(state, pending, values, is_old)
            found[raw] = fitted(self.kind, values, self.lane.new) if is_old else values
        return found

    def _unreadable(self, state: FolderState, error: Refused, is_old: bool) -> None:
        _raise_if_passing(error)
        side = "old" if is_old else "new"
        log.warning("can't be read", what=self.kind.what, side=side, folder=state.shown, server_words=error.words)
        if self.kind.what == "metadata":
            self._fail(state, "*", Value(error.code, b""), f"{side} does not tell its annotations: {error.words}")

    def _too_large(self, state: FolderState, pending: Pending, values: dict[str, Value], is_old: bool) -> None:
        """Annotations beyond the limit: old's are named as far as the server names them, new's are not overwritten."""
        limit = annotations.LARGEST_VALUE
        largest = annotations.too_large(pending)
        beyond = [name for name, value in values.items() if len(value.data) > limit]
        if is_old:
            for name in beyond:
                self._fail(state, name, values.pop(name), f"it is larger than {limit} bytes")
            if largest:
                words = f"old has annotations of up to {largest} bytes here; up to {limit} bytes are carried"
                self._fail(state, "*", Value(str(largest), b""), words)
        elif largest:
            log.warning("annotations on new are larger than what is looked at", folder=state.shown, largest=largest)

    def _fail(self, state: FolderState, name: str, old: Value, words: str) -> None:
        self.failed.append(Failed(state.shown, name, old, words))

    # -- who and what is not sent

    def _vetted(self, todo: list[Todo]) -> list[Todo]:
        """Without what must not be sent: that becomes a problem, or was decided."""
        todo = [item for item in todo if not self._is_left_out(item)]
        puts = [item for item in todo if item.step.act == "put"]
        reasons = self._strangers(puts) if isinstance(self.kind, Rights) else _unsayable(puts)
        for item in puts:
            if item.step.name in reasons and item.step.old is not None:
                self._fail(item.folder, item.step.name, item.step.old, reasons[item.step.name])
        return [item for item in todo if item.step.act != "put" or item.step.name not in reasons]

    def _is_left_out(self, item: Todo) -> bool:
        """Whether a person decided not to carry this very value."""
        step, folder = item.step, item.folder.shown
        if step.act != "put" or step.old is None:
            return False
        failed = Failed(folder, step.name, step.old, "")
        decided = self.context.troubles.left_out(*problem_of(self.kind.what, failed))
        if decided is None or not covers(self.kind.what, decided[0].facts, failed):
            return False
        self.left_out.append(failed)
        self.context.troubles.carried_out(decided[1])
        return True

    def _strangers(self, puts: Collection[Todo]) -> dict[str, str]:
        wanted = {item.step.name for item in puts}
        reasons = {name: "this is no name that a server can be told" for name in wanted if not rights.is_sayable(name)}
        people = {rights.person(name) for name in wanted - set(reasons) if rights.is_person(name)}
        ask = self.context.job.options.known_accounts
        unknown = people - ask(people) if ask is not None and people else set()
        return reasons | {
            name: "the directory does not know this name" for name in wanted if rights.person(name) in unknown
        }

    # -- writing

    def _dry(self, todo: list[Todo]) -> None:
        for item in todo:
            if item.step.act in ("put", "remove"):
                log.info(
                    "dry run: this would change", what=self.kind.what, folder=item.folder.shown, name=item.step.name,
                    act=item.step.act,
                )  # fmt: skip

    def _apply(self, todo: list[Todo]) -> None:
        """Write down what is intended, do it, look whether it is there, and write that down."""
        acts = [item for item in todo if item.step.act in ("put", "remove")]
        self._intend([item for item in acts if item.step.act == "put"])
        refused = self._send(acts)
        changed = {item.folder.new_raw: item.folder for item in acts}
        after = self._read(self.lane.new, [(state, raw) for raw, state in changed.items()], is_old=False)
        with self.context.troubles.ledger.session() as session:
            for item in todo:
                words = refused.get(id(item), "") or self._not_there(item, after)
                self._conclude(session, item, words, after.get(item.folder.new_raw, {}))

    def _intend(self, puts: list[Todo]) -> None:
        if not puts:
            return
        with self.context.troubles.ledger.session() as session:
            for item in puts:
                step, known = item.step, self._of(item.folder).get(item.step.name)
                assert step.new is not None
                before = known or Carried(step.name, None, None, None, step.ours)
                entry = replace(before, intended=step.new.token, ours=step.ours)
                carried.remember(session, self.context.job.account, item.key, self.kind.what, entry)

    def _send(self, acts: list[Todo]) -> dict[int, str]:
        """Send all, and give the server's words about those that it refused.

        A BAD ends the connection; what was not answered then is sent again one by one (each may be sent twice).
        """
        refused: dict[int, str] = {}
        answered: set[int] = set()
        session = self.lane.new
        asked: list[tuple[Todo, Pending]] = []
        try:
            for item in acts:
                asked.append((item, self._begin(session, item)))
            for item, pending in asked:
                _finish(session, pending, item, refused)
                answered.add(id(item))
        except TransientError:
            if not any(pending.status is not None and pending.status.kind == "BAD" for _, pending in asked):
                raise
            for item in acts:
                if id(item) not in answered:
                    self._send_alone(item, refused)
        return refused

    def _send_alone(self, item: Todo, refused: dict[int, str]) -> None:
        session = self.lane.new
        try:
            _finish(session, self._begin(session, item), item, refused)
        except NotUnderstood as error:
            refused[id(item)] = str(error)

    def _begin(self, session: Session, item: Todo) -> Pending:
        step, raw = item.step, item.folder.new_raw
        if step.act == "remove":
            return self.kind.begin_remove(session, raw, step.name)
        assert step.new is not None
        return self.kind.begin_put(session, raw, step.name, step.new)

    def _not_there(self, item: Todo, after: Mapping[bytes, Values]) -> str:
        step = item.step
        if step.act != "put" or step.new is None:
            return ""
        if item.folder.new_raw not in after:
            return "the new server took it and does not tell whether it is there"
        there = after[item.folder.new_raw].get(step.name)
        if there is None:
            return "the new server took it and does not have it"
        lacking = set(step.new.token) - set(there.token) if self.kind.what == "acl" else there.token != step.new.token
        return f"the new server took it and has {there.token!r}" if lacking else ""

    def _conclude(self, session: "LedgerSession", item: Todo, words: str, after: Values) -> None:
        step, account, what = item.step, self.context.job.account, self.kind.what
        known = self._of(item.folder).get(step.name)
        if words and step.old is not None:
            self._fail(item.folder, step.name, step.old, words)
            if known is None:
                carried.forget(session, account, item.key, what, step.name)
            else:
                carried.remember(session, account, item.key, what, replace(known, intended=None))
        elif words:
            log.warning("not removed on new", what=what, folder=item.folder.shown, name=step.name, server_words=words)
        elif step.act in ("remove", "forget"):
            carried.forget(session, account, item.key, what, step.name)
        else:
            there = after.get(step.name, step.new) if step.act == "put" else step.new
            assert step.old is not None
            entry = Carried(step.name, step.old.token, there.token if there else None, None, step.ours)
            carried.remember(session, account, item.key, what, entry)
        if not words and step.act in ("put", "remove"):
            log.info("carried", what=what, folder=item.folder.shown, name=step.name, act=step.act)

    # -- the end

    def report(self) -> None:
        """The problems of this kind."""
        troubles = self.context.troubles
        if self.kind.what == "metadata":
            for failed in self.failed:
                if not self._is_decided(failed):
                    troubles.annotation(failed.folder, failed.name, failed.old.token, failed.words)
            return
        by_name: dict[str, list[Failed]] = {}
        for failed in self.failed:
            by_name.setdefault(failed.name, []).append(failed)
        for name, several in by_name.items():
            before = [one for one in self.left_out if one.name == name]
            troubles.unknown_identifier(name, {one.folder: one.old.token for one in before + several}, several[0].words)

    def _is_decided(self, failed: Failed) -> bool:
        """Whether a person decided to leave this out, which was never a step (larger than what is looked at)."""
        decided = self.context.troubles.left_out(*problem_of(self.kind.what, failed))
        if decided is None or not covers(self.kind.what, decided[0].facts, failed):
            return False
        self.context.troubles.carried_out(decided[1])
        return True


def _finish(session: Session, pending: Pending, item: Todo, refused: dict[int, str]) -> None:
    try:
        session.finish(pending)
    except Refused as error:
        _raise_if_passing(error)
        refused[id(item)] = error.words


def _raise_if_passing(error: Refused) -> None:
    """Trouble that passes by itself is tried again; but a server's bug with these must not hold back the mail."""
    if passes_by_itself(error) and error.code not in ("SERVERBUG", "CONTACTADMIN"):
        raise TransientError(str(error)) from None


def _unsayable(puts: Iterable[Todo]) -> dict[str, str]:
    wanted = {item.step.name for item in puts}
    return {name: "this is no name of an annotation" for name in wanted if not annotations.is_sayable(name)}
