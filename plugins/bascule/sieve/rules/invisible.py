"""Characters between the words that look like a blank or like nothing: they come with what is pasted from web pages."""

import re

from bascule.sieve.model import Edit, Report
from bascule.sieve.syntax import Script

RULE = "invisible-character"
_ODD = "\x0b\x0c\x1a\x85\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff"
# Strings and comments are passed over, to the end where they have none.
_BETWEEN_WORDS = re.compile(
    r"(?<!\w)text:[ \t]*+(?:\#[^\n]*+)?\r?\n(?:(?!\.\r?\n)[^\n]*+\n)*+(?:\.\r?\n|[^\n]*+\Z)"
    r'|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|\#[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)'
    rf"|(?P<odd>[{_ODD}]+)",
    re.DOTALL | re.IGNORECASE,
)


def blanked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text with a blank for each such character, and where they stand."""
    places = [found.span() for found in _BETWEEN_WORDS.finditer(text) if found["odd"]]
    parts, at = [], 0
    for start, end in places:
        parts += [text[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, text[at:]]), places


def places_of(script: Script) -> list[tuple[int, int]]:
    """Where they stood in the script's source."""
    found: list[tuple[int, int]] = script.known.setdefault("invisible", [])
    return found


def invisible_characters(report: Report) -> None:
    """All of them are one question."""
    places = places_of(report.script)
    if not places:
        return
    message = (
        f"{len(places)} place(s) have characters that look like a blank or like nothing: Pigeonhole refuses the whole "
        "filter for them (Cyrus passes over some); with a blank in their place it would work"
    )
    edits = [Edit(start, end, " ", RULE, "a blank in place of a character that can't be seen") for start, end in places]
    report.ask(places[0][0], RULE, message, *edits)
