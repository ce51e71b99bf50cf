"""Decide about many problems at once: list them, as a table or for a spreadsheet, and take the edited file back.

`python -m bascule.problems list [--csv FILE]`, `python -m bascule.problems take FILE`; `make decide ARGS="..."`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from bascule import site
from bascule.ledger import Ledger, LedgerError
from bascule.ledger.journal import Origin
from bascule.problems import record, spreadsheet, store
from bascule.problems.record import AnswerRefused, Author
from bascule.problems.release import release
from bascule.problems.rest import Airflow, AirflowRefused


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bascule.problems", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listed = commands.add_parser("list", help="show the open problems")
    listed.add_argument("--csv", type=Path, help="write them into this file, for a spreadsheet")
    listed.add_argument("--account", action="append", help="only of this account; may be given several times")
    listed.add_argument("--each", action="store_true", help="a line for each problem, also where many have one cause")
    take = commands.add_parser("take", help="read the edited file: all of its decisions, or none")
    take.add_argument("file", type=Path)
    given = parser.parse_args(words)
    try:
        ledger = Ledger.from_environment()
        if given.command == "list":
            return show(ledger, given.csv, given.account, each=given.each)
        return decide(ledger, given.file)
    except AnswerRefused as refused:
        print("nothing was decided:", *refused.reasons, sep="\n  ", file=sys.stderr)
    except (AirflowRefused, LedgerError, OSError, site.SiteError, httpx.HTTPError) as error:
        print(f"decide: {error}", file=sys.stderr)
    return 1


def show(ledger: Ledger, file: Path | None, accounts: Sequence[str] | None, *, each: bool) -> int:
    """List what is open."""
    found = spreadsheet.open_questions(ledger, accounts, each=each)
    print(spreadsheet.as_table(found))
    if file is not None:
        file.write_bytes(spreadsheet.as_csv(found))
        print(f"written to {file}: fill in the column `decision` with one of {', '.join(spreadsheet.WORDS)}")
    return 0


def decide(ledger: Ledger, file: Path) -> int:
    """Record the file's decisions, then answer the questions that have nothing left to ask. Raises AnswerRefused."""
    airflow = Airflow.from_environment()
    reviewers = site.from_environment().gates.reviewers
    if reviewers and airflow.user not in reviewers:
        raise AirflowRefused(f"{airflow.user} may not decide: `gates.reviewers` of the site file names who may")
    choices = spreadsheet.read(ledger, file.read_bytes())
    origin = Origin("decide", task=file.name, asked_by=airflow.user)
    count = record.record(ledger, choices, Author(airflow.user, "csv", origin))
    print(f"{count} decision(s) recorded")
    try:
        print(f"{release(ledger, airflow, choices)} waiting question(s) answered")
    except (AirflowRefused, httpx.HTTPError) as error:
        raise AirflowRefused(f"{error}. The decisions stand; run this again, so that their questions go on") from None
    if left := len(store.problems(ledger)):
        print(f"{left} problem(s) are still open")
    return 0


if __name__ == "__main__":
    sys.exit(main())
