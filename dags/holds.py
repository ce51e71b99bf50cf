"""An account's mail is held for too long, and perhaps no run is under way: it is undone by itself."""

from airflow.sdk import Asset, AssetWatcher, dag
from bascule.operators.holds import OverdueHolds
from bascule.operators.params import HOLDS_DOC, PHASE_DEFAULTS
from bascule.operators.tasks import EndBrokenMoves


@dag(
    schedule=[Asset("overdue_holds", watchers=[AssetWatcher(name="ledger", trigger=OverdueHolds())])],
    max_active_runs=1,
    default_args=PHASE_DEFAULTS,
    doc_md=HOLDS_DOC,
    tags=["bascule"],
)
def holds():
    EndBrokenMoves(task_id="undo_overdue_holds", overdue_only=True)


holds()
