"""What can be done about an item that new refuses: proposals, and the repairs that a person has chosen."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from bascule.calendars import meaning

LEAVE_OUT: dict[str, Any] = {"action": "leave_out"}


def propose(text: str, status: int, words: str) -> tuple[str, str, dict[str, Any]]:
    """(kind of problem, why, proposal) for an item that was refused."""
    try:
        item = next(iter(meaning.parse(text).items()), None)
    except meaning.Unreadable as error:
        return "unreadable", f"The item can't be read: {error}.", LEAVE_OUT
    if item is None:
        return "empty", "The item holds no event, no task and no card.", LEAVE_OUT
    if status in (413, 507):
        return _too_large(item)
    return _known_cause(item) or ("refused", f"The new server refused the item with {status} {words}.", LEAVE_OUT)


def _too_large(item: meaning.Part) -> tuple[str, str, dict[str, Any]]:
    if item.value("ATTACH"):
        proposal = {"action": "drop", "properties": ["ATTACH"]}
        return "too-large", "The item is larger than the new server allows, with the files inside it.", proposal
    return "too-large", "The item is larger than the new server allows.", LEAVE_OUT


def _known_cause(item: meaning.Part) -> tuple[str, str, dict[str, Any]] | None:
    if item.name == "VJOURNAL":
        return "journal", "The new server knows no journals.", {"action": "journal_to_task"}
    if not re.fullmatch(r"[\w.@:{}=-]{1,200}", item.value("UID")):
        return "uid", "The item's UID can't be used on the new server.", {"action": "new_uid"}
    rule = item.value("RRULE")
    if rule and not _usable_rule(rule):
        return "rrule", "The item's rule of repetition can't be read.", {"action": "drop", "properties": ["RRULE"]}
    return None


def repair(text: str, values: dict[str, Any]) -> str | None:
    """The text as the decision wants it; None when it is to be left out. Raises ValueError on an unknown action."""
    action = values.get("action")
    if action == "leave_out":
        return None
    if action == "new_uid":
        return with_uid(text, new_uid(text))
    if action == "drop":
        return without(text, [str(name).upper() for name in values.get("properties", [])])
    if action == "journal_to_task":
        return re.sub(r"(?m)^(BEGIN|END):VJOURNAL", r"\1:VTODO", text)
    if action in ("accept", "take_old"):
        return text
    raise ValueError(f"no repair is called {action!r}")


def new_uid(text: str) -> str:
    """A UID made from the item itself, so that the same repair always gives the same one."""
    return f"bascule-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def with_uid(text: str, uid: str) -> str:
    """The text with another UID in every component that has or needs one."""
    lines = [line for line in meaning.unfolded(text) if not re.match(r"UID[:;]", line, re.I)]
    out = []
    for line in lines:
        out.append(line)
        if re.fullmatch(r"BEGIN:(VEVENT|VTODO|VJOURNAL)", line, re.I) or (
            re.fullmatch(r"VERSION:.*", line, re.I) and "BEGIN:VCARD" in text.upper()
        ):
            out.append(f"UID:{uid}")
    return folded(out)


def without(text: str, names: Sequence[str]) -> str:
    """The text without the properties of these names."""
    kept = [line for line in meaning.unfolded(text) if re.split(r"[;:]", line, maxsplit=1)[0].upper() not in names]
    return folded(kept)


def folded(lines: Sequence[str]) -> str:
    """Lines put together as RFC 5545 wants them: CRLF, and at most 75 bytes each."""
    out = []
    for line in lines:
        rest = line
        while len(rest.encode()) > 75:
            cut = 73
            while len(rest[:cut].encode()) > 73:
                cut -= 1
            out.append(rest[:cut])
            rest = " " + rest[cut:]
        out.append(rest)
    return "\r\n".join(out) + "\r\n"


def _usable_rule(rule: str) -> bool:
    from icalendar import vRecur

    try:
        return "FREQ" in vRecur.from_ical(rule)
    except ValueError:
        return False
