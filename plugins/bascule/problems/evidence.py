"""How far the migration is as a whole, for people: the gate's evidence and the final report."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from bascule.ledger import calendars, filters, journal, mailboxes, moves, phases, shared_folders
from bascule.ledger.base import Ledger
from bascule.ledger.journal import Entry
from bascule.ledger.mailboxes import MailboxStatus
from bascule.problems import rules, store
from bascule.problems.model import Decision, Problem
from bascule.problems.questions import of_mailbox
from bascule.text.harmless import harmless

AT_THE_GATE = 5  # things of one sort that the gate's page names
SHARED = "shared folders of the old server, in nobody's mailbox and not carried"
REST = "in this task's log, and in the final report"  # where the gate's page says that all of them stand


def evidence_lines(ledger: Ledger, named: int | None = None) -> list[str]:
    """Sentences about how far the mailboxes are and what people decided, fit to be shown.

    `named`: how many things of one sort are named before the rest is counted; None: all, as in logs and reports.
    """
    return [line for counted, things in evidence(ledger, named) for line in (counted, *things)]


def evidence(ledger: Ledger, named: int | None = None) -> list[tuple[str, list[str]]]:
    """The same: (a sentence that counts, the sentences that name what it counts)."""
    parts: list[tuple[str, list[str]]] = [(line, []) for line in _mailbox_lines(ledger, named)]
    decided, kept = store.all_decisions(ledger), store.kept_on_old(ledger)
    for state, word in (("open", "open problems"), ("decided", "decided, not yet settled")):
        found = store.problems(ledger, states=(state,))  # type: ignore[arg-type]
        accounts = sorted({problem.account for problem in found})
        parts.append((f"{word}: {len(found)}" + (f" ({_listed(accounts, named)})" if found else ""), []))
    settled = Counter(decision.source for problem, decision in decided if problem.state == "settled")
    sources = ", ".join(f"{count} by {source}" for source, count in sorted(settled.items()))
    parts.append((f"settled by decision: {settled.total()}" + (f" ({sources})" if sources else ""), []))
    by_whom = [f"{account}, by {harmless(decision.decided_by)}" for account, decision in sorted(kept.items())]
    parts.append(_named("kept on old", by_whom, named))
    if moved := sorted(moves.moved(ledger)):
        before = f"moved to new on their own, and left alone by the day: {len(moved)} ({_listed(moved, named)})"
        parts.append((before, []))
    left_out = [pair for pair in decided if rules.leaves_out(pair[1]) and pair[0].account not in kept]
    by_name = [left_out_line(problem, decision) for problem, decision in left_out]
    parts.append((f"left out by decision: {len(left_out)}", _first(by_name, named)))
    if shared := shared_folders.noted(ledger):
        parts.append(_named(SHARED, [*map(harmless, shared)], named))
    counts, told = filters.report(ledger)
    parts.append((counts, []))
    parts += [_named(what, things, named) for what, things in told.items()]
    by_hand = calendars.by_hand_lines(ledger)
    shares = f"shares of calendars and address books to be given by hand: {len(by_hand)}"
    parts.append((shares, _first([f"by hand: {line}" for line in by_hand], named)))
    if uids := uids_lines(ledger, named):
        parts.append((uids[0], uids[1:]))
    parts += [(line, []) for line in pop3_lines(ledger, named)]
    return [*parts, (journal_line(ledger), [])]


def journal_line(ledger: Ledger) -> str:
    """Whether the journal's chain holds, and its head: noted on paper, it proves all rows before it."""
    broken, head = journal.broken_link(ledger), journal.head(ledger)
    if broken is not None:
        return f"the journal is BROKEN at row {broken}"
    return f"the journal's chain holds; its head: {head}"


def _mailbox_lines(ledger: Ledger, named: int | None) -> list[str]:
    states = mailboxes.mailbox_states(ledger).values()
    by_state = Counter(state.state for state in states)
    compared = sum(state.verified for state in states)
    return [
        f"mailboxes: {len(states):,} ({', '.join(f'{count:,} {name}' for name, count in sorted(by_state.items()))})",
        f"mailboxes verified: {by_state['verified']:,}, with {compared:,} messages compared",
        *_unchanged_lines(states, named),
        f"messages: {sum(state.messages for state in states):,}, {sum(state.bytes for state in states):,} bytes",
    ]


