"""Calendars and address books from the command line: `python -m bascule.calendars --help`.

The site file comes from BASCULE_SITE, the ledger from BASCULE_LEDGER, the connections from AIRFLOW_CONN_* variables.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

import structlog

from bascule import site as site_file
from bascule.access import AccessError, opened
from bascule.calendars.account import CalendarsFailed, sync_accounts
from bascule.calendars.carry import Counts
from bascule.directory import accounts, parse_selection
from bascule.ledger import Ledger, LedgerError, problems
from bascule.ledger.calendars import by_hand_lines
from bascule.text import harmless


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 when everything is well, 1 when something failed, 2 when a person is asked."""
    given = _parser().parse_args(arguments)
    level = logging.INFO if given.verbose else logging.WARNING
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    try:
        return given.run(given)
    except (AccessError, LedgerError, site_file.SiteError) as error:
        print(error, file=sys.stderr)
        return 1


def _sync(given: argparse.Namespace) -> int:
    site, ledger = site_file.from_environment(), Ledger.from_environment()
    with opened(site) as access:
        names = [account.name for account in accounts(access, parse_selection(given.accounts))]
        parallel = given.parallel or site.calendars.parallel
        try:
            done = sync_accounts(access, ledger, names, dry_run=given.dry_run, parallel=parallel)
        except CalendarsFailed as error:
            print(error, file=sys.stderr)
            return 1
    print(", ".join(f"{name} {count}" for name, count in vars(sum(done.values(), Counts())).items()))
    return 2 if _print_problems(ledger, names) else 0


def _problems(given: argparse.Namespace) -> int:
    ledger = Ledger.from_environment()
    return 2 if _print_problems(ledger, problems.accounts_with_open(ledger, "calendar")) else 0


def _shares(given: argparse.Namespace) -> int:
    lines = by_hand_lines(Ledger.from_environment())
    print("\n".join(lines) or "no share is to be given by hand")
    return 2 if lines else 0


def _print_problems(ledger: Ledger, names: Sequence[str]) -> bool:
    found = [item for item in problems.problems(ledger, room="calendar") if item.account in set(names)]
    for item in found:
        title = item.details.get("title", "")
        print(harmless(f"{item.account}: {item.kind}: {item.subject} ({title}): {item.explanation}"))
        print(harmless(f"    proposal: {item.proposal}"))
    return bool(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bascule.calendars", description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="tell everything that is done")
    commands = parser.add_subparsers(required=True)
    sync = commands.add_parser("sync", help="carry the difference since the last pass")
    sync.add_argument("accounts", nargs="?", default="all", help="all (default), names, or an LDAP filter")
    sync.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    sync.add_argument("--parallel", type=int, help="accounts at once (default: as the site file says)")
    sync.set_defaults(run=_sync)
    shares = commands.add_parser("shares", help="list the shares that a person has to give by hand")
    shares.set_defaults(run=_shares)
    listed = commands.add_parser("problems", help="list what waits for a person's decision")
    listed.set_defaults(run=_problems)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
