"""What a task does, one module per concern. Knows nothing of Airflow: the command lines call the same functions.

A lazy face (PEP 562): `tasks.mailbox` is imported when it is first used, so that DAG files, which are parsed again and
again, pay for none of it, and a task's process for its own module alone.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule.tasks import (  # noqa: F401
        accounts,
        behind,
        calendars,
        change,
        checks,
        failed_tests,
        filters,
        forecast,
        gate,
        holds,
        kept_on_old,
        letters,
        look,
        mailbox,
        move,
        phase,
        pop3,
        queues,
        report,
        review,
        rollback,
        run,
        waves,
    )


def __getattr__(name: str) -> ModuleType:
    if name.startswith("__"):
        raise AttributeError(name)
    return import_module(f"{__name__}.{name}")
