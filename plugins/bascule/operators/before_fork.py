"""What tasks import, imported once in the process that forks them. Nothing here opens a socket or starts a thread."""

import contextlib
from importlib import import_module
from pkgutil import iter_modules

from bascule import site, tasks
from bascule.ledger.base import Base, tables
from bascule.text.logs import get_logger

TASKS = tuple(f"{tasks.__name__}.{module.name}" for module in iter_modules(tasks.__path__))
NAMES = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.sdk.definitions.decorators",
    "bascule.operators.hitl",
    "bascule.operators.holds",
    "bascule.operators.site_file",
    "bascule.operators.ssh",
    "bascule.operators.tasks",
    "bascule.operators.waiting",
    *TASKS,
)

log = get_logger(__name__)


def load() -> None:
    """Import all of it, and read the site file. What can't be imported is told in the log.

    The task that needs it says why.
    """
    for name in NAMES:
        try:
            import_module(name)
        except ImportError as error:
            log.warning("not imported before the fork", module=name, reason=str(error))
    tables()
    Base.registry.configure()
    with contextlib.suppress(site.SiteError):  # the first task says what is wrong with it
        site.from_environment()
