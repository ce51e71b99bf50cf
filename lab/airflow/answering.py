"""The person of the demo: answers the gates from a file of prepared answers, through Airflow's REST API."""

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import yaml
from bascule.problems.rest import asker

from lab.airflow.processes import HEARTBEAT_SECONDS, Home, Rest
from lab.hosts import driver
from lab.paths import Instance
from lab.shell import LabError

# The scheduler must have seen that a parked task's process has ended before the task goes on: it would take that end
# for the new process's, and the try would be lost. Airflow's supervisor may miss the end, and looks again after its
# interval between heartbeats (`min_heartbeat_interval`: when no socket of the process is open any more, its wait for
# them lasts so long). As much again is for what may be busy: the process until it ends, and the scheduler's round.
THINKING_SECONDS = 2 * HEARTBEAT_SECONDS
TIMES = 3  # that a rule answers one account's questions: what is still left then is answered by the next rule that fits


@dataclass(frozen=True)
class Rule:
    """One prepared answer: for which question it is, and what it says.

    `values`: what is written into the form, by the end of a field's title ("INBOX.~archives").
    `by_hand`: what the person does on hosts before answering: the host's name and a line for its shell.
    """

    dag: str
    task: str
    option: str
    account: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    by_hand: dict[str, str] = field(default_factory=dict)

    def fits(self, question: dict[str, Any]) -> bool:
        ti = question["task_instance"]
        named = self.account in (None, ti.get("rendered_map_index"))
        return asker(ti["dag_id"], ti["dag_run_id"], ti["task_id"]) == (self.dag, self.task) and named

    def written(self, params: dict[str, Any]) -> dict[str, str]:
        """What this rule changes in a question's form, by field. Raises LabError when the form has no such field."""
        titles = {key: str((param.get("schema") or {}).get("title", "")) for key, param in params.items()}
        if missing := [end for end in self.values if not any(title.endswith(end) for title in titles.values())]:
            raise LabError(f"no field of the form ends with {' or with '.join(missing)}: mend the answers file")
        return {key: new for key, title in titles.items() for end, new in self.values.items() if title.endswith(end)}


def read_rules(path: Path) -> list[Rule]:
    """The rules of an answers file."""
    return [Rule(**item) for item in yaml.safe_load(path.read_text(encoding="utf-8"))]


def days_before(rules: Sequence[Rule]) -> list[Rule]:
    """The rules where no day follows: what they say of one mailbox on the day is said in `problems`."""
    of_one = [rule for rule in rules if rule.dag == "transfer" and rule.account]
    return [*(replace(rule, dag="problems", task="mailbox.review") for rule in of_one), *rules]


class Answerer:
    """Answers what waits, each question once, after the time that a person would think."""

    def __init__(self, rest: Rest, rules: Sequence[Rule], instance: Instance) -> None:
        self._rest = rest
        self._instance = instance
        self._rules = list(rules)
        self._seen: dict[str, float] = {}
        self._times: Counter[tuple[int, str]] = Counter()
        self.given: list[str] = []

    def look(self) -> None:
        """Answer what has waited long enough; call it again and again."""
        photographed = Home(self._instance).pictures_wanted.exists()
        for question in self._rest.questions():
            ti = question["task_instance"]
            if photographed and ti.get("rendered_map_index"):
                continue
            # A lost answer is asked anew in another try.
            first_seen = self._seen.setdefault(f"{ti['id']} {ti.get('try_number')}", time.monotonic())
            if time.monotonic() - first_seen >= THINKING_SECONDS and (rule := self._rule(question)) is not None:
                self.give(question, rule)

    def _rule(self, question: dict[str, Any]) -> Rule | None:
        account = str(question["task_instance"].get("rendered_map_index"))
        for number, rule in enumerate(self._rules):
            if rule.fits(question) and (rule.account is None or self._times[number, account] < TIMES):
                self._times[number, account] += 1
                return rule
        return None

    def give(self, question: dict[str, Any], rule: Rule) -> None:
        """Answer one question as the rule says, when the person has done what there is to do by hand."""
        for host, line in rule.by_hand.items():
            self._do(host, line)
        values = rule.written(question.get("params") or {})
        try:
            self._rest.answer(question, rule.option, values)
        except httpx.HTTPStatusError as error:
            # Somebody was quicker, or the scheduler has lost the task meanwhile, which asks anew.
            if error.response.status_code not in (404, 409):
                raise
        self.given.append(f"{question['subject']}: {rule.option}")

    def _do(self, host: str, line: str) -> None:
        """Raises LabError with the host's words."""
        done = subprocess.run(driver.ssh_command(self._instance, host, [line]), capture_output=True, check=False)
        if done.returncode:
            raise LabError(f"{host}: {line!r} failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
