"""`python -m bascule.moves move|plan|stop|letters|holds|end|preflight`: moves and their plan, without Airflow.

Exit status 0: done; 1: failed, or not moved; 2: wrong usage.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

from bascule import site
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, LedgerError
from bascule.ledger.moves import Server
from bascule.moves import plan_table
from bascule.moves.plan_table import PlanRefused
from bascule.tasks import behind, checks, holds, letters, move, pop3, waves
from bascule.tasks.accounts import WAVE
from bascule.tasks.run import LeftForLater, NeedsPerson, NotBegun, Run, TryAgain, at_command_line
from bascule.text.harmless import harmless
from bascule.text.logs import INFO, NOTHING, to_standard_error

DONE, FAILED = 0, 1
STRAY = (
    "held in the directory, and no move of it is in the ledger: a preflight tries the hold just now, or one that was "
    "killed has left it, or a renamed entry has kept it. `python -m bascule.moves end` takes it away"
)
Outcome = Literal["moved", "failed", "not begun"]  # of one account: moved, or where it should be


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    to_standard_error(INFO if asked.verbose else NOTHING)
    try:
        loaded, ledger = site.from_environment(), Ledger.from_environment()
        with at_command_line(loaded, ledger, f"moves {asked.command}", dry_run=asked.dry_run) as run:
            return int(asked.act(run, asked))
    except PlanRefused as refused:
        print("nothing was changed:", *map(harmless, refused.reasons), sep="\n  ", file=sys.stderr)
        return FAILED
    except (NeedsPerson, TryAgain, LeftForLater, AccessError, LedgerError, site.SiteError, OSError) as error:
        print(harmless(f"bascule.moves: {error}"), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("bascule.moves: stopped; `python -m bascule.moves end` ends what it has left", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bascule.moves", description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="the whole log on standard error")
    parser.add_argument("--dry-run", action="store_true", help="look at everything, change nothing (with --verbose)")
    commands = parser.add_subparsers(dest="command", required=True)
    moving = commands.add_parser("move", help="move accounts, one after the other")
    moving.add_argument("accounts", nargs="+", metavar="ACCOUNT", help="a name, or `wave:` and a wave of the plan")
    moving.add_argument("--to", choices=["new", "old"], default="new")
    moving.set_defaults(act=_move)
    _add_plan(commands.add_parser("plan", help="who moves when"))
    stopping = commands.add_parser("stop", help="stop the runs that go on, after the accounts that are under way")
    stopping.add_argument("--resume", action="store_true", help="let them go on: then clear what was skipped")
    stopping.set_defaults(act=_stop)
    commands.add_parser("letters", help="tell everybody whose wave starts soon, once").set_defaults(act=_letters)
    commands.add_parser("holds", help="whose mail is held now, and for how long").set_defaults(act=_holds)
    ending = commands.add_parser("end", help="undo moves that broke off, or finish them after their last pass")
    ending.add_argument("--overdue", action="store_true", help="only those that have been held longer than they may be")
    ending.set_defaults(act=_end)
    commands.add_parser("preflight", help="look at what moves need, and try the hold").set_defaults(act=_preflight)
    return parser


def _add_plan(plan: argparse.ArgumentParser) -> None:
    acts = plan.add_subparsers(dest="act_on_plan", required=True)
    acts.add_parser("show", help="the waves, who is in them, and who waits for a person").set_defaults(act=_show)
    proposing = acts.add_parser("propose", help="plan everybody: who shares folders or calendars moves together")
    proposing.add_argument("--per-wave", type=_at_least_one, default=waves.PER_WAVE, metavar="N")
    proposing.add_argument(
        "--largest", type=_at_least_one, default=0, metavar="N", help="a larger group is not planned"
    )
    proposing.add_argument("--from", type=date.fromisoformat, dest="first", required=True, metavar="DATE")
    proposing.add_argument("--anew", action="store_true", help="instead of the plan that is there")
    proposing.set_defaults(act=_propose)
    writing = acts.add_parser("write", help="write it as CSV for a spreadsheet")
    writing.add_argument("file", type=Path)
    writing.set_defaults(act=_write)
    taking = acts.add_parser("take", help="take the edited file as the whole plan, or nothing of it")
    taking.add_argument("file", type=Path)
    taking.set_defaults(act=_take)


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 at least")
    return number


def _show(run: Run, asked: argparse.Namespace) -> int:
    print(plan_table.as_text(waves.planned(run), run.site.timezone))
    return DONE


def _propose(run: Run, asked: argparse.Namespace) -> int:
    change = waves.propose(
        run, per_wave=asked.per_wave, largest=asked.largest, first=asked.first, anew=asked.anew
    )  # fmt: skip
    print(plan_table.as_text(waves.planned(run), run.site.timezone))
    return _told(change)


def _write(run: Run, asked: argparse.Namespace) -> int:
    asked.file.write_bytes(waves.write(run.ledger, run.site.timezone))
    print(f"written to {asked.file}: `plan take` makes it the plan, with what you change in `wave` and `start`")
    return DONE


def _take(run: Run, asked: argparse.Namespace) -> int:
    return _told(waves.take(run, asked.file.read_bytes()))


def _told(change: waves.Change) -> int:
    for note in change.notes:
        print(harmless(note), file=sys.stderr)
    print(
        f"{change.planned} account(s) planned, {change.waiting} wait for a person; {change.changed} changed, "
        f"{change.gone} taken out"
    )
    return DONE


def _stop(run: Run, asked: argparse.Namespace) -> int:
    waves.signal(run, "go on" if asked.resume else "stop")
    return DONE


def _letters(run: Run, asked: argparse.Namespace) -> int:
    done = letters.tell_before_moves(run)
    print(", ".join(f"{count} {what}" for what, count in done.items()))
    return FAILED if done["not written"] else DONE


def _move(run: Run, asked: argparse.Namespace) -> int:
    """All of them, also after some have failed; of a wave as many as the site file lets fail, in its hours."""
    outcomes = dict[str, Outcome]()
    lists = [(word, _accounts_of(run, word, asked.to)) for word in asked.accounts]
    named = [word for word in asked.accounts if not word.startswith(WAVE)]
    if asked.to == "new" and named:
        pop3.tell_who_fetches_anew_after_a_move(run, named)
    # Whoever moves others back at the same time would find their mailboxes taken.
    with behind.carried_after(run) if asked.to == "new" else contextlib.nullcontext():
        for word, accounts in lists:
            for account in accounts:
                waves.check_goes_on(run)
                if word.startswith(WAVE):
                    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
                    waves.check_may_begin(replace(run, selection=word), asked.to, failed)
                outcomes[account] = _moved(run, account, asked.to)
    return DONE if {*outcomes.values()} <= {"moved"} else FAILED


def _accounts_of(run: Run, word: str, to: Server) -> list[str]:
    """What one word of the command line means. Raises NeedsPerson for a wave that the plan has not."""
    return move.list_to_move(replace(run, selection=word), to) if word.startswith(WAVE) else [word]


def _moved(run: Run, account: str, to: Server) -> Outcome:
    """When it was not moved, why stands on the standard error."""
    try:
        print(f"{account}: {move.move(run, account, to, 0)}", flush=True)
    except (NeedsPerson, TryAgain, AccessError, LedgerError) as error:
        print(harmless(f"{account}: {error}"), file=sys.stderr, flush=True)
        return "not begun" if isinstance(error, NotBegun) else "failed"
    return "moved"


def _holds(run: Run, asked: argparse.Namespace) -> int:
    """What the ledger knows stands there also when the directory can't be asked."""
    found = move.held(run)
    for held in found:
        print(holds.shown(held), flush=True)
    strays = move.held_without_move(run)
    for account in strays:
        print(f"{account}: {STRAY}")
    if not found and not strays:
        print("nobody's mail is held")
    return DONE


def _end(run: Run, asked: argparse.Namespace) -> int:
    with contextlib.nullcontext() if asked.overdue else behind.carried_after(run):  # overdue: others may be at work
        for account in move.end_what_was_left(run, overdue_only=asked.overdue):
            print(f"{account}: ended")
    return DONE


def _preflight(run: Run, asked: argparse.Namespace) -> int:
    counts = checks.preflight_moves(run)
    print(", ".join(f"{count} {level}" for level, count in counts.items()))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
