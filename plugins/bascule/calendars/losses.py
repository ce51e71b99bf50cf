"""Most of a collection gone at once is more likely a mistake than a wish: nothing follows until a person says so.

A listing that is cut off, an export that is half a file, a new server that was set up anew: all look as if somebody had
removed the items.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import structlog

from bascule.ledger import Ledger
from bascule.ledger.calendars import CalendarItemRow, CalendarRow
from bascule.ledger.problems import Decision, Option, Problem, ask_again, report, settle

log = structlog.get_logger(__name__)

FEW = 10  # items; fewer are removed one by one every day

Kind = Literal["gone-from-old", "lost-on-new", "deleted-on-old"]
DELETED: Kind = "deleted-on-old"
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
    "deleted-on-old": (
        "The whole collection is gone from old. {gone} of its {known} items were carried, and stay on new until you "
        "decide: `keep_new`, or `remove` when its owner has deleted the collection on old.",
        ["keep_new", "remove"],
    ),
}


def is_many(gone: Sequence[CalendarItemRow], known: int) -> bool:
    """Whether a person is to be asked first."""
    return len(gone) >= FEW and 2 * len(gone) > known


def decided(
    ledger: Ledger, calendar: CalendarRow, kind: Kind, gone: int, known: int, decisions: Decisions
) -> tuple[str, int]:
    """The answer, which settles the problem: the caller follows it now."""
    wanted, number = answer(ledger, calendar, kind, {"gone": gone, "known": known}, decisions)
    if wanted:
        with ledger.session() as session:
            settle(session, number)
    return wanted, number


def answer(
    ledger: Ledger, calendar: CalendarRow, kind: Kind, facts: dict[str, int], decisions: Decisions, more: str = ""
) -> tuple[str, int]:
    """What a person wants done: `keep_new`, `remove`, `carry_again`, or "" while it is open; and the problem's id.

    `facts` are the numbers that the decision is about: with others it is asked anew. `more` is said besides.
    """
    words, actions = WORDS[kind]
    problem, made = decisions.get((kind, calendar.old_href), (None, None))
    if problem and made and problem.facts == facts:
        values: Mapping[str, Any] = made.values or problem.proposal
        wanted = str(values.get("action")) if made.option is Option.APPLY else "keep_new"
        log.info("by decision", account=calendar.account, kind=kind, collection=calendar.old_href, action=wanted)
        return wanted, problem.id
    found = Problem(
        account=calendar.account,
        room="calendar",
        kind=kind,
        subject=calendar.old_href,
        explanation=" ".join(filter(None, [words.format(**facts), more])),
        facts=facts,
        details={"on_new": calendar.new_href, "choices": actions},
        server_words="",
        proposal={"action": actions[0]},
    )
    with ledger.session() as session:
        number = report(session, found)
        ask_again(session, number)
    log.warning("much of a collection is gone", account=calendar.account, kind=kind, collection=calendar.old_href)
    return "", number
