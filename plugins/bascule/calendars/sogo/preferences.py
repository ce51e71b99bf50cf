"""Users' preferences in SOGo that the directory knows (identities, signatures), set by `sogo-tool` over SSH.

What a user has set already stays. A value is JSON, made from a template of the site file over the account's entry.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import Account, accounts, render
from bascule.ledger import Ledger
from bascule.ledger.calendars import preferences, save_preference
from bascule.site import PreferencesPart
from bascule.text.logs import get_logger

log = get_logger(__name__)

TOOL = ["runuser", "-u", "sogo", "--", "sogo-tool", "user-preferences"]
THREADS = 4
UNSET = "not found"  # what sogo-tool says of a key without a value, with status 0 or 1


def set_preferences(access: Access, ledger: Ledger, names: Sequence[str], *, dry_run: bool = False) -> int:
    """Set what is not set yet, for all these accounts; how many values that were. Raises AccessError.

    Each value is looked at once: from then on it is the user's own.
    """
    part = access.site.webmail.preferences
    if part is None:
        return 0
    known = preferences(ledger)
    new = [account for account in accounts(access, names) if {(account.name, key) for key in part.values} - known]
    shares = [new[first::THREADS] for first in range(THREADS)]
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="preferences") as pool:
        count = sum(pool.map(lambda share: _set_all(access, ledger, part, share, known, dry_run=dry_run), shares))
    log.info("preferences in SOGo", accounts=len(new), values_set=count, dry_run=dry_run)
    return count


def _set_all(
    access: Access,
    ledger: Ledger,
    part: PreferencesPart,
    share: Sequence[Account],
    known: set[tuple[str, str]],
    *,
    dry_run: bool,
) -> int:
    """What one thread does: these accounts, with an SSH connection of its own."""
    own, count = access.again(), 0
    try:
        for account in share:
            for key, template in part.values.items():
                if (account.name, key) in known:
                    continue
                count += _set(own, part, account, key, template, dry_run=dry_run)
                if not dry_run:
                    with ledger.session() as session:
                        save_preference(session, account.name, key)
    finally:
        own.close()
    return count


def _set(access: Access, part: PreferencesPart, account: Account, key: str, template: str, *, dry_run: bool) -> bool:
    wanted = _value(account, key, template)
    remote = access.remote(part.host)
    present = remote.run([*TOOL, "get", "defaults", account.name, key], check=False, private=True)
    if UNSET not in present.error + present.output:
        return False
    if not dry_run:
        remote.run([*TOOL, "set", "defaults", account.name, key, json.dumps({key: wanted})])
        there = remote.run([*TOOL, "get", "defaults", account.name, key], check=False, private=True)
        if UNSET in there.error + there.output:
            raise AccessError(f"SOGo on {part.host} did not keep `{key}` of {account.name}: {there.error[-300:]}")
    return True


def _value(account: Account, key: str, template: str) -> object:
    text = render(template, account)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise AccessError(f"`webmail.preferences.values.{key}` makes no JSON for {account.dn}: {error}") from None
