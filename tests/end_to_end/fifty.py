"""Fifty real accounts with a folder that the new server refuses, all asked about at once, days before the day.

One is answered in the UI by a browser, one by a spreadsheet, one by leaving out, some wrongly at first; the others in
any order. One settling task is killed, and in the middle of it all Airflow's database is thrown away. The accounts are
in the directory for this alone, and taken away again; their mailboxes are real, on both servers.
"""

import csv
import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from bascule import site
from bascule.hosts.access import opened
from bascule.ledger import journal
from bascule.mailbox import job_for, sync_mailbox
from bascule.problems import store
from bascule.problems.model import Room, State

from lab.airflow.answering import THINKING_SECONDS
from lab.airflow.following import Teller
from lab.airflow.processes import USER, Home
from lab.corpus.store import Stores
from lab.hosts import driver
from lab.paths import CHECKOUT
from tests.end_to_end import browsing, losing
from tests.end_to_end.conftest import APPLY, Day
from tests.integration import directory_entries
from tests.integration.conftest import Lab

COUNT = 50
ACCOUNTS = [f"cinquante{number:02d}" for number in range(COUNT)]
BY_BROWSER, BY_CSV, LEFT_OUT, WRONG_FIRST, REFUSED_BY_NEW, NO_OPTION, TWICE, KILLED = ACCOUNTS[:8]
SPECIAL = frozenset(ACCOUNTS[:8])
BEFORE_THE_LOSS = ACCOUNTS[8:28]
SECONDS = 1200  # for what needs much less: only what never comes may end the tests
ENDED = ("success", "failed", "skipped", "upstream_failed")
ROOMS: tuple[Room, ...] = ("mailbox", "account")
FOLDER = "~notes"
# As Dovecot's listescape plugin writes "~" on the disk.
MAKE = r"""
umask 077
for account in {accounts}; do
  folder='/srv/mail/'$account'/Maildir/.\7enotes'
  mkdir -p "$folder/cur" "$folder/new" "$folder/tmp"
  printf 'Subject: in it\nMessage-Id: <%s@obs.test>\n\nwords\n' $account > "$folder/cur/1500000000.M1P1.old:2,S"
  chown -R vmail:vmail /srv/mail/$account
done
"""
# What is typed at first, by account, and what is typed when it is asked again.
TYPED = {BY_BROWSER: "Notes de l'été", WRONG_FIRST: "Notes/../etc", REFUSED_BY_NEW: "dbox-Mails"}
TYPED_AGAIN = {WRONG_FIRST: "Notes", REFUSED_BY_NEW: "Notes encore"}


def decide_about_fifty(day: Day, tell: Teller) -> None:
    """Run it all, between `prepare` and the day; what was seen stands in the day's notes."""
    with in_the_directory(day):
        tell(f"problems: {COUNT} mailboxes with a folder that new refuses")
        find_problems(day)
        run = day.rest.trigger("problems", {"accounts": "(uid=cinquante*)"})
        wait_for_questions(day, run, ACCOUNTS)
        day.look("problems while all wait", "problems", run)
        tell("problems: all of them wait; killing Airflow meanwhile")
        losing.kill_airflow(day.rest, day.instance)
        wait_for_questions(day, run, ACCOUNTS)
        day.look("problems after Airflow was killed", "problems", run)
        tell("problems: answering, and killing one task")
        time.sleep(THINKING_SECONDS)
        answer_some(day, run)
        tell("problems: throwing Airflow's database away")
        losing.throw_airflows_database_away(day.rest, day.instance)
        tell("problems: answering what is still open")
        run = answer_what_is_left(day)
        day.look("problems", "problems", run)
        day.notes["folders on new"] = {account: folders_on_new(day, account) for account in ACCOUNTS}
        day.notes["copies on new"] = {account: copies_on_new(day, account) for account in ACCOUNTS}


def answer_some(day: Day, run: str) -> None:
    """In the first Airflow: by browser and CSV, with a killed task, twice, and twenty others in any order."""
    asked = {name(each): each for each in questions(day, run)}
    index = asked[KILLED]["task_instance"]["map_index"]
    killed = f"dags/problems/dagRuns/{run}/taskInstances/mailbox.review/{index}"
    kill_between_decision_and_settling(day, run, asked[KILLED], killed)
    browsing.answer(day.rest, day.instance, asked[BY_BROWSER], APPLY, {field_of(asked[BY_BROWSER]): TYPED[BY_BROWSER]})
    day.notes["csv"] = answer_by_csv(day)
    for question in random.Random(4).sample([asked[account] for account in BEFORE_THE_LOSS], len(BEFORE_THE_LOSS)):
        answer(day, question)
    day.notes["answered twice"] = answer_twice(day, asked[TWICE])
    seen: dict[str, float] = {}
    settled = {KILLED, BY_CSV, BY_BROWSER, TWICE}

    def are_settled() -> bool:
        answer_what_is_asked_anew(day, run, seen, [*settled, *BEFORE_THE_LOSS])
        others = {*decided(day)} & {*BEFORE_THE_LOSS}
        return settled <= in_state(day, "settled") and bool(others)

    def has_ended() -> bool:
        return bool(day.rest.call("GET", killed)["state"] in ENDED)

    wait_until(are_settled, "the first answers are not settled")
    wait_until(has_ended, "the task that was killed does not end in a later try")
    day.look("problems before the loss", "problems", run)


