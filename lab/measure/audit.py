"""`python -m lab audit`: compare what the mailboxes hold with the inventory, apart from everything that Bascule keeps.

Of Bascule it takes one thing: which decisions people took (a folder renamed, a message left out), since they say what
shall differ. Everything else is counted here: every message by its SHA-256, flags, keywords, internal date and folder.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from imapclient import IMAPClient

from lab.corpus import inventory
from lab.corpus.inventory import Entry, Holdings, Inventory, digest_of
from lab.corpus.store import Side, Stores, folders_to_read, is_damaged
from lab.measure.counting import Counting
from lab.paths import CHECKOUT, Instance

WORKERS = 4
FETCH_AT_ONCE = 50
PREFIX = "INBOX."
ANY_DATE = -1


@dataclass(frozen=True)
class Decisions:
    """What people decided about one mailbox. Folders by their old names."""

    renamed: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    messages: Mapping[tuple[str, int], str] = field(default_factory=dict)  # (folder, size) -> what was decided
    dropped: frozenset[tuple[str, str]] = frozenset()  # (folder, keyword that new does not take)
    dated: frozenset[tuple[str, int]] = frozenset()  # (folder, size) of messages with a date that new can't keep
    kept_on_old: bool = False

    def name_of(self, old: str) -> str:
        """The folder's name on new."""
        return self.renamed.get(old) or new_name(old)


@dataclass(frozen=True)
class Found:
    """One message that a server serves."""

    entry: Entry
    name: str  # Message-Id or subject, for people


