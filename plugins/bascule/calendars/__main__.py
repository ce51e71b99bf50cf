"""Calendars and address books from the command line: `python -m bascule.calendars --help`.

The site file comes from BASCULE_SITE, the ledger from BASCULE_LEDGER, the connections from AIRFLOW_CONN_* variables.
"""

import argparse
import sys
from collections.abc import Sequence

from bascule import site as site_file
from bascule.calendars.counts import Counts
from bascule.calendars.sync import CalendarsFailed
from bascule.calendars.verify import Verification, verify_account
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, LedgerError
from bascule.ledger.calendars import by_hand_lines
from bascule.problems import questions, store
from bascule.tasks import accounts
from bascule.tasks.calendars import carry
from bascule.tasks.run import NeedsPerson, at_command_line
from bascule.text.harmless import harmless
from bascule.text.logs import INFO, WARNING, to_standard_error


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 when everything is well, 1 when something failed, 2 when a person is asked."""
    given = _parser().parse_args(arguments)
    to_standard_error(INFO if given.verbose else WARNING)
    try:
        return given.run(given)
    except (AccessError, LedgerError, NeedsPerson, site_file.SiteError) as error:
        print(error, file=sys.stderr)
        return 1


def _sync(given: argparse.Namespace) -> int:
    site, ledger, failed = site_file.from_environment(), Ledger.from_environment(), ""
    command = "bascule.calendars sync"
    with at_command_line(site, ledger, command, dry_run=given.dry_run, selection=given.accounts) as run:
        names = accounts.names(run)
        try:
            done = carry(run, names, given.parallel)
        except CalendarsFailed as error:
            done, failed = error.done, str(error)
    print(", ".join(f"{name} {count}" for name, count in vars(sum(done.values(), Counts())).items()))
    is_asked = _print_problems(ledger, names)
    if failed:
        print("\n".join(map(harmless, failed.splitlines())), file=sys.stderr)
        return 1
    return 2 if is_asked else 0


def _verify(given: argparse.Namespace) -> int:
    site, ledger, failed = site_file.from_environment(), Ledger.from_environment(), 0
    total = Verification()
    with at_command_line(site, ledger, "bascule.calendars verify", selection=given.accounts) as run:
        for account in accounts.names(run):
            try:
                found = verify_account(run.access, ledger, account)
            except AccessError as error:
                print(harmless(f"{account}: {error}"), file=sys.stderr)
                failed = 1
                continue
            for line in (*found.lines, *(f"not compared: {each}" for each in found.not_compared)):
                print(harmless(f"{account}: {line}"))
            total += found
    print(
        f"compared {total.compared} items of old by UID with what new has now: {total.same} mean the same, "
        f"{len(total.lines)} differ ({total.unknown} of them without a known reason); "
        f"{len(total.not_compared)} things were not compared, nor were names, colours and shares"
    )
    return failed or (2 if total.unknown else 0)


def _problems(given: argparse.Namespace) -> int:
    ledger = Ledger.from_environment()
    return 2 if _print_problems(ledger, store.accounts_with_open(ledger, "calendar")) else 0


def _shares(given: argparse.Namespace) -> int:
    lines = by_hand_lines(Ledger.from_environment())
    print("\n".join(lines) or "no share is to be given by hand")
    return 2 if lines else 0


def _print_problems(ledger: Ledger, names: Sequence[str]) -> bool:
    """One question for each cause: the first in full, the others by name."""
    found = [item for item in store.problems(ledger, room="calendar") if item.account in set(names)]
    for question in questions.of_mailbox(found):
        first, *others = question.problems
        print(harmless(f"{first.account}: {first.kind}: {first.subject} ({first.title}): {first.explanation}"))
        print(harmless(f"    proposal: {first.proposal.stored()}"))
        for other in others:
            print(harmless(f"    and for the same cause: {questions.name(other)}"))
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
    verify = commands.add_parser("verify", help="compare everything on both sides now, change nothing")
    verify.add_argument("accounts", nargs="?", default="all", help="all (default), names, or an LDAP filter")
    verify.set_defaults(run=_verify)
    shares = commands.add_parser("shares", help="list the shares that a person has to give by hand")
    shares.set_defaults(run=_shares)
    listed = commands.add_parser("problems", help="list what waits for a person's decision")
    listed.set_defaults(run=_problems)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
