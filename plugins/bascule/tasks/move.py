"""Accounts move one by one, while everybody works; what a move has left is finished or undone."""

import contextlib
from collections.abc import Sequence
from functools import partial

from bascule.hosts.connections import AccessError
from bascule.ledger import LedgerError, journal, leases, moves, phases
from bascule.ledger.moves import Move, Server, State
from bascule.mailbox.back import stay_on_old
from bascule.moves.acts import SiteActs
from bascule.moves.entry import are_held, part_of
from bascule.moves.machine import KIND, CannotMove, Limits, MoveFailed, Mover, NoPlace, NotProven
from bascule.problems import standing, store
from bascule.site import MovesPart
from bascule.tasks import accounts, behind, calendars, filters, mailbox, notify, pop3, waves
from bascule.tasks.run import NeedsPerson, NotBegun, Run, TryAgain
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

CALENDARS = "calendars"  # in the journal, when they were carried after a move
CALENDARS_LEFT = "calendars left"  # when they were not
WATCHED = "its move was finished by a task that watches holds, which carries none"
ENDING_SECONDS = 15.0  # in which Airflow ends a task's process after somebody has marked the task as failed
PATIENCE = 0.25  # of the longest hold, in which an act that fails is tried again


class NotAllEnded(NeedsPerson):
    """Raised when moves that were left need a person.

    `ended`: the accounts whose moves have ended all the same. `standing`: a sentence for each that could be neither
    finished nor undone, and of holds that were not looked for; `told`: for each that ended otherwise than it should.
    """

    def __init__(self, ended: Sequence[str], standing: Sequence[str], told: Sequence[str]) -> None:
        super().__init__("; ".join([*standing, *told]))
        self.ended, self.standing, self.told = [*ended], [*standing], [*told]


def server(name: str) -> Server:
    """Which server a form or a command line means. Raises NeedsPerson."""
    if name not in ("old", "new"):
        raise NeedsPerson(f"`to` is {name!r}: an account moves to `new`, or back to `old`")
    return "new" if name == "new" else "old"


def list_to_move(run: Run, to: Server) -> list[str]:
    """The accounts that were asked for, without those kept on old by decision. Raises NeedsPerson, DirectoryError."""
    found, kept = asked_for(run, to), store.kept_on_old(run.ledger)
    staying = [account for account in found if to == "new" and account in kept]
    if staying:
        log.warning("these stay on old by decision, and are not moved", accounts=staying)
    log.info("accounts to move", count=len(found) - len(staying), to=to, asked_for=run.selection)
    moving = [account for account in found if account not in staying]
    if to == "new":
        pop3.tell_who_fetches_anew_after_a_move(run, moving)
    return moving


def asked_for(run: Run, to: Server) -> list[str]:
    """Who is meant. Raises NeedsPerson where that is nobody, and DirectoryError."""
    _part(run)
    if accounts.is_blank(run):
        raise NeedsPerson("`accounts` is blank: who is to move is always said. Everybody is `all`")
    found = accounts.names(run)
    if not found:
        raise NeedsPerson(f"{run.selection!r} finds no account: nobody would be moved")
    return found if to == "new" or accounts.are_named(run) else _who_had_moved(run, found)


def _who_had_moved(run: Run, found: list[str]) -> list[str]:
    """Who was on new from the beginning (a tester, say) goes to old by its name alone. Raises NeedsPerson for nobody.

    A move to new that broke off counts: it may have been flipped.
    """
    had_moved = moves.moved(run.ledger) | {left.account for left in moves.all_under_way(run.ledger)}
    if others := [account for account in found if account not in had_moved]:
        log.warning("these have not moved to new, and are left where they are: name them to move them", accounts=others)
    if back := [account for account in found if account in had_moved]:
        return back
    raise NeedsPerson(f"nobody of {run.selection!r} has moved to new. Who was there from the beginning goes by name")