@dataclass
class Verdict:
    """The result for one mailbox; each line names account, folder and message."""

    expected: int = 0
    found_once: int = 0
    extra: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    by_decision: list[str] = field(default_factory=list)
    kept_on_old: list[str] = field(default_factory=list)
    beta_messages: int = 0
    beta_lost: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab audit", description=__doc__)
    parser.add_argument("--instance", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=("old", "new"), default="new", help="old: is it as it was filled?")
    parser.add_argument(
        "--ledger", help="Bascule's ledger with the decisions (default: the one beside the lab's Airflow)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    instance = Instance(asked.instance)
    held = inventory.read(instance)
    if held is None:
        print(f"lab: {instance.name} was never filled: there is nothing to compare with", file=sys.stderr)
        return 2
    decisions = read_decisions(instance, asked.ledger) if asked.side == "new" else {}
    result = as_json(held, audit(instance, held, decisions, asked.side))
    print(json.dumps(result, indent=2, ensure_ascii=False) if asked.json else sentences(result))
    return 0 if result["good"] or asked.json else 1  # the JSON says itself whether it is good


def audit(instance: Instance, held: Inventory, decisions: Mapping[str, Decisions], side: Side = "new") -> Verdict:
    """Look into every mailbox of the inventory on one side."""
    stores = Stores(instance)

    def one(holdings: Holdings) -> Verdict:
        decided = decisions.get(holdings.account, Decisions())
        if side == "old":
            return _audit_old(stores, holdings)
        found, subscribed = _look(stores, "new", holdings.account)
        verdict = compare_with_decisions(holdings, decided, found)
        verdict.differences += _not_subscribed(holdings.account, subscriptions(holdings, decided) - subscribed)
        if decided.kept_on_old:
            verdict.add(_audit_old(stores, holdings))
        return verdict

    total, counting = Verdict(), Counting("every message", len(held.accounts))
    with ThreadPoolExecutor(WORKERS) as pool:
        for verdict in pool.map(one, held.accounts.values()):
            total.add(verdict)
            counting.one_more()
    return total


def _look(stores: Stores, side: Side, account: str) -> tuple[dict[str, list[Found]], set[str]]:
    """What the mailbox holds, and which of its folders are subscribed."""
    client = stores.reader(side, account)
    try:
        return mailbox(client), {name for _, _, name in client.list_sub_folders()}
    finally:
        client.logout()


def _audit_old(stores: Stores, holdings: Holdings) -> Verdict:
    """Is the mailbox on old as it was filled? What can't be read there was never counted."""
    if not holdings.old:
        return Verdict()  # a newcomer, who has no mailbox there
    found, subscribed = _look(stores, "old", holdings.account)
    readable = {name: entries for name, entries in holdings.old.items() if not is_damaged(name)}
    verdict = compare(holdings.account, readable, {}, found)
    verdict.differences += _not_subscribed(holdings.account, set(holdings.subscribed) - subscribed)
    return verdict


def _not_subscribed(account: str, missing: Collection[str]) -> list[str]:
    return [f"{account}: {name!r} is not subscribed" for name in sorted(missing)]


def compare_with_decisions(holdings: Holdings, decisions: Decisions, found: Mapping[str, list[Found]]) -> Verdict:
    """Compare one mailbox on new with what was on old and, of a beta tester, on new."""
    if decisions.kept_on_old:
        verdict = compare(holdings.account, {}, holdings.new, found)
        verdict.kept_on_old.append(holdings.account)
        return verdict
    excused: list[str] = []
    expected: dict[str, list[Entry]] = defaultdict(list)
    for folder, entries in holdings.old.items():
        if folder in decisions.left_out:
            excused += [f"{holdings.account}: {folder}: {len(entries)} message(s) left out with their folder"]
            continue
        dropped = {keyword for place, keyword in decisions.dropped if place == folder}
        expected[decisions.name_of(folder)] += [
            without_date(without_keywords(entry, dropped), (folder, entry.size) in decisions.dated) for entry in entries
        ]
    decided = {(decisions.name_of(folder), size): what for (folder, size), what in decisions.messages.items()}
    verdict = compare(holdings.account, expected, holdings.new, found, decided)
    verdict.by_decision += excused
    return verdict


def without_keywords(entry: Entry, dropped: Collection[str]) -> Entry:
    """The message as it must be on new when these keywords are left behind by decision."""
    return replace(entry, flags=tuple(flag for flag in entry.flags if flag not in dropped)) if dropped else entry


def without_date(entry: Entry, accepted: bool) -> Entry:
    """The message as it must be on new when another date was accepted by decision."""
    return replace(entry, date=ANY_DATE) if accepted else entry


def subscriptions(holdings: Holdings, decisions: Decisions) -> set[str]:
    """The folders that must be subscribed on new because they were on old."""
    if decisions.kept_on_old:
        return set()
    return {decisions.name_of(folder) for folder in holdings.subscribed if folder not in decisions.left_out}


def compare(
    account: str,
    moved: Mapping[str, list[Entry]],
    already: Mapping[str, list[Entry]],
    found: Mapping[str, list[Found]],
    decided: Mapping[tuple[str, int], str] | None = None,
) -> Verdict:
    """`moved`: what had to come into each folder; `already`: what lay there before and had to stay.

    A message that lay there already and is on old too may be there once. `decided`: what people decided about a message
    of this folder and size; it excuses one that isn't there.
    """
    verdict = Verdict(beta_messages=sum(len(entries) for entries in already.values()))
    everywhere = Counter(each.entry.digest for messages in found.values() for each in messages)
    wanted_everywhere: Counter[str] = Counter()
    for folder in sorted({*moved, *already}):
        if folder not in found:
            verdict.differences.append(f"{account}: the folder {folder!r} is missing")
        here, before = moved.get(folder, []), already.get(folder, [])
        wanted = Counter(entry.digest for entry in here) | Counter(entry.digest for entry in before)
        wanted_everywhere += wanted
        entries = {entry.digest: entry for entry in (*before, *here)}
        _compare_folder(verdict, f"{account}: {folder}", entries, wanted, found.get(folder, []))
        _excuse(verdict, account, folder, decided or {})
        present = Counter(each.entry.digest for each in found.get(folder, []))
        for digest in (Counter(entry.digest for entry in before) - present).elements():
            verdict.beta_lost.append(f"{account}: {folder}: {digest[:16]}")
    for digest, count in wanted_everywhere.items():
        if everywhere[digest] > count:
            verdict.duplicated.append(
                f"{account}: {digest[:16]} is there {everywhere[digest]} times instead of {count}"
            )
    verdict.extra = sum((everywhere - wanted_everywhere).values())
    verdict.expected = sum(wanted_everywhere.values())
    verdict.found_once = verdict.expected - len(verdict.lost) - len(verdict.by_decision)
    return verdict


def _compare_folder(
    verdict: Verdict, place: str, entries: Mapping[str, Entry], wanted: Counter[str], found: list[Found]
) -> None:
    present: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        present[each.entry.digest].append(each)
    for digest, count in wanted.items():
        missing = count - len(present[digest])
        verdict.lost += [_lost(place, entries[digest].size) + f", SHA-256 {digest[:16]}"] * max(missing, 0)
        for each in present[digest]:
            differences = _differences(entries[digest], each.entry)
            verdict.differences += [f"{place}: {each.name}: {what}" for what in differences]


def _excuse(verdict: Verdict, account: str, folder: str, decided: Mapping[tuple[str, int], str]) -> None:
    """A message that isn't there is not lost when a person decided so."""
    for (place, size), what in decided.items():
        beginning = _lost(f"{account}: {folder}", size)
        line = next((line for line in verdict.lost if place == folder and line.startswith(beginning)), None)
        if line:
            verdict.lost.remove(line)
            verdict.by_decision.append(f"{line}: {what}")


def _lost(place: str, size: int) -> str:
    return f"{place}: message of {size} bytes"


def _differences(wanted: Entry, found: Entry) -> Iterator[str]:
    if wanted.flags != found.flags:
        yield f"flags {' '.join(found.flags) or 'none'} instead of {' '.join(wanted.flags) or 'none'}"
    if wanted.date not in (found.date, ANY_DATE):
        yield f"internal date {found.date} instead of {wanted.date}"


def new_name(old: str) -> str:
    """`INBOX.a.b` on old is `a/b` on new."""
    return old if old == "INBOX" else old.removeprefix(PREFIX).replace(".", "/")


def mailbox(client: IMAPClient) -> dict[str, list[Found]]:
    """Everything that can be read of one mailbox, by folder."""
    found = {}
    for name in folders_to_read(client):
        client.select_folder(name, readonly=True)
        found[name] = list(_messages(client))
    return found


def _messages(client: IMAPClient) -> Iterator[Found]:
    uids = client.search()
    for start in range(0, len(uids), FETCH_AT_ONCE):
        items = client.fetch(uids[start : start + FETCH_AT_ONCE], ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"])
        for item in items.values():
            data = item[b"BODY[]"]
            flags = tuple(sorted(flag.decode() for flag in item[b"FLAGS"] if flag != b"\\Recent"))
            date = int(item[b"INTERNALDATE"].timestamp())
            yield Found(Entry(digest_of(data), len(data), flags, date), _name(data))


def _name(data: bytes) -> str:
    """The first line of the header that tells people which message it is."""
    for wanted in (b"message-id:", b"subject:"):
        for line in data[:20_000].splitlines():
            if line.lower().startswith(wanted):
                return line.decode(errors="replace")
    return f"message of {len(data)} bytes"


def read_decisions(instance: Instance, url: str | None) -> dict[str, Decisions]:
    """What people decided, from Bascule's ledger; empty when there is no ledger."""
    sys.path.insert(0, str(CHECKOUT / "plugins"))
    from bascule.ledger import Ledger
    from bascule.problems import store

    from lab.airflow.processes import Home

    home = Home(instance)
    if url is None and not home.has_a_ledger():
        return {}
    ledger = Ledger(url or home.ledger_url)
    kept = store.kept_on_old(ledger)
    decided = {problem.account for problem in store.problems(ledger, room="mailbox", states=("decided", "settled"))}
    return {
        account: _decided(store.decisions(ledger, account, "mailbox"), account in kept)
        for account in decided | kept.keys()
    }


def _decided(pairs: list[Any], kept: bool) -> Decisions:
    from bascule.problems import rules

    renamed, left_out, messages, dropped, dated = {}, set(), {}, set(), set()
    for problem, decision in pairs:
        action, leaves_out = decision.chosen.action, rules.leaves_out(decision)
        if action == "accept" and not leaves_out:
            dated.add((problem.facts["folder"], int(problem.facts["size"])))
        elif problem.kind.startswith("message"):
            what = f"{'left out' if leaves_out else action} ({problem.facts.get('message_id') or 'no Message-Id'})"
            messages[problem.facts["folder"], int(problem.facts["size"])] = what
        elif problem.kind == "keyword-refused":
            dropped.add((problem.facts["folder"], problem.facts["keyword"]))
        elif problem.kind.startswith("folder") and leaves_out:
            left_out.add(problem.facts["folder"])
        elif problem.kind.startswith("folder"):
            renamed[problem.facts["folder"]] = str(rules.new_name_of(problem, decision) or "")
    return Decisions(renamed, frozenset(left_out), messages, frozenset(dropped), frozenset(dated), kept)


def as_json(held: Inventory, verdict: Verdict) -> dict[str, Any]:
    good = not (verdict.lost or verdict.duplicated or verdict.differences or verdict.beta_lost)
    return {"good": good, "accounts": len(held.accounts), **vars(verdict)}


def sentences(result: Mapping[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"{result['accounts']} mailboxes: {result['found_once']} of {result['expected']} messages are in their place, "
        f"{len(result['lost'])} lost, {len(result['duplicated'])} more than once",
        f"{len(result['differences'])} differences in flags, dates or folders",
        f"{result['beta_messages']} messages of beta testers, {len(result['beta_lost'])} of them lost",
        f"{len(result['by_decision'])} left out or mended by decision; {result['extra']} other messages (new mail)",
    ]
    for kind in ("lost", "duplicated", "differences", "beta_lost", "by_decision", "kept_on_old"):
        lines += [f"  {kind}: {line}" for line in result[kind]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
