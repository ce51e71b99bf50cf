"""The ledger by command line.

`python -m bascule.ledger upgrade`: bring the ledger of BASCULE_LEDGER up to this Bascule, and say which it is.
`python -m bascule.ledger verify FILE [HASH]`: check an exported journal; needs no ledger. HASH: the head as it was
written down at a gate or in the report, which must be in it.
`python -m bascule.ledger tables`: for developers, the tables of the models as SQLite makes them.
"""

import re
import sys
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from bascule.ledger import Ledger, LedgerError, journal, schema
from bascule.ledger.base import tables

USAGE = "usage: python -m bascule.ledger upgrade | verify FILE [HASH] | tables"


def main(words: list[str]) -> int:
    match words:
        case ["upgrade"]:
            return upgrade()
        case ["tables"]:
            print(written_down(), end="")
            return 0
        case ["verify", file]:
            return verify(Path(file))
        case ["verify", file, wanted]:
            return verify(Path(file), wanted.lower())
    print(USAGE, file=sys.stderr)
    return 2


def written_down() -> str:
    """SQLite's statements that make the tables of the models, always in one order."""
    found: list[str] = []
    for table in (*tables().sorted_tables, schema.version_table()):
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        acts: list[ExecutableDDLElement] = [CreateTable(table), *(CreateIndex(index) for index in indexes)]
        found += [str(act.compile(dialect=sqlite.dialect())).strip() for act in acts]
    return schema.END.join(re.sub(r"[ \t]+$", "", statement, flags=re.MULTILINE) for statement in found) + "\n"


def upgrade() -> int:
    try:
        ledger = Ledger.from_environment()
    except LedgerError as error:
        print(f"ledger: {error}", file=sys.stderr)
        return 1
    with ledger.reading() as session:
        print(f"ledger: revision {schema.revision(session.connection())}")
    return 0


def verify(file: Path, wanted: str = "") -> int:
    """0: every row follows from the one before, and the wanted hash is one of theirs."""
    try:
        found = journal.check_export(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        print(f"{file}: it is no text in UTF-8, as a journal is", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"{file}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return 1
    if found.broken_at is not None:
        why = "it was edited, or a row is missing before it"
        print(f"{file}: the chain is BROKEN at row {found.broken_at}: {why}", file=sys.stderr)
        return 1
    if not found.head.number:
        print(f"{file}: there is no row in it", file=sys.stderr)
        return 1
    if wanted and wanted not in found.hashes:
        why = "rows are missing at its end, or it is another journal"
        print(f"{file}: no row has the hash {wanted}: {why}", file=sys.stderr)
        return 1
    print(f"{file}: {found.head.number} rows, the chain holds; head {found.head.hash}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
