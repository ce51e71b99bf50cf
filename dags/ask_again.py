"""A question that a task of another DAG asks once more: a run of its own, since Airflow keeps a task's first page."""

from airflow.sdk import dag
from bascule.operators.hitl import AskAgain
from bascule.operators.params import ASK_AGAIN_DOC, NAMED, PHASE_DEFAULTS, ask_again_params


@dag(
    schedule=None,
    max_active_runs=1000,
    params=ask_again_params(),
    default_args=PHASE_DEFAULTS,
    doc_md=ASK_AGAIN_DOC,
    tags=["bascule"],
)
def ask_again():
    # Mapped, so that its account names it.
    AskAgain.partial(task_id="review", **NAMED).expand(account=["{{ params.account }}"])


ask_again()
