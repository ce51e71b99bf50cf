"""`python -m bascule.moves move|holds|end|preflight`: single accounts, by the site file, without Airflow.

Exit status 0: done; 1: failed, or not moved; 2: wrong usage.
"""

import argparse
import sys
from collections.abc import Sequence

from bascule import site
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, LedgerError
from bascule.tasks import checks, move
from bascule.tasks.run import NeedsPerson, Run, TryAgain, at_command_line
from bascule.text.harmless import harmless
from bascule.text.logs import INFO, NOTHING, to_standard_error

DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    to_standard_error(INFO if asked.verbose else NOTHING)
    try:
        loaded, ledger = site.from_environment(), Ledger.from_environment()
        with at_command_line(loaded, ledger, f"moves {asked.command}", dry_run=asked.dry_run) as run:
            return int(asked.act(run, asked))
    except (NeedsPerson, TryAgain, AccessError, LedgerError, site.SiteError) as error:
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
    moving.add_argument("accounts", nargs="+", metavar="ACCOUNT")
    moving.add_argument("--to", choices=["new", "old"], default="new")
    moving.set_defaults(act=_move)
    commands.add_parser("holds", help="whose mail is held now, and for how long").set_defaults(act=_holds)
    ending = commands.add_parser("end", help="undo moves that broke off, or finish them after their last pass")
    ending.add_argument("--overdue", action="store_true", help="only those that have been held longer than they may be")
    ending.set_defaults(act=_end)
    commands.add_parser("preflight", help="look at what moves need, and try the hold").set_defaults(act=_preflight)
    return parser


def _move(run: Run, asked: argparse.Namespace) -> int:
    status = DONE
    for account in asked.accounts:
        try:
            print(f"{account}: {move.move(run, account, asked.to, 0)}", flush=True)
        except (NeedsPerson, TryAgain, AccessError, LedgerError) as error:
            print(harmless(f"{account}: {error}"), file=sys.stderr, flush=True)
            status = FAILED
    return status


def _holds(run: Run, asked: argparse.Namespace) -> int:
    for held in move.held(run):
        late = ", longer than it may be" if held.is_overdue else ""
        print(f"{held.account}: held for {held.age:.0f} s{late}; {held.state}, on its way to {held.heading}")
    return DONE


def _end(run: Run, asked: argparse.Namespace) -> int:
    for account in move.end_what_was_left(run, overdue_only=asked.overdue):
        print(f"{account}: ended")
    return DONE


def _preflight(run: Run, asked: argparse.Namespace) -> int:
    counts = checks.preflight_moves(run)
    print(", ".join(f"{count} {level}" for level, count in counts.items()))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
