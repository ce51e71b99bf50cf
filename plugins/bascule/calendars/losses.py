"""Most of a collection gone at once is more likely a mistake than a wish: nothing follows until a person says so.

A listing that is cut off, an export that is half a file, a new server that was set up anew: all look as if somebody had
removed the items.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import structlog

from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarItemRow, CalendarRow
from bascule.ledger.problems import Decision, Option, Problem, report, settle

log = structlog.get_logger(__name__)

FEW = 10  # items; fewer are removed one by one every day

Kind = Literal["gone-from-old", "lost-on-new"]
Decisions = Mapping[tuple[str, str], tuple[Problem, Decision]]  # by kind and subject

WORDS: Mapping[Kind, tuple[str, list[str]]] = {  # what is said; the actions, the proposal first
    "gone-from-old": (
        "{gone} of the {known} items that were carried are gone from old. They stay on new until you decide: "
        "`keep_new`, or `remove` when their owner has removed them on old.",
        ["keep_new", "remove"],
    ),
    "lost-on-new": (
        "{gone} of the {known} items that were carried are gone from new. Nothing of this collection is carried "
        "until you decide: `carry_again`, or `keep_new` when their owner has removed them on new.",
        ["carry_again", "keep_new"],
    ),
}


def is_many(gone: Sequence[CalendarItemRow], known: int) -> bool:
    """Whether a person is to be asked first."""
    return len(gone) >= FEW and 2 * len(gone) > known


def decided(
    ledger: Ledger, calendar: CalendarRow, kind: Kind, gone: int, known: int, decisions: Decisions
) -> tuple[str, int]:
    """What a person wants done: `keep_new`, `remove`, `carry_again`, or "" while it is open; and the problem's id."""
    words, actions = WORDS[kind]
    facts = {"gone": gone, "known": known}
    problem, made = decisions.get((kind, calendar.old_href), (None, None))
    if problem and made and problem.facts == facts:
        with ledger.session() as session:
            settle(session, problem.id)
        values: Mapping[str, Any] = made.values or problem.proposal
        wanted = str(values.get("action")) if made.option is Option.APPLY else "keep_new"
        log.info("by decision", account=calendar.account, kind=kind, collection=calendar.old_href, action=wanted)
        return wanted, problem.id
    found = Problem(
        account=calendar.account,
        room="calendar",
        kind=kind,
        subject=calendar.old_href,
        explanation=words.format(gone=gone, known=known),
        facts=facts,
        details={"on_new": calendar.new_href, "choices": actions},
        server_words="",
        proposal={"action": actions[0]},
    )
    with ledger.session() as session:
        number = report(session, found)
    log.warning("most of a collection is gone", account=calendar.account, kind=kind, collection=calendar.old_href)
    return "", number
