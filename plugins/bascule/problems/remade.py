"""What spreadsheets make of text: `2024-01` becomes `janv.-24`, `007` becomes `7`, `TRUE` becomes `VRAI`."""

import re
from functools import cache

from babel import Locale

# Those in whose languages months and days are known here. A spreadsheet reads dates in its user's.
LANGUAGES = (
    *("bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "is", "it", "lb"),
    *("lt", "lv", "mt", "nb", "nl", "nn", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr", "uk"),
)
TRUTH = {
    *("true", "false", "vrai", "faux", "wahr", "falsch", "verdadero", "falso", "vero", "verdadeiro", "waar", "onwaar"),
    *("sand", "falsk", "sann", "usann", "prawda", "fałsz", "pravda", "nepravda", "igaz", "hamis", "tosi", "epätosi"),
    *("adevărat", "fals", "истина", "ложь", "doğru", "yanlış", "αληθής", "ψευδής"),
}
IN_NUMBERS = {"e", "t", "z", "h", "am", "pm", "eur", "usd", "gbp", "chf", "kr", "zł", "kč", "ft", "lei", "лв"}
CELL_CHARACTERS = (32_767, 65_535)  # what a cell of Excel and one of older LibreOffices hold

CODES = ("ascii", "cp1252", "cp1250", "latin-1")  # in which programs save where nobody chose UTF-8

MARK = "'"  # before a cell that is text, whatever it looks like

_INTEGER = re.compile(r"0|[1-9][0-9]{0,14}")  # stays as it is
_FAULT = re.compile(r"#[^\W\d_/!?]+[/\w]*[!?]?")
_WORD = re.compile(r"[^\W\d_]+")


def is_remade(cell: str) -> bool:
    """Whether a spreadsheet may take the cell for a number, a date, a time or a truth value, and write it otherwise."""
    if cell[:1] == MARK or _INTEGER.fullmatch(cell):
        return False
    text = cell.strip().casefold()
    if text in TRUTH:
        return True
    return any(map(str.isdecimal, text)) and all(word in _words() for word in _WORD.findall(text))


def why_not_written(proposed: str, cell: str) -> str:
    """Why the cell is no edit of what was proposed but what a spreadsheet has made of it; empty when a person wrote it.

    A cell with the mark before it is always a person's.
    """
    number_of_it = is_remade(proposed) and _INTEGER.fullmatch(cell)
    if is_remade(cell) or _FAULT.fullmatch(cell) or number_of_it:
        return (
            f"a spreadsheet may have made this of something else ({proposed[:80]!r} stood there): make the list anew, "
            "or, if it is meant, put `'` before it (in a spreadsheet type `''`)"
        )
    if len(cell) in CELL_CHARACTERS and proposed.startswith(cell):
        return f"the spreadsheet has cut it after {len(cell)} characters: leave the cell as it is in another program"
    if cell != proposed and "?" in cell and cell in (proposed.encode(code, "replace").decode(code) for code in CODES):
        return "the spreadsheet has lost its letters: save the file as `CSV UTF-8`"
    return ""


@cache
def _words() -> frozenset[str]:
    """The words of dates and numbers: months and days as CLDR has them, and what stands in numbers."""
    found = set(IN_NUMBERS)
    for language in LANGUAGES:
        locale = Locale.parse(language)
        for context in (*locale.months.values(), *locale.days.values()):
            names = [str(name).casefold() for width in context.values() for name in width.values()]
            found.update(word for name in names for word in _WORD.findall(name))
    return frozenset(found)
