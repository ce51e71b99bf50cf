"""Waves: the plan of who moves when is proposed, taken from a table and shown; a run of moves keeps to its pace."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from bascule.hosts import directory
from bascule.ledger import Ledger, journal, moves, phases, task_log, waves
from bascule.ledger.base import now
from bascule.ledger.moves import Server
from bascule.ledger.waves import Planned
from bascule.moves import groups, hours, plan_notes, plan_table
from bascule.moves.entry import Entry, are_on, part_of
from bascule.moves.machine import KIND
from bascule.moves.ties import ties
from bascule.problems import store
from bascule.problems.model import Room
from bascule.site import HoursPart, Site
from bascule.tasks import accounts, letters
from bascule.tasks.run import LeftForLater, NeedsPerson, Run
from bascule.text.logs import get_logger

log = get_logger(__name__)

PER_WAVE = 20
NAMED = 5  # accounts in a sentence
LOOK_EVERY = 5.0  # seconds, while a move waits for its turn
WAITS_FOR: tuple[Room, ...] = ("mailbox", "account", "sieve")  # a question about calendars holds no move up


@dataclass(frozen=True)
class Change:
    """What became of the plan: accounts with a wave, without one, changed, taken out; and what people should know."""

    planned: int
    waiting: int
    changed: int
    gone: int
    notes: Sequence[str] = field(default_factory=list)


def propose(run: Run, *, per_wave: int, largest: int, first: date, anew: bool) -> Change:
    """Plan everybody who is not on new: one wave on each working day. Raises NeedsPerson when there is a plan."""
    part = part_of(run.access)
    if waves.plan(run.ledger) and not anew:
        raise NeedsPerson("there is a plan already: change it by `plan write` and `plan take`, or make it `--anew`")
    without = store.kept_on_old(run.ledger).keys() | moves.moved(run.ledger) | are_on(run.access, "new")
    staying = [account for account in accounts.names(run) if account not in without]
    shared = ties(run.ledger, staying)
    made = groups.propose(staying, shared, per_wave=per_wave, largest=largest or part.largest_group)
    starts = hours.openings(part.hours or HoursPart(), run.site.timezone, first)
    planned = [
        Planned(account, str(number), start)
        for (number, wave), start in zip(enumerate(made.waves, _first_number(run)), starts, strict=False)
        for account in wave
    ]
    waiting, notes = list[Planned](), _what_is_not_known(run)
    for group in made.too_large:
        note = _why_not_planned(group, groups.partners_of(group, shared), largest or part.largest_group)
        waiting += [Planned(account, note=note) for account in group]
        notes.append(f"not planned: {', '.join(group)}. {note}")
    return _replace(run.ledger, run.site.timezone, [*planned, *waiting], notes, run.origin, dry_run=run.dry_run)


def _first_number(run: Run) -> int:
    """Behind the waves that have moved: in the record each is told by its name."""
    named = (entry.parameters.get("wave", "") for entry in journal.entries(run.ledger, kind=KIND))
    return 1 + max((int(name) for name in named if name.isdecimal()), default=0)


def take(run: Run, data: bytes) -> Change:
    """The table becomes the plan, whole. Raises PlanRefused; nothing is changed then."""
    known = {account.name for account in directory.accounts(run.access)}
    return take_table(run.ledger, run.site, known, data, run.origin, dry_run=run.dry_run)


def take_table(
    ledger: Ledger, site: Site, known: Collection[str], data: bytes, origin: journal.Origin, *, dry_run: bool = False
) -> Change:
    """The same for whoever has no directory in hand. `known`: the accounts of the site."""
    planned = plan_table.read(data, site.timezone, known)
    notes = plan_notes.notes(ledger, site, _by_account(waves.plan(ledger)), _by_account(planned))
    return _replace(ledger, site.timezone, planned, notes, origin, dry_run=dry_run)


def _by_account(plan: Sequence[Planned]) -> dict[str, Planned]:
    return {each.account: each for each in plan}


def tell_who_is_parted(run: Run, moving: Collection[str]) -> list[tuple[str, str]]:
    """Shares that were given since the plan was made: who moves now, and who shares something and stays on old.

    Told, and obeyed: what the other one writes meanwhile comes to new after the moves. Nobody's move waits for this.
    """
    try:
        known = {account.name for account in directory.accounts(run.access)}
        staying = known - {*moving} - are_on(run.access, "new")
    except directory.DirectoryError as error:
        log.warning("who shares something with those who move, and stays on old, was not looked for", reason=str(error))
        return []
    parted = [tie for tie in sorted(ties(run.ledger, known)) if len({*tie} & {*moving}) == 1 and {*tie} & staying]
    for one, other in parted:
        mover, left = (one, other) if one in moving else (other, one)
        log.warning("they share folders or calendars, and one of them stays on old", moves=mover, stays=left)
    return parted


def planned(run: Run) -> list[Planned]:
    """The plan, by start."""
    return waves.plan(run.ledger)


def write(ledger: Ledger, zone: str) -> bytes:
    """The plan as a table for a spreadsheet, times on the clocks of this zone."""
    plan = waves.plan(ledger)
    names = [each.account for each in plan]
    return plan_table.as_csv(plan, groups.partners_of(names, ties(ledger, names)), zone)


def signal(run: Run, word: waves.Word) -> None:
    """Stop the runs that go on after the accounts that are under way, or let them go on."""
    if run.dry_run:
        log.info("dry run: the runs would be told", word=word)
        return
    tell_runs(run.ledger, word, run.origin)


def tell_runs(ledger: Ledger, word: waves.Word, origin: journal.Origin) -> None:
    """The same for whoever has no site in hand."""
    waves.say(ledger, word, origin.asked_by)
    journal.append(ledger, journal.Entry("note", KIND, "moves", origin, {"what": word}))
    log.warning(f"moves: {word}", asked_by=origin.asked_by)


def is_time(run: Run, to: Server) -> bool:
    """Whether the run's wave has come, and the working hours are there; the way back waits for neither.

    Raises LeftForLater when it was stopped.
    """
    check_goes_on(run)
    if to == "old":
        return True
    at = now()
    part, start = part_of(run.access), accounts.start_of_wave(run)
    begins = hours.opening(part.hours, run.site.timezone, max(at, start or at))
    if begins <= at or run.dry_run:
        return True
    run.outcome.becomes("waiting", f"it begins at {plan_table.shown(begins, run.site.timezone)}")
    log.info("waiting for the time to move", begins=plan_table.shown(begins, run.site.timezone))
    return False


def check_may_begin(run: Run, to: Server, failed: Collection[str]) -> None:
    """For whoever moves a wave without Airflow, before each account. Raises LeftForLater; the rest is not moved then.

    `failed`: those of it that were not moved so far.
    """
    if not is_time(run, to):
        raise LeftForLater(f"not moved: {run.outcome.sentence}. Run it again then; accounts by their names move now")
    _check_few_failed(run, failed, part_of(run.access).most_failures)


def wait_for_turn(run: Run, account: str, to: Server) -> None:
    """Wait until this account may begin. Raises LeftForLater when it is not moved in this run; nothing was begun then.

    Who is there already, or whose move broke off, does not wait. Hours and pace are those of the way to new.
    """
    if run.dry_run or moves.under_way(run.ledger, account) or Entry(run.access, account).is_at(to):
        return
    part, told = part_of(run.access), False
    while True:
        check_goes_on(run)
        if to == "old":
            return
        _check_failures(run, part.most_failures)
        if hours.opening(part.hours, run.site.timezone, now()) > now():
            raise LeftForLater(
                f"{account} was not moved: the hours (`moves.hours` in the site file) are over. Run `move` again"
            )
        if waves.take_start(run.ledger, account, run.origin.run, part.per_hour):
            return
        if not told:
            log.info("this hour's moves have begun: waiting", account=account, per_hour=part.per_hour)
            told = True
        time.sleep(LOOK_EVERY)


def check_goes_on(run: Run) -> None:
    """Nobody has stopped it since it was asked for, also while it waited for another run. Raises LeftForLater."""
    said = None if run.dry_run else waves.stopped(run.ledger, run.asked_at)
    if said:
        raise LeftForLater(
            f"not moved: {said.by} stopped the moves at {plan_table.shown(said.at, run.site.timezone)}. Run `move` "
            "again, or let the run go on (`python -m bascule.moves stop --resume`) and clear its tasks"
        )


def _check_failures(run: Run, most: int) -> None:
    """Those before the run was let go on, or was begun anew, count no more."""
    last = waves.last_signal(run.ledger, "go on")
    began = task_log.began(run.ledger, run.origin.phase, "begin", run.origin.run)
    since = max((at for at in (last and last.at, began) if at), default=None)
    failed = task_log.failed(run.ledger, run.origin, "account.move", since)
    _check_few_failed(run, failed, most)


def _check_few_failed(run: Run, accounts: Collection[str], most: int) -> None:
    """Who waits for a person's decision is no failure."""
    failed = {*accounts}.difference(*(store.accounts_with_open(run.ledger, room) for room in WAITS_FOR))
    if len(failed) >= most:
        raise LeftForLater(
            f"not moved: {len(failed)} accounts of this run have failed (`moves.most_failures` in the site file is "
            f"{most}). Look at those first; then run `move` again: it goes on with the rest"
        )


