"""The filters of many accounts from old to new: fetched, converted, checked, put, and activated, or a problem by name.

Runs as often as one likes: a second run changes nothing. What a person decided is applied by the same pass.
"""

import concurrent.futures
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from bascule.hosts import directory
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, filters, leases
from bascule.ledger.leases import LeaseHeld
from bascule.sieve import mailbox_folders, old_scripts, servers
from bascule.sieve.account_sync import AccountPass, AccountResult
from bascule.sieve.active_files import DovecotActiveFiles
from bascule.sieve.differential_test import Proof
from bascule.sieve.foldermap import FolderMap, FolderMaps
from bascule.sieve.global_scripts import GlobalScripts
from bascule.sieve.model import Choice
from bascule.sieve.old_scripts import ActiveFiles
from bascule.sieve.servers import FilterServer
from bascule.sieve.shared import SharedHost
from bascule.sieve.vacation import VacationRecord
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

LEASE = "filters"  # beside the lease of the account's mailbox, which may be copied at the same time


@dataclass(frozen=True)
class Job:
    """Everything that a pass over filters needs, as plain objects.

    `folder_maps`: account -> the mapping that moved its folders. `addresses`: account -> its own addresses. `proof`:
    runs filters on the account's own mail on the new host; None: behaviour is not compared. `vacation`: where the
    records of answers lie; None: they are not carried over. `active_files`: finds active scripts that the old server
    does not list. `left_out`: account -> its old folders that are not
    carried by decision. `old_global`, `new_global`: what all may include; None: unknown. `owner`: who holds the
    accounts' leases meanwhile; a task's next try has its name again.
    """

    old: FilterServer
    new: FilterServer
    ledger: Ledger
    folder_maps: FolderMaps = lambda account: FolderMap()
    addresses: Callable[[str], frozenset[str]] = lambda account: frozenset()
    old_hosts: dict[str, str] = field(default_factory=dict)
    never_matching: Choice = "ask"
    parallel: int = 8
    proof: Proof | None = None
    vacation: VacationRecord | None = None
    active_files: ActiveFiles | None = None
    left_out: Callable[[str], frozenset[str]] = lambda account: frozenset()
    old_global: GlobalScripts | None = None
    new_global: GlobalScripts | None = None
    owner: str = field(default_factory=lambda: leases.this_process("filters"))


@dataclass
class FilterCounts:
    """What a pass did. `waiting`: accounts for which a person is asked; `failed`: account -> why nothing could be
    done; `folders`: account -> fingerprint of what was known of its folders, empty where another pass may get more."""

    accounts: int = 0
    scripts: int = 0
    converted: int = 0  # scripts that needed an edit
    put: int = 0
    activated: int = 0
    unchanged: int = 0  # scripts that stood on the new server as they should
    problems: int = 0
    waiting: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def add(self, result: AccountResult) -> None:
        self.accounts += 1
        self.folders[result.account] = result.folders
        self.scripts += result.scripts
        self.converted += result.converted
        self.put += result.put
        self.activated += result.activated
        self.unchanged += result.unchanged
        self.problems += result.problems
        if result.problems:
            self.waiting.append(result.account)


class FiltersFailed(AccessError):
    """Raised when some accounts' filters could not be looked at, after all the others were done: the run may be tried
    again."""


def sync_filters(
    access: Access, ledger: Ledger, accounts: Sequence[str], *, owner: str = "", dry_run: bool = False
) -> FilterCounts:
    """Bring the filters of these accounts to the new server, several at once, each under its lease for `owner`.

    With `dry_run` nothing on the new server is touched; what was found stands in the ledger all the same.
    Raises FiltersFailed, with every account's reason, when servers could not be reached or refused, or when another
    task has an account in its hands.
    """
    if not accounts:
        return FilterCounts()
    job = job_for(access, ledger, accounts)
    counts = run(replace(job, owner=owner or job.owner), accounts, dry_run=dry_run)
    if counts.failed:
        reasons = "; ".join(f"{account}: {reason}" for account, reason in sorted(counts.failed.items())[:10])
        raise FiltersFailed(
            f"the filters of {len(counts.failed)} of {len(accounts)} account(s) could not be done: {reasons}"
        )
    return counts


def folders_known_now(access: Access, ledger: Ledger, accounts: Sequence[str]) -> dict[str, str]:
    """As `FilterCounts.folders`, for a pass that would begin now. Raises AccessError."""
    if not accounts:
        return {}
    job = job_for(access, ledger, accounts)
    return {account: _fingerprint(job, account) for account in accounts}


def _fingerprint(job: Job, account: str) -> str:
    return mailbox_folders.fingerprint(job.folder_maps(account), job.left_out(account))


