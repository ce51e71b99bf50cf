"""The outage, as the journal has it: from the moment from which nobody reads mail to the one from which everybody can.

It begins when the first act that keeps people out is about to be applied: the virtual machine that proxies IMAP is shut
off, and where that was off already, IMAP on old is stopped. It ends when new has taken the service's address, or when a
way back has come to its end. All who tell how long it was ask here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bascule.ledger import Ledger, journal, phases

# The acts of `freeze` that keep people from their mail: the first of them that had something to do begins the outage.
KEEP_PEOPLE_OUT: Sequence[tuple[str, dict[str, Any]]] = (
    ("virtual_machine", {"state": "shut off"}),
    ("service", {"service": "imap_old", "state": "stopped"}),
    ("firewall", {"side": "old", "state": "isolated"}),
)
LETS_PEOPLE_IN = ("address", {"service": "imap"})  # of `cutover`
KINDS = ("phase", LETS_PEOPLE_IN[0], *(kind for kind, _ in KEEP_PEOPLE_OUT))


@dataclass(frozen=True)
class Outage:
    """One outage (UTC). Without an end it goes on; `served`: new ended it, and no way back did.

    `first`, `last`: the rows of the journal by which it began and ended; what came before what goes by those, since a
    clock may be set back.
    """

    began: datetime
    first: int
    ended: datetime | None = None
    last: int | None = None
    served: bool = False


def outages(ledger: Ledger) -> list[Outage]:
    """All of them, the oldest first: a day that was taken back had one, too. Only the last one may go on."""
    rows = (entry for kind in KINDS for entry in journal.entries(ledger, kind=kind))
    return told(sorted(rows, key=lambda entry: entry.number))


def told(entries: Iterable[journal.Entry]) -> list[Outage]:
    """The outages that these rows of the journal, in their order, tell of.

    Once new has served, nobody is kept out by what is done on old: another one can begin only after a way back.
    """
    found: list[Outage] = []
    for entry in entries:
        last = found[-1] if found else None
        goes_on, is_possible = last is not None and last.ended is None, last is None or not last.served
        if entry.at is None:
            continue
        if is_possible and not goes_on and _keeps_out(entry):
            found.append(Outage(entry.at, entry.number))
        elif last is not None and goes_on and _lets_in(entry):
            found[-1] = replace(last, ended=entry.at, last=entry.number, served=True)
        elif last is not None and _is_way_back(entry):
            found[-1] = replace(last, ended=last.ended or entry.at, last=last.last or entry.number, served=False)
    return found


def of_try(found: Sequence[Outage], began: int) -> Outage | None:
    """Of all outages the one of the day's try whose freeze began with this row: it goes on, or ended since.

    (It may have begun before: with a try that was broken off without a way back.)
    """
    last = found[-1] if found else None
    return last if last and (last.last is None or last.last > began) else None


def of_day(ledger: Ledger) -> Outage | None:
    """That of the day's try since the last way back; None before it has begun."""
    frozen = phases.marked(ledger, "freeze", "started")
    return of_try(outages(ledger), frozen.number) if frozen else None


def seconds(ledger: Ledger) -> float | None:
    """How long the day's outage was; None while new does not serve, or does so no more."""
    of = of_day(ledger)
    return max(0.0, (of.ended - of.began).total_seconds()) if of and of.ended and of.served else None


def _keeps_out(entry: journal.Entry) -> bool:
    acts = (entry.kind == kind and values.items() <= entry.parameters.items() for kind, values in KEEP_PEOPLE_OUT)
    return entry.event == "intent" and entry.origin.phase == "freeze" and any(acts)


def _lets_in(entry: journal.Entry) -> bool:
    kind, values = LETS_PEOPLE_IN
    is_it = entry.kind == kind and values.items() <= entry.parameters.items() and entry.origin.phase == "cutover"
    return is_it and entry.event in ("done", "unchanged")


def _is_way_back(entry: journal.Entry) -> bool:
    return (entry.kind, entry.subject) == ("phase", "rollback") and (entry.after or {}).get("state") == "finished"
