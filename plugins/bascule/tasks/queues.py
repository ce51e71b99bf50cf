"""Postfix queues: acts on them, and what is watched until they are empty."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bascule.hosts.postfix import queue
from bascule.hosts.ssh import RemoteHost
from bascule.ledger import phases
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger

if TYPE_CHECKING:
    import paramiko

log = get_logger(__name__)


def requeue(run: Run) -> None:
    """Let the MX look up again where the mail goes that it accepted before the directory was changed."""
    if not run.dry_run:
        queue.requeue_all(run.access.remote(run.site.queues.mx))


def flush(run: Run) -> None:
    """Let the MX try at once to deliver what it holds."""
    if not run.dry_run:
        queue.flush(run.access.remote(run.site.queues.mx))


def empty_old(run: Run) -> None:
    """Wait until the old server has delivered what it had accepted, so that the last pass finds it."""
    if run.site.queues.old is None:
        log.info("the site file names no queue on old: nothing to wait for")
    elif not run.dry_run:
        queue.wait_until_empty(run.access.remote(run.site.queues.old))


def look(run: Run) -> int:
    """How many messages wait at the MX; counts by destination and reason go into the log.

    Raises NeedsPerson, with the messages' ids, when some were returned to their senders since the freeze began.
    """
    mx = run.access.remote(run.site.queues.mx)
    found = queue.read(mx)
    for line in found.lines():
        log.info(line)
    bounces = queue.bounces(mx, since=phases.marked_at(run.ledger, "freeze", "started"))
    if bounces:
        raise NeedsPerson(
            f"{len(bounces)} message(s) were returned to their senders: " + "; ".join(map(str, bounces[:20]))
        )
    return found.total


def count(connect: "Callable[[], paramiko.SSHClient]") -> int:
    """How many messages wait in the queue of the host to which this connects."""
    host = RemoteHost("mx", connect)
    try:
        return queue.read(host).total
    finally:
        host.close()
