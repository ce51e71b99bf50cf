"""One change of the infrastructure, by its kind."""

from collections.abc import Mapping
from typing import Any

from bascule import changes
from bascule.changes import base
from bascule.tasks.run import Run


def apply(run: Run, change: str, parameters: Mapping[str, Any]) -> str:
    """Bring one change about: observe, note the intent, apply, verify, note the outcome.

    `change` is the kind's name in `bascule.changes.KINDS`, `parameters` its keyword arguments.
    Returns the outcome: `unchanged`, `would change` or `done`. Raises ChangeFailed and AccessError.
    """
    kind = changes.kind(change)
    return base.run(kind(run.access, **parameters), run.ledger, run.origin, dry_run=run.dry_run).outcome.value