def changed_on_old(access: Access, ledger: Ledger, account: str) -> bool:
    """Whether old lists other scripts, or another active one, than a pass has seen last: one look at old alone.

    True as well where the list alone can't tell: for a script that can't be read, for an active one that is not listed.
    Raises AccessError.
    """
    with servers.from_site(access, access.site.mailboxes.old).source(account) as source:
        found = old_scripts.read(source, account, active_files=None)
    known = {status.name: (status.original, status.active) for status in filters.filters(ledger, account)}
    here = {name: (filters.digest(text), name == found.active) for name, text in found.texts.items()}
    none_listed = found.active is None and any(active for _, active in known.values())
    return bool(found.unreadable) or none_listed or any(known.get(name) != said for name, said in here.items())


def settle_filter(access: Access, ledger: Ledger, account: str, *, owner: str = "") -> int:
    """Apply what was decided about one account's filters; return how many problems are still open."""
    return sync_filters(access, ledger, [account], owner=owner).problems


def run(job: Job, accounts: Collection[str], *, dry_run: bool = False) -> FilterCounts:
    """One pass over the accounts, `job.parallel` at once; one account's trouble never stops the others."""
    counts = FilterCounts()
    with concurrent.futures.ThreadPoolExecutor(job.parallel, thread_name_prefix="filters") as pool:
        passes = {pool.submit(_one, job, account, dry_run): account for account in accounts}
        for done in concurrent.futures.as_completed(passes):
            account = passes[done]
            try:
                counts.add(done.result())
            except (AccessError, LeaseHeld) as error:
                counts.failed[account] = str(error)
                log.error("filters not done", account=account, reason=str(error))
            except (
                Exception
            ) as error:  # a fault of Bascule's own on this account's scripts: told when the others are done
                counts.failed[account] = f"a mistake in Bascule with one of the scripts ({reason(error)}): report it"
                log.exception("filters not done", account=account)
    counts.waiting.sort()
    log.info(
        "filters of all accounts looked at" if dry_run else "filters of all accounts done",
        accounts=counts.accounts, scripts=counts.scripts, converted=counts.converted, put=counts.put,
        activated=counts.activated, unchanged=counts.unchanged, problems=counts.problems, waiting=counts.waiting,
        failed=sorted(counts.failed),
    )  # fmt: skip
    return counts


def _one(job: Job, account: str, dry_run: bool) -> AccountResult:
    with (
        leases.lease(job.ledger, account, job.owner, of=LEASE),
        job.old.source(account) as old,
        job.new.connected(account) as new,
    ):
        known = _fingerprint(job, account)  # before the pass: what changes meanwhile is found by the next one
        done = AccountPass(
            account=account,
            old=old,
            new=new,
            ledger=job.ledger,
            folders=job.folder_maps(account),
            addresses=job.addresses(account),
            old_hosts=job.old_hosts,
            left_out=job.left_out(account),
            global_scripts=job.new_global.texts() if job.new_global else None,
            old_global_scripts=job.old_global.texts() if job.old_global else None,
            never_matching=job.never_matching,
            proof=job.proof,
            vacation=job.vacation,
            active_files=job.active_files,
            dry_run=dry_run,
        ).run()
        return replace(done, folders="" if done.again else known)


def job_for(access: Access, ledger: Ledger, accounts: Sequence[str]) -> Job:
    """The job as the site file, the directory and the ledger say."""
    site = access.site
    old, new = (servers.from_site(access, part) for part in (site.mailboxes.old, site.mailboxes.new))
    old_host, new_host = (SharedHost(access.remote(part.host)) for part in (site.mailboxes.old, site.mailboxes.new))
    old_names, new_names = (servers.namespace(server, accounts[0]) for server in (old, new))
    folders = site.mailboxes.folders
    known = {account.name: account for account in directory.accounts(access, list(accounts))}

    def addresses(account: str) -> frozenset[str]:
        entry = known[account].entry if account in known else {}
        return frozenset(value.lower() for values in entry.values() for value in values if "@" in value)

    return Job(
        old=old,
        new=new,
        ledger=ledger,
        folder_maps=lambda account: mailbox_folders.folder_map(ledger, account, old_names, new_names, folders),
        addresses=addresses,
        old_hosts=dict.fromkeys(_retired_names(access), site.domain),
        never_matching=site.filters.never_matching,
        parallel=site.filters.parallel,
        proof=Proof(new_host, old),
        vacation=VacationRecord(old_host, new_host),
        active_files=None if old.files else DovecotActiveFiles(old_host, accounts),
        left_out=lambda account: mailbox_folders.left_out(ledger, account, folders),
        old_global=GlobalScripts(old_host),
        new_global=GlobalScripts(new_host),
    )


def _retired_names(access: Access) -> set[str]:
    """Domains of addresses at the old server itself."""
    site = access.site
    names = {site.hosts[site.mailboxes.old.host].address.lower(), site.mailboxes.old.address.lower()}
    return names - {site.domain.lower(), site.mailboxes.new.address.lower()}


__all__ = ["FilterCounts", "FiltersFailed", "Job", "filters", "job_for", "run", "settle_filter", "sync_filters"]
