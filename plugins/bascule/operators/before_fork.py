"""What tasks import, imported once in the process that forks them, and what they ask of the ledger, asked once.

Nothing here leaves a socket open or a thread running.
"""

import contextlib
import gc
from importlib import import_module
from pkgutil import iter_modules

from bascule import site, tasks
from bascule.ledger.base import Base, tables
from bascule.tasks import warm
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

# Cycles are looked for every so many new objects. With Python's 700 the scheduler, which loads all task instances of a
# run again and again, spent two fifths of its time on that at 3,000 mailboxes.
COLLECTED_EVERY = (50_000, 10, 10)

log = get_logger(__name__)


def load() -> None:
    """Import all of it, read the site file, and ask the ledger. What can't be is told in the log.

    The task that needs it says why.
    """
    gc.set_threshold(*COLLECTED_EVERY)
    for name in NAMES:
        try:
            import_module(name)
        except ImportError as error:
            log.warning("not imported before the fork", module=name, reason=str(error))
    tables()
    Base.registry.configure()
    with contextlib.suppress(site.SiteError):  # the first task says what is wrong with it
        site.from_environment()
    try:
        warm.ask()
    except Exception as error:  # whatever it is: tasks compile it then, each for itself
        log.info("the ledger was not asked before the fork", reason=str(error))
