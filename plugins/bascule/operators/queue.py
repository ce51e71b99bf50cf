"""Postfix queues: acts on them, and the sensor that watches them until they are empty."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from bascule.operators.runtime import BasculeOperator, Run, check_phase, opened_run, sentences

if TYPE_CHECKING:
    from airflow.sdk import Context


class RequeueMail(BasculeOperator):
    """Let the MX look up again where the mail goes that it accepted before the directory was changed."""

    def act(self, run: Run, context: "Context") -> None:
        from bascule import queues

        if not run.dry_run:
            queues.requeue_all(run.access.remote(run.site.queues.mx))


class FlushQueue(BasculeOperator):
    """Let the MX try at once to deliver what it holds."""

    def act(self, run: Run, context: "Context") -> None:
        from bascule import queues

        if not run.dry_run:
            queues.flush(run.access.remote(run.site.queues.mx))


class EmptyOldQueue(BasculeOperator):
    """Wait until the old server has delivered what it had accepted, so that the last pass finds it."""

    def act(self, run: Run, context: "Context") -> None:
        from bascule import queues

        if run.site.queues.old is None:
            self.log.info("the site file names no queue on old: nothing to wait for")
        elif not run.dry_run:
            queues.wait_until_empty(run.access.remote(run.site.queues.old))


class WatchQueues(BasculeOperator):
    """Wait, deferred, until the MX's queue is empty; counts by destination and reason go into the log.

    A bounce that is found is a failure with the message's id.
    """

    ui_color = "#e3eef9"

    def execute(self, context: "Context") -> None:
        with sentences(), opened_run(context) as run:
            check_phase(run)
            waiting = self._look(run)
            if not waiting or run.dry_run:
                return
            conn_id, seconds = run.site.hosts[run.site.queues.mx].ssh, run.site.queues.poll_seconds
        self.defer(trigger=QueueTrigger(conn_id=conn_id, seconds=seconds), method_name="look_again")

    def look_again(self, context: "Context", event: dict[str, Any]) -> None:
        if event.get("error"):
            self.log.warning("the queue could not be read: %s", event["error"])
        self.execute(context)

    def _look(self, run: Run) -> int:
        from bascule import queues

        mx = run.access.remote(run.site.queues.mx)
        found = queues.read(mx)
        for line in found.lines():
            self.log.info(line)
        bounces = queues.bounces(mx, since=freeze_began(run))
        if bounces:
            raise AirflowFailException(
                f"{len(bounces)} message(s) were returned to their senders: "
                + "; ".join(str(bounce) for bounce in bounces[:20])
            )
        return found.total


class QueueTrigger(BaseTrigger):
    """Fire when the queue is empty or has changed its count, at the latest after ten looks."""

    LOOKS = 10

    def __init__(self, conn_id: str, seconds: int) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "bascule.operators.queue.QueueTrigger", {"conn_id": self.conn_id, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            first = await asyncio.to_thread(self._count)
            for _ in range(self.LOOKS):
                if first == 0:
                    break
                await asyncio.sleep(self.seconds)
                if await asyncio.to_thread(self._count) != first:
                    break
            yield TriggerEvent({"error": ""})
        except Exception as error:
            yield TriggerEvent({"error": f"{type(error).__name__}: {error}"})

    def _count(self) -> int:
        from bascule import queues
        from bascule.access import RemoteHost
        from bascule.operators.connections import AirflowConnections, connect_ssh

        remote = RemoteHost("mx", lambda: connect_ssh(AirflowConnections().get(self.conn_id)))
        try:
            return queues.read(remote).total
        finally:
            remote.close()


def freeze_began(run: Run) -> Any:
    """When the day began: bounces before it are not the day's."""
    from bascule.ledger import phases

    return phases.marked_at(run.ledger, "freeze", "started")
