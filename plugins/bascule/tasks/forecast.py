"""How long the window will be: from what has changed since the last passes, and from what those took.

`gather` asks old and the ledger, `window` calculates; neither waits for people, whose questions are only counted. It is
made by `prepare`, and again when `freeze` begins, which knows what has come since. The journal keeps each forecast, so
that the day's pages show it and the final report sets it beside what came.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from bascule.ledger import Ledger, calendars, filters, journal, mailboxes, moves, outage, passes, phases, task_log
from bascule.ledger.mailboxes import MailboxStatus
from bascule.mailbox.forecast import Forecast, forecast, no_forecast
from bascule.mailbox.look import needs_a_pass
from bascule.problems import store
from bascule.problems.evidence import evidence_lines, problem_lines
from bascule.site import at_once
from bascule.tasks import accounts
from bascule.tasks.look import KIND as LOOK
from bascule.tasks.look import jobs_for
from bascule.tasks.run import Run
from bascule.text.logs import get_logger
from bascule.views.day import DAY
from bascule.views.forecast import KIND, beside_acts, noted, slowest_first

log = get_logger(__name__)

SLOWEST = 10  # mailboxes that are named
CONNECTIONS = 4  # to old, for the forecast
# What things take where nothing was measured yet, in seconds.
# From `stop_imap_proxy_virtual_machine` to `take_imap_address`, without what is mapped.
TASKS_IN_OUTAGE, OF_A_TASK = 21, 2.5
# At a mailbox, with four connections on two cores: their processor is the limit, so that more connections don't help.
OF_A_LOOK = 0.05
ENOUGH, MOST_OF_THEM = 20, 0.8  # mailboxes with a task in a run of `prepare`, to go by how fast they were done
NEARLY_ALL = 0.95  # of them have been copied before
OF_A_PROCESS = 0.6  # Airflow's own share of one mailbox with a task
LEAST, MOST = 0.6, 1.8  # of the seconds that are told: by how much machines differ from one hour to the next
OF_A_PASS = 0.5  # over a mailbox in which nothing has changed
OF_A_MESSAGE, OF_A_MEGABYTE = 0.004, 0.1
OF_A_GAP = 0.001  # between the UIDs of new messages, where they are kept; a large one takes 0.005
OF_A_FILTER, OF_A_CALENDAR = 0.3, 0.5


@dataclass(frozen=True)
class Load:
    """What the window has to do, in seconds: `mailboxes` by account (0: a look is enough), so many at once as there are
    `slots`.

    `pace`: by which one mailbox after the other was done lately, all slots together; 0 where that is not known.
    """

    mailboxes: Mapping[str, float]
    slots: int
    filters: float
    calendars: float
    look: float = 0.0
    pace: float = 0.0


@dataclass(frozen=True)
class Window:
    """Seconds of the outage by what they consist of.

    Mailboxes and filters follow the look, side by side; the calendars run beside all three.
    """

    acts: float
    look: float
    mailboxes: float
    filters: float
    calendars: float

    @property
    def seconds(self) -> float:
        return self.acts + beside_acts(self.look, self.mailboxes, self.filters, self.calendars)


def window(load: Load) -> Window:
    """How long it takes: as many mailboxes at once as there are slots, but none faster than the slowest one.

    Nor all of them faster than as many were done lately: what runs beside them takes its part of the machines.
    """
    each = [seconds for seconds in load.mailboxes.values() if seconds]
    return Window(
        acts=TASKS_IN_OUTAGE * OF_A_TASK,
        look=load.look,
        mailboxes=max(sum(each) / load.slots, max(each, default=0.0), len(each) * load.pace),
        filters=load.filters,
        calendars=load.calendars,
    )


def mailbox_seconds(changed: Forecast, of_a_pass: float, *, anyway: bool = False) -> float:
    """What the window's pass over one mailbox will take, with its process; nothing, where a look is enough.

    `anyway`: it needs a pass whatever has changed.
    """
    if changed.unchanged and not anyway:
        return 0.0
    by_message = changed.new_messages * OF_A_MESSAGE + changed.gaps * OF_A_GAP
    return OF_A_PROCESS + of_a_pass + by_message + changed.new_bytes / 1e6 * OF_A_MEGABYTE


def gather(run: Run) -> Load:
    """Ask old what has changed, and the ledger what there is. Raises DirectoryError."""
    chosen, kept = moves.not_moved(run.ledger, accounts.names(run)), store.kept_on_old(run.ledger)
    jobs, without = jobs_for(run, (account for account in chosen if account not in kept))
    found = forecast(jobs, run.ledger, connections=CONNECTIONS)
    found += [no_forecast(account, why) for account, why in without.items()]
    for each in found:
        if each.reason:
            log.warning("no forecast of a mailbox", account=each.account, reason=each.reason)
    of_a_pass = _of_a_pass(found, mailboxes.mailbox_states(run.ledger))
    of_filters = len(filters.filters(run.ledger)) * OF_A_FILTER / run.site.filters.parallel
    of_calendars = calendars.count_collections(run.ledger) * OF_A_CALENDAR / run.site.calendars.parallel
    anyway = needs_a_pass(run.ledger, [each.account for each in found])
    return Load(
        mailboxes={each.account: mailbox_seconds(each, of_a_pass, anyway=each.account in anyway) for each in found},
        slots=at_once.mailboxes_with_a_task_at_once(),
        look=_as_lately(run.ledger, "look_at_mailboxes", len(found), len(found) * OF_A_LOOK),
        pace=_pace_lately(run.ledger),
        filters=_as_lately(run.ledger, "look_at_filters", len(found), of_filters),
        calendars=_as_lately(run.ledger, "copy_calendars", len(found), of_calendars),
    )


def _as_lately(ledger: Ledger, task: str, many: int, otherwise: float) -> float:
    """The longest of the last tries of a task of `prepare`, in its runs over most of so many accounts.

    The very first one of those is none to go by: it copied everything.
    """
    over_most = {entry.origin.run for entry in _looks(ledger) if _looked_at(entry) * 2 >= many}
    took = [seconds for run, seconds in task_log.lengths(ledger, "prepare", task) if run in over_most]
    return max(took[1:][-3:], default=otherwise)


def _pace_lately(ledger: Ledger) -> float:
    """Seconds from one mailbox with a task to the next, in the last run of `prepare` that had enough of them.

    By the ends of their passes, without the last fifth: a large mailbox ends late, and one that a person had to mend.
    A run that copied many for the first time is none to go by, whatever came before it: a pilot group, or a run that
    broke off. 0 where none can be told.
    """
    looks, first = _looks(ledger), passes.first_ends(ledger)
    for place in range(len(looks) - 1, -1, -1):
        began, following = looks[place].at, looks[place + 1 :]
        if began is None:
            continue
        given = {*(looks[place].after or {})["with a task"]}
        found = passes.ends(ledger, began, following[0].at if following else None)
        ended = {account: at for account, at in found.items() if account in given}
        again = sorted(at for account, at in ended.items() if first.get(account, at) < at)
        if len(again) >= max(ENOUGH, len(ended) * NEARLY_ALL):
            counted = again[: math.ceil(len(again) * MOST_OF_THEM)]
            return (counted[-1] - began).total_seconds() / len(counted)
    return 0.0


def _looks(ledger: Ledger) -> list[journal.Entry]:
    return [entry for entry in journal.entries(ledger, kind=LOOK) if entry.origin.phase == "prepare"]


def _looked_at(entry: journal.Entry) -> int:
    """At how many mailboxes."""
    found = entry.after or {}
    return len(found["unchanged"]) + len(found["need a pass"])


def _of_a_pass(found: Iterable[Forecast], states: Mapping[str, MailboxStatus]) -> float:
    """What passes take over mailboxes in which nothing has changed: as the last ones did that were no first ones."""
    passes = [states[each.account] for each in found if each.unchanged and each.account in states]
    later = [state.seconds for state in passes if state.passes > 1]
    return median(later) if later else OF_A_PASS


def tell(run: Run) -> dict[str, int]:
    """The forecast in the log, days before. Returns {"seconds": of the window, "open_problems": n}."""
    for line in [*evidence_lines(run.ledger), *problem_lines(run.ledger)]:
        log.info(line)
    load = gather(run)
    found, questions = window(load), len(store.accounts_with_open(run.ledger))
    with_a_task = {account: seconds for account, seconds in load.mailboxes.items() if seconds}
    slowest = slowest_first(with_a_task)[:SLOWEST]
    told = {
        "seconds": round(found.seconds),
        "least": round(found.seconds * LEAST),
        "most": round(found.seconds * MOST),
        **{name: round(value) for name, value in vars(found).items()},
        "with a task": len(with_a_task),
        "slots": load.slots,
        "questions": questions,
        "slowest": {account: round(seconds, 1) for account, seconds in slowest},
    }
    if not run.dry_run:
        journal.append(run.ledger, journal.Entry("note", KIND, "window", run.origin, after=told))
    log.info(f"forecast: {sentence(told)}", **told)
    return {"seconds": round(found.seconds), "open_problems": len(store.problems(run.ledger))}


def sentence(told: Mapping[str, Any]) -> str:
    """A forecast for people."""
    seconds = told["seconds"]
    slowest = ", ".join(f"{account} {took:g} s" for account, took in slowest_first(told["slowest"]))
    return (
        f"the outage takes about {seconds} seconds ({seconds * LEAST:.0f} to {seconds * MOST:.0f}), and as long as "
        f"people take to answer: acts {told['acts']} s, the look at all mailboxes {told.get('look', 0)} s, mailboxes "
        f"{told['mailboxes']} s ({told['with a task']} with a task, {told['slots']} at once); beside them filters "
        f"{told['filters']} s and calendars {told['calendars']} s; "
        f"{told['questions']} account(s) with questions; the slowest mailboxes: {slowest or 'none'}"
    )


def lines(ledger: Ledger) -> list[str]:
    """The last forecast before the day's outage, and what came of it: nothing where none was made."""
    last = noted(ledger, outage.of_day(ledger))
    if last is None:
        return []
    said = last.after or {}
    told = [f"forecast of {last.at:%Y-%m-%d %H:%M} UTC: {sentence(said)}"]
    took = outage.seconds(ledger)
    if took is not None:
        told.append(f"the outage took {took:.0f} seconds, people's answers included; forecast: {said['seconds']}")
    return told


def before_the_first_answer(run: Run) -> list[str]:
    """The same on the day, until a person has answered a question of it: several may be the first one."""
    frozen = phases.marked(run.ledger, "freeze", "started")
    if frozen is None or run.origin.phase not in DAY:
        return []
    decisions = (each for each in journal.entries(run.ledger, event="decision") if each.number > frozen.number)
    is_answered = any((each.after or {}).get("source") != "standing" for each in decisions)
    return [] if is_answered else lines(run.ledger)