def kill_between_decision_and_settling(day: Day, run: str, question: dict[str, Any], path: str) -> None:
    """`path`: of the mailbox's task in Airflow's REST API."""
    answer(day, question)
    seen: dict[str, float] = {}
    losing.kill_task(
        day.rest,
        day.instance,
        path,
        meanwhile=lambda: answer_what_is_asked_anew(day, run, seen, [KILLED]),
        when=lambda: KILLED not in in_state(day, "open"),
    )
    day.notes["decided and not settled when killed"] = KILLED in in_state(day, "decided")


def answer_twice(day: Day, question: dict[str, Any]) -> int | None:
    """Returns the status with which Airflow refuses the second answer."""
    answer(day, question)
    try:
        day.rest.answer(question, "Leave these out")
    except httpx.HTTPStatusError as error:
        return error.response.status_code
    return 200


def answer_what_is_left(day: Day) -> str:
    """In the second Airflow, which knows nothing: it asks what the ledger has as open. Returns the run."""
    left = in_state(day, "open")
    day.notes["decided at the loss"] = decided(day)
    run = day.rest.trigger("problems", {"accounts": "(uid=cinquante*)"})
    wait_for_questions(day, run, left)
    day.notes["left open by the loss"] = left, {name(each) for each in questions(day, run)}
    time.sleep(THINKING_SECONDS)
    for question in random.Random(5).sample(questions(day, run), len(left)):
        if name(question) == NO_OPTION:
            day.notes["no option"] = answer_with_no_option(day, question)
        answer(day, question)
    asked_again = TYPED_AGAIN.keys()
    seen: dict[str, float] = {}

    def are_asked_again() -> bool:
        answer_what_is_asked_anew(day, run, seen, left)
        return {name(each) for each in questions(day, run) if is_second_round(each)} == asked_again

    wait_until(are_asked_again, "wrong names are not asked again")
    again = {name(each): each for each in questions(day, run) if is_second_round(each)}
    day.notes["asked again"] = {
        account: (each["body"], {key: field["value"] for key, field in each["params"].items()})
        for account, each in again.items()
    }

    def is_ended() -> bool:
        answer_what_is_asked_anew(day, run, seen, left, again=True)
        return day.rest.run_state("problems", run) in ("success", "failed")

    wait_until(is_ended, "the run does not end")
    return run


def answer_with_no_option(day: Day, question: dict[str, Any]) -> int | None:
    """Returns the status with which Airflow refuses an option that was not offered."""
    try:
        day.rest.answer(question, "Throw it away")
    except httpx.HTTPStatusError as error:
        return error.response.status_code
    return 200


@contextmanager
def in_the_directory(day: Day) -> Iterator[None]:
    site_lab = Lab(day.instance)
    with directory_entries.administrator(site_lab) as connection:
        directory_entries.remove(connection, ACCOUNTS)
        for account in ACCOUNTS:
            directory_entries.add(connection, account)
    try:
        yield
    finally:
        with directory_entries.administrator(site_lab) as connection:
            directory_entries.remove(connection, ACCOUNTS)


def find_problems(day: Day) -> None:
    """What `prepare` does for each account, without a task for each."""
    Lab(day.instance).ssh("old", "sh", input=MAKE.format(accounts=" ".join(ACCOUNTS)))
    with opened(site.from_environment()) as access, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda account: sync_mailbox(job_for(access, account), day.ledger), ACCOUNTS))


def withdraw(day: Day) -> None:
    """Nothing of these accounts stands in the day's way."""
    for run in day.rest.call("GET", "dags/problems/dagRuns")["dag_runs"]:
        if run["state"] in ("queued", "running"):
            day.rest.call("PATCH", f"dags/problems/dagRuns/{run['dag_run_id']}", json={"state": "failed"})
    with day.ledger.session() as session:
        for account in ACCOUNTS:
            for room in ROOMS:
                store.withdraw_unseen(session, account, room, seen=())


