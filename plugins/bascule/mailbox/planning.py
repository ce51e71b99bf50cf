"""Which old folder becomes which new one, and the making of those that are not there."""

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.problems import Decision, Option
from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.errors import Refused, TransientError, passes_by_itself
from bascule.mailbox.folders import Folder, Surroundings
from bascule.mailbox.names import NameMap, NameProblem
from bascule.mailbox.session import Pending, Session
from bascule.mailbox.state import FolderState, name_hash
from bascule.mailbox.trouble import Troubles

log = get_logger(__name__)


class Planner:
    """Plans the folders of one mailbox."""

    def __init__(self, job: MailboxJob, ledger: Ledger, old: Surroundings, new: Surroundings, troubles: Troubles):
        self.job, self.ledger, self.old, self.new, self.troubles = job, ledger, old, new, troubles
        self.names = NameMap(old.namespace, new.namespace, dict(job.options.rename), dict(job.options.replace))
        self._taken: dict[bytes, bytes] = {}
        self._decided: dict[bytes, Decision] = {}  # new name -> the decision that gave it

    def plan(self) -> list[FolderState]:
        """Every folder that can be carried, INBOX first; what can't is among the problems."""
        with self.ledger.reading() as session:
            rows = {row.old_hash: row for row in mailboxes.folders_of(session, self.job.account)}
        planned = []
        for folder in sorted(self.old.folders.values(), key=lambda f: (f.raw != b"INBOX", f.raw)):
            target = self._target(folder) if folder.selectable else None
            if target is None:
                continue
            state = FolderState(self.ledger, self.job.account, folder, target, rows.get(name_hash(folder.raw)))
            there = self.new.folders.get(target)
            # A name that is only the parent of others on new can't hold messages until it is created (RFC 3501 7.2.2).
            state.new = there if there is not None and there.selectable else None
            planned.append(state)
        return planned

    def _target(self, folder: Folder) -> bytes | None:
        shown = names.display(folder.raw)
        if shown in self.job.options.exclude or self._left_out(folder, shown):
            return None
        if folder.status is None:
            self.troubles.folder_unreadable(shown, folder.trouble)
            return None
        target = self._decided_name(shown) or self._special(folder) or self.names.to_new(folder.raw)
        if isinstance(target, NameProblem):
            self.troubles.folder_name(shown, target.explanation, target.proposal)
            return None
        if target in self._taken:
            other = names.display(self._taken[target])
            self.troubles.folder_name(
                shown, f"it would get the same name as {other!r}", self._free(names.display(target))
            )
            return None
        self._taken[target] = folder.raw
        return target

    def _left_out(self, folder: Folder, shown: str) -> bool:
        for kind in ("folder-name", "folder-unreadable"):
            decision = self.troubles.decision(kind, shown)
            if decision and (decision.option is Option.LEAVE_OUT or decision.values.get("action") == "leave out"):
                self.troubles.carried_out(decision)
                log.info("folder left out by decision", folder=shown, decided_by=decision.decided_by)
                return True
        return False

    def _decided_name(self, shown: str) -> bytes | None:
        decision = self.troubles.decision("folder-name", shown)
        name = str(decision.values.get("name") or "") if decision else ""
        if not decision or not name:
            return None
        target = names.encode(name)
        self._decided[target] = decision
        return target

    def _special(self, folder: Folder) -> bytes | None:
        """The new server's folder of the same special use, when old has none of that folder's name (RFC 6154)."""
        if not folder.special_use:
            return None
        same = [f.raw for f in self.new.folders.values() if f.special_use == folder.special_use and f.selectable]
        plain = self.names.to_new(folder.raw)
        if len(same) != 1 or isinstance(plain, NameProblem) or plain in self.new.folders:
            return None
        others = {t for t in (self.names.to_new(f.raw) for f in self.old.folders.values()) if isinstance(t, bytes)}
        return None if same[0] in others else same[0]

    def _free(self, wish: str) -> str:
        for number in range(2, 1000):
            if names.encode(f"{wish} ({number})") not in self._taken:
                return f"{wish} ({number})"
        return wish

    # -- making folders

    def create(self, session: Session, planned: list[FolderState]) -> list[FolderState]:
        """Make what is missing, in one round trip; return the folders that are there now."""
        missing = [state for state in planned if state.new is None]
        asked = [(state, self._begin_create(session, state)) for state in missing]
        there = [state for state in planned if state.new is not None]
        for state, pending in asked:
            if self._created(session, state, pending):
                state.new = Folder(state.new_raw)
                there.append(state)
        for state in there:
            decision = self._decided.get(state.new_raw)
            if decision:
                self.troubles.carried_out(decision)
        self._create_parents(session)
        return there

    def _begin_create(self, session: Session, state: FolderState) -> Pending:
        use = state.old.special_use
        free = all(folder.special_use != use for folder in self.new.folders.values())
        if use and free and session.has("CREATE-SPECIAL-USE"):
            return session.begin(b"CREATE", names.argument(state.new_raw), b"(USE (" + use + b"))")
        return session.begin(b"CREATE", names.argument(state.new_raw))

    def _created(self, session: Session, state: FolderState, pending: Pending) -> bool:
        try:
            self._finish_create(session, state, pending)
        except Refused as error:
            # Dovecot's Maildir answers SERVERBUG to names that it can never store.
            if passes_by_itself(error) and error.code != "SERVERBUG":
                raise TransientError(str(error)) from None
            if error.code == "ALREADYEXISTS":
                state.row.created = False
                return True
            self.troubles.folder_name(state.shown, "it refuses the name", self._free_proposal(state), error.words)
            return False
        state.row.created = True
        log.info("folder created", folder=state.shown, new_name=state.row.new_name)
        return True

    def _finish_create(self, session: Session, state: FolderState, pending: Pending) -> None:
        try:
            session.finish(pending)
        except Refused as error:
            if error.code != "USEATTR":
                raise
            session.run(b"CREATE", names.argument(state.new_raw))

    def _free_proposal(self, state: FolderState) -> str:
        proposal = self.names.propose(state.old.raw)
        taken = names.encode(proposal)
        return self._free(proposal) if taken in self._taken or taken == state.new_raw else proposal

    def _create_parents(self, session: Session) -> None:
        """Folders that hold no messages are made by their children; those without children are made here."""
        separator = self.new.namespace.separator
        for folder in self.old.folders.values():
            target = self.names.to_new(folder.raw)
            if folder.selectable or isinstance(target, NameProblem) or not separator:
                continue
            below = folder.raw + self.old.namespace.separator
            if target in self.new.folders or any(raw.startswith(below) for raw in self.old.folders):
                continue
            try:
                session.run(b"CREATE", names.argument(target + separator))
            except Refused as error:
                log.info("parent folder not created", folder=names.display(folder.raw), server_words=error.words)


def carry_subscriptions(session: Session, planned: list[FolderState]) -> None:
    """Subscribed or unsubscribed on old since the last pass: so it is on new."""
    asked: list[tuple[FolderState, Pending]] = []
    for state in planned:
        on_new = state.new is not None and state.new.subscribed
        before = state.row.subscribed
        if state.old.subscribed == before:
            continue
        state.row.subscribed = state.old.subscribed
        if state.old.subscribed != on_new:
            verb = b"SUBSCRIBE" if state.old.subscribed else b"UNSUBSCRIBE"
            asked.append((state, session.begin(verb, names.argument(state.new_raw))))
    for state, pending in asked:
        try:
            session.finish(pending)
        except Refused as error:
            log.warning("subscription not carried", folder=state.shown, server_words=error.words)
