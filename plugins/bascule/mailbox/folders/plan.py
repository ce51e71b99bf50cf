"""Which folders of old are carried into which folders of new, and the making of those that are not there."""

from bascule.ledger import Ledger
from bascule.mailbox.folders.known import KnownFolders
from bascule.mailbox.folders.naming import FolderNames
from bascule.mailbox.folders.problems import left_out, report_nameless, report_unreadable, report_virtual
from bascule.mailbox.folders.renamed_on_old import Renames
from bascule.mailbox.imap.errors import Refused, TransientError, passes_by_itself
from bascule.mailbox.imap.folders import (
    Folder,
    FolderList,
    begin_create,
    begin_subscribe,
    create,
    finish_create,
    list_names,
)
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import FolderState
from bascule.text import folder_names, mutf7
from bascule.text.logs import get_logger
from bascule.text.name_map import NameProblem

log = get_logger(__name__)


class Planner:
    """Plans the folders of one mailbox."""

    def __init__(
        self, job: MailboxJob, ledger: Ledger, old: FolderList, new: FolderList, problems: PassProblems
    ) -> None:
        self.job, self.ledger, self.old, self.new, self.problems = job, ledger, old, new, problems
        self.known = KnownFolders(ledger, job.account, old)
        self.names = FolderNames(job, old, new, self.known, problems)
        self.renames = Renames(ledger, job.account, old, new, self.known, self.names.map, problems)

    def plan(self) -> list[FolderState]:
        """Every folder that can be carried, INBOX first; what can't is among the problems."""
        planned = []
        if self.old.nameless:
            report_nameless(self.problems, self.old.nameless)
        self._report_virtual()
        for folder in self.names.in_order():
            target = self.names.give(folder) if self._is_carried(folder) else None
            if target is None:
                continue
            state = FolderState(self.ledger, self.job.account, folder, target, self.known.row(folder))
            on_new = self.new.folders.get(target)
            # A name that is only the parent of others on new can't hold messages until it is created (RFC 3501 7.2.2).
            state.set_new(on_new if on_new is not None and on_new.selectable else None)
            planned.append(state)
        return sorted(planned, key=lambda state: (state.old.encoded != b"INBOX", state.old.encoded))

    def _report_virtual(self) -> None:
        """Folders that only show messages of others, or lie in another personal namespace, are not carried unasked."""
        by_reason: dict[str, list[bytes]] = {}
        for encoded, reason in self.old.virtual.items():
            by_reason.setdefault(reason, []).append(encoded)
        for reason, names in by_reason.items():
            report_virtual(self.problems, reason, [mutf7.display(name) for name in names])
        if self.old.others:
            log.info("folders of other people are not carried", folders=len(self.old.others))

    def _is_carried(self, folder: Folder) -> bool:
        name = mutf7.display(folder.encoded)
        if not folder.selectable or name in self.job.options.exclude or self._is_left_out(name):
            return False
        if folder.status is None:
            report_unreadable(self.problems, name, folder.refusal)
            return False
        if self.renames.ask(folder):
            self.names.hold(folder)
            return False
        return True

    def _is_left_out(self, name: str) -> bool:
        decision = left_out(self.problems, name)
        if decision is not None:
            self.problems.carried_out(decision)
            log.info("folder left out by decision", folder=name, decided_by=decision.decided_by)
        return decision is not None

    # -- making folders

    def create(self, session: Session, planned: list[FolderState]) -> list[FolderState]:
        """Make what is missing, in one round trip; return the folders that are there now."""
        missing = [state for state in planned if state.new is None]
        for state in [state for state in missing if state.new_encoded in session.server.bad_names]:
            missing.remove(state)
            self._ask_another_name(state, "the new server does not understand it", "")
        asked = [(state, self._begin_create(session, state)) for state in missing]
        on_new = [state for state in planned if state.new is not None]
        for state, pending in asked:
            if self._created(session, state, pending):
                state.new = Folder(state.new_encoded)
                on_new.append(state)
        if missing:
            on_new = self._as_named(session, on_new)
        for state in on_new:
            if decision := self.names.decision(state.new_encoded):
                self.problems.carried_out(decision)
        self._create_parents(session)
        return on_new

    def _begin_create(self, session: Session, state: FolderState) -> Pending:
        use = state.old.special_use
        free = all(folder.special_use != use for folder in self.new.folders.values())
        return begin_create(session, state.new_encoded, use if free else b"")

    def _created(self, session: Session, state: FolderState, pending: Pending) -> bool:
        try:
            finish_create(session, pending, state.new_encoded)
        except Refused as error:
            # Dovecot's Maildir answers SERVERBUG to names that it can never store.
            if passes_by_itself(error) and error.code != "SERVERBUG":
                raise TransientError(str(error)) from None
            if error.code == "ALREADYEXISTS":
                state.row.created = False
                return True
            if not self.names.waits(state.old):
                self._ask_another_name(state, "the new server refuses it", error.text)
            return False
        state.row.created = True
        log.info("folder created", folder=state.name, new_name=state.row.new_name)
        return True

    def _as_named(self, session: Session, planned: list[FolderState]) -> list[FolderState]:
        """Those that new lists under the names that it was given; a server that changes names says OK all the same."""
        listed = {mutf7.display(encoded) for encoded in list_names(session)}
        kept = []
        for state in planned:
            if state.row.new_name in listed or not state.row.created or not listed:
                kept.append(state)
                continue
            wanted = folder_names.comparable(state.row.new_name)
            made = [name for name in listed if folder_names.comparable(name) == wanted]
            explanation = f"it makes {made[0]!r} of it" if made else "it takes the name and does not list it"
            self._ask_another_name(state, explanation, "")
        return kept

    def _ask_another_name(self, state: FolderState, explanation: str, text: str) -> None:
        self.names.ask_another(state.old, state.new_encoded, explanation, text)

    def missing_parents(self) -> list[bytes]:
        """Folders of old that hold no messages and have no children, which would make them, under new's names."""
        parents = {above for encoded in self.old.folders for above in self.names.above(encoded)}
        found = []
        for folder in self.old.folders.values():
            target = self.names.map.to_new(folder.encoded)
            if folder.selectable or isinstance(target, NameProblem) or not self.new.namespace.separator:
                continue
            if target not in self.new.folders and folder.encoded not in parents:
                found.append(target)
        return found

    def _create_parents(self, session: Session) -> None:
        for target in self.missing_parents():
            try:
                create(session, target + self.new.namespace.separator)
            except Refused as error:
                log.info("parent folder not created", new_name=mutf7.display(target), server_words=error.text)


def carry_subscriptions(session: Session, planned: list[FolderState]) -> None:
    """Subscribed or unsubscribed on old since the last pass: so it is on new."""
    asked: list[tuple[FolderState, Pending]] = []
    for state in planned:
        wanted, on_new = state.old.subscribed, state.new is not None and state.new.subscribed
        if wanted is None or wanted == state.row.subscribed:
            continue
        state.row.subscribed = wanted
        if state.row.id is not None:
            state.save_row()  # nobody else does where nothing but this has changed
        if wanted != on_new:
            asked.append((state, begin_subscribe(session, state.new_encoded, wanted=wanted)))
    for state, pending in asked:
        try:
            session.finish(pending)
        except Refused as error:
            log.warning("subscription not carried", folder=state.name, server_words=error.text)
