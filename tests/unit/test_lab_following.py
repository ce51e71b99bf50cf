"""The demo's line of progress and its questions, at sizes that Airflow gives in several pages, while states change."""

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


class Asking(Rest):
    """An Airflow in which so many questions wait; while it is looked, the first of them may be answered by others."""

    def __init__(self, number: int, *, answered: int = 0) -> None:
        super().__init__("http://nowhere", "postmaster", "")
        self._waiting, self._answered = [{"task_instance": {"id": f"{index:04}"}} for index in range(number)], answered

    def call(self, method: str, path: str, **_: Any) -> Any:
        assert "order_by=ti_id" in path  # pages in any order name some twice, and others never
        offset = int(path.partition("offset=")[2])
        answer = {"hitl_details": self._waiting[offset : offset + 100], "total_entries": len(self._waiting)}
        del self._waiting[: self._answered]
        return answer


@pytest.mark.parametrize("number", [0, 1, 100, 101, 152, 300])
def test_all_questions_are_seen_however_many_wait(number: int) -> None:
    assert len(Asking(number).questions()) == number


def test_questions_that_are_answered_meanwhile_end_no_look_with_an_error() -> None:
    seen = [each["task_instance"]["id"] for each in Asking(250, answered=120).questions()]
    assert len(seen) == len(set(seen)) >= 100


def test_a_question_that_comes_up_meanwhile_makes_no_other_one_be_seen_twice() -> None:
    asking = Asking(150)
    pages: list[Any] = []

    def call(method: str, path: str, **words: Any) -> Any:
        pages.append(Asking.call(asking, method, path, **words))
        asking._waiting.insert(0, {"task_instance": {"id": f"new {len(pages)}"}})
        return pages[-1]

    asking.call = call  # type: ignore[method-assign]
    seen = [each["task_instance"]["id"] for each in asking.questions()]
    assert len(seen) == len(set(seen)) >= 150
