"""What can be done about an item that new refuses: proposals, and the repairs that a person has chosen."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from bascule.calendars.ical.syntax import CARDS, Component, Line
from bascule.calendars.ical.values import unescaped
from bascule.calendars.ical_compare import WRITTEN_BY_SERVERS
from bascule.problems.model import Action, Proposal

LEAVE_OUT = Proposal(Action.LEAVE_OUT_ITEM)


@dataclass(frozen=True)
class Reason:
    """Why an item is a problem: the kind, the cause, which many items may have in common, and the proposal.

    `words` say it as half a sentence; `particular` is what concerns this one item; `server_words` are new's.
    """

    kind: str
    words: str
    proposal: Proposal
    particular: str = ""
    server_words: str = ""
    alone: bool = False  # a person decides about this item by itself

    @property
    def cause(self) -> str:
        """What other items of one question have in common with it."""
        return "" if self.alone else self.words


def propose(item: Component, status: int) -> Reason:
    """What is wrong with an item that was refused, and what can be done about it."""
    first = next(iter(item.items()), None)
    if first is None:
        return Reason("empty", "it holds no event, no task and no card", LEAVE_OUT)
    if status in (413, 507):
        return _too_large(first)
    return _known_cause(first) or Reason("refused", f"the new server refuses it ({status})", LEAVE_OUT)


def _too_large(item: Component) -> Reason:
    if item.value("ATTACH"):
        proposal = Proposal(Action.DROP, properties=("ATTACH",))
        return Reason("too-large", "it is larger than the new server allows, with the files inside it", proposal)
    return Reason("too-large", "it is larger than the new server allows", LEAVE_OUT)


def _known_cause(item: Component) -> Reason | None:
    if item.name == "VJOURNAL":
        return Reason("journal", "the new server knows no journals", Proposal(Action.JOURNAL_TO_TASK))
    if not re.fullmatch(r"[\w.@:{}=-]{1,200}", unescaped(item.value("UID"))):
        return Reason("uid", "its UID can't be used on the new server", Proposal(Action.NEW_UID), item.value("UID"))
    rule = item.value("RRULE")
    if rule and not _usable_rule(rule):
        proposal = Proposal(Action.DROP, properties=("RRULE",))
        return Reason("rrule", "its rule of repetition can't be read", proposal, rule)
    return None


def repaired(item: Component, chosen: Proposal) -> Component:
    """The item as the decision wants it. Raises ValueError on an action that is no repair."""
    if chosen.action is Action.NEW_UID:
        return with_uid(item, made_uid(item))
    if chosen.action is Action.DROP:
        return _without(item, {name.upper() for name in chosen.properties})
    if chosen.action is Action.JOURNAL_TO_TASK:
        return _renamed(item, "VJOURNAL", "VTODO")
    if chosen.action is Action.TAKE_OLD:
        return item
    raise ValueError(f"{chosen.action} is no repair of an item")


def made_uid(component: Component) -> str:
    """A UID made from what an item says, always the same: but for what programs write anew at each export."""
    parts = component.items() if component.name == "VCALENDAR" else [component]
    texts = (line.text for part in parts for line in part.all_lines() if line.name not in {*WRITTEN_BY_SERVERS, "UID"})
    words = "\n".join(sorted(texts))
    return f"bascule-{hashlib.sha256(words.encode(errors='surrogatepass')).hexdigest()[:32]}"


def new_name(text: str) -> str:
    """A name for an item's place on new, made from where it was, always the same."""
    return f"bascule-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def with_uid(component: Component, uid: str) -> Component:
    """The object with another UID in every item: events, tasks, journals, a card."""
    if component.name not in ("VCALENDAR", "VTIMEZONE"):
        mark = Line("UID", (), uid, f"UID:{uid}")
        first = 1 if component.name in CARDS and component.lines[:1] and component.lines[0].name == "VERSION" else 0
        kept = [line for line in component.lines if line.name != "UID"]
        return _like(component, [*kept[:first], mark, *kept[first:]], component.parts)
    return _like(component, component.lines, [with_uid(part, uid) for part in component.parts])


def _without(component: Component, names: Collection[str]) -> Component:
    lines = [line for line in component.lines if line.name not in names]
    return _like(component, lines, [_without(part, names) for part in component.parts])


def _renamed(component: Component, old: str, new: str) -> Component:
    found = _like(component, component.lines, [_renamed(part, old, new) for part in component.parts])
    found.name = new if component.name == old else component.name
    return found


def _like(component: Component, lines: list[Line], parts: list[Component]) -> Component:
    return replace(component, lines=lines, parts=parts)


def _usable_rule(rule: str) -> bool:
    from icalendar import vRecur

    try:
        return "FREQ" in vRecur.from_ical(rule)
    except ValueError:
        return False