def name(question: dict[str, Any]) -> str:
    return str(question["task_instance"]["rendered_map_index"])


def questions(day: Day, run: str) -> list[dict[str, Any]]:
    """What this run asks, in itself or by runs of `ask_again`, which are named after it."""
    return [each for each in day.rest.questions() if run in each["task_instance"]["dag_run_id"]]


def each_try(question: dict[str, Any]) -> str:
    """A name of the question in this try of its task: a lost answer is asked anew in another one."""
    return f"{question['task_instance']['id']} {question['task_instance']['try_number']}"


def is_second_round(question: dict[str, Any]) -> bool:
    """Whether it asks about what an earlier answer left, or could not be taken of it."""
    return bool(question["task_instance"]["dag_id"] == "ask_again")


def in_state(day: Day, state: State) -> set[str]:
    """Those of the fifty that have a problem in this state."""
    return {each.account for each in store.problems(day.ledger, states=(state,))} & {*ACCOUNTS}


def decided(day: Day) -> dict[str, int]:
    """How many decisions the journal has about each of the fifty."""
    found = [each.subject for each in journal.entries(day.ledger, event="decision") if each.subject in ACCOUNTS]
    return {account: found.count(account) for account in found}


def wait_until(ready: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, complaint
        time.sleep(1)


def wait_for_questions(day: Day, run: str, accounts: Collection[str]) -> None:
    def are_asked() -> bool:
        assert day.rest.run_state("problems", run) in ("queued", "running")
        return {name(each) for each in questions(day, run)} == {*accounts}

    wait_until(are_asked, f"{len(accounts)} questions do not come")


def field_of(question: dict[str, Any]) -> str:
    return next(key for key in question["params"] if key.endswith(".name"))


def answer_by_csv(day: Day) -> dict[str, Any]:
    """`make decide`: first with a wrong line, then with the line mended."""
    file = Path(Home(day.instance).path) / "open.csv"
    environment = {
        **os.environ,
        "BASCULE_AIRFLOW_URL": day.rest.base,
        "BASCULE_AIRFLOW_USER": USER,
        "BASCULE_AIRFLOW_PASSWORD": Home(day.instance).password(),
    }

    def decide(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bascule.problems", *words]
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    listed = decide("list", "--csv", str(file), "--account", BY_CSV)
    edit(file, {"decision": "apply", "name": "a/b"})
    wrong = decide("take", str(file))
    before = store.problems(day.ledger, account=BY_CSV)
    edit(file, {"decision": "apply", "name": "=Notes"})
    right = decide("take", str(file))
    twice = decide("take", str(file))
    return {"listed": listed, "wrong": wrong, "open after wrong": len(before), "right": right, "twice": twice}


def edit(file: Path, values: dict[str, str]) -> None:
    text = file.read_text(encoding="utf-8-sig")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    for column, value in values.items():
        rows[1][rows[0].index(column)] = value
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(rows)
    file.write_text(out.getvalue(), encoding="utf-8")


def answer(day: Day, question: dict[str, Any], typed_for: Mapping[str, str] = TYPED) -> None:
    option = "Leave these out" if name(question) == LEFT_OUT else APPLY
    typed = typed_for.get(name(question))
    try:
        day.rest.answer(question, option, {field_of(question): typed} if typed else {})
    except httpx.HTTPStatusError as error:  # answered already by a call that was tried again, or asked anew meanwhile
        if error.response.status_code not in (404, 409):
            raise


def answer_what_is_asked_anew(
    day: Day, run: str, seen: dict[str, float], accounts: Collection[str], *, again: bool = False
) -> None:
    """A busy scheduler can lose the task of an answer that came too early (it then asks again, as it should).

    Second rounds are answered only with `again`.
    """
    for question in questions(day, run):
        waited = time.monotonic() - seen.setdefault(each_try(question), time.monotonic())
        second = is_second_round(question)
        if name(question) in accounts and waited > THINKING_SECONDS and (again or not second):
            answer(day, question, TYPED_AGAIN if second else TYPED)


def folders_on_new(day: Day, account: str) -> set[str]:
    """What `doveadm` on the new host says, past Bascule."""
    command = driver.ssh_command(day.instance, "new", ["doveadm", "mailbox", "list", "-u", account])
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines())


def copies_on_new(day: Day, account: str) -> int:
    """How often the message of the refused folder lies on new."""
    with Stores(day.instance).reader("new", account) as client:
        found = 0
        for _, _, folder in client.list_folders():
            client.select_folder(folder, readonly=True)
            found += len(client.search(["HEADER", "Message-ID", f"<{account}@obs.test>"]))
        return found
