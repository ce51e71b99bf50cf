"""Watches whose mail is held, without a worker: in a run of `move`, and for ever by the asset that starts `holds`."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent
from airflow.utils.state import TaskInstanceState

from bascule import tasks
from bascule.operators.base import task_run
from bascule.text.logs import get_logger

if TYPE_CHECKING:
    from airflow.sdk import Context

log = get_logger(__name__)

LOOK_EVERY = 10  # seconds; one query of the ledger
LOOK_EVERY_IN_A_RUN = 1  # a hold of two seconds is seen too
ASK_EVERY = 5  # looks: Airflow's API, how far the run is
ENDED = [str(state) for state in TaskInstanceState if state in (
    TaskInstanceState.SUCCESS, TaskInstanceState.FAILED, TaskInstanceState.SKIPPED, TaskInstanceState.UPSTREAM_FAILED,
    TaskInstanceState.REMOVED,
)]  # fmt: skip


class OverdueHolds(BaseEventTrigger):
    """Fires when a hold has lasted too long, whether a run is under way or not. Never ends."""

    def __init__(self, seconds: float = LOOK_EVERY) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.OverdueHolds", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        watch = tasks.holds.Watch()
        while True:
            seen = await asyncio.to_thread(watch.look)
            if seen.news:
                log.warning("mail is held for too long", holds=seen.holds)
                yield TriggerEvent({"moves": seen.news})
            await asyncio.sleep(self.seconds)


class HoldsOfRun(BaseTrigger):
    """Fires when a hold has lasted too long, and when no task of this run moves accounts any more.

    Until then every look is in the task's log. `known`: the overdue holds that were tried already.
    """

    def __init__(
        self, dag_id: str, run_id: str, task_id: str, known: list[int], seconds: float = LOOK_EVERY_IN_A_RUN
    ) -> None:
        super().__init__()
        self.of = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
        self.known, self.seconds = known, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.HoldsOfRun", {**self.of, "known": self.known, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        watch = tasks.holds.Watch(self.known)
        for number in count():
            over = number % ASK_EVERY == 0 and await self._is_over()
            seen = await asyncio.to_thread(watch.look)
            if seen.holds:
                log.info("mail is held", holds=seen.holds)
            if seen.news or over:
                yield TriggerEvent({"overdue": seen.overdue, "over": over})
                return
            await asyncio.sleep(self.seconds)

    async def _is_over(self) -> bool:
        try:
            return await self._count(None) == await self._count(ENDED)
        except Exception as error:  # Airflow's API is away: it is asked again, and the holds are watched meanwhile
            log.warning("how far the run is can't be seen", reason=str(error))
            return False

    async def _count(self, states: list[str] | None) -> int:
        """How many instances of the mapped task there are."""
        return await asyncio.to_thread(
            RuntimeTaskInstance.get_ti_count,
            dag_id=self.of["dag_id"], run_ids=[self.of["run_id"]], task_ids=[self.of["task_id"]], states=states,
        )  # fmt: skip


class WatchHolds(BaseOperator):
    """Watches, deferred, every hold while the accounts of this run move; one that has lasted too long is undone.

    So it is when the task that has made it is gone. `moving`: the mapped task's id.
    """

    ui_color = "#e3eef9"

    def __init__(self, *, moving: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.moving = moving

    def execute(self, context: "Context") -> None:
        with task_run(context) as run:
            if run.dry_run:
                return
            run.outcome.becomes("waiting", "it watches the holds while accounts move")
        self._watch(context, [])

    def look_again(self, context: "Context", event: dict[str, Any]) -> None:
        with task_run(context) as run:
            if event["overdue"]:
                tasks.holds.undo_overdue(run)
            if event["over"]:
                return
            run.outcome.becomes("waiting", "it watches the holds while accounts move")
        self._watch(context, event["overdue"])

    def _watch(self, context: "Context", known: list[int]) -> None:
        ti = context["ti"]
        trigger = HoldsOfRun(ti.dag_id, ti.run_id, self.moving, known)
        self.defer(trigger=trigger, method_name="look_again")
