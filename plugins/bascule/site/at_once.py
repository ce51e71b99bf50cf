"""How much is done at the same time, as the environment of Airflow's processes has it (`.env` of the cluster)."""

import os

MAILBOXES, TASKS = "BASCULE_MAILBOXES_AT_ONCE", "BASCULE_TASKS_AT_ONCE"
OTHERWISE = 4  # mailboxes, where the environment does not say


def mailboxes_at_once() -> int:
    """The slots of Airflow's pool `mailboxes`."""
    return int(os.environ.get(MAILBOXES) or OTHERWISE)


def tasks_at_once() -> int | None:
    """How many tasks Airflow starts at most, all workers together; None where the environment does not say."""
    told = os.environ.get(TASKS)
    return int(told) if told else None


def mailboxes_with_a_task_at_once() -> int:
    """As many as the pool has slots, and no more than tasks are started."""
    return min(mailboxes_at_once(), tasks_at_once() or mailboxes_at_once())
