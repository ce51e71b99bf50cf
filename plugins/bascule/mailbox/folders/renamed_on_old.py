"""Folders that were renamed on old since the last pass, while their users went on working in them on new."""

from dataclasses import dataclass

from bascule.ledger import Ledger
from bascule.ledger.mailboxes import FolderRow
from bascule.mailbox.folders.known import KnownFolders
from bascule.mailbox.folders.problems import RENAMED, both_changed_decision, report_both_changed
from bascule.mailbox.folders.uidvalidity import is_same_on_new
from bascule.mailbox.imap.errors import Refused
from bascule.mailbox.imap.folders import Folder, FolderList, get_status, rename
from bascule.mailbox.imap.session import Session
from bascule.mailbox.problems import PassProblems
from bascule.mailbox.state.folder import FolderState, last_on_new, name_hash
from bascule.problems.model import Action, Option, Proposal
from bascule.text import mutf7
from bascule.text.logs import get_logger
from bascule.text.name_map import NameMap, NameProblem

log = get_logger(__name__)


@dataclass
class Rename:
    """A folder of old under its new name there, and what the ledger knows of it under the one before."""

    folder: Folder
    row: FolderRow
    target: bytes  # what it is to be called on new


class Renames:
    """The renamed folders of one mailbox in which something was changed on new; the others need nobody."""

    def __init__(
        self, ledger: Ledger, account: str, old: FolderList, new: FolderList, known: KnownFolders, name_map: NameMap,
        problems: PassProblems,
    ) -> None:  # fmt: skip
        self.ledger, self.account, self.old, self.new = ledger, account, old, new
        self.known, self.problems = known, problems
        self.found = {each.folder.encoded: each for each in self._find(name_map)}
        self.held: set[int] = {each.row.id for each in self.found.values()}  # rows that wait, by id

    def _find(self, name_map: NameMap) -> list[Rename]:
        found = []
        for row, folder in self.known.renamed():
            target = name_map.to_new(folder.encoded)
            if isinstance(target, NameProblem) or not self._changed_on_new(row):
                continue
            on_new = self.new.folders.get(target)
            if on_new is None or not on_new.selectable:
                found.append(Rename(folder, row, target))
        return found

    def _changed_on_new(self, row: FolderRow) -> bool:
        folder = self.new.folders.get(mutf7.encode(row.new_name))
        return folder is not None and is_same_on_new(row, folder) and folder.status != last_on_new(row)

    def ask(self, folder: Folder) -> bool:
        """Whether the folder waits for a person; then it is among the problems."""
        renamed = self.found.get(folder.encoded)
        if renamed is None:
            return False
        self.held |= {row.id for row, _ in self._below(renamed)}
        name, before, target = mutf7.display(folder.encoded), renamed.row.old_name, mutf7.display(renamed.target)
        report_both_changed(
            self.problems,
            name,
            f"The folder {before!r} was renamed to {name!r} on the old server after Bascule had carried it, and in "
            f"the one on the new server ({renamed.row.new_name!r}) something was changed since. The proposal renames "
            f"that one to {target!r}, with everything in it, and goes on from there. To leave it out means: it stays "
            "on new as it is, and nothing more is carried into it.",
            {"change": RENAMED, "was": before},
            Proposal(Action.RENAME_ON_NEW, to=target),
        )
        return True

    def carry_out(self, session: Session) -> bool:
        """Rename on new what people decided so; True when anything was."""
        done = False
        for renamed in sorted(self.found.values(), key=lambda each: each.folder.encoded):
            decision = both_changed_decision(
                self.problems, mutf7.display(renamed.folder.encoded), {"change": RENAMED, "was": renamed.row.old_name}
            )
            if decision is not None and decision.option is Option.APPLY and self._rename(session, renamed):
                self.problems.carried_out(decision)
                done = True
        return done

    def _rename(self, session: Session, renamed: Rename) -> bool:
        source = mutf7.encode(renamed.row.new_name)
        try:
            rename(session, source, renamed.target)
            status = get_status(session, renamed.target)
        except Refused as error:
            log.warning("folder not renamed on new", folder=renamed.row.new_name, server_words=error.text)
            return False
        log.info(
            "folder renamed on new, as on old", folder=renamed.row.old_name, new_name=mutf7.display(renamed.target)
        )
        uidvalidity = status.uidvalidity if status is not None else 0
        self._relabel_below(renamed, source)
        self._relabel(renamed.row, renamed.folder, renamed.target, same_uids=uidvalidity == renamed.row.new_uidvalidity)
        return True

    def _relabel_below(self, renamed: Rename, source: bytes) -> None:
        """RENAME takes along what lies below (RFC 9051 6.3.6)."""
        for row, folder in self._below(renamed):
            on_new = mutf7.encode(row.new_name)
            if on_new.startswith(source + self.new.namespace.separator):
                self._relabel(row, folder, renamed.target + on_new[len(source) :], same_uids=False)

    def _below(self, renamed: Rename) -> list[tuple[FolderRow, Folder]]:
        """What the ledger knows of folders below, with the folders that they are on old now."""
        separator = self.old.namespace.separator
        before = mutf7.encode(renamed.row.old_name) + separator
        found = []
        for row in self.known.rows:
            encoded = mutf7.encode(row.old_name)
            folder = self.old.folders.get(renamed.folder.encoded + separator + encoded[len(before) :])
            if encoded.startswith(before) and folder is not None:
                found.append((row, folder))
        return found

    def _relabel(self, row: FolderRow, folder: Folder, target: bytes, *, same_uids: bool) -> None:
        row.old_name, row.old_hash = mutf7.display(folder.encoded), name_hash(folder.encoded)
        row.subscribed = False  # subscriptions stay with names
        state = FolderState(self.ledger, self.account, folder, target, row)
        if not same_uids:
            state.forget_map()
        state.save_row()
