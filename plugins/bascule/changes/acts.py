"""Acts: what the journal's rows say about the changes that were begun and are still in force.

An act begins with an `intent` and ends with `done` (or with nothing, after a crash, or `failed`); until it is
`reverted` it is in force, whether it was finished or not: a half of it may be there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bascule.ledger.journal import Entry


@dataclass(frozen=True)
class Act:
    """One change that was begun: what it was, the state to go back to, its intent's row, whether it came to its end."""

    kind: str
    subject: str
    parameters: dict[str, Any]
    before: dict[str, Any]
    number: int
    finished: bool = False


def in_force(entries: Iterable[Entry]) -> list[Act]:
    """The acts to undo, the newest first: undone in this order, each finds what it left behind."""
    acts: list[Act] = []
    for entry in entries:
        last = next((n for n in reversed(range(len(acts))) if _about_same(acts[n], entry)), None)
        if entry.event == "intent":
            if last is not None and not acts[last].finished and acts[last].parameters == entry.parameters:
                del acts[last]  # the same act, tried again: its intent carries the first try's `before`
            acts.append(Act(entry.kind, entry.subject, entry.parameters, entry.before or {}, entry.number))
        elif entry.event == "done" and last is not None and acts[last].parameters == entry.parameters:
            acts[last] = replace(acts[last], finished=True)
        elif entry.event == "reverted":
            _drop_newest(acts, entry)
    return acts[::-1]


def unfinished(entries: Iterable[Entry], parameters: dict[str, Any]) -> Act | None:
    """The act of these parameters that has no outcome yet, if nothing else was done to its subject since.

    `entries` are the rows of one kind and one subject.
    """
    newest = next(iter(in_force(entries)), None)
    return newest if newest is not None and not newest.finished and newest.parameters == parameters else None


def _about_same(act: Act, entry: Entry) -> bool:
    return act.kind == entry.kind and act.subject == entry.subject


def _drop_newest(acts: list[Act], entry: Entry) -> None:
    for index in reversed(range(len(acts))):
        if _about_same(acts[index], entry) and acts[index].parameters == entry.parameters:
            del acts[index]
            return
