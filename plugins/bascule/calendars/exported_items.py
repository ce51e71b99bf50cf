"""A file of many events, tasks or cards, taken apart into items as a server holds them: one for each UID.

An item is an event together with its exceptions, in whatever order the file has them, and with the time zones that they
name, as they are described in their own calendar: a file may hold several (RFC 5545 section 3.4).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bascule.calendars.ical import zones
from bascule.calendars.ical.syntax import CARDS, Component, Line, written
from bascule.calendars.ical.values import unescaped
from bascule.calendars.ical_compare import WRITTEN_BY_SERVERS
from bascule.calendars.repairs import made_uid, with_uid

OF_ITEMS = ("VERSION", "PRODID", "CALSCALE")  # what a calendar says of itself that its items need, too


@dataclass(frozen=True)
class Item:
    """One item: what it is called in its collection, and as the file says it.

    Why it can't be carried: it is `broken`, or it is `ambiguous` what is meant.
    """

    key: str
    component: Component
    broken: str = ""
    ambiguous: str = ""

    @property
    def where(self) -> str:
        """File and line where it begins, for people."""
        return f"{self.origin}, line {self._first.number}"

    @property
    def origin(self) -> str:
        """The file's name."""
        return self._first.origin

    @property
    def _first(self) -> Component:
        return self.component.items()[0]

    def digest(self) -> str:
        """What changes whenever the item says something else; not with what programs write anew at each export."""
        return digest("\n".join((self.broken, *_telling(self.component))))


@dataclass(frozen=True)
class _Part:
    """An event, task or journal of a file, and the calendar that it stands in."""

    component: Component
    calendar: Component

    @property
    def is_exception(self) -> bool:
        return bool(self.component.value("RECURRENCE-ID"))


def items(objects: Iterable[Component]) -> Iterator[Item]:
    """Every item of these calendars and cards; each is told once, however often it stands there in the same words."""
    by_uid: dict[str, list[_Part]] = {}
    for found in objects:
        for part in in_series(found).items():
            by_uid.setdefault(uid_of(part), []).append(_Part(part, found))
    for uid, parts in by_uid.items():
        cards = [part for part in parts if part.component.name in CARDS]
        others = [part for part in parts if part.component.name not in CARDS]
        yield from _of_cards(uid, _different(cards))
        if others:
            yield from _of_one_uid(uid, _different(others))


def in_series(calendar: Component) -> Component:
    """The calendar with one UID for a series and its exceptions that all have none, where it is clear which belong."""
    made: dict[int, str] = {}
    for part in calendar.parts:
        series = _series_of(part, calendar)
        if len(series) == 1:
            made[id(part)] = made[id(series[0])] = made_uid(series[0])
    parts = [with_uid(part, made[id(part)]) if id(part) in made else part for part in calendar.parts]
    return replace(calendar, parts=parts) if made else calendar


def _series_of(exception: Component, calendar: Component) -> list[Component]:
    """The series that an exception without a UID may belong to: those without one, of its title if there are any."""
    if not exception.value("RECURRENCE-ID") or exception.value("UID").strip():
        return []
    found = [
        part for part in calendar.parts
        if part.name == exception.name and not part.value("UID").strip() and _repeats(part)
        and not part.value("RECURRENCE-ID")
    ]  # fmt: skip
    return [part for part in found if part.value("SUMMARY") == exception.value("SUMMARY")] or found


def uid_of(component: Component) -> str:
    """The UID, or one made from what the item says."""
    return unescaped(component.value("UID")).strip() or made_uid(component)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _of_cards(uid: str, parts: Sequence[_Part]) -> Iterator[Item]:
    for number, part in enumerate(parts):
        card = part.component
        yield Item(f"{uid}\0{digest(_words(card))}" if number else uid, card, card.broken)


def _of_one_uid(uid: str, parts: Sequence[_Part]) -> Iterator[Item]:
    """One item; a second series or event of the same UID is another one, and a problem later."""
    masters = [part for part in parts if not part.is_exception]
    exceptions = [part for part in parts if part.is_exception]
    first = next((part for part in masters if _repeats(part.component)), masters[0] if masters else None)
    yield _item(uid, [*([first] if first else []), *exceptions])
    for part in masters:
        if part is not first:
            yield _item(f"{uid}\0{digest(_words(part.component))}", [part])


def _item(key: str, parts: Sequence[_Part]) -> Item:
    components = [part.component for part in parts]
    described, ambiguous = _zones(parts)
    lost = next((part.component for part in parts if len(_series_of(part.component, part.calendar)) > 1), None)
    if lost is not None:
        ambiguous = f"line {lost.number}: it has no UID, and changes a day of one of several series without a UID"
    broken = next((each.broken for each in [*components, *described] if each.broken), "")
    head = [line for line in parts[0].calendar.lines if line.name in OF_ITEMS]
    for name, value in (("PRODID", "-//Bascule//EN"), ("VERSION", "2.0")):
        if all(line.name != name for line in head):
            head.insert(0, Line(name, (), value, f"{name}:{value}"))
    return Item(key, Component("VCALENDAR", components[0].number, head, [*described, *components]), broken, ambiguous)


def _zones(parts: Sequence[_Part]) -> tuple[list[Component], str]:
    """The time zones that these parts name, and what keeps one from knowing which time is meant."""
    found: dict[str, Component] = {}
    for part in parts:
        wanted = {name.casefold() for name in zones.used(part.component)}  # programs read them in whatever letters
        for each in part.calendar.parts:
            if each.name == "VTIMEZONE" and (name := zones.name_of(each)).casefold() in wanted:
                known = found.setdefault(name, each)
                if known is not each and zones.difference(name, known, each, [part.component]):
                    return [], f"line {each.number}: the time zone {name} is described in two ways"
    return list(found.values()), ""


def _different(parts: Sequence[_Part]) -> list[_Part]:
    return list({(_words(part.component), part.component.broken): part for part in reversed(parts)}.values())[::-1]


def _repeats(component: Component) -> bool:
    return bool(component.value("RRULE") or component.value("RDATE"))


def _words(component: Component) -> str:
    return "\n".join(_telling(component))


def _telling(component: Component) -> list[str]:
    kept = Component(component.name, 0, [line for line in component.lines if line.name not in WRITTEN_BY_SERVERS], [])
    inner = [line for part in component.parts for line in _telling(part)]
    return [*written(kept), *inner]
