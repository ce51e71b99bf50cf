"""What a pass carries of folders besides messages: access rights and annotations, where both servers have them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from bascule.ledger import carried
from bascule.ledger.carried import Carried
from bascule.mailbox.attributes.acl import Rights, is_person, person
from bascule.mailbox.attributes.kinds import Kind, fitted, kinds_of, missing_on
from bascule.mailbox.attributes.problems import Failed, covers, problem_of, report_annotation, report_identifier
from bascule.mailbox.attributes.three_way import Step, Value, Values, changed_on_old, steps
from bascule.mailbox.context import PassContext
from bascule.mailbox.imap import acl, metadata
from bascule.mailbox.imap.errors import NotUnderstood, Refused, TransientError, passes_by_itself
from bascule.mailbox.imap.folders import FolderList
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.state.folder import FolderState, name_hash
from bascule.mailbox.workers import Sessions
from bascule.problems import rules
from bascule.text.logs import get_logger

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
        return name_hash(self.folder.old.encoded)


def carry_attributes(context: PassContext, sessions: Sessions, old: FolderList, planned: list[FolderState]) -> None:
    """Carry what changed on old since the last pass; what can't be carried is among the problems."""
    for kind in kinds_of(context.job):
        if reason := missing_on(kind, sessions.source, sessions.destination):
            log.warning(reason, account=context.job.account)
            continue
        carrying = _KindCarried(context, sessions, kind)
        carrying.carry(planned)
        carrying.report()
    if not context.dry_run and (context.job.options.acl or context.job.options.metadata):
        _forget_gone(context, old)


def changed_attributes(context: PassContext, sessions: Sessions, planned: list[FolderState]) -> bool:
    """Whether a pass would have to carry anything, or can't read it. Old alone is asked, and nothing is written."""
    kinds = (kind for kind in kinds_of(context.job) if not missing_on(kind, sessions.source, sessions.destination))
    return any(_KindCarried(context, sessions, kind).has_changed(planned) for kind in kinds)


def begin_anew(context: PassContext, planned: Iterable[FolderState]) -> None:
    """Folders that are not on new (any more): what was put there before went with them."""
    if not kinds_of(context.job) or context.dry_run:
        return
    known = carried.known_folders(context.problems.ledger, context.job.account)
    absent = {name_hash(state.old.encoded) for state in planned if state.new is None} & known
    if absent:
        with context.problems.ledger.session() as session:
            carried.forget_folders(session, context.job.account, absent)


def _forget_gone(context: PassContext, old: FolderList) -> None:
    ledger, account = context.problems.ledger, context.job.account
    gone = carried.known_folders(ledger, account) - {name_hash(encoded) for encoded in old.folders}
    if gone:
        with ledger.session() as session:
            carried.forget_folders(session, account, gone)


