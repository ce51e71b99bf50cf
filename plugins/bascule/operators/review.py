"""Where a person decides: the page of one account's problems, in Airflow's Required Actions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import TaskAwaitingInput

from bascule.operators.runtime import Run, check_phase, opened_run, sentences

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bascule.decisions.page import Field
    from bascule.ledger.problems import Problem

# The texts of `bascule.ledger.problems.Option`, written out because importing it would cost every DAG parse.
OPTIONS = [
    "Apply the proposals",
    "Leave these out",
    "I repaired it by hand, look again",
    "Keep this mailbox on the old server",
]


class ReviewProblems(HITLOperator):
    """Ask one person about the open problems of one account in the given rooms, and write the decision down.

    With nothing open (all was decided meanwhile) nobody is asked. An answer that can't be taken is noted in the
    journal; `settle` then fails, and the second round (`review_again`) asks with the reason and with what was typed.
    """

    template_fields = ("subject", "body", "account")
    ui_color = "#fbe3e3"

    def __init__(self, *, account: str, rooms: Sequence[str], **kwargs: Any) -> None:
        super().__init__(subject="Problems of one mailbox", body="", options=OPTIONS, **kwargs)
        self.account = account
        self.rooms = list(rooms)

    def execute(self, context: "Context") -> Any:
        from bascule.decisions import page

        with sentences(), opened_run(context) as run:
            check_phase(run)
            found = self._open(run)
            if not found:
                self.log.info("%s has no open problem: nobody has to be asked", self.account)
                return None
            asked = page.shown(found)
            self._prepare_page(run, asked, more=len(found) - len(asked))
            self.assigned_users = [{"id": name, "name": name} for name in run.site.gates.reviewers] or None
        try:
            return super().execute(context)
        except TaskAwaitingInput as waiting:
            waiting.kwargs = {"shown": [problem.id for problem in asked]}
            raise

    def execute_complete(self, context: "Context", event: dict[str, Any], shown: Sequence[int] = ()) -> None:
        answer = super().execute_complete(context, event)
        user = answer["responded_by_user"] or {}
        with sentences(), opened_run(context) as run:
            self._record(run, answer, str(user.get("name") or user.get("id") or "unknown"), set(shown))

    def _open(self, run: Run) -> list["Problem"]:
        from bascule.ledger import problems

        return [item for item in problems.problems(run.ledger, account=self.account) if item.room in self.rooms]

    def _shown(self, run: Run, shown: set[int]) -> list["Problem"]:
        """What the page showed, as it is now."""
        from bascule.ledger import problems

        found = problems.problems(run.ledger, account=self.account, states=("open", "decided", "settled", "withdrawn"))
        return [problem for problem in found if problem.id in shown]

    def _prepare_page(self, run: Run, asked: Sequence["Problem"], more: int) -> None:
        from bascule.decisions import page, record

        refused = record.last_refused(run.ledger, self.account, {problem.id for problem in asked})
        self.subject = f"{len(asked) + more} problem(s) of {self.account}" + (": answer again" if refused else "")
        self.body = page.text(run.ledger, self.account, asked, refused, more)
        typed = refused.given if refused else {}
        form = {key: param(field) for key, field in page.fields(asked, typed).items()}
        self.params = ParamsDict({**form, page.MARK: param(page.mark_field(asked))})

    def _record(self, run: Run, answer: Any, person: str, shown: set[int]) -> None:
        from bascule.decisions import page, record
        from bascule.ledger.problems import Option

        author = record.Author(person, "page", run.origin)
        asked = [item for item in self._open(run) if item.id in shown]
        chosen = [option for option in Option if option.value in answer["chosen_options"]]
        option = chosen[0] if len(chosen) == 1 else Option.LOOK_AGAIN
        choices = [record.Choice(each, option, page.given(each, answer["params_input"])) for each in asked]
        try:
            reason = page.refusal(self._shown(run, shown), answer["params_input"], len(chosen))
            if reason and (option is not Option.LOOK_AGAIN or len(chosen) != 1):
                raise record.AnswerRefused([reason])
            count = record.record(run.ledger, choices, author)
        except record.AnswerRefused as refused:
            record.note_refused(run.ledger, self.account, choices, refused.reasons, author)
            self.log.error("the answer of %s can't be taken, so it is asked again: %s", person, refused)
            return
        if not asked:
            self.log.info("everything that was shown for %s has been decided meanwhile: nothing to do", self.account)
        self.log.info("%s decided for %s: %s (%d problems)", person, self.account, option.value, count)


def param(field: "Field") -> Param:
    """One field of the form, as Airflow shows it. What is empty is refused with a reason when it comes back."""
    # A field of one line would lose the line ends of a filter's text.
    lines: dict[str, Any] = {"format": "multiline"} if field.multiline else {}
    if field.choices:
        lines["enum"] = list(field.choices)
    return Param(field.value, type="string", title=field.title, description=field.description, **lines)
