"""CSV for spreadsheets: no cell is taken for a formula, a number or a date, and it reads back as it was written."""

import csv
import io
from collections.abc import Sequence
from itertools import zip_longest

from bascule.problems.remade import MARK, is_remade

FORMULA = "=+-@\t\r\n"  # what a cell must not begin with
DELIMITERS = ",;\t"
CELL_CHARACTERS = 16 * 1024 * 1024  # a filter stands whole in one cell; servers take filters of a few megabytes at most
csv.field_size_limit(CELL_CHARACTERS)


class BadTable(Exception):
    """Raised when a file is no table that can be read back; its text says what is wrong with it."""


def guarded(cell: str) -> str:
    """The cell as it is written: a spreadsheet leaves it as it is."""
    return f"{MARK}{cell}" if _needs_mark(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    return cell[1:] if cell[:1] == MARK and _needs_mark(cell[1:]) else cell


def _needs_mark(cell: str) -> bool:
    if cell[:1] == MARK:
        return cell == MARK * len(cell) or _needs_mark(cell[1:])
    return (cell != "" and cell[0] in FORMULA) or is_remade(cell)


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as text. A spreadsheet knows it for UTF-8 by the mark that `with_mark` puts before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return out.getvalue()


def with_mark(text: str) -> bytes:
    """The text as a file that spreadsheets read as UTF-8."""
    return text.encode("utf-8-sig", "backslashreplace")


def read(data: bytes, header: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(number of the row's last line, cell by column) of a table with at least these columns. Raises BadTable.

    Cells are as they stand in the file, with their marks; those that a short row lacks are empty.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadTable("the file is not UTF-8: save it as `CSV UTF-8`") from None
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        found = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise BadTable(f"line {rows.line_num}: the file is no table: {error}") from None
    if not found:
        raise BadTable("the file is empty")
    columns = [cell.strip() for cell in found[0][1]]
    if missing := [name for name in header if name not in columns]:
        raise BadTable(f"line 1: the column(s) {', '.join(missing)} are missing")
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise BadTable(f"line 1: the column(s) {', '.join(twice)} stand there more than once: leave one of each")
    if long := [number for number, row in found[1:] if any(cell.strip() for cell in row[len(columns) :])]:
        raise BadTable("\n".join(f"line {number}: {_too_many(delimiter)}" for number in long))
    return [
        (number, dict(zip_longest(columns, row[: len(columns)], fillvalue="")))
        for number, row in found[1:]
        if any(cell.strip() for cell in row)
    ]


def _too_many(delimiter: str) -> str:
    shown = "a tab" if delimiter == "\t" else f"`{delimiter}`"
    return f"it has more cells than line 1 has columns: put a cell that contains {shown} between quotation marks"
