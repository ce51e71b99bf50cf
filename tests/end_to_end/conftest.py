"""One whole day through Airflow, recorded once; each test looks at one thing of it.

The day goes wrong where the tests need it: phases are triggered out of order, the gate is first rejected, one mailbox
is cleared and run again. Everything is done through the REST API, as a person does it in the UI.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from bascule import site
from bascule.ledger import Ledger
from bascule.problems import store

from lab.airflow import processes
from lab.airflow.answering import THINKING_SECONDS, Answerer, Rule, read_rules
from lab.airflow.following import PHASES, RunFailed, Teller, follow
from lab.airflow.processes import Home, Rest
from lab.corpus.people import FIXED
from lab.demo import ANSWERS, DECIDED_BEFORE
from lab.paths import Instance
from lab.shell import lab
from tests.end_to_end import browsing
from tests.end_to_end.outside import arrived, ask_before_the_day, look, send

APPLY = "Apply the proposals"
GO, NO_GO = "Go: take the addresses", "No go"
# The prepared answers of the demo; one mailbox is answered in the UI by a browser instead.
REVIEWS = [rule for rule in read_rules(ANSWERS) if rule.task != "go_no_go"]
BY_BROWSER, TYPED_FOR, TYPED = "jmunoz", "INBOX.Budget 2019/2020", "Budget de l'équipe"
WRITTEN_TO, MOVED = "direction", "accueil"  # who get a message during the freeze that is taken back: one had moved
KEPT = "rzeller"  # the account whose mailbox stays on old
USED_ON_BOTH = next(account for account, _, _, _, trouble in FIXED if trouble == "used on new")


class BrowserAnswerer(Answerer):
    """The prepared answers, and one that is given at the web UI."""

    def __init__(self, day: "Day", rules: list[Rule]) -> None:
        super().__init__(day.rest, rules, day.instance)
        self._day = day

    def give(self, question: dict[str, Any], rule: Rule) -> None:
        if question["task_instance"]["task_id"] != "mailbox.sync" or rule.account != BY_BROWSER:
            super().give(question, rule)
            return
        shown = Rule(rule.dag, rule.task, rule.option, values={TYPED_FOR: TYPED})
        self._day.notes["page in the browser"] = browsing.answer(
            self._day.rest, self._day.instance, question, rule.option, shown.written(question.get("params") or {})
        )
        self._day.notes["answered at the web UI"] = BY_BROWSER


@dataclass
class Run:
    """One run of a DAG as it was found at some moment. `asked`: the names of tasks that have asked somebody."""

    dag: str
    id: str
    state: str
    tasks: list[dict[str, Any]]
    asked: set[str]

    def task(self, task_id: str, name: str | None = None) -> dict[str, Any]:
        """The instance of this task, of a mapped one the instance with this name."""
        found = [t for t in self.tasks if t["task_id"] == task_id and name in (None, t.get("rendered_map_index"))]
        assert len(found) == 1, f"{len(found)} instances of {self.dag}.{task_id} {name or ''}"
        return found[0]

    def named(self, task_id: str) -> list[dict[str, Any]]:
        return [t for t in self.tasks if t["task_id"] == task_id and t["map_index"] >= 0]


@dataclass
class Day:
    """What was seen of the day."""

    rest: Rest
    ledger: Ledger
    instance: Instance
    seen: dict[str, Run] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def look(self, name: str, dag: str, run: str) -> Run:
        """Remember a run as it is now."""
        questions = self.rest.call("GET", f"dags/{dag}/dagRuns/{run}/hitlDetails?limit=100")["hitl_details"]
        asked = {str(each["task_instance"]["rendered_map_index"]) for each in questions}
        state = self.rest.run_state(dag, run) or ""
        self.seen[name] = Run(dag, run, state, self.rest.tasks(dag, run), asked)
        return self.seen[name]

    def log_of(self, run: Run, task: dict[str, Any], attempt: int | None = None) -> str:
        """The log of a try; nothing where Airflow has lost an earlier one, and does not know of it any more."""
        number = attempt or task["try_number"]
        try:
            return self.rest.log(run.dag, run.id, task["task_id"], number, task["map_index"])
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 404 or number == task["try_number"]:
                raise
            return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The way back takes away what all other tests look at: it comes last."""
    items.sort(key=lambda item: "test_way_back" in item.nodeid)


