"""How much is done at the same time, as the environment of Airflow's processes has it (`.env` of the cluster)."""

import os
import re

from bascule.site import SiteError

MAILBOXES, TASKS = "BASCULE_MAILBOXES_AT_ONCE", "BASCULE_TASKS_AT_ONCE"
OTHERWISE = 4  # mailboxes, where the environment does not say


def mailboxes_at_once() -> int:
    """The slots of Airflow's pool `mailboxes`. Raises SiteError."""
    return _number(MAILBOXES) or OTHERWISE


def tasks_at_once() -> int | None:
    """How many tasks Airflow starts at most, all workers together; None where the environment does not say.

    Raises SiteError.
    """
    return _number(TASKS)


def mailboxes_with_a_task_at_once() -> int:
    """As many as the pool has slots, and no more than tasks are started. Raises SiteError."""
    return min(mailboxes_at_once(), tasks_at_once() or mailboxes_at_once())


def _number(name: str) -> int | None:
    told = os.environ.get(name, "").strip()
    if not told:
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,5}", told):
        raise SiteError(
            f"{name} is {told!r:.60} in the environment of Airflow's processes: write a whole number from 1 on (in "
            ".env, or in Helm's values), and start them again"
        )
    return int(told)
