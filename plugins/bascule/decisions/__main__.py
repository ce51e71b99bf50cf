"""Decide about many problems at once: list them, as a table or for a spreadsheet, and take the edited file back.

`python -m bascule.decisions list [--csv FILE]`, `python -m bascule.decisions take FILE`; `make decide ARGS="..."`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import requests

from bascule import site
from bascule.decisions import record, spreadsheet
from bascule.decisions.record import AnswerRefused, Author, Choice
from bascule.decisions.rest import Airflow, AirflowRefused
from bascule.ledger import Ledger, LedgerError, problems
from bascule.ledger.journal import Origin
from bascule.ledger.problems import Option


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bascule.decisions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listed = commands.add_parser("list", help="show the open problems")
    listed.add_argument("--csv", type=Path, help="write them into this file, for a spreadsheet")
    listed.add_argument("--account", action="append", help="only of this account; may be given several times")
    take = commands.add_parser("take", help="read the edited file: all of its decisions, or none")
    take.add_argument("file", type=Path)
    given = parser.parse_args(words)
    try:
        ledger = Ledger.from_environment()
        if given.command == "list":
            return show(ledger, given.csv, given.account)
        return decide(ledger, given.file)
    except AnswerRefused as refused:
        print("nothing was decided:", *refused.reasons, sep="\n  ", file=sys.stderr)
    except (AirflowRefused, LedgerError, OSError, site.SiteError, requests.RequestException) as error:
        print(f"decide: {error}", file=sys.stderr)
    return 1


def show(ledger: Ledger, file: Path | None, accounts: Sequence[str] | None) -> int:
    """List what is open."""
    found = spreadsheet.open_problems(ledger, accounts)
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
    except (AirflowRefused, requests.RequestException) as error:
        raise AirflowRefused(f"{error}. The decisions stand; run this again, so that their questions go on") from None
    if left := len(problems.problems(ledger)):
        print(f"{left} problem(s) are still open")
    return 0


def release(ledger: Ledger, airflow: Airflow, choices: Sequence[Choice]) -> int:
    """Answer the reviews that wait for nothing any more, and those of which somebody wants another look.

    The decisions stand in the ledger already, also those of an earlier run that did not come to the answers: the answer
    only lets the task go on. Returns how many were answered.
    """
    known = {each.account for each in problems.problems(ledger, states=("open", "decided", "settled"))}
    look_again = {choice.problem.id for choice in choices if choice.option is Option.LOOK_AGAIN}
    answered = 0
    for question in airflow.questions():
        if question.account not in known:
            continue
        rooms = ROOMS.get(question.task.partition(".")[0] if question.dag == "transfer" else "", ALL_ROOMS)
        still = {each.id for each in problems.problems(ledger, account=question.account) if each.room in rooms}
        if still <= look_again:
            answered += airflow.answer(question, Option.LOOK_AGAIN.value)
    return answered


# Which problems the reviews of `transfer` ask about, by their group.
ROOMS = {"mailbox": ("mailbox", "account"), "repair_filters": ("sieve",), "repair_calendars": ("calendar",)}
ALL_ROOMS = ("mailbox", "account", "sieve", "calendar")

if __name__ == "__main__":
    sys.exit(main())