def _unchanged_lines(states: Iterable[MailboxStatus], named: int | None) -> list[str]:
    """The mailboxes of which a look is the evidence."""
    found = [state for state in states if state.is_unchanged]
    if not found:
        return []
    first, last = (f"{extreme(state.seen_at for state in found if state.seen_at):%H:%M:%S}" for extreme in (min, max))
    names = _listed([state.account for state in found], named)
    return [f"mailboxes in which nothing has changed since they were verified, seen {first} to {last} UTC: "
            f"{len(found)} ({names})"]  # fmt: skip


def _named(what: str, things: Sequence[str], named: int | None) -> tuple[str, list[str]]:
    """How many there are, and each in a line of its own."""
    return f"{what}: {len(things)}", _first([f"{what}: {each}" for each in things], named)


def _first(lines: Sequence[str], named: int | None) -> list[str]:
    """All lines, or the first ones, how many more there are, and where all of them stand."""
    if named is None or len(lines) <= named:
        return [*lines]
    return [*lines[:named], f"and {len(lines) - named} more; all {len(lines)} stand {REST}"]


def _listed(names: Sequence[str], named: int | None) -> str:
    more = f" and {len(names) - named} more, all {REST}" if named is not None and len(names) > named else ""
    return harmless(", ".join(names[:named])) + more


def uids_lines(ledger: Ledger, named: int | None = None) -> list[str]:
    """Whose mail programs notice nothing, and whose download folders once more: why, by account and folder."""
    counts: Counter[str] = Counter()
    changed: dict[str, dict[str, list[str]]] = {}  # reason -> account -> folders, with the time when it ended
    for account, folder, state, reason, ended_at in mailboxes.uids_of_folders(ledger):
        counts[state] += 1
        if state != mailboxes.KEPT:
            since = f" (since {ended_at:%Y-%m-%d %H:%M} UTC)" if ended_at else ""
            changed.setdefault(reason, {}).setdefault(account, []).append(folder + since)
    if not counts:
        return []
    lines = [
        f"UIDs: mail programs notice nothing of the move in {counts[mailboxes.KEPT]:,} of {counts.total():,} folders"
    ]
    for reason, accounts in sorted(changed.items()):
        number = sum(map(len, accounts.values()))
        lines.append(
            f"UIDs: mail programs download {number:,} folder(s) of {len(accounts):,} account(s) anew: {reason}"
        )
        lines += _first([harmless(f"downloaded anew: {account}: {', '.join(folders)}")
                         for account, folders in sorted(accounts.items())], named)  # fmt: skip
    return lines


def pop3_lines(ledger: Ledger, named: int | None = None) -> list[str]:
    """Whose POP3 programs will fetch everything once more, as this day's transfers and the moves have found it."""
    lines, moved = [], moves.moved(ledger)
    found = journal.entries(ledger, kind="pop3")
    notes = [entry.after or {} for entry in _of_this_day(ledger, found) if entry.subject != journal.UIDLS_OF_MOVES]
    if notes:
        lines = _uidls_lines(notes, moved.union(store.kept_on_old(ledger)), named)
    of_moves = [entry.after or {} for entry in found if entry.subject == journal.UIDLS_OF_MOVES]
    if anew := sorted(moved.intersection(name for note in of_moves for name in note["fetch_anew"])):
        words = "account(s) that moved on their own fetch their whole INBOX once more"
        lines.append(f"POP3: {len(anew)} {words} ({_listed(anew, named)})")
    return lines


def _of_this_day(ledger: Ledger, found: Iterable[Entry]) -> list[Entry]:
    """What was written since the last finished rollback: a phase may have run several times, for some accounts each."""
    rollback = phases.marked(ledger, "rollback", "finished")
    return [entry for entry in found if rollback is None or entry.number > rollback.number]


