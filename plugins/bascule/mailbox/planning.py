"""Which old folder becomes which new one, and the making of those that are not there."""

from dataclasses import replace

from bascule import foldernames
from bascule.ledger import Ledger
from bascule.ledger.problems import AS_IT_IS, Decision, Problem
from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.endpoints import MailboxJob
from bascule.mailbox.errors import Refused, TransientError, passes_by_itself
from bascule.mailbox.folders import Folder, Surroundings, list_names
from bascule.mailbox.names import NameMap, NameProblem
from bascule.mailbox.renamed import Renames
from bascule.mailbox.session import Pending, Session
from bascule.mailbox.state import FolderState, name_hash
from bascule.mailbox.takennames import TakenNames
from bascule.mailbox.trouble import Troubles

log = get_logger(__name__)


class Planner:
    """Plans the folders of one mailbox."""

    def __init__(self, job: MailboxJob, ledger: Ledger, old: Surroundings, new: Surroundings, troubles: Troubles):
        self.job, self.ledger, self.old, self.new, self.troubles = job, ledger, old, new, troubles
        self.names = NameMap(old.namespace, new.namespace, dict(job.options.rename), dict(job.options.replace))
        self.renames = Renames(ledger, job.account, old, new, self.names, troubles)
        self._rows = {row.old_hash: row for row in self.renames.rows}
        self._taken = TakenNames(new)
        self._decided: dict[bytes, Decision] = {}  # new name -> the decision that gave it
        self._renamed: dict[bytes, bytes] = {}  # old -> new name, where a decision gave it; what lies below goes along
        self._waiting: set[bytes] = set()  # old names about which a person has to decide first

    def plan(self) -> list[FolderState]:
        """Every folder that can be carried, INBOX first; what can't is among the problems."""
        planned = []
        for folder in sorted(self.old.folders.values(), key=self._precedence):
            target = self._target(folder) if folder.selectable else None
            if target is None:
                continue
            state = FolderState(self.ledger, self.job.account, folder, target, self._rows.get(name_hash(folder.raw)))
            there = self.new.folders.get(target)
            # A name that is only the parent of others on new can't hold messages until it is created (RFC 3501 7.2.2).
            state.new = there if there is not None and there.selectable else None
            planned.append(state)
        return sorted(planned, key=lambda state: (state.old.raw != b"INBOX", state.old.raw))

    def _precedence(self, folder: Folder) -> tuple[bool, bool, bool, bool, bytes]:
        """Who takes a name first: the same in every pass, whatever folders come later."""
        plain = self.names.to_new(folder.raw)
        return (
            folder.raw != b"INBOX",
            self.troubles.folder_renamed(names.display(folder.raw)) is None,
            name_hash(folder.raw) not in self._rows,
            isinstance(plain, NameProblem) or plain not in self.new.folders,
            folder.raw,
        )

    def _target(self, folder: Folder) -> bytes | None:
        shown = names.display(folder.raw)
        if shown in self.job.options.exclude or self._left_out(folder, shown):
            return None
        if folder.status is None:
            self.troubles.folder_unreadable(shown, folder.trouble)
            return None
        if self.renames.ask(folder):
            self._waiting.add(folder.raw)
            return None
        if self._waits(folder.raw):
            log.info("folder waits for what is decided about the one above it", folder=shown)
            return None
        renamed = self.troubles.folder_renamed(shown)
        return self._decided_name(folder, *renamed) if renamed else self._usual_name(folder)

    def _waits(self, raw: bytes) -> bool:
        return any(above in self._waiting for above in self._above(raw))

    def _usual_name(self, folder: Folder) -> bytes | None:
        target = self._below_renamed(folder) or self._special(folder) or self.names.to_new(folder.raw)
        if isinstance(target, NameProblem):
            self._ask(folder, self._unique(target))
        elif clash := self._taken.clash(target):
            self._ask(folder, clash)
        else:
            self._taken.take(folder.raw, target)
            return target
        return None

    def _left_out(self, folder: Folder, shown: str) -> bool:
        decision = self.troubles.folder_left_out(shown)
        if decision is not None:
            self.troubles.carried_out(decision)
            log.info("folder left out by decision", folder=shown, decided_by=decision.decided_by)
        return decision is not None

    def _decided_name(self, folder: Folder, problem: Problem, decision: Decision) -> bytes | None:
        """The name that a person gave, looked at once more: new may have got other folders since."""
        name = str(decision.values["name"])
        target, as_it_is = names.encode(name), name == problem.details.get(AS_IT_IS)
        separator = self.new.namespace.separator.decode("ascii", "replace")
        exact = as_it_is or target in self.new.folders
        wrong = "" if exact else foldernames.wrong(name, separator)
        clash = self._taken.clash(target, exact=exact)
        if wrong or clash is not None:
            self._ask(folder, self._again(folder, problem, name, wrong, clash))
            return None
        self._taken.take(folder.raw, target)
        self._decided[target] = decision
        self._renamed[folder.raw] = target
        return target

    def _again(self, folder: Folder, before: Problem, name: str, wrong: str, clash: NameProblem | None) -> NameProblem:
        """The problem once more, of the same kind: what was decided does not help."""
        reason = clash.explanation if clash else wrong
        proposal = clash.proposal if clash else self._taken.propose(names.encode(self.names.propose(folder.raw)))
        like = str(before.facts.get("like", ""))
        return NameProblem(
            f"the name {name!r} that was decided can't be used: {reason}", proposal, before.kind, like=like
        )

    def _unique(self, problem: NameProblem) -> NameProblem:
        return replace(problem, proposal=self._taken.propose(names.encode(problem.proposal)))

    def _below_renamed(self, folder: Folder) -> bytes | NameProblem | None:
        """A folder goes along with the one above it that was renamed by decision, unless it is on new already."""
        above = next((raw for raw in self._above(folder.raw) if raw in self._renamed), None)
        if above is None:
            return None
        row, plain = self._rows.get(name_hash(folder.raw)), self.names.to_new(folder.raw)
        if row is not None and plain in self.new.folders and names.encode(row.new_name) == plain:
            return plain
        return self.names.below(self._renamed[above], above, folder.raw)

    def _above(self, raw: bytes) -> list[bytes]:
        """The names of the folders above, the nearest first."""
        separator = self.old.namespace.separator
        levels = raw.split(separator) if separator else [raw]
        return [separator.join(levels[:count]) for count in range(len(levels) - 1, 0, -1)]

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

    def _ask(self, folder: Folder, problem: NameProblem, words: str = "") -> None:
        """Put the folder's name among the problems; what lies below it waits for the decision."""
        self._waiting.add(folder.raw)
        separator = self.old.namespace.separator
        below = [each for raw, each in self.old.folders.items() if separator and raw.startswith(folder.raw + separator)]
        self.troubles.folder_name(
            names.display(folder.raw), problem, words,
            separator=self.new.namespace.separator.decode("ascii", "replace"), below=len(below),
            messages=sum(each.status.messages for each in (folder, *below) if each.status),
        )  # fmt: skip

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
        if missing:
            there = self._as_named(session, there)
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
            if not self._waits(state.old.raw):
                self._ask_another_name(state, "the new server refuses it", error.words)
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

    def _as_named(self, session: Session, there: list[FolderState]) -> list[FolderState]:
        """Those that new lists under the names that it was given; a server that changes names says OK all the same."""
        listed = {names.display(raw) for raw in list_names(session)}
        kept = []
        for state in there:
            if names.display(state.new_raw) in listed or not state.row.created or not listed:
                kept.append(state)
                continue
            wanted = foldernames.comparable(names.display(state.new_raw))
            made = [name for name in listed if foldernames.comparable(name) == wanted]
            words = f"it makes {made[0]!r} of it" if made else "it takes the name and does not list it"
            self._ask_another_name(state, words, "")
        return kept

    def _ask_another_name(self, state: FolderState, explanation: str, words: str) -> None:
        """The new server does not take the name that the folder was to have, by decision or by itself."""
        renamed = self.troubles.folder_renamed(state.shown)
        before = renamed[0] if renamed else None
        proposal = self.names.propose(state.old.raw)
        problem = NameProblem(
            explanation,
            proposal if names.encode(proposal) != state.new_raw else f"{proposal} (2)",
            before.kind if before else "folder-name",
            like=str(before.facts.get("like", "")) if before else "",
        )
        self._ask(state.old, self._unique(problem), words)

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
