"""The folders that earlier passes have carried, and what became of each on old: still there, renamed, or removed."""

from collections import Counter

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import FolderRow
from bascule.mailbox.folders.uidvalidity import is_same_on_old
from bascule.mailbox.imap.folders import Folder, FolderList
from bascule.mailbox.state.folder import name_hash


class KnownFolders:
    """What the ledger knows of the folders of one mailbox, beside what old lists now."""

    def __init__(self, ledger: Ledger, account: str, old: FolderList) -> None:
        with ledger.reading() as session:
            self.rows = mailboxes.folders_of(session, account)
        self._by_hash = {row.old_hash: row for row in self.rows}
        self._on_old = {name_hash(encoded): folder for encoded, folder in old.folders.items()}

    def row(self, folder: Folder) -> FolderRow | None:
        """What is known of this folder of old."""
        return self._by_hash.get(name_hash(folder.encoded))

    def gone(self) -> list[FolderRow]:
        """What is known of folders that old has no more under their names."""
        return [row for row in self.rows if row.old_hash not in self._on_old]

    def renamed(self) -> list[tuple[FolderRow, Folder]]:
        """Of those, the folders that old has under another name now, which no pass has met."""
        gone = [row for row in self.gone() if row.finished and row.old_uidvalidity]
        fresh: dict[int, list[Folder]] = {}
        for key, folder in self._on_old.items():
            if key not in self._by_hash and folder.status is not None:
                fresh.setdefault(folder.status.uidvalidity, []).append(folder)
        rivals = Counter(row.old_uidvalidity for row in gone)
        found = []
        for row in gone:
            same = [folder for folder in fresh.get(row.old_uidvalidity, ()) if is_same_on_old(row, folder)]
            if len(same) == rivals[row.old_uidvalidity] == 1:
                found.append((row, same[0]))
        return found
