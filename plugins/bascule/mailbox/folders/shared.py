"""Shared folders: they lie in nobody's mailbox, and are told once for the site, whoever sees them."""

from bascule.ledger import Ledger, shared_folders
from bascule.mailbox.imap.folders import FolderList
from bascule.text import mutf7
from bascule.text.logs import get_logger

log = get_logger(__name__)


def tell_shared(ledger: Ledger, account: str, old: FolderList) -> None:
    """Those that no pass over any mailbox has met before."""
    new = shared_folders.note(ledger, [mutf7.display(name) for name in old.shared], account) if old.shared else []
    if new:
        log.warning(
            "shared folders of old lie in nobody's mailbox and are not carried: see to those that are wanted",
            folders=new, seen_by=account,
        )  # fmt: skip
