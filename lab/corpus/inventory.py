"""The inventory: what the lab put where, written down when it was put there. The truth that the day is measured by."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.corpus.mailboxes import Folder, Mailbox
from lab.corpus.people import FIXED, ROLES
from lab.paths import Instance


@dataclass(frozen=True)
class Entry:
    """One message: SHA-256 of what IMAP serves, flags and keywords sorted, internal date in seconds since 1970."""

    digest: str
    size: int
    flags: tuple[str, ...]
    date: int


@dataclass(frozen=True)
class Holdings:
    """What one account had before the day. Folders by their name on the server."""

    account: str
    address: str
    beta: bool
    trouble: str | None
    old: Mapping[str, list[Entry]]
    new: Mapping[str, list[Entry]]
    subscribed: list[str]  # on old
    filters: Mapping[str, str] = field(default_factory=dict)  # name -> text
    active_filter: str | None = None
    events: list[str] = field(default_factory=list)  # UIDs
    contacts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Inventory:
    """Everything that `fill` did in one instance."""

    seed: int
    accounts: Mapping[str, Holdings]

    @property
    def messages(self) -> int:
        return sum(len(found) for each in self.accounts.values() for found in each.old.values())


def digest_of(data: bytes) -> str:
    """What identifies a message: SHA-256 of its bytes as IMAP serves them."""
    return hashlib.sha256(data).hexdigest()


def ordinary(instance: Instance) -> list[str]:
    """The accounts that have no part of their own in the practice site's day: nothing of theirs waits for a person."""
    held = read(instance)
    return sorted(set(held.accounts if held else ()) - {name for name, *_ in (*FIXED, *ROLES)})


def path_of(instance: Instance) -> Path:
    return instance.state / "inventory.json"


def numbers_of(instance: Instance) -> Path:
    """Where the injector writes down its numbers, one JSON object a line."""
    return instance.state / "injected.jsonl"


def holdings_of(mailbox: Mailbox) -> Holdings:
    """What will be in one account's places once the lab is filled: what nobody can read there does not count."""
    return Holdings(
        account=mailbox.person.account,
        address=mailbox.person.address,
        beta=mailbox.person.beta,
        trouble=mailbox.person.trouble,
        old=_entries(mailbox.old),
        new=_entries(mailbox.new),
        subscribed=[folder.name for folder in mailbox.old if folder.subscribed and folder.opens],
        filters=mailbox.filters,
        active_filter=mailbox.active_filter,
        events=[item.uid for item in mailbox.events],
        contacts=[item.uid for item in mailbox.contacts],
    )


def write(instance: Instance, seed: int, holdings: Iterable[Holdings]) -> Inventory:
    """Write the inventory, whole or not at all."""
    inventory = Inventory(seed, {each.account: each for each in sorted(holdings, key=lambda each: each.account)})
    path = path_of(instance)
    partial = path.with_suffix(".partial")
    text = json.dumps(
        {"seed": seed, "accounts": [_plain(each) for each in inventory.accounts.values()]}, ensure_ascii=False
    )
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return inventory


def read(instance: Instance) -> Inventory | None:
    """The inventory, or None when the instance was never filled."""
    path = path_of(instance)
    if not path.exists():
        return None
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Inventory(raw["seed"], {each["account"]: _holdings(each) for each in raw["accounts"]})


def _entries(folders: list[Folder]) -> dict[str, list[Entry]]:
    return {
        folder.name: [
            Entry(
                digest_of(message.served),
                len(message.served),
                tuple(sorted(message.flags)),
                int(message.date.timestamp()),
            )
            for message in folder.messages
            if not message.damaged
        ]
        for folder in folders
        if folder.opens
    }


def _plain(holdings: Holdings) -> dict:
    """As JSON: each message one short list."""
    plain = {name: value for name, value in vars(holdings).items() if name not in ("old", "new")}
    for side in ("old", "new"):
        folders: Mapping[str, list[Entry]] = getattr(holdings, side)
        plain[side] = {name: [list(asdict(entry).values()) for entry in found] for name, found in folders.items()}
    return plain


def _holdings(raw: dict) -> Holdings:
    for side in ("old", "new"):
        raw[side] = {
            name: [Entry(digest, size, tuple(flags), date) for digest, size, flags, date in found]
            for name, found in raw[side].items()
        }
    return Holdings(**raw)