def _replace(
    ledger: Ledger,
    zone: str,
    planned: Sequence[Planned],
    notes: Sequence[str],
    origin: journal.Origin,
    *,
    dry_run: bool,
) -> Change:
    before, after = _by_account(waves.plan(ledger)), _by_account(planned)
    change = Change(
        sum(bool(each.wave) for each in planned),
        sum(not each.wave for each in planned),
        sum(_slot(before.get(account)) != _slot(each) for account, each in after.items()),
        len(before.keys() - after.keys()),
        [*notes, *_told_in_vain(letters.starts_told(ledger), zone, before, after)],
    )
    if not dry_run:
        waves.replace(ledger, planned)
        counts = {key: value for key, value in vars(change).items() if key != "notes"}
        journal.append(ledger, journal.Entry("note", KIND, "plan", origin, {"what": "plan"}, after=counts))
    return change


def _told_in_vain(
    told: Mapping[str, datetime], zone: str, before: Mapping[str, Planned], after: Mapping[str, Planned]
) -> Iterator[str]:
    """Who was written to that they move then, and now nobody says when: no letter takes that back."""
    for account, was in sorted(before.items()):
        still = after.get(account)
        start_told = told.get(account)
        if was.starts_at and start_told and start_told > now() and not (still and still.starts_at):
            start = plan_table.shown(start_told, zone)
            yield f"{account} was told by letter that it moves at {start}, and has no start any more: tell it yourself"


def _slot(planned: Planned | None) -> tuple[str, datetime | None] | None:
    return None if planned is None else (planned.wave, planned.starts_at)


def _why_not_planned(group: Collection[str], partners: dict[str, set[str]], largest: int) -> str:
    most = sorted(group, key=lambda account: (-len(partners[account]), account))[:NAMED]
    named = ", ".join(f"{account} (with {len(partners[account])})" for account in most)
    return (
        f"{len(group)} accounts share folders or calendars with one another, more than {largest} "
        f"(`moves.largest_group`); above all {named}. Say by the table when they move"
    )


def _what_is_not_known(run: Run) -> list[str]:
    notes = list[str]()
    if phases.marked(run.ledger, "prepare", "finished") is None:
        notes.append(
            "`prepare` has never run to its end: who shares folders or calendars with whom is not known yet, and the "
            "plan may part them. Propose it `--anew` afterwards"
        )
    if not run.site.mailboxes.acl:
        notes.append(
            "rights of folders are not read (`mailboxes.acl` in the site file): who shares folders is not known"
        )
    return notes
