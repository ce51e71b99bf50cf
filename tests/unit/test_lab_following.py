"""The demo's line of progress, at sizes that Airflow gives in several pages and while states change."""

from pathlib import Path
from typing import Any

import pytest
from bascule.ledger import Ledger, journal

from lab.airflow.following import progress
from lab.airflow.processes import Rest

RUN = "day"


class Airflow(Rest):
    """A run of `transfer` in which so many mailboxes of those with a task are done."""

    def __init__(self, tasks: int, done: int) -> None:
        super().__init__("http://nowhere", "postmaster", "")
        self._instances = [
            {"task_id": "mailbox.sync", "map_index": index, "state": "success" if index < done else "queued"}
            for index in range(tasks)
        ]

    def call(self, method: str, path: str, **_: Any) -> Any:
        if path.startswith("dags/transfer/dagRuns/day/taskInstances"):
            found = [each for each in self._instances if "state=" not in path or f"state={each['state']}" in path]
            offset = int(path.partition("offset=")[2] or 0)
            # Within a page as it likes, unless it is asked for an order that stays.
            shown = found[offset : offset + 100] if "listMapped" in path or "order_by=id" in path else found[:100]
            return {"task_instances": shown, "total_entries": len(found)}
        return {"state": "running"}


@pytest.mark.parametrize(("unchanged", "tasks", "done"), [(0, 200, 101), (700, 300, 12), (24, 0, 0)])
def test_each_mailbox_is_counted_once(tmp_path: Path, unchanged: int, tasks: int, done: int) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    after = {"unchanged": ["u"] * unchanged, "need a pass": {}, "with a task": ["t"] * tasks}
    origin = journal.Origin("transfer", RUN, "look_at_mailboxes")
    journal.append(ledger, journal.Entry("note", "look", "mailboxes", origin, after=after))
    line = progress(Airflow(tasks, done), ledger, [("transfer", RUN)])
    assert f"mailboxes {unchanged + done} of {unchanged + tasks}," in line