def _uidls_lines(notes: Sequence[dict[str, Any]], left_alone: Collection[str], named: int | None) -> list[str]:
    """What the notes of several transfers say together, in which the last one counts for each account."""
    kept: dict[str, int] = {}
    anew: set[str] = set()
    for note in notes:
        looked_at = note.get("kept", {})  # an older Bascule has named nobody but who fetches anew
        kept |= looked_at
        anew = anew.difference(looked_at).union(note["fetch_anew"])
    kept = {account: messages for account, messages in kept.items() if account not in left_alone}
    accounts, messages = len(kept), sum(kept.values())
    if not any("kept" in note for note in notes):
        accounts, messages = notes[-1]["accounts"], notes[-1]["messages"]
    names = sorted(anew.difference(left_alone))
    shown = f" ({_listed(names, named)})" if names else ""
    return [
        f"POP3: {messages:,} messages have the UIDLs that they had on old ({accounts} account(s) looked at)",
        f"POP3: {len(names)} account(s) fetch their whole INBOX once more{shown}",
    ]


def mail_lines(ledger: Ledger) -> list[str]:
    """What became of the mail that the MX accepted, as it was last accounted for, and of what nobody knows it.

    What was told before this day's freeze is of another one, which was rolled back.
    """
    freeze = phases.marked(ledger, "freeze", "started")
    found = journal.entries(ledger, kind="mail")
    notes = [entry.after or {} for entry in found if freeze is None or entry.number > freeze.number]
    if not notes:
        return ["mail accepted at the MX was not accounted for"]
    counts, unaccounted, gaps = (notes[-1][key] for key in ("counts", "unaccounted", "gaps"))
    parts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items() if what != "accepted")
    return [
        f"mail accepted at the MX since the freeze: {counts['accepted']:,} ({parts})",
        *(harmless(f"neither delivered nor queued: {message}") for message in unaccounted),
        *(f"the mail log of the MX has a gap, and nobody knows what came and went in it: {gap}" for gap in gaps),
    ]


def left_out_line(problem: Problem, decision: Decision) -> str:
    """What was left out, by name: of a message Message-Id, From, Subject, date and size; why, and by whom."""
    named = [problem.subject] * bool(problem.title) + [problem.place] * bool(problem.place)
    named += [f"{key} {problem.facts[key]!s}" for key in ("message_id", "from", "subject", "date", "size")
             if problem.facts.get(key) not in (None, "")]  # fmt: skip
    what = (problem.title or problem.subject) + (f" ({', '.join(named)})" if named else "")
    return harmless(
        f"left out for {problem.account}: {problem.kind}: {what}: {problem.server_words or problem.explanation}; "
        f"decided by {decision.decided_by} at {decision.decided_at:%Y-%m-%d %H:%M} UTC"
    )


def not_ready(ledger: Ledger, accounts: Collection[str], since: datetime | None) -> list[str]:
    """Why accounts can't go over: a sentence for each that is neither verified nor kept on old, or not settled.

    Neither is one that no pass and no look has seen `since` (UTC) the freeze began.
    """
    states = mailboxes.mailbox_states(ledger)
    waiting = {
        problem.account
        for problem in store.problems(ledger, states=("decided",))
        if problem.room in ("mailbox", "account")
    }
    sentences = []
    for account in sorted(accounts):
        status = states.get(account)
        state = status.state if status else "unknown"
        if state not in ("verified", "kept on old"):
            why = f" ({status.note})" if status and status.note else ""
            sentences.append(f"{account}: the mailbox is in the state `{state}`{why}")
        elif status and state == "verified" and since and not (status.seen_at and status.seen_at >= since):
            sentences.append(f"{account}: nobody has looked at the mailbox since the freeze began")
        elif account in waiting:
            sentences.append(f"{account}: what was decided has not been settled")
    return sentences


def problem_lines(ledger: Ledger) -> list[str]:
    """One sentence for every question that is open."""
    return [
        harmless(f"{each.first.account}: {each.first.kind}: {each.what!r}: {each.first.explanation}")
        for each in of_mailbox(store.problems(ledger))
    ]
