"""CSV for spreadsheets: no cell of it is taken for a formula, and it reads back as it was written."""

import csv
import io
from collections.abc import Sequence

FORMULA = "=+-@\t\r\n"  # what a cell must not begin with
MARK = "'"  # put before such a cell, and taken away again
DELIMITERS = ",;\t"


class BadTable(Exception):
    """Raised when a file is no table that can be read back; its text says what is wrong with it."""


def guarded(cell: str) -> str:
    """The cell as it is written."""
    marked = cell[:1] == MARK and cell[1:2] in (*FORMULA, MARK) and len(cell) > 1
    return f"{MARK}{cell}" if cell[:1] and (cell[0] in FORMULA or marked) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    return cell[1:] if len(cell) > 1 and cell[0] == MARK and cell[1] in (*FORMULA, MARK) else cell


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
    """(number of the row's last line, cell by column) of a table with at least these columns. Raises BadTable."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadTable("the file is not UTF-8: save it as `CSV UTF-8`") from None
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        found = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise BadTable(f"the file is no table: {error}") from None
    if not found:
        raise BadTable("the file is empty")
    columns = [cell.strip() for cell in found[0][1]]
    if missing := [name for name in header if name not in columns]:
        raise BadTable(f"line 1: the column(s) {', '.join(missing)} are missing")
    return [
        (number, {name: unguarded(cell) for name, cell in zip(columns, row, strict=False)})
        for number, row in found[1:]
        if any(cell.strip() for cell in row)
    ]
