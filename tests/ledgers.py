"""Empty ledgers of the tests' own: copies of one that was made once, since making its tables takes long."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from bascule.ledger import Ledger


def empty_ledger(path: Path) -> str:
    """Make an empty ledger in this file; its URL."""
    shutil.copyfile(_made_once(), path)
    return f"sqlite:///{path}"


@cache
def _made_once() -> Path:
    path = Path(tempfile.mkdtemp(prefix="bascule-ledger-")) / "ledger.db"
    Ledger(f"sqlite:///{path}").engine.dispose()  # so that all stands in this one file
    return path