class _KindCarried:
    """One kind in one pass."""

    def __init__(self, context: PassContext, sessions: Sessions, kind: Kind) -> None:
        self.context, self.sessions, self.kind = context, sessions, kind
        self.known = carried.carried(context.problems.ledger, context.job.account, kind.what)
        self.failed: list[Failed] = []
        self.left_out: list[Failed] = []  # by decision

    def carry(self, planned: Iterable[FolderState]) -> None:
        for some in _slices(planned):
            self._carry(some)

    def has_changed(self, planned: Iterable[FolderState]) -> bool:
        for some in _slices(planned):
            on_old = self._read(self.sessions.source, [(state, state.old.encoded) for state in some], is_old=True)
            if self.failed or any(self._differs(state, on_old) for state in some):
                return True
        return False

    def _carry(self, folders: list[FolderState]) -> None:
        on_old = self._read(self.sessions.source, [(state, state.old.encoded) for state in folders], is_old=True)
        differing = [state for state in folders if self._differs(state, on_old)]
        on_new = self._read(
            self.sessions.destination,
            [(state, state.new_encoded) for state in differing if state.new is not None],
            is_old=False,
        )
        todo = [
            Todo(state, step)
            for state in differing
            if state.new is None or state.new_encoded in on_new
            for step in steps(
                on_old[state.old.encoded], on_new.get(state.new_encoded, {}), self._of(state), self.kind.unite
            )
        ]
        for item in todo:
            if item.step.stays:
                log.info(
                    "changed on new, so it stays", what=self.kind.what, folder=item.folder.name, name=item.step.name
                )
        todo = self._vetted(todo)
        if self.context.dry_run:
            self._dry(todo)
        elif todo:
            self._apply(todo)

    def _differs(self, state: FolderState, on_old: Mapping[bytes, Values]) -> bool:
        return state.old.encoded in on_old and changed_on_old(on_old[state.old.encoded], self._of(state))

    def _of(self, state: FolderState) -> dict[str, Carried]:
        return self.known.get(name_hash(state.old.encoded), {})

    # -- reading

    def _read(
        self, session: Session, folders: list[tuple[FolderState, bytes]], *, is_old: bool
    ) -> dict[bytes, dict[str, Value]]:
        """The entries of each folder, by its name there; without the folders of which the server does not tell."""
        asked = [(state, encoded, self.kind.begin(session, encoded)) for state, encoded in folders]
        found: dict[bytes, dict[str, Value]] = {}
        for state, encoded, pending in asked:
            try:
                session.finish(pending)
            except Refused as error:
                self._unreadable(state, error, is_old)
                continue
            values = self.kind.values(session, pending, is_old=is_old)
            if self.kind.what == "metadata":
                self._too_large(state, pending, values, is_old)
            found[encoded] = fitted(self.kind, values, self.sessions.destination) if is_old else values
        return found

    def _unreadable(self, state: FolderState, error: Refused, is_old: bool) -> None:
        _raise_if_passing(error)
        side = "old" if is_old else "new"
        log.warning("can't be read", what=self.kind.what, side=side, folder=state.name, server_words=error.text)
        if self.kind.what == "metadata":
            self._fail(state, "*", Value(error.code, b""), f"{side} does not tell its annotations: {error.text}")

    def _too_large(self, state: FolderState, pending: Pending, values: dict[str, Value], is_old: bool) -> None:
        """Annotations beyond the limit: old's are named as far as the server names them, new's are not overwritten."""
        limit = metadata.LARGEST_VALUE
        largest = metadata.too_large(pending)
        beyond = [name for name, value in values.items() if len(value.data) > limit]
        if is_old:
            for name in beyond:
                self._fail(state, name, values.pop(name), f"it is larger than {limit} bytes")
            if largest:
                reason = f"old has annotations of up to {largest} bytes here; up to {limit} bytes are carried"
                self._fail(state, "*", Value(str(largest), b""), reason)
        elif largest:
            log.warning("annotations on new are larger than what is looked at", folder=state.name, largest=largest)

    def _fail(self, state: FolderState, name: str, old: Value, reason: str) -> None:
        self.failed.append(Failed(state.name, name, old, reason))

    # -- who and what is not sent

    def _vetted(self, todo: list[Todo]) -> list[Todo]:
        """Without what must not be sent: that becomes a problem, or was decided."""
        todo = [item for item in todo if not self._is_left_out(item)]
        puts = [item for item in todo if item.step.act == "put"]
        reasons = self._strangers(puts) if isinstance(self.kind, Rights) else _invalid(puts)
        for item in puts:
            if item.step.name in reasons and item.step.old is not None:
                self._fail(item.folder, item.step.name, item.step.old, reasons[item.step.name])
        return [item for item in todo if item.step.act != "put" or item.step.name not in reasons]

    def _is_left_out(self, item: Todo) -> bool:
        """Whether a person decided not to carry this very value."""
        if item.step.act != "put" or item.step.old is None:
            return False
        failed = Failed(item.folder.name, item.step.name, item.step.old, "")
        if not self._is_decided(failed):
            return False
        self.left_out.append(failed)
        return True

    def _is_decided(self, failed: Failed) -> bool:
        """Whether a person decided to leave this out; then the decision is carried out by it."""
        decided = self.context.problems.decided(*problem_of(self.kind.what, failed))
        if decided is None or not rules.leaves_out(decided[1]) or not covers(self.kind.what, decided[0].facts, failed):
            return False
        self.context.problems.carried_out(decided[1])
        return True

    def _strangers(self, puts: Collection[Todo]) -> dict[str, str]:
        wanted = {item.step.name for item in puts}
        reasons = {name: "this is no name that a server can be told" for name in wanted if not acl.is_valid(name)}
        people = {person(name) for name in wanted - set(reasons) if is_person(name)}
        ask = self.context.job.options.known_accounts
        unknown = people - ask(people) if ask is not None and people else set()
        return reasons | {name: "the directory does not know this name" for name in wanted if person(name) in unknown}

    # -- writing

    def _dry(self, todo: list[Todo]) -> None:
        for item in todo:
            if item.step.act in ("put", "remove"):
                log.info(
                    "dry run: this would change", what=self.kind.what, folder=item.folder.name, name=item.step.name,
                    act=item.step.act,
                )  # fmt: skip

    def _apply(self, todo: list[Todo]) -> None:
        """Write down what is intended, do it, look whether it is there, and write that down."""
        acts = [item for item in todo if item.step.act in ("put", "remove")]
        self._intend([item for item in acts if item.step.act == "put"])
        refused = self._send(acts)
        changed = {item.folder.new_encoded: item.folder for item in acts}
        after = self._read(
            self.sessions.destination, [(state, encoded) for encoded, state in changed.items()], is_old=False
        )
        with self.context.problems.ledger.session() as session:
            for item in todo:
                reason = refused.get(id(item), "") or self._not_there(item, after)
                self._conclude(session, item, reason, after.get(item.folder.new_encoded, {}))

    def _intend(self, puts: list[Todo]) -> None:
        if not puts:
            return
        with self.context.problems.ledger.session() as session:
            for item in puts:
                step, known = item.step, self._of(item.folder).get(item.step.name)
                assert step.new is not None
                before = known or Carried(step.name, None, None, None, step.ours)
                entry = replace(before, intended=step.new.token, ours=step.ours)
                carried.remember(session, self.context.job.account, item.key, self.kind.what, entry)

    def _send(self, acts: list[Todo]) -> dict[int, str]:
        """Send all, and give the server's reason about those that it refused.

        A BAD ends the connection; what was not answered then is sent again one by one (each may be sent twice).
        """
        refused: dict[int, str] = {}
        answered: set[int] = set()
        session = self.sessions.destination
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
        session = self.sessions.destination
        try:
            _finish(session, self._begin(session, item), item, refused)
        except NotUnderstood as error:
            refused[id(item)] = str(error)

    def _begin(self, session: Session, item: Todo) -> Pending:
        step, encoded = item.step, item.folder.new_encoded
        if step.act == "remove":
            return self.kind.begin_remove(session, encoded, step.name)
        assert step.new is not None
        return self.kind.begin_put(session, encoded, step.name, step.new)

    def _not_there(self, item: Todo, after: Mapping[bytes, Values]) -> str:
        step = item.step
        if step.act != "put" or step.new is None:
            return ""
        if item.folder.new_encoded not in after:
            return "the new server took it and does not tell whether it is there"
        there = after[item.folder.new_encoded].get(step.name)
        if there is None:
            return "the new server took it and does not have it"
        lacking = set(step.new.token) - set(there.token) if self.kind.what == "acl" else there.token != step.new.token
        return f"the new server took it and has {there.token!r}" if lacking else ""

    def _conclude(self, session: "LedgerSession", item: Todo, reason: str, after: Values) -> None:
        step, account, what = item.step, self.context.job.account, self.kind.what
        known = self._of(item.folder).get(step.name)
        if reason and step.old is not None:
            self._fail(item.folder, step.name, step.old, reason)
            if known is None:
                carried.forget(session, account, item.key, what, step.name)
            else:
                carried.remember(session, account, item.key, what, replace(known, intended=None))
        elif reason:
            log.warning("not removed on new", what=what, folder=item.folder.name, name=step.name, server_words=reason)
        elif step.act in ("remove", "forget"):
            carried.forget(session, account, item.key, what, step.name)
        else:
            there = after.get(step.name, step.new) if step.act == "put" else step.new
            assert step.old is not None
            entry = Carried(step.name, step.old.token, there.token if there else None, None, step.ours)
            carried.remember(session, account, item.key, what, entry)
        if not reason and step.act in ("put", "remove"):
            log.info("carried", what=what, folder=item.folder.name, name=step.name, act=step.act)

    # -- the end

    def report(self) -> None:
        """The problems of this kind."""
        problems = self.context.problems
        if self.kind.what == "metadata":
            for failed in self.failed:
                if not self._is_decided(failed):  # what is larger than what is looked at was never a step
                    report_annotation(problems, failed)
            return
        by_name: dict[str, list[Failed]] = {}
        for failed in self.failed:
            by_name.setdefault(failed.name, []).append(failed)
        for name, several in by_name.items():
            before = [one for one in self.left_out if one.name == name]
            report_identifier(
                problems, name, {one.folder: one.old.token for one in before + several}, several[0].reason
            )


def _slices(folders: Iterable[FolderState]) -> Iterator[list[FolderState]]:
    rest = iter(folders)
    while some := list(islice(rest, AT_ONCE)):
        yield some


def _finish(session: Session, pending: Pending, item: Todo, refused: dict[int, str]) -> None:
    try:
        session.finish(pending)
    except Refused as error:
        _raise_if_passing(error)
        refused[id(item)] = error.text


def _raise_if_passing(error: Refused) -> None:
    """Trouble that passes by itself is tried again; but a server's bug with these must not hold back the mail."""
    if passes_by_itself(error) and error.code not in ("SERVERBUG", "CONTACTADMIN"):
        raise TransientError(str(error)) from None


def _invalid(puts: Iterable[Todo]) -> dict[str, str]:
    wanted = {item.step.name for item in puts}
    return {name: "this is no name of an annotation" for name in wanted if not metadata.is_valid(name)}
