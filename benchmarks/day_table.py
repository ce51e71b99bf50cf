"""The tables of the day's benchmark, from what benchmarks/figures keeps of each size.

A file of an earlier version lacks what was not measured then: its cells stay blank.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import pages

Size = dict[str, Any]  # what one size was measured to be
ACTS = ("freeze", "cutover")
GO = "go_no_go"  # the question in the outage
FOR_PEOPLE = (GO, "functional_test")
TASK = "mailbox.sync"
CALCULATED = 10_000  # accounts, for which no day is measured
# What must be empty at the end of a day, and how it is told.
MUST_BE_EMPTY = {
    "lost": "lost",
    "duplicated": "twice",
    "misplaced": "in a wrong mailbox",
    "waiting": "still waiting in a queue",
    "only_on_old": "on old only",
    "unseen": "place(s) that could not be looked into",
    "differences": "difference(s) in the audit",
}
COLUMNS = (
    "accounts", "measured (UTC)", "commit", "cores", "load", "outage s", "seen from outside s",
    "of which an answer was waited for", "forecast s", "day s", "`prepare` s", "the second s",
    "mailboxes with a task on the day", "an act, median s", "injected", "in one place", "lost, twice", "good",
)  # fmt: skip


def read(folder: Path) -> list[Size]:
    """Every size that was measured, the smallest first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("day-*.json")]
    return sorted(found, key=lambda one: int(one["accounts"]))


def wrong(one: Size) -> list[str]:
    """What was not good at this size, in words; nothing: all of it was."""
    found = [f"{len(one[name])} {words}" for name, words in MUST_BE_EMPTY.items() if one.get(name)]
    if (injected := one.get("injected")) != (once := one.get("delivered_once")):
        found.append(f"{once} of {injected} injected messages in one place")
    found += [f"the test {name!r} failed" for name, test in one.get("functional_tests", {}).items() if not test["ok"]]
    if (seen := one.get("outside")) and seen["ended"] is None:
        found.append(f"nobody could log in from outside at the end ({seen['words'] or 'the program said nothing'})")
    if not found and not one.get("good"):
        found.append("not everything is proven: the journal, the isolation of old, or the outage's end")
    return found


def tables(found: list[Size]) -> list[str]:
    """What was measured, as it stands in docs/performance.md."""
    lines = ["Each row is one run. The cores carry all ten hosts, too; the load is the one at the day's end."]
    if not all("outside" in one for one in found):
        lines.append("Where nothing was seen from outside, the outage begins later: when IMAP on old was stopped.")
    for one in found:
        if copied := one["parts"].get("first copy"):
            size, seconds = f"{one['accounts']:,} accounts", f"{copied['seconds']:,.0f} s"
            lines.append(f"At {size} command lines made the first copy, several beside each other: {seconds}.")
    lines += ["", _row(COLUMNS), "|---" * len(COLUMNS) + "|", *(_row(day_cells(one)) for one in found)]
    kinds = sorted({kind for one in found for kind in one["parts"]["day"]["cpu"]})
    columns = ("accounts", "part", "CPU s", "by mailbox", *kinds, "memory MB")
    lines += ["", _row(columns), "|---" * len(columns) + "|"]
    lines += [_row(cells) for one in found for cells in part_cells(one, kinds)]
    lines += ["", *pages.table({one["accounts"]: one["pages"] for one in found if one.get("pages")})]
    return [*lines, "", *slopes(found)]


def day_cells(one: Size) -> list[str]:
    """A size's row of the first table."""
    seconds = {name: part["seconds"] for name, part in one["parts"].items()}
    told = one.get("figures") or figures(one)
    both = f"{len(one['lost'])}, {len(one['duplicated'])}" if "lost" in one and "duplicated" in one else ""
    good = "" if "good" not in one else "**no**" if wrong(one) else "yes"
    return [
        str(one["accounts"]), began(one), one.get("commit") or "", _cell(one.get("cores"), 0),
        _cell(one["parts"]["day"].get("load"), 0),
        _cell(one.get("outage_seconds"), 0), _cell((one.get("outside") or {}).get("seconds"), 0),
        _cell(told["answer"], 0), _cell((one.get("forecast") or {}).get("seconds"), 0), _cell(seconds.get("day"), 0),
        _cell(seconds.get("prepare"), 0), _cell(seconds.get("second prepare"), 0), _cell(told["tasks"], 0),
        _cell(told["act"], 1), _cell(one.get("injected"), 0), _cell(one.get("delivered_once"), 0),
        both, good,
    ]  # fmt: skip