def move(run: Run, account: str, to: Server, at_once: int) -> str:
    """Move one account to `to`; `at_once`: how many accounts may be held at the same time (0: as the site file says).

    Returns `moved`, `was there` or `would move`. Raises NotBegun, TryAgain and NeedsPerson; the account then is where
    it was, or the text says where. Raises LeaseHeld when another one has gone on with it, and CalendarsFailed after the
    move, which the next try does not do again.
    """
    part, unproven = _part(run), ""
    with contextlib.ExitStack() as leased:
        try:
            leased.enter_context(leases.lease(run.ledger, account, run.owner, patience=run.patience))
        except leases.LeaseHeld as error:
            raise _kept_from(run, account, error) from None
        acts = _acts(run, account)
        if run.dry_run:
            return _tell(run, acts, to)
        if moves.under_way(run.ledger, account) is None:
            acts.let_go_of_stray_hold()
        mover = _mover(run, acts, account, at_once or part.at_once)
        try:
            moved = mover.move(account, to, partial(_prepare, run, acts, to), partial(_check_may_begin, run))
        except NotProven as error:
            moved, unproven = True, str(error)
        except CannotMove as error:
            raise NeedsPerson(str(error)) from None
        except NoPlace as error:
            raise NotBegun(str(error)) from None
        except (MoveFailed, moves.TakenUp) as error:
            if mover.was_let_go(account):
                _end_hold_of_renamed(run)
            raise TryAgain(str(error)) from None
        if to == "old" and not unproven:
            stay_on_old(run.ledger, account)
    if unproven:
        raise NeedsPerson(unproven + (_calendars_of_unproven(run, account) if to == "new" else ""))
    if to == "new":
        _carry_calendars(run, account)
    return "moved" if moved else "was there"


def _kept_from(run: Run, account: str, error: leases.LeaseHeld) -> TryAgain:
    """A move that an earlier try has left may hold its mail: then it is not true that nothing was begun."""
    left = moves.under_way(run.ledger, account)
    if left is None:
        return NotBegun(str(error))
    return TryAgain(f"a move of {account} has begun ({left.state}), and can't be gone on with now: {error}")


def _calendars_of_unproven(run: Run, account: str) -> str:
    """What the sentence about the proof gets added: no other try says that one again."""
    try:
        _carry_calendars(run, account)
    except (AccessError, LedgerError) as error:
        return f". Its calendars and address books are still on old: {error}. Run `move` for it again, to new"
    return ""


def _carry_calendars(run: Run, account: str) -> None:
    """Where they move with the mail, and are still on old. Raises CalendarsFailed."""
    if _has_calendars_on_old(run, account):
        calendars.carry(run, [account])
        journal.append(run.ledger, journal.Entry("note", KIND, account, run.origin, {"what": CALENDARS}))


def _has_calendars_on_old(run: Run, account: str) -> bool:
    """Whether they were not carried since its last move: afterwards they are the owner's own on new."""
    if not _part(run).calendars or account not in moves.moved(run.ledger):
        return False
    noted = [entry.parameters.get("what") for entry in journal.entries(run.ledger, kind=KIND, subject=account)]
    after = noted[::-1].index(State.DONE) if State.DONE in noted else 0
    return CALENDARS not in noted[len(noted) - after :]


def end_what_was_left(run: Run, *, overdue_only: bool) -> list[str]:
    """Undo, or finish after its last pass, every move that nobody works on; `overdue_only`: those held too long.

    Then take away what the directory holds without a move: an entry that was renamed has kept the hold of its move.

    Returns the accounts. Raises NotAllEnded when some could be neither, or have ended otherwise than they should.
    """
    _part(run)
    ended, standing, told = list[str](), list[str](), list[str]()
    for left in moves.all_under_way(run.ledger):
        if overdue_only and not left.is_overdue:
            continue
        if run.dry_run:
            log.info("dry run: this move would be ended", account=left.account, state=str(left.state))
            continue
        try:
            if _end(run, left, patience=0 if overdue_only else _patience_with(run, left)):
                ended.append(left.account)
                if overdue_only:
                    _tell_calendars_left(run, left.account, WATCHED)
        except (leases.LeaseHeld, moves.TakenUp) as error:
            _tell_overdue(run, left, worked_on=True)
            log.warning(
                "this move is still worked on", account=left.account, held_for=round(left.age, 1), reason=str(error)
            )
        except MoveFailed as error:
            over = _is_over(run, left)
            (told if over else standing).append(str(error))
            ended += [left.account] if over else []
            if overdue_only:
                _tell_calendars_left(run, left.account, WATCHED)
    try:
        ended += _end_stray_holds(run)
    except Exception as error:
        if not (standing or told or overdue_only):  # with that, others are to move behind it
            raise
        standing.append(f"holds that no move has were not all looked for: {reason(error)}")
    if not overdue_only:
        _carry_calendars_left(run)
    if standing or told:
        raise NotAllEnded(ended, standing, told)
    log.info("moves that broke off", ended=len(ended), accounts=ended)
    return ended


