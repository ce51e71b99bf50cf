"""Fifty real accounts with a folder that the new server refuses, all asked about at once, days before the day.

One is answered in the UI by a browser, one by a spreadsheet, one by leaving out, one wrongly at first; the others in
any order. The accounts are in the directory for this alone, and taken away again; their mailboxes are real, on both
servers.
"""

import csv
import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bascule import site
from bascule.access import opened
from bascule.ledger import problems
from bascule.mailbox import job_for, sync_mailbox

from lab import driver
from lab.airflow import USER, Home
from lab.answering import THINKING_SECONDS
from lab.following import Teller
from lab.paths import CHECKOUT
from lab.screenshot import logged_in, opened_browser
from tests.end_to_end.conftest import APPLY, Day
from tests.integration import directory_entries
from tests.integration.conftest import Lab

COUNT = 50
ACCOUNTS = [f"cinquante{number:02d}" for number in range(COUNT)]
BY_BROWSER, BY_CSV, LEFT_OUT, WRONG_FIRST = ACCOUNTS[:4]
SECONDS = 300
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


def decide_about_fifty(day: Day, tell: Teller) -> None:
    """Run it all, between `prepare` and the day; what was seen stands in the day's notes."""
    with in_the_directory(day):
        tell(f"problems: {COUNT} mailboxes with a folder that new refuses")
        find_problems(day)
        run = day.rest.trigger("problems", {"accounts": "(uid=cinquante*)"})
        wait(day, run, lambda found: len(found) == COUNT)
        day.notes["asked at once"] = len(questions(day, run))
        tell("problems: all of them wait; answering")
        time.sleep(THINKING_SECONDS)
        answer_by_browser(day, run)
        day.notes["csv"] = answer_by_csv(day)
        answer_the_others(day, run)
        wait(day, run, lambda found: {name(each) for each in found} == {WRONG_FIRST} and len(found) == 1, again=True)
        (again,) = questions(day, run, again=True)
        day.notes["asked again"] = again["body"], {key: field["value"] for key, field in again["params"].items()}
        time.sleep(THINKING_SECONDS)
        day.rest.answer(again, APPLY, {field_of(again): "Notes"})
        wait_for_end(day, run)
        day.look("problems", "problems", run)
        day.notes["folders on new"] = {account: folders_on_new(day, account) for account in ACCOUNTS[:4]}


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
    with day.ledger.session() as session:
        for account in ACCOUNTS:
            problems.withdraw_unseen(session, account, "mailbox", seen=())


def name(question: dict[str, Any]) -> str:
    return str(question["task_instance"]["rendered_map_index"])


def questions(day: Day, run: str, *, again: bool = False) -> list[dict[str, Any]]:
    task = "mailbox.review_again" if again else "mailbox.review"
    return [
        each
        for each in day.rest.questions()
        if (each["task_instance"]["dag_run_id"], each["task_instance"]["task_id"]) == (run, task)
    ]


def wait(day: Day, run: str, ready: Any, *, again: bool = False) -> None:
    deadline = time.monotonic() + SECONDS
    seen: dict[str, float] = {}
    while not ready(questions(day, run, again=again)):
        if again:
            answer_what_is_asked_anew(day, run, seen)
        assert time.monotonic() < deadline, f"{len(questions(day, run, again=again))} questions wait"
        assert day.rest.run_state("problems", run) in ("queued", "running")
        time.sleep(2)


def wait_for_end(day: Day, run: str) -> None:
    deadline = time.monotonic() + SECONDS
    seen: dict[str, float] = {}
    while day.rest.run_state("problems", run) not in ("success", "failed"):
        answer_what_is_asked_anew(day, run, seen)
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(2)


def field_of(question: dict[str, Any]) -> str:
    return next(key for key in question["params"] if key.endswith(".name"))


def answer_by_browser(day: Day, run: str) -> None:
    """As a person does it: log in, open the question, edit the name, press the button."""
    (question,) = [each for each in questions(day, run) if name(each) == BY_BROWSER]
    index = question["task_instance"]["map_index"]
    with opened_browser() as browser:
        page = logged_in(browser, day.rest.base, Home(day.instance).password())
        path = f"dags/problems/runs/{run}/tasks/mailbox.review/mapped/{index}/required_actions"
        page.goto(f"{day.rest.base}/{path}")
        page.locator(f'input[name="element_{field_of(question)}"]').fill("Notes de l'été")
        with page.expect_response(
            lambda answer: "hitlDetails" in answer.url and answer.request.method == "PATCH"
        ) as got:
            page.get_by_role("button", name=APPLY).click()
        assert got.value.ok, got.value.text()


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
        command = [sys.executable, "-m", "bascule.decisions", *words]
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    listed = decide("list", "--csv", str(file), "--account", BY_CSV)
    edit(file, {"decision": "apply", "name": "a/b"})
    wrong = decide("take", str(file))
    before = problems.problems(day.ledger, account=BY_CSV)
    edit(file, {"decision": "apply", "name": "=Notes"})
    right = decide("take", str(file))
    return {"listed": listed, "wrong": wrong, "open after wrong": len(before), "right": right}


def edit(file: Path, values: dict[str, str]) -> None:
    text = file.read_text(encoding="utf-8-sig")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    for column, value in values.items():
        rows[1][rows[0].index(column)] = value
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(rows)
    file.write_text(out.getvalue(), encoding="utf-8")


def answer_the_others(day: Day, run: str) -> None:
    waiting = [each for each in questions(day, run) if name(each) not in (BY_BROWSER, BY_CSV)]
    random.Random(4).shuffle(waiting)
    for question in waiting:
        answer(day, question)


def answer(day: Day, question: dict[str, Any]) -> None:
    if name(question) == LEFT_OUT:
        day.rest.answer(question, "Leave these out")
    elif name(question) == WRONG_FIRST:
        day.rest.answer(question, APPLY, {field_of(question): "Notes/../etc"})
    elif name(question) == BY_BROWSER:
        day.rest.answer(question, APPLY, {field_of(question): "Notes de l'été"})
    else:
        day.rest.answer(question, APPLY)


def answer_what_is_asked_anew(day: Day, run: str, seen: dict[str, float]) -> None:
    """A busy scheduler can lose the task of an answer that came too early (it then asks again, as it should)."""
    for question in questions(day, run):
        first_seen = seen.setdefault(question["task_instance"]["id"], time.monotonic())
        if time.monotonic() - first_seen > THINKING_SECONDS:
            answer(day, question)


def folders_on_new(day: Day, account: str) -> set[str]:
    """What `doveadm` on the new host says, past Bascule."""
    command = driver.ssh_command(day.instance, "new", ["doveadm", "mailbox", "list", "-u", account])
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines())
