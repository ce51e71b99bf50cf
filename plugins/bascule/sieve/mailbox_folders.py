"""What the ledger and the site file know of the folders of an account's mailbox, as its filters need it."""

import json
from dataclasses import fields

from bascule.ledger import Ledger, mailboxes
from bascule.ledger.filters import digest
from bascule.problems import rules, store
from bascule.sieve.foldermap import FolderMap
from bascule.site.accounts import FoldersPart
from bascule.text import mutf7
from bascule.text.name_map import Namespace


def folder_map(ledger: Ledger, account: str, old: Namespace, new: Namespace, site: FoldersPart) -> FolderMap:
    """The folders that the last pass carried, the names that were decided since, and the rule for all others."""
    decided, open_problems = _decided_names(ledger, account), store.problems(ledger, account=account, room="mailbox")
    return FolderMap(
        names={**site.rename, **decided, **mailboxes.folder_map(ledger, account)},
        old_separator=old.separator.decode(),
        new_separator=new.separator.decode(),
        old_prefix=mutf7.display(old.prefix),
        new_prefix=mutf7.display(new.prefix),
        replace=site.replace,
        shared=tuple(map(mutf7.display, old.foreign)),
        asked=frozenset(problem.subject for problem in filter(rules.is_folder_name, open_problems)),
    )


def left_out(ledger: Ledger, account: str, site: FoldersPart) -> frozenset[str]:
    """The old folders that are not carried: by a person's decision, or by the site file's."""
    return store.folders_left_out(ledger, account) | {*site.exclude}


def fingerprint(folders: FolderMap, left_out: frozenset[str]) -> str:
    """The same for the same knowledge of an account's folders: its filters need no other look while it stays so."""
    known = {each.name: getattr(folders, each.name) for each in fields(folders) if each.compare}
    return digest(json.dumps([known, left_out], sort_keys=True, default=sorted).encode())[:32]  # `default`: of sets


def _decided_names(ledger: Ledger, account: str) -> dict[str, str]:
    """Old folder -> the name that a person has given it; the last decision counts."""
    about = sorted(store.decisions(ledger, account, "mailbox"), key=lambda pair: pair[1].decided_at)
    return {problem.subject: name for problem, made in about if (name := rules.new_name_of(problem, made))}
