"""Where numbered messages are: in which mailbox and folder, how often, on both servers and in the queues."""

import json
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from imapclient import IMAPClient

from lab.corpus.inventory import Inventory
from lab.corpus.store import Side, StoreError, Stores, folders_to_read
from lab.hosts import driver
from lab.measure.counting import Counting
from lab.paths import Instance
from lab.shell import LabError

HEADER = "X-Bascule-Number"
WORKERS = 4
QUEUES = ("mx", "old", "new")
SIDES: tuple[Side, ...] = ("new", "old")
POSTCAT_AT_ONCE = 200
NUMBER = re.compile(rf"^{HEADER}:\s*(\d+)", re.IGNORECASE | re.MULTILINE)

Places = Mapping[int, Sequence[tuple[str, str]]]  # number -> (account, folder) of each copy


@dataclass(frozen=True)
class Looked:
    """What was seen. `unseen`: what could not be looked at, as sentences."""

    new: Places = field(default_factory=dict)
    old: Places = field(default_factory=dict)
    queued: Mapping[int, str] = field(default_factory=dict)  # number -> host in whose queue it waits
    unseen: Sequence[str] = ()


def look(instance: Instance, held: Inventory) -> Looked:
    """Look into every folder of every account on both servers, and into the queues."""
    accounts = {"new": sorted(held.accounts), "old": sorted(name for name, each in held.accounts.items() if each.old)}
    unseen: list[str] = []
    queued = {number: host for host in QUEUES for number in _queued(instance, host, unseen)}
    counting = Counting("numbered messages", sum(len(several) for several in accounts.values()))
    sides = {side: _mailboxes(Stores(instance), side, accounts[side], unseen, counting) for side in SIDES}
    return Looked(sides["new"], sides["old"], queued, sorted(set(unseen)))


def judge(
    accepted: Mapping[int, Collection[str]], doubtful: Collection[int], found: Looked, kept: Collection[str] = ()
) -> dict[str, Any]:
    """Compare where the numbers are with where they must be.

    `accepted`: number -> accounts that it must be in, once each. `doubtful`: the MX never answered. `kept`: accounts
    that stay on old by decision: theirs must be there, once; what an earlier pass has copied lies unused on new.
    """
    places = {number: _places(number, found, kept) for number in accepted}
    result: dict[str, Any] = {
        "injected": len(accepted), "delivered_once": 0, "lost": [], "duplicated": [], "misplaced": [], "waiting": {},
        "only_on_old": [], "unseen": list(found.unseen), "doubtful": sorted(set(doubtful) & set(found.new)),
        "kept_on_old": sorted(kept),
    }  # fmt: skip
    for number, wanted in sorted(accepted.items()):
        copies = Counter(account for account, _ in places[number])
        missing = [account for account in wanted if not copies[account]]
        if any(count > 1 for count in copies.values()):
            result["duplicated"].append(_sentence(number, places[number]))
        elif set(copies) - set(wanted):
            result["misplaced"].append(_sentence(number, places[number]))
        elif not missing:
            result["delivered_once"] += 1
        elif number in found.queued:
            result["waiting"][number] = found.queued[number]
        elif {account for account, _ in found.old.get(number, ())} >= set(missing):
            result["only_on_old"].append(number)
        else:
            result["lost"].append(f"number {number}, accepted by the MX, is not in the mailbox of {', '.join(missing)}")
    result["numbers"] = {number: [list(place) for place in places[number]] for number in sorted(accepted)}
    return result


def _places(number: int, found: Looked, kept: Collection[str]) -> list[tuple[str, str]]:
    """Where the number counts: on new, and of an account that stays on old there."""
    on_new = [place for place in found.new.get(number, ()) if place[0] not in kept]
    return on_new + [place for place in found.old.get(number, ()) if place[0] in kept]


def sentences(result: Mapping[str, Any]) -> str:
    """The result for people."""
    counts = {name: len(result[name]) for name in ("lost", "duplicated", "misplaced", "waiting", "only_on_old")}
    lines = [
        f"{result['injected']} messages accepted by the MX",
        f"{result['delivered_once']} are in the right mailbox, once",
        "{lost} lost, {duplicated} twice, {misplaced} in a wrong mailbox, {waiting} waiting in queues, "
        "{only_on_old} on old only".format_map(counts),
    ]
    if result["kept_on_old"]:
        lines.append(f"  kept on old by decision, and looked for there: {', '.join(result['kept_on_old'])}")
    for kind in ("lost", "duplicated", "misplaced", "unseen"):
        lines += [f"  {kind}: {line}" for line in result[kind]]
    return "\n".join(lines)


def _sentence(number: int, places: Sequence[tuple[str, str]]) -> str:
    return f"number {number} is in {', '.join(f'{account}: {folder}' for account, folder in places)}"


def _mailboxes(stores: Stores, side: Side, accounts: Collection[str], unseen: list[str], counting: Counting) -> Places:
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)

    def one(account: str) -> list[tuple[int, str, str]]:
        try:
            client = stores.reader(side, account)
        except (TimeoutError, OSError, StoreError) as error:
            unseen.append(f"{side} can't be looked into: {error}")
            return []
        try:
            return [(number, account, folder) for folder, number in _numbers(client)]
        finally:
            client.logout()

    with ThreadPoolExecutor(WORKERS) as pool:
        for places in pool.map(one, accounts):
            counting.one_more()
            for number, account, folder in places:
                found[number].append((account, folder))
    return found


def _numbers(client: IMAPClient) -> Iterator[tuple[str, int]]:
    """(folder, number) of every numbered message of the mailbox."""
    for folder in folders_to_read(client):
        client.select_folder(folder, readonly=True)
        uids = client.search(["HEADER", HEADER, ""])
        wanted = f"BODY.PEEK[HEADER.FIELDS ({HEADER})]"
        for item in client.fetch(uids, [wanted]).values() if uids else ():
            text = next(value for key, value in item.items() if key.startswith(b"BODY["))
            match = NUMBER.search(text.decode(errors="replace"))
            if match:
                yield folder, int(match[1])


def _queued(instance: Instance, host: str, unseen: list[str]) -> Iterator[int]:
    """The numbers that wait in the host's Postfix queue."""
    try:
        listing = _on_host(instance, host, ["postqueue", "-j"])
        ids = [json.loads(line)["queue_id"] for line in listing.splitlines()]
        for start in range(0, len(ids), POSTCAT_AT_ONCE):
            # A message may leave the queue between the two looks: postcat then complains, and prints the others.
            text = _on_host(instance, host, ["postcat", "-qh", *ids[start : start + POSTCAT_AT_ONCE]], check=False)
            yield from (int(match[1]) for match in NUMBER.finditer(text))
    except LabError as error:
        unseen.append(str(error))


def _on_host(instance: Instance, host: str, command: list[str], *, check: bool = True) -> str:
    done = subprocess.run(driver.ssh_command(instance, host, command), capture_output=True, check=False)
    if check and done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-300:]
        raise LabError(f"the queue of {host} can't be looked into: {words}")
    return done.stdout.decode(errors="replace")
