"""What the ledger can say about the migration as a whole: the gate's evidence, the forecast, the final report."""

from collections import Counter

from bascule.ledger import journal, mailboxes, problems
from bascule.ledger.base import Ledger


def evidence_lines(ledger: Ledger) -> list[str]:
    """Sentences about how far the mailboxes are and what people decided."""
    states = mailboxes.mailbox_states(ledger)
    by_state = Counter(state.state for state in states.values())
    lines = [
        f"mailboxes: {len(states)} ({', '.join(f'{count} {name}' for name, count in sorted(by_state.items()))})",
        f"messages: {sum(state.messages for state in states.values())}, "
        f"{sum(state.bytes for state in states.values()):,} bytes",
    ]
    for state, word in (("open", "open problems"), ("decided", "decided, not yet settled"), ("settled", "settled")):
        found = problems.problems(ledger, states=(state,))  # type: ignore[arg-type]
        lines.append(f"{word}: {len(found)}" + (f" ({_accounts(found)})" if found else ""))
    left_out = [
        entry
        for entry in journal.entries(ledger, event="decision")
        if (entry.after or {}).get("option") == problems.Option.LEAVE_OUT.value
    ]
    lines.append(f"left out by decision: {len(left_out)}")
    lines += [f"left out for {entry.subject}: {(entry.before or {}).get('problem')}" for entry in left_out[:50]]
    broken = journal.broken_link(ledger)
    lines.append("the journal's chain holds" if broken is None else f"the journal is BROKEN at row {broken}")
    return lines


def problem_lines(ledger: Ledger) -> list[str]:
    """One sentence for every open problem."""
    return [
        f"{problem.account}: {problem.kind}: {problem.subject!r}: {problem.explanation}"
        for problem in problems.problems(ledger)
    ]


def _accounts(found: list[problems.Problem]) -> str:
    return ", ".join(sorted({problem.account for problem in found})[:20])
