"""From one SOGo to another by SOGo's own tool, over SSH, once for each account: preferences and shares come along.

Only what new has not yet is restored: a folder with items or shares of its own stays as it is there, and so do
preferences that somebody has. What is left is carried over CalDAV and CardDAV afterwards, which compares every item.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import RemoteHost
from bascule.ledger import Ledger
from bascule.ledger.calendars import preferences, save_preference
from bascule.text.logs import get_logger

log = get_logger(__name__)

AS_SOGO = ["runuser", "-u", "sogo", "--"]
DONE = "sogo-tool"  # the key under which the ledger notes that an account was brought over

# A user's backup is a property list as GNUstep writes it; folders stand at one level of indentation.
_folder = re.compile(r'^\t"?/Users/[^/"]+/((?:Calendar|Contacts)/[^"\n]+?)"? = \{\n(.*?)^\t\};', re.M | re.S)
_no_shares = re.compile(r"^\t    acl = \{\s*\};", re.M)
_no_items = re.compile(r"^\t    records = \(\s*\);", re.M)
_no_preferences = re.compile(r"^    preferences = \(\s*\{\s*\},", re.M)


@dataclass(frozen=True)
class Backup:
    """What `sogo-tool backup` says of one user."""

    text: str

    def folders(self) -> dict[str, bool]:
        """`Calendar/NAME` or `Contacts/NAME` -> whether it holds items or is shared."""
        found = _folder.findall(self.text)
        return {name: not (_no_shares.search(inside) and _no_items.search(inside)) for name, inside in found}

    def has_preferences(self) -> bool:
        """Whether the user has set any (or has logged in once, which sets some)."""
        return not _no_preferences.search(self.text)


def bring_over(access: Access, ledger: Ledger, account: str, *, dry_run: bool = False) -> bool:
    """Backup on old, restore on new what is not there; once for each account. Whether anything was to be done.

    Raises AccessError when a host can't be reached or the tool fails.
    """
    part = access.site.calendars.sogo_tool
    if part is None or (account, DONE) in preferences(ledger):
        return False
    old, new = access.remote(part.old), access.remote(part.new)
    source = _backup(old, account)
    if source is None:
        log.info("sogo-tool: old's SOGo doesn't know the account", account=account)
        return False
    present = Backup((_backup(new, account) or b"").decode(errors="replace"))
    wanted = Backup(source.decode(errors="replace"))
    taken = present.folders()
    folders = [name for name in wanted.folders() if not taken.get(name)]
    with_preferences = wanted.has_preferences() and not present.has_preferences()
    if not dry_run:
        _restore(new, account, source, folders, with_preferences=with_preferences)
        with ledger.session() as session:
            save_preference(session, account, DONE)
    log.info(
        "sogo-tool: one account",
        account=account,
        folders=len(folders),
        left_to_dav=len(wanted.folders()) - len(folders),
        preferences=with_preferences,
        dry_run=dry_run,
    )
    return True


def _backup(remote: RemoteHost, account: str) -> bytes | None:
    """The user's data on this host, or None when its SOGo knows no such user."""
    with _folder_on(remote) as folder:
        command = [*AS_SOGO, "sogo-tool", "backup", folder, account]
        done = remote.run(command, check=False)
        data = remote.read_file(f"{folder}/{account}")
        if data is None and f"user '{account}' unknown" not in done.error + done.output:
            raise AccessError(f"sogo-tool on {remote.name} wrote no backup of {account}: {done.error[-300:]}")
        return data


def _restore(remote: RemoteHost, account: str, data: bytes, folders: list[str], *, with_preferences: bool) -> None:
    with _folder_on(remote) as folder:
        remote.write_file(f"{folder}/{account}", data)  # readable by SOGo's user; nobody else gets into the folder
        for name in folders:
            remote.run([*AS_SOGO, "sogo-tool", "restore", "-f", name, folder, account], timeout=600)
        if with_preferences:
            remote.run([*AS_SOGO, "sogo-tool", "restore", "-p", folder, account])


@contextmanager
def _folder_on(remote: RemoteHost) -> Iterator[str]:
    """A folder that only SOGo's user and root can enter, gone afterwards: backups hold people's secrets."""
    folder = remote.run([*AS_SOGO, "mktemp", "-d", "-t", "bascule-sogo-XXXXXXXX"]).output.strip()
    try:
        yield folder
    finally:
        remote.run(["rm", "-rf", "--", folder], check=False)
