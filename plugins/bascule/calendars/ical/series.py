"""Dates that a series leaves out, adds or moves, in the form of its beginning (RFC 5545 sections 3.8.4.4, 3.8.5.1).

Programs write `EXDATE:20270704T090000` into a series that begins in a time zone, and whole series without a zone. Where
the forms differ, SOGo shows what was left out, and a date that was moved twice.
"""

from dataclasses import replace

from bascule.calendars.ical.syntax import Component, Line

DATES = ("EXDATE", "RDATE", "RECURRENCE-ID")
APART = ("VTIMEZONE", "VALARM")  # components that have times of their own
TIMES = (*DATES, "DTSTART", "DTEND", "DUE")


def in_one_form(calendar: Component, site_zone: str) -> Component:
    """The calendar with these dates as its series begins; a series without a zone is in the site's, as SOGo puts it."""
    items = [item for item in calendar.items() if item.name in ("VEVENT", "VTODO")]
    series = next((item for item in items if item.value("RRULE") or item.value("RDATE")), None)
    start = next((line for line in series.lines if line.name == "DTSTART"), None) if series else None
    if start is None or not any(item.value(name) for item in items for name in DATES):
        return calendar
    zone = start.parameter("TZID")
    if _is_local(start) and not zone:
        return _changed(calendar, TIMES, start, site_zone)
    return _changed(calendar, DATES, start, zone)


def _changed(component: Component, names: tuple[str, ...], start: Line, zone: str) -> Component:
    lines = [_in_form(line, start, zone) if line.name in names else line for line in component.lines]
    inner = [part if part.name in APART else _changed(part, names, start, zone) for part in component.parts]
    is_same = all(
        one is other for one, other in zip([*lines, *inner], [*component.lines, *component.parts], strict=True)
    )
    return component if is_same else replace(component, lines=lines, parts=inner)


def _in_form(line: Line, start: Line, zone: str) -> Line:
    """The line with its times as `start` has its own, in `zone`; the world's time and periods stay as they are."""
    values = [value.strip().upper() for value in line.value.split(",")]
    if line.parameter("VALUE").upper() == "PERIOD":
        return line
    if _is_date(start):
        if line.name not in DATES or not any("T" in value for value in values):
            return line
        return _written(line, [value.partition("T")[0] for value in values], ("VALUE", "DATE"))
    if line.parameter("TZID") or any(value.endswith("Z") for value in values):
        return line
    if line.name not in ("EXDATE", "RDATE") and _is_date(line):
        return line
    time = start.value.strip().upper().partition("T")[2]
    world = "Z" if time.endswith("Z") else ""
    values = [f"{value}{world}" if "T" in value else f"{value}T{time}" for value in values]
    return _written(line, values, ("TZID", zone) if zone and not world else None)


def _written(line: Line, values: list[str], parameter: tuple[str, str] | None) -> Line:
    kept = [(key, each) for key, each in line.parameters if key not in ("VALUE", "TZID")]
    parameters = (*kept, (parameter[0], (parameter[1],))) if parameter else tuple(kept)
    head = "".join(f";{key}={','.join(map(_quoted, each))}" for key, each in parameters)
    value = ",".join(values)
    return Line(line.name, parameters, value, f"{line.name}{head}:{value}", line.number, line.guessed)


def _quoted(value: str) -> str:
    return f'"{value}"' if any(character in value for character in ",:;") else value


def _is_date(line: Line) -> bool:
    return "T" not in line.value.upper()


def _is_local(line: Line) -> bool:
    return not _is_date(line) and not line.value.strip().upper().endswith("Z")
