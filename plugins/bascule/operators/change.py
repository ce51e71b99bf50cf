"""One operator for every kind of change."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bascule.operators.runtime import BasculeOperator, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class ApplyChange(BasculeOperator):
    """Bring one change about: observe, note the intent, apply, verify, note the outcome.

    `change` is the kind's name in `bascule.changes.KINDS`, `parameters` its keyword arguments.
    Returns the outcome: `unchanged`, `would change` or `done`.
    """

    template_fields = ("parameters",)
    ui_color = "#fde8c8"

    def __init__(self, *, change: str, parameters: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.change = change
        self.parameters = dict(parameters or {})

    def act(self, run: Run, context: "Context") -> str:
        from bascule import changes
        from bascule.changes import base

        parameters = dict(self.parameters)
        kind = changes.kind(self.change)
        if "accounts" in kind.__init__.__annotations__:
            parameters["accounts"] = run.selection
        change = kind(run.access, **parameters)
        return base.run(change, run.ledger, run.origin, dry_run=run.dry_run).outcome.value