def _patience_with(run: Run, left: Move) -> float:
    """Nobody goes on with a move of this very run: whoever still has its lease is a process that is being ended."""
    return run.patience + ENDING_SECONDS if left.run == run.origin.run else 0


def _end(run: Run, found: Move, *, patience: float) -> bool:
    """False when somebody else has ended it since it was found. Raises LeaseHeld and MoveFailed."""
    with leases.lease(run.ledger, found.account, run.owner, patience=patience):
        left = moves.under_way(run.ledger, found.account)
        if left is None or left.id != found.id:
            return False
        _tell_overdue(run, left, worked_on=False)
        mover = _mover(run, _acts(run, left.account), left.account, _part(run).at_once)
        ended = mover.take_up(left, forward=False)
        if ended.state is State.DONE and ended.to == "old":
            stay_on_old(run.ledger, left.account)
        return True


def _is_over(run: Run, left: Move) -> bool:
    """Whether it has an end, so that mail for its account waits no more."""
    now = moves.under_way(run.ledger, left.account)
    return now is None or now.id != left.id


def _tell_calendars_left(run: Run, account: str, why: str) -> None:
    """Of an account whose move was finished by whoever ends what was left."""
    if not _has_calendars_on_old(run, account):
        return
    note = f"the calendars and address books of {account} are still on old ({why}): run `move` for it again, to new"
    log.error(note, account=account)
    entry = journal.Entry("note", KIND, account, run.origin, {"what": CALENDARS_LEFT}, note=note)
    journal.append(run.ledger, entry)


def _carry_calendars_left(run: Run) -> None:
    """Of all whose move has ended in this run. What can't be carried now is told by name, and fails nothing."""
    for account in sorted(behind.ended_in(run)):
        try:
            _carry_calendars(run, account)
        except (AccessError, leases.LeaseHeld) as error:
            _tell_calendars_left(run, account, str(error))


def _end_stray_holds(run: Run) -> list[str]:
    """Holds in the directory that no move has, and that nobody tries just now, are taken away. Returns the accounts."""
    ended = []
    for account in are_held(run.access):
        if run.dry_run:
            log.info("dry run: a hold that no move has would be taken away", account=account)
            continue
        with contextlib.suppress(leases.LeaseHeld), leases.lease(run.ledger, account, run.owner):
            if moves.under_way(run.ledger, account) is None and _acts(run, account).let_go_of_stray_hold():
                ended.append(account)
    return ended


def _end_hold_of_renamed(run: Run) -> None:
    """After a move has ended for want of an entry, which may have another name by now, and have kept the hold.

    What hinders it is in the log: the last task of the run looks again.
    """
    try:
        _end_stray_holds(run)
    except Exception as error:
        log.error("holds that no move has were not all looked for", reason=reason(error))


def held(run: Run) -> list[Move]:
    """Whose mail is held now, the oldest first."""
    return moves.holds(run.ledger)


def held_without_move(run: Run) -> list[str]:
    """Whose mail the directory holds, though the ledger knows no move of it. Raises NeedsPerson, DirectoryError.

    Asked before and after: a move is in the ledger before its hold is in the directory, and until after it.
    """
    _part(run)
    before = {left.account for left in moves.all_under_way(run.ledger)}
    return [
        account
        for account in are_held(run.access)
        if account not in before and moves.under_way(run.ledger, account) is None
    ]


def _part(run: Run) -> MovesPart:
    try:
        return part_of(run.access)
    except CannotMove as error:
        raise NeedsPerson(str(error)) from None


def _acts(run: Run, account: str) -> SiteActs:
    acts = SiteActs(run.access, run.ledger, account, run.owner)
    acts.decide = partial(standing.take_standing, run.ledger, run.site.decisions, account, mailbox.ROOMS, run.origin)
    return acts


