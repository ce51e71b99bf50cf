"""What the ledger can say about the migration as a whole: the gate's evidence, the forecast, the final report."""

from collections import Counter
from collections.abc import Collection

from bascule.ledger import calendars, filters, journal, mailboxes, problems
from bascule.ledger.base import Ledger
from bascule.ledger.problems import Decision, Option, Problem
from bascule.text import harmless

LEFT_OUT_NAMED = 50  # in the evidence; the report of the helpdesk names all
LEAVES_OUT = ("leave out", "leave_out")


def evidence_lines(ledger: Ledger, named: int | None = LEFT_OUT_NAMED) -> list[str]:
    """Sentences about how far the mailboxes are and what people decided, fit to be shown.

    `named`: how many left-out things are named; None: all.
    """
    states = mailboxes.mailbox_states(ledger)
    by_state = Counter(state.state for state in states.values())
    decided = problems.all_decisions(ledger)
    kept = problems.kept_on_old(ledger)
    left_out = [pair for pair in decided if leaves_out(*pair) and pair[0].account not in kept]
    lines = [
        f"mailboxes: {len(states)} ({', '.join(f'{count} {name}' for name, count in sorted(by_state.items()))})",
        f"mailboxes verified: {by_state['verified']}, with {sum(state.verified for state in states.values())} messages "
        "compared",
        f"messages: {sum(state.messages for state in states.values())}, "
        f"{sum(state.bytes for state in states.values()):,} bytes",
    ]
    for state, word in (("open", "open problems"), ("decided", "decided, not yet settled")):
        found = problems.problems(ledger, states=(state,))  # type: ignore[arg-type]
        lines.append(f"{word}: {len(found)}" + (f" ({_accounts(found)})" if found else ""))
    settled = [(problem, decision) for problem, decision in decided if problem.state == "settled"]
    by_source = Counter(decision.source for _, decision in settled)
    sources = ", ".join(f"{count} by {source}" for source, count in sorted(by_source.items()))
    lines.append(f"settled by decision: {len(settled)}" + (f" ({sources})" if sources else ""))
    lines.append(f"kept on old: {len(kept)}")
    lines += [
        f"kept on old: {account}, by {harmless(decision.decided_by)}" for account, decision in sorted(kept.items())
    ]
    lines.append(f"left out by decision: {len(left_out)}")
    lines += [left_out_line(problem, decision) for problem, decision in left_out[:named]]
    if named is not None and len(left_out) > named:
        lines.append(f"left out: {len(left_out) - named} more, which the final report names")
    lines += filters.report_lines(ledger, named)
    by_hand = calendars.by_hand_lines(ledger)
    lines.append(f"shares of calendars and address books to be given by hand: {len(by_hand)}")
    lines += [f"by hand: {line}" for line in by_hand[:named]]
    lines += pop3_lines(ledger)
    broken = journal.broken_link(ledger)
    lines.append("the journal's chain holds" if broken is None else f"the journal is BROKEN at row {broken}")
    return lines


def pop3_lines(ledger: Ledger) -> list[str]:
    """Whose POP3 programs will fetch everything once more, as the last transfer found it."""
    notes = [entry.after or {} for entry in journal.entries(ledger, kind="pop3")]
    if not notes:
        return []
    anew = sorted(notes[-1]["fetch_anew"])
    shown = f" ({harmless(', '.join(anew[:20]))}{', ...' if len(anew) > 20 else ''})" if anew else ""
    looked_at = f"{notes[-1]['accounts']} account(s) looked at"
    kept = f"POP3: {notes[-1]['messages']} messages have the UIDLs that they had on old ({looked_at})"
    return [kept, f"POP3: {len(anew)} account(s) fetch their whole INBOX once more{shown}"]


def leaves_out(problem: Problem, decision: Decision) -> bool:
    """Whether the decision means that something is not carried."""
    if decision.option is Option.LEAVE_OUT:
        return True
    return decision.option is Option.APPLY and decision.values.get("action") in LEAVES_OUT


def left_out_line(problem: Problem, decision: Decision) -> str:
    """What was left out, by name: of a message Message-Id, From, Subject, date and size; why, and by whom."""
    named = [f"{key} {problem.facts[key]!s}" for key in ("message_id", "from", "subject", "date", "size")
             if problem.facts.get(key) not in (None, "")]  # fmt: skip
    what = f"{problem.subject}" + (f" ({', '.join(named)})" if named else "")
    return harmless(
        f"left out for {problem.account}: {problem.kind}: {what}: {problem.server_words or problem.explanation}; "
        f"decided by {decision.decided_by} at {decision.decided_at:%Y-%m-%d %H:%M} UTC"
    )


def not_ready(ledger: Ledger, accounts: Collection[str]) -> list[str]:
    """Why accounts can't go over: a sentence for each that is neither verified nor kept on old, or not settled."""
    states = mailboxes.mailbox_states(ledger)
    waiting = {
        problem.account
        for problem in problems.problems(ledger, states=("decided",))
        if problem.room in ("mailbox", "account")
    }
    sentences = []
    for account in sorted(accounts):
        state = states[account].state if account in states else "unknown"
        if state not in ("verified", "kept on old"):
            sentences.append(f"{account}: the mailbox is in the state `{state}`")
        elif account in waiting:
            sentences.append(f"{account}: what was decided has not been settled")
    return sentences


def problem_lines(ledger: Ledger) -> list[str]:
    """One sentence for every open problem."""
    return [
        harmless(f"{problem.account}: {problem.kind}: {problem.subject!r}: {problem.explanation}")
        for problem in problems.problems(ledger)
    ]


def _accounts(found: list[problems.Problem]) -> str:
    return ", ".join(sorted({problem.account for problem in found})[:20])