def part_cells(one: Size, kinds: Iterable[str]) -> Iterator[list[str]]:
    """A size's rows of the second table."""
    for name, part in one["parts"].items():
        total = sum(part["cpu"].values())
        yield [
            str(one["accounts"]), name, _cell(total, 0), _cell(total / one["accounts"], 2),
            *(_cell(part["cpu"].get(kind, 0), 0) for kind in kinds), _cell(sum(part["memory"].values()), 0),
        ]  # fmt: skip


def began(one: Size) -> str:
    """When its first `prepare` began, to the minute; of a file that does not say it, by the first task."""
    if "began" in one:
        return str(one["began"])
    starts = [task["start"] for task in one.get("phases", {}).get("prepare", ())]
    return min(starts)[:16].replace("T", " ") if starts else ""


def figures(one: Size) -> dict[str, float | None]:
    """What its tasks' times say: seconds of an answer, mailboxes with a task on the day, an act's median seconds."""
    day = one.get("phases", {}).get("transfer")
    acts = list(act_seconds(one))
    return {
        "answer": answer_seconds(one),
        "tasks": None if day is None else sum(task["task"] == TASK for task in day),
        "act": median(acts) if acts else None,
    }


def answer_seconds(one: Size) -> float | None:
    """For how long the go in the outage waited for a person."""
    waits = [task for task in one.get("phases", {}).get("cutover", ()) if task["task"] == GO]
    return sum((moment(task["end"]) - moment(task["start"])).total_seconds() for task in waits) if waits else None


def act_seconds(one: Size) -> Iterator[float]:
    """From the end of the last task that each act may have waited for to the act's end."""
    for phase in ACTS:
        acts = [
            (moment(task["start"]), moment(task["end"]))
            for task in one.get("phases", {}).get(phase, ())
            if task["task"] not in FOR_PEOPLE
        ]
        for start, end in acts:
            before = max((ended for _, ended in acts if ended <= start), default=None)
            if before is not None:
                yield (end - before).total_seconds()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))


def slopes(found: list[Size]) -> Iterator[str]:
    """What each mailbox more costs, from one size to the next, and what the last two sizes say of a larger one."""
    known = [one for one in found if one.get("outage_seconds")]
    for less, more in pairwise(known):
        outage, cpu = for_each_more(less, more)
        yield (
            f"- From {less['accounts']} to {more['accounts']} accounts: {outage:.2f} s of outage and {cpu:.2f} CPU s "
            "of Airflow and the databases for each mailbox more."
        )
    if len(known) > 1 and (left := CALCULATED - known[-1]["accounts"]) > 0:
        less, more = known[-2:]
        outage, cpu = for_each_more(less, more)
        seconds = more["outage_seconds"] + left * outage
        yield (
            f"- **Calculated, not measured:** if each mailbox more cost what it costs from {less['accounts']} to "
            f"{more['accounts']}, {CALCULATED:,} accounts would have an outage of {seconds:.0f} s "
            f"({seconds / 60:.0f} min) and a day of {day_cpu(more) + left * cpu:.0f} CPU s."
        )


def for_each_more(less: Size, more: Size) -> tuple[float, float]:
    """Seconds of outage, and CPU s of the day, for each mailbox that the larger size has more."""
    number = more["accounts"] - less["accounts"]
    outage = more["outage_seconds"] - less["outage_seconds"]
    return outage / number, (day_cpu(more) - day_cpu(less)) / number


def day_cpu(one: Size) -> float:
    return float(sum(one["parts"]["day"]["cpu"].values()))


def _cell(value: float | None, digits: int) -> str:
    """Blank: it was not measured."""
    return "" if value is None else f"{value:.{digits}f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
