"""Where a person decides: the page of one account's problems, in Airflow's Required Actions."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from bascule.operators.runtime import Run, check_phase, opened_run, sentences
from bascule.text import harmless

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bascule.ledger.problems import Problem

# The texts of `bascule.ledger.problems.Option`, written out because importing it would cost every DAG parse.
OPTIONS = ["Apply the proposals", "Leave these out", "I repaired it by hand, look again"]
SHOWN_AT_ONCE = 50  # problems on one page; the rest is counted


class ReviewProblems(HITLOperator):
    """Ask one person about the open problems of one account in the given rooms, and write the decision down.

    With nothing open (all was decided meanwhile) nobody is asked.
    """

    template_fields = ("subject", "body", "account")
    ui_color = "#fbe3e3"

    def __init__(self, *, account: str, rooms: Sequence[str], **kwargs: Any) -> None:
        super().__init__(subject="Problems of one mailbox", body="", options=OPTIONS, **kwargs)
        self.account = account
        self.rooms = list(rooms)

    def execute(self, context: "Context") -> Any:
        with sentences(), opened_run(context) as run:
            check_phase(run)
            found = self._open(run)
            if not found:
                self.log.info("%s has no open problem: nobody has to be asked", self.account)
                return None
            self._prepare_page(found)
            self.assigned_users = [{"id": name, "name": name} for name in run.site.gates.reviewers] or None
        try:
            return super().execute(context)
        except TaskAwaitingInput as waiting:
            waiting.kwargs = {"shown": [problem.id for problem in found]}
            raise

    def execute_complete(self, context: "Context", event: dict[str, Any], shown: Sequence[int] = ()) -> None:
        answer = super().execute_complete(context, event)
        user = answer["responded_by_user"] or {}
        with sentences(), opened_run(context) as run:
            self._record(run, answer, str(user.get("name") or user.get("id") or "unknown"), set(shown))

    def _open(self, run: Run) -> list["Problem"]:
        from bascule.ledger import problems

        return [item for item in problems.problems(run.ledger, account=self.account) if item.room in self.rooms]

    def _prepare_page(self, found: Sequence["Problem"]) -> None:
        self.subject = f"{len(found)} problem(s) of {self.account}"
        self.body = page(self.account, found)
        self.params = ParamsDict(form(found))

    def _record(self, run: Run, answer: Any, person: str, shown: set[int]) -> None:
        from bascule.ledger import problems

        if len(answer["chosen_options"]) != 1:
            raise AirflowFailException("no option was chosen: clear this task to be asked again")
        option = problems.Option(answer["chosen_options"][0])
        asked = [item for item in self._open(run) if item.id in shown]
        with run.ledger.session() as session:
            for problem in asked:
                values = edited(problem, answer["params_input"])
                problems.decide(
                    session, problem.id, option, values, decided_by=person, source="page", origin=run.origin
                )
        self.log.info("%s decided for %s: %s (%d problems)", person, self.account, option.value, len(asked))


def form(found: Sequence["Problem"]) -> dict[str, Param]:
    """One text field for every value of a proposal that may be edited, prefilled with the proposal."""
    fields = {}
    for problem in found[:SHOWN_AT_ONCE]:
        for key, value in editable(problem).items():
            fields[f"{problem.id}.{key}"] = Param(
                value,
                type="string",
                title=f"{harmless(problem.kind)}: {harmless(key)} for {harmless(problem.subject)[:80]}",
                description=harmless(problem.explanation)[:300],
                minLength=1,
                **_lines(value),
            )
    return fields


def _lines(value: str) -> dict[str, Any]:
    """A field of one line would lose the line ends of a filter's text."""
    return {"format": "multiline"} if "\n" in value else {}


def editable(problem: "Problem") -> dict[str, str]:
    """The values of a problem's proposal that a person may edit."""
    return {key: value for key, value in problem.proposal.items() if key != "action" and isinstance(value, str)}


def edited(problem: "Problem", answers: dict[str, Any]) -> dict[str, Any]:
    """The proposal with the form's answers in it; a field that did not come back keeps the proposal's value."""
    values = dict(problem.proposal)
    for key, proposed in editable(problem).items():
        given = answers.get(f"{problem.id}.{key}", proposed)
        values[key] = given if isinstance(given, str) and given else proposed
    return values


def page(account: str, found: Sequence["Problem"]) -> str:
    """The page's Markdown: what is wrong, the server's words, what Bascule proposes."""
    lines = [f"Everything else in the mailbox of **{plain(account)}** has been copied. What needs you:", ""]
    for number, problem in enumerate(found[:SHOWN_AT_ONCE], 1):
        proposal = ", ".join(f"{plain(str(key))}: {plain(str(value))}" for key, value in problem.proposal.items())
        details = ", ".join(f"{plain(str(key))}: {plain(str(value))}" for key, value in problem.details.items())
        lines += [
            f"{number}. **{plain(problem.kind)}**: {plain(problem.subject)}",
            f"    - {plain(problem.explanation)}",
        ]
        lines += [f"    - {details}"] if details else []
        lines += [f"    - The server said: {plain(problem.server_words)}"] if problem.server_words else []
        lines += [f"    - Proposal: {proposal}"] if proposal else []
    if len(found) > SHOWN_AT_ONCE:
        lines.append(f"\n… and {len(found) - SHOWN_AT_ONCE} more of the same account; the ledger has them all.")
    return "\n".join(lines)


def plain(text: str) -> str:
    """Harmless text that neither HTML nor Markdown takes for markup."""
    escaped = html.escape(harmless(text), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-!|~" else char for char in escaped)
