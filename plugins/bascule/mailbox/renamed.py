"""Folders that were renamed on old since the last pass, while their users went on working in them on new."""

from dataclasses import dataclass

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import FolderRow
from bascule.ledger.problems import Option
from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.errors import Refused
from bascule.mailbox.folders import Folder, Surroundings, begin_status, finish_status
from bascule.mailbox.names import NameMap
from bascule.mailbox.session import Session
from bascule.mailbox.state import FolderState, name_hash
from bascule.mailbox.trouble import Troubles

log = get_logger(__name__)

RENAMED = "renamed on old"  # in the problem's facts


@dataclass
class Rename:
    """A folder of old under its new name there, and what the ledger knows of it under the one before."""

    folder: Folder
    row: FolderRow
    target: bytes  # what it is to be called on new


class Renames:
    """The renamed folders of one mailbox in which something was changed on new; the others need nobody."""

    def __init__(
        self, ledger: Ledger, account: str, old: Surroundings, new: Surroundings, name_map: NameMap, troubles: Troubles
    ) -> None:
        self.ledger, self.account, self.old, self.new, self.troubles = ledger, account, old, new, troubles
        with ledger.reading() as session:
            self.rows = mailboxes.folders_of(session, account)
        self.found = {each.folder.raw: each for each in self._find(name_map)}
        self.held: set[int] = {each.row.id for each in self.found.values()}  # rows that wait, by id

    def _find(self, name_map: NameMap) -> list[Rename]:
        there, known = {name_hash(raw) for raw in self.old.folders}, {row.old_hash for row in self.rows}
        gone = [row for row in self.rows if row.old_hash not in there and row.finished and row.old_uidvalidity]
        fresh = [folder for folder in self.old.folders.values() if name_hash(folder.raw) not in known]
        found = []
        for row in gone:
            same = [folder for folder in fresh if _is_same(row, folder)]
            rivals = [other for other in gone if other.old_uidvalidity == row.old_uidvalidity]
            if len(same) != 1 or len(rivals) != 1 or not self._changed_on_new(row):
                continue
            target = name_map.to_new(same[0].raw)
            there_already = self.new.folders.get(target) if isinstance(target, bytes) else None
            if isinstance(target, bytes) and (there_already is None or not there_already.selectable):
                found.append(Rename(same[0], row, target))
        return found

    def _changed_on_new(self, row: FolderRow) -> bool:
        folder = self.new.folders.get(names.encode(row.new_name))
        status = folder.status if folder is not None else None
        if status is None or status.uidvalidity != row.new_uidvalidity:
            return False
        return (status.uidnext, status.messages, status.modseq) != (row.new_uidnext, row.new_messages, row.new_modseq)

    def ask(self, folder: Folder) -> bool:
        """Whether the folder waits for a person; then it is among the problems."""
        rename = self.found.get(folder.raw)
        if rename is None:
            return False
        self.held |= {row.id for row, _ in self._below(rename)}
        shown, before, target = names.display(folder.raw), rename.row.old_name, names.display(rename.target)
        self.troubles.both_changed(
            shown,
            f"The folder {before!r} was renamed to {shown!r} on the old server after Bascule had carried it, and in "
            f"the one on the new server ({rename.row.new_name!r}) something was changed since. The proposal renames "
            f"that one to {target!r}, with everything in it, and goes on from there. To leave it out means: it stays "
            "on new as it is, and nothing more is carried into it.",
            {"change": RENAMED, "was": before},
            {"action": "rename on new", "to": target},
        )
        return True

    def carry_out(self, session: Session) -> bool:
        """Rename on new what people decided so; True when anything was."""
        done = False
        for rename in sorted(self.found.values(), key=lambda each: each.folder.raw):
            decision = self.troubles.both_changed_decision(
                names.display(rename.folder.raw), {"change": RENAMED, "was": rename.row.old_name}
            )
            if decision is not None and decision.option is Option.APPLY and self._rename(session, rename):
                self.troubles.carried_out(decision)
                done = True
        return done

    def _rename(self, session: Session, rename: Rename) -> bool:
        source = names.encode(rename.row.new_name)
        try:
            session.run(b"RENAME", names.argument(source), names.argument(rename.target))
            status = finish_status(session, begin_status(session, rename.target))
        except Refused as error:
            log.warning("folder not renamed on new", folder=rename.row.new_name, server_words=error.words)
            return False
        log.info("folder renamed on new, as on old", folder=rename.row.old_name, new_name=names.display(rename.target))
        uidvalidity = status.uidvalidity if status is not None else 0
        self._relabel_below(rename, source)
        self._relabel(rename.row, rename.folder, rename.target, same_uids=uidvalidity == rename.row.new_uidvalidity)
        return True

    def _relabel_below(self, rename: Rename, source: bytes) -> None:
        """RENAME takes along what lies below (RFC 9051 6.3.6)."""
        for row, folder in self._below(rename):
            there = names.encode(row.new_name)
            if there.startswith(source + self.new.namespace.separator):
                self._relabel(row, folder, rename.target + there[len(source) :], same_uids=False)

    def _below(self, rename: Rename) -> list[tuple[FolderRow, Folder]]:
        """What the ledger knows of folders below, with the folders that they are on old now."""
        separator = self.old.namespace.separator
        before = names.encode(rename.row.old_name) + separator
        found = []
        for row in self.rows:
            raw = names.encode(row.old_name)
            folder = self.old.folders.get(rename.folder.raw + separator + raw[len(before) :])
            if raw.startswith(before) and folder is not None:
                found.append((row, folder))
        return found

    def _relabel(self, row: FolderRow, folder: Folder, target: bytes, *, same_uids: bool) -> None:
        row.old_name, row.old_hash = names.display(folder.raw), name_hash(folder.raw)
        row.subscribed = False  # subscriptions stay with names
        state = FolderState(self.ledger, self.account, folder, target, row)
        if not same_uids:
            state.forget_map()
            row.old_uidvalidity = row.new_uidvalidity = 0
        state.save_row()


def _is_same(row: FolderRow, folder: Folder) -> bool:
    """Whether this is the folder of the row under another name: UIDVALIDITY stays with a folder that is renamed."""
    status = folder.status
    return status is not None and status.uidvalidity == row.old_uidvalidity and status.uidnext >= row.old_uidnext