def _mover(run: Run, acts: SiteActs, account: str, at_once: int) -> Mover:
    longest = _part(run).longest_hold
    limits = Limits(at_once, longest, patience=longest * PATIENCE)
    return Mover(acts, run.ledger, run.origin, limits, partial(leases.require, run.ledger, account, run.owner))


def _check_may_begin(run: Run) -> None:
    """Who was stopped, or whom the day has overtaken, is not held any more. Raises LeftForLater and PhaseRefused."""
    waves.check_goes_on(run)
    phases.require_no_freeze(run.ledger)


def _prepare(run: Run, acts: SiteActs, to: Server) -> None:
    """Passes without a lock, while its user works, until one is small; its filters. Raises CannotMove, TryAgain."""
    account, part = acts.account, part_of(run.access)
    if to == "new":
        _see_that_it_may_leave(run, account)
    for number in range(1, part.most_passes + 1):
        if to == "old":
            result = mailbox.pass_back(run, account)
        else:
            result = mailbox.pass_over(run, account, last_try=False, progress=mailbox.tell)
        acts.pass_seconds = result.seconds
        _check_problems(account, result.problems)
        if result.seconds <= part.small_pass:
            log.info("the last pass without a lock was small", account=account, passes=number, seconds=result.seconds)
            break
    if to == "new" and filters.convert(run, [account]):
        raise _filters_wait(account)
    acts.filters_carried = to == "new"


def _check_problems(account: str, waiting: int) -> None:
    """Raises CannotMove."""
    if waiting:
        raise CannotMove(
            f"{account} was not moved: {waiting} problem(s) of its mailbox wait for a person. Run `problems` for it, "
            "then `move` again"
        )


def _filters_wait(account: str) -> CannotMove:
    return CannotMove(f"{account} was not moved: its filters wait for a person. Answer, then run `move` again")


def _see_that_it_may_leave(run: Run, account: str) -> None:
    """Its passes would carry nothing, and the last one, while it is held, the whole mailbox. Raises CannotMove."""
    kept = store.kept_on_old(run.ledger, account).get(account)
    if kept is not None:
        raise CannotMove(f"{account} was not moved: {kept.decided_by} has decided that its mailbox stays on old")


def _tell(run: Run, acts: SiteActs, to: Server) -> str:
    """What a move would find and do, for the log."""
    left = moves.under_way(run.ledger, acts.account)
    if left is None and acts.is_at(to):
        log.info("dry run: the account is there already", account=acts.account, server=to)
        return "was there"
    try:
        if to == "new":
            _see_that_it_may_leave(run, acts.account)
        before = acts.before(also_held=True)
        if to == "new" and (left is None or left.state.number < State.FLIPPING.number):
            _look_for_problems(run, acts.account)
    except CannotMove as error:
        raise NeedsPerson(str(error)) from None
    if left is not None:
        log.warning("dry run: a move of it broke off, and would be ended first", state=str(left.state), to=left.heading)
    elif before.get(part_of(run.access).hold_attribute):
        log.warning("dry run: its mail is held though nobody moves it: it would be let go first")
    log.info(
        "dry run: this account would be moved", account=acts.account, to=to, directory=before,
        held_as=[*acts.mail.addresses.values()], sessions_to_end=acts.sessions.on(moves.other(to)),
        left_by_another_run=str(left.state) if left else "",
    )  # fmt: skip
    return "would move"


def _look_for_problems(run: Run, account: str) -> None:
    """What the passes before the hold would end with. Raises CannotMove, TryAgain and NeedsPerson.

    Filters are not looked at anew: by folders that no pass has carried yet, there would be questions that nobody has.
    """
    _check_problems(account, mailbox.pass_over(run, account, last_try=False, progress=mailbox.tell).problems)
    if account in store.accounts_with_open(run.ledger, "sieve"):
        raise _filters_wait(account)


def _tell_overdue(run: Run, left: Move, *, worked_on: bool) -> None:
    """A hold that has lasted too long is told, by whatever way people are told."""
    if not left.is_overdue:
        return
    what = "whoever moves it has not let go of it" if worked_on else "the move is ended now"
    sentence = f"mail for {left.account} has been held for {left.age:.0f} s, longer than it may be: {what}"
    log.error(sentence, state=str(left.state))
    notify.overdue_hold(run, left, worked_on=worked_on)