@pytest.fixture(scope="session")
def rest() -> Rest:
    home = Home(Instance(os.environ["BASCULE_LAB_INSTANCE"]))
    client = Rest(f"http://127.0.0.1:{processes.PORT_INSIDE}", processes.USER, home.password())
    client.wait_until_healthy()
    return client


@pytest.fixture(scope="session")
def day(rest: Rest) -> Iterator[Day]:
    """The whole day; takes some minutes."""
    from tests.end_to_end import moving  # which knows the day, as this file makes it

    instance = Instance(os.environ["BASCULE_LAB_INSTANCE"])
    made = Day(rest, Ledger.from_environment(), instance)
    tell = Teller()
    lab(instance, "inject", "start")
    try:
        ask_before_the_day(instance)
        _prepare(made, tell)
        _decide_about_fifty(made, tell)  # throws Airflow's database away: what is looked at later comes later
        _decide_before_the_day(made, tell)
        _prepare_once_more(made, tell)
        moving.plan_a_wave(made, tell)  # which waits meanwhile
        _try_out_of_order(made, tell)
        _try_dry_run(made, tell)
        moving.move_the_wave(made, tell)
        moving.leave_a_hold(made, tell)
        _freeze_and_roll_back(made, tell)
        _migrate(made, tell)
    finally:
        lab(instance, "inject", "stop")
    yield made


def end_of(made: Day, name: str, dag: str, run: str, tell: Teller, rules: list[Rule]) -> Run:
    try:
        follow(made.rest, made.ledger, [(dag, run)], tell, Answerer(made.rest, rules, made.instance))
    except RunFailed as failure:
        tell(str(failure))
    return made.look(name, dag, run)


def _try_out_of_order(made: Day, tell: Teller) -> None:
    run = made.rest.trigger("transfer")
    end_of(made, "transfer before freeze", "transfer", run, tell, [])


def _prepare(made: Day, tell: Teller) -> None:
    run = made.rest.trigger("prepare")
    end_of(made, "prepare", "prepare", run, tell, [])


def _decide_before_the_day(made: Day, tell: Teller) -> None:
    """Some mailboxes of the practice site are decided in `problems`, with the demo's prepared answers."""
    run = made.rest.trigger("problems", {"accounts": ", ".join(DECIDED_BEFORE)})
    end_of(made, "problems before the day", "problems", run, tell, REVIEWS)


def _prepare_once_more(made: Day, tell: Teller) -> None:
    """People work on, and the next night's `prepare` looks again, at one mailbox for the tests' sake."""
    lab(made.instance, "meanwhile")
    run = made.rest.trigger("prepare", {"accounts": USED_ON_BOTH})
    end_of(made, "prepare, the next night", "prepare", run, tell, [])
    found = store.problems(made.ledger, states=("open", "decided", "settled"))
    made.notes["found by prepare"] = {f"{each.room}/{each.kind}" for each in found}
    # Its look once more, at the accounts of that run alone, as a person does in the UI.
    made.rest.clear("prepare", run, ["look_at_mailboxes"], downstream=False)
    end_of(made, "prepare, looked again", "prepare", run, tell, [])


def _decide_about_fifty(made: Day, tell: Teller) -> None:
    """A failure is that of the tests about it, not of the day: it is kept for them."""
    from tests.end_to_end import fifty  # which knows the day, as this file makes it

    try:
        fifty.decide_about_fifty(made, tell)
    except Exception as error:
        tell(f"problems: {error!r}")
        made.notes["fifty failed"] = error
        fifty.withdraw(made)


