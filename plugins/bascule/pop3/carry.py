"""Carry the UIDLs of old's messages to new: read by POP3, written into new's storage by SSH, read again by POP3."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import RemoteHost
from bascule.ledger import Ledger, moves
from bascule.ledger.leases import LeaseHeld, lease
from bascule.ledger.mailboxes import KEPT, folders_of, runs_of
from bascule.mailbox.job import MailboxJob, job_for
from bascule.pop3.listing import Listed, ListingFailed, list_by_imap, list_by_pop3
from bascule.pop3.usage import recent_users
from bascule.problems import store
from bascule.remote.send import send
from bascule.site import PopPart
from bascule.text.logs import get_logger

log = get_logger(__name__)

THREADS = 4
SDBOX = "dbox-Mails"  # the last part of the path of a folder in sdbox


@dataclass(frozen=True)
class Carried:
    """One account: how many messages of INBOX keep their UIDL, how many don't, and why not (empty: they all do)."""

    account: str
    kept: int
    changed: int
    reason: str = ""


def carry_uidls(
    access: Access, ledger: Ledger, names: Sequence[str], owner: str, *, dry_run: bool = False
) -> list[Carried]:
    """Carry the UIDLs of those among these accounts whom the site file asks for. A second run changes nothing.

    To be run when both servers can be reached by Bascule alone. Who has moved to new already is left alone. What can't
    be carried is said and fails nothing.
    """
    part = access.site.mailboxes.pop3
    if part is None:
        return []
    kept_on_old = store.kept_on_old(ledger)
    chosen = [name for name in _chosen(access, part, moves.not_moved(ledger, names)) if name not in kept_on_old]
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="pop3") as pool:
        found = list(pool.map(lambda account: _one(access, ledger, part, account, owner, dry_run), chosen))
    for result in found:
        fields = {"account": result.account, "kept": result.kept, "changed": result.changed}
        if result.reason:
            log.warning("POP3 programs of this account fetch messages once more", reason=result.reason, **fields)
        else:
            log.info("POP3 UIDLs are as they were", dry_run=dry_run, **fields)
    return found


def _chosen(access: Access, part: PopPart, names: Sequence[str]) -> list[str]:
    if part.accounts == "all":
        return list(names)
    wanted = {*recent_users(access), access.site.functional_tests.account}
    return [name for name in names if name in wanted]


def _one(access: Access, ledger: Ledger, part: PopPart, account: str, owner: str, dry_run: bool) -> Carried:
    own = access.again()  # SSH connections are not shared between threads
    try:
        with lease(ledger, account, owner):
            return _carry(own, ledger, part, account, dry_run)
    except (ListingFailed, AccessError, LeaseHeld) as error:
        return Carried(account, 0, 0, str(error))
    finally:
        own.close()


def _carry(access: Access, ledger: Ledger, part: PopPart, account: str, dry_run: bool) -> Carried:
    job = job_for(access, account)
    wanted = wanted_uidls(ledger, account, _uidls_of(list_by_pop3(job.old, part.old_port), list_by_imap(job.old)))
    if not wanted or dry_run:
        return Carried(account, len(wanted), 0)
    lacking = _lacking(job, part, wanted)
    failed: dict[int, str] = {}
    if lacking:
        failed = _give(access, account, wanted)
        lacking = _lacking(job, part, wanted)
    reason = ""
    if lacking:
        reason = next(iter(failed.values()), "new shows other UIDLs than were written: look at Dovecot's log there")
    return Carried(account, len(wanted) - len(lacking), len(lacking), reason)


def wanted_uidls(ledger: Ledger, account: str, of_old: dict[int, str]) -> dict[int, str]:
    """New UID -> UIDL of every message of INBOX that was carried, from old UID -> UIDL. Raises ListingFailed."""
    with ledger.reading(in_slices=True) as session:
        inbox = next((folder for folder in folders_of(session, account) if folder.old_name.upper() == "INBOX"), None)
        if inbox is None:
            return {}
        pairs = [
            (first + i, new + i) for first, new, length, _ in runs_of(session, inbox.id) for i in range(length)
        ]  # fmt: skip
        by_chance = inbox.new_uidvalidity == inbox.old_uidvalidity and inbox.uids != KEPT
        validity = inbox.new_uidvalidity if by_chance else None
    wanted = {new: of_old[old] for old, new in pairs if old in of_old}
    if validity is not None and any(f"{validity:08x}" in uidl.lower() for uidl in wanted.values()):
        raise ListingFailed(
            f"INBOX has the UIDVALIDITY {validity} on both servers, so that new mail would get UIDLs which are "
            "carried ones"
        )
    return wanted


def _uidls_of(listed: list[Listed], messages: list[tuple[int, int]]) -> dict[int, str]:
    """UID -> UIDL, by place: both protocols list one folder. Raises ListingFailed when they don't agree about it."""
    if [item.size for item in listed] != [size for _, size in messages]:
        raise ListingFailed(
            f"POP3 lists {len(listed)} messages on old and IMAP {len(messages)}, or in another order: nothing "
            "was written"
        )
    return {uid: item.uidl for (uid, _), item in zip(messages, listed, strict=True)}


def _lacking(job: MailboxJob, part: PopPart, wanted: dict[int, str]) -> dict[int, str]:
    """What POP3 on new doesn't show as wanted."""
    present = _uidls_of(list_by_pop3(job.new, part.new_port), list_by_imap(job.new))
    return {uid: uidl for uid, uidl in wanted.items() if uid in present and present[uid] != uidl}


def _give(access: Access, account: str, wanted: dict[int, str]) -> dict[int, str]:
    """Write the UIDLs on new; what went wrong, by UID. Raises ListingFailed, AccessError."""
    remote = access.remote(access.site.mailboxes.new.host)
    directory = sdbox_of(remote, account)
    remote.run(["doveadm", "kick", account], check=False)
    done = send(remote, "pop3_uidls", {"directory": directory, "uidls": wanted})
    # Values of an earlier look may be in Dovecot's cache; where it can't drop them, they were never there.
    remote.run(["doveadm", "mailbox", "cache", "remove", "-u", account, "mailbox", "INBOX", "all"], check=False)
    return dict(done["failed"])


def sdbox_of(remote: RemoteHost, account: str) -> str:
    """Where Dovecot's sdbox has the account's INBOX on this host. Raises ListingFailed when it is no sdbox."""
    found = remote.run(["doveadm", "mailbox", "path", "-u", account, "INBOX"]).output.strip()
    directory = PurePosixPath(found)
    of_all = directory.parents[2] / "storage" if len(directory.parents) > 2 else directory  # where mdbox has messages
    if directory.name != SDBOX or remote.run(["test", "-d", str(of_all)], check=False).status == 0:
        raise ListingFailed(f"{remote.name} keeps INBOX in {directory}: UIDLs can be carried to Dovecot's sdbox only")
    return found
