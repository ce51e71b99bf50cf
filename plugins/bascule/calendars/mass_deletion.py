"""Most of a collection gone at once is more likely a mistake than a wish: nothing follows until a person says so.

A listing that is cut off, an export that is half a file, a new server that was set up anew: all look as if somebody had
removed the items.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from bascule.calendars.places import name_of
from bascule.calendars.questions import Questions
from bascule.ledger.calendars import CalendarItemRow, CalendarRow
from bascule.problems.model import Action, Option, Proposal
from bascule.text.logs import get_logger

log = get_logger(__name__)

FEW = 10  # items; fewer are removed one by one every day

Kind = Literal["gone-from-old", "lost-on-new", "deleted-on-old"]
DELETED: Kind = "deleted-on-old"

WORDS: Mapping[Kind, tuple[str, Action]] = {  # what is said, and the proposal
    "gone-from-old": (
        "{gone} of the {known} items that were carried are gone from old. They stay on new until you decide: "
        "`keep_new`, or `remove` when their owner has removed them on old.",
        Action.KEEP_NEW,
    ),
    "lost-on-new": (
        "{gone} of the {known} items that were carried are gone from new. Nothing of this collection is carried "
        "until you decide: `carry_again`, or `keep_new` when their owner has removed them on new.",
        Action.CARRY_AGAIN,
    ),
    "deleted-on-old": (
        "The whole collection is gone from old. {gone} of its {known} items were carried, and stay on new until you "
        "decide: `keep_new`, or `remove` when its owner has deleted the collection on old.",
        Action.KEEP_NEW,
    ),
}


def is_many(gone: Sequence[CalendarItemRow], known: int) -> bool:
    """Whether a person is to be asked first."""
    return len(gone) >= FEW and 2 * len(gone) > known


def decided(questions: Questions, calendar: CalendarRow, kind: Kind, gone: int, known: int) -> str:
    """The answer, which settles the problem: the caller follows it now."""
    wanted = answer(questions, calendar, kind, {"gone": gone, "known": known})
    if wanted:
        questions.settle(kind, calendar.old_href)
    return wanted


def answer(questions: Questions, calendar: CalendarRow, kind: Kind, facts: dict[str, int], more: str = "") -> str:
    """What a person wants done: `keep_new`, `remove`, `carry_again`, or "" while it is open.

    `facts` are the numbers that the decision is about: with others it is asked anew. `more` is said besides.
    """
    words, proposed = WORDS[kind]
    name = f"{'The calendar' if calendar.kind == 'calendar' else 'The address book'} “{name_of(calendar)}”: "
    explanation = name + " ".join(filter(None, [words.format(**facts), more]))
    made = questions.about_collection(kind, calendar, explanation, Proposal(proposed), facts)
    if made is None:
        return ""
    wanted = made.chosen.action if made.option is Option.APPLY else Action.KEEP_NEW
    log.info("by decision", account=calendar.account, kind=kind, collection=calendar.old_href, action=wanted)
    return wanted