def _try_dry_run(made: Day, tell: Teller) -> None:
    from bascule.ledger import journal

    made.notes["journal rows before dry run"] = len(journal.entries(made.ledger))
    run = made.rest.trigger("freeze", {"dry_run": True})
    end_of(made, "freeze, dry", "freeze", run, tell, [])
    made.notes["journal rows after dry run"] = len(journal.entries(made.ledger))


def _freeze_and_roll_back(made: Day, tell: Teller) -> None:
    """A freeze that is taken back: what each change finds afterwards is compared with what it had found before."""
    from bascule import changes
    from bascule.changes import acts
    from bascule.hosts.access import opened
    from bascule.ledger import journal

    end_of(made, "freeze, rolled back", "freeze", made.rest.trigger("freeze"), tell, [])
    in_force = acts.in_force(journal.entries(made.ledger))
    identifiers = {to: send(to, "pendant le gel", "comptable@outside.test") for to in (WRITTEN_TO, MOVED)}
    end_of(made, "rollback", "rollback", made.rest.trigger("rollback"), tell, [])
    made.notes["mail of the freeze"] = {
        to: {
            "there": arrived(made.instance, "new" if to == MOVED else "old", to, identifier),
            "on the other": list(look(made.instance, "old" if to == MOVED else "new", to, identifier)),
        }
        for to, identifier in identifiers.items()
    }
    with opened(site.from_environment()) as access:
        found = {
            f"{act.kind} {act.subject}": changes.kind(act.kind).from_parameters(access, act.parameters).observe()
            for act in in_force
        }
    made.notes["before the freeze"] = {f"{act.kind} {act.subject}": at_rest(act.before) for act in in_force}
    made.notes["after the rollback"] = {subject: at_rest(state) for subject, state in found.items()}
    made.notes["in force after the rollback"] = acts.in_force(journal.entries(made.ledger))


def at_rest(state: Any) -> Any:
    """A state of units without what is under way: the backup that a timer has started just then ends by itself."""
    units = state.get("units") if isinstance(state, dict) else None
    if units is None:
        return state
    passing = {"activating": "inactive", "deactivating": "inactive"}
    return {**state, "units": {unit: passing.get(active, active) for unit, active in units.items()}}


def _migrate(made: Day, tell: Teller) -> None:
    """The day with a no go in it: the gate is rejected, cleared and passed; `migrate` goes on with the same run."""
    rest, run = made.rest, made.rest.trigger("migrate")
    runs = [("migrate", run), *((phase, run) for phase in PHASES)]
    try:
        follow(rest, made.ledger, runs, tell, BrowserAnswerer(made, [*REVIEWS, Rule("cutover", "go_no_go", NO_GO)]))
    except RunFailed as failure:
        tell(str(failure))
    made.look("migrate after no go", "migrate", run)
    made.look("cutover after no go", "cutover", run)
    made.look("transfer", "transfer", run)
    _sync_one_mailbox_again(made, run, tell)
    rest.clear("cutover", run, ["go_no_go"])
    rest.clear("migrate", run, ["cutover"])
    stopped: list[bool] = []

    def stop_injecting() -> None:
        if not stopped and rest.run_state("drain", run):
            lab(made.instance, "inject", "stop")
            stopped.append(True)

    time.sleep(THINKING_SECONDS)
    try:
        follow(
            rest,
            made.ledger,
            runs,
            tell,
            Answerer(rest, [*REVIEWS, Rule("cutover", "go_no_go", GO)], made.instance),
            stop_injecting,
        )
    except RunFailed as failure:
        tell(str(failure))
    for dag in ("migrate", "freeze", "cutover", "drain"):
        made.look(dag, dag, run)


def _sync_one_mailbox_again(made: Day, run: str, tell: Teller) -> None:
    """Clear the sync of a mailbox that had problems in the transfer, as a person does in the UI."""
    settled = made.seen["transfer"].task("mailbox.sync", BY_BROWSER)
    made.rest.clear("transfer", run, [["mailbox.sync", settled["map_index"]]], downstream=False)
    end_of(made, "transfer after clear", "transfer", run, tell, REVIEWS)


@pytest.fixture(scope="session")
def site_file() -> site.Site:
    return site.from_environment()
