"""Users' preferences in SOGo that the directory knows (identities, signatures), set by `sogo-tool` over SSH.

What a user has set already stays. A value is JSON, made from a template of the site file over the account's entry.
"""

import json
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from bascule.calendars.sogo.bulk import AT_ONCE, keys_set
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import Account, accounts, render
from bascule.hosts.ssh import RemoteHost
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
    own = access.again()
    try:
        remote = own.remote(part.host)
        some = (share[first : first + AT_ONCE] for first in range(0, len(share), AT_ONCE))
        return sum(_set_some(remote, ledger, part, few, known, dry_run=dry_run) for few in some)
    finally:
        own.close()


def _set_some(
    remote: RemoteHost,
    ledger: Ledger,
    part: PreferencesPart,
    few: Sequence[Account],
    known: set[tuple[str, str]],
    *,
    dry_run: bool,
) -> int:
    """These accounts, looked at together before and after: a look at one alone costs as much as at all of them."""
    new = [(account, key) for account in few for key in part.values if (account.name, key) not in known]
    values = {(account.name, key): _value(account, key, part.values[key]) for account, key in new}
    there = _set_already(remote, values)
    if dry_run:
        return len(values.keys() - there)
    _save(ledger, there)
    wanted = {each: value for each, value in values.items() if each not in there}
    for (account, key), value in wanted.items():
        remote.run([*TOOL, "set", "defaults", account, key, json.dumps({key: value})])
    lost = wanted.keys() - _set_already(remote, wanted)
    _save(ledger, wanted.keys() - lost)
    for account, key in lost:
        raise AccessError(f"SOGo on {part.host} did not keep `{key}` of {account}")
    return len(wanted)


def _set_already(remote: RemoteHost, asked: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these (account, key) have a value."""
    told = keys_set(remote, list(dict.fromkeys(account for account, _ in asked))) if asked else {}
    return {
        (account, key)
        for account, key in asked
        if (key in told[account] if account in told else _is_set(remote, account, key))
    }


def _is_set(remote: RemoteHost, account: str, key: str) -> bool:
    present = remote.run([*TOOL, "get", "defaults", account, key], check=False, private=True)
    return UNSET not in present.error + present.output


def _save(ledger: Ledger, seen: Collection[tuple[str, str]]) -> None:
    with ledger.session() as session:
        for account, key in seen:
            save_preference(session, account, key)


def _value(account: Account, key: str, template: str) -> object:
    text = render(template, account)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise AccessError(f"`webmail.preferences.values.{key}` makes no JSON for {account.dn}: {error}") from None
