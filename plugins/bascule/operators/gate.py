"""The gate of the cutover: wait until no problem is open, then ask go or no go with the evidence."""

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from bascule.operators.runtime import Run, check_phase, opened_run, sentences

if TYPE_CHECKING:
    from airflow.sdk import Context

GO, NO_GO = "Go: take the addresses", "No go"


class NoProblemIsOpen(BaseSensorOperator):
    """Wait until every problem has been settled by a person."""

    def poke(self, context: "Context") -> bool:
        from bascule.ledger import problems

        with sentences(), opened_run(context) as run:
            waiting = problems.accounts_with_open(run.ledger)
            if waiting:
                self.log.info("%d account(s) wait for a person: %s", len(waiting), ", ".join(waiting[:20]))
            return not waiting or run.dry_run


class GoNoGo(HITLOperator):
    """Ask a person whether the new server shall go into production. No answer is no go; nothing goes by itself.

    A go that was given in this run holds when the task is run again; a no go asks again.
    """

    ui_color = "#fbe3e3"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Go or no go?", body="", options=[GO, NO_GO], **kwargs)

    def execute(self, context: "Context") -> Any:
        with sentences(), opened_run(context) as run:
            check_phase(run)
            refuse_open_problems(run)
            self.body = evidence(run)
            self.log.info("the evidence for the gate:\n%s", self.body)
            if run.dry_run:
                self.log.info("dry run: a person would be asked now")
                return None
            if given := go_of(run):
                self.log.info("%s has given the go in this run already", given)
                return None
            self.assigned_users = [{"id": name, "name": name} for name in run.site.gates.cutover] or None
        return super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> None:
        from bascule.ledger import journal, phases

        answer = super().execute_complete(context, event)
        user = answer["responded_by_user"] or {}
        person = str(user.get("name") or user.get("id") or "unknown")
        chosen = answer["chosen_options"][0] if len(answer["chosen_options"]) == 1 else NO_GO
        with sentences(), opened_run(context) as run:
            if chosen == GO:
                refuse_open_problems(run)
            entry = journal.Entry(
                "decision",
                "gate",
                "cutover",
                run.origin,
                before={"evidence": evidence(run)},
                after={"option": chosen, "decided_by": person},
            )
            journal.append(run.ledger, entry)
            if chosen != GO:
                raise AirflowFailException(
                    f"{person} said no go. Nothing has been taken over; mail waits at the MX. "
                    "Clear this task to be asked again, or run `rollback`."
                )
            phases.mark(run.ledger, "cutover", "go", run.origin, note=f"by {person}")
            self.log.info("%s said go", person)


def refuse_open_problems(run: Run) -> None:
    """The gate's own check beside the sensor's: no problem open, every mailbox verified or kept on old.

    Raises AirflowFailException.
    """
    from bascule import directory
    from bascule.ledger import problems, report

    if run.dry_run:
        return
    waiting = problems.accounts_with_open(run.ledger)
    if waiting:
        raise AirflowFailException(
            f"{len(waiting)} account(s) have open problems ({', '.join(waiting[:20])}): "
            "settle them in `transfer`, then clear this task"
        )
    chosen = [account.name for account in directory.accounts(run.access, run.selection)]
    if unready := report.not_ready(run.ledger, chosen):
        raise AirflowFailException(
            f"{len(unready)} mailbox(es) are not ready ({'; '.join(unready[:20])}): "
            "clear `mailbox.sync` of each in `transfer`, with downstream, then clear this task"
        )


def go_of(run: Run) -> str | None:
    """Who gave the go in this run, if somebody did."""
    from bascule.ledger import journal

    for entry in journal.entries(run.ledger, kind="gate", subject="cutover"):
        after = entry.after or {}
        if entry.origin.run == run.origin.run and after.get("option") == GO:
            return str(after.get("decided_by"))
    return None


def evidence(run: Run) -> str:
    """What a person has to know for the decision, as Markdown."""
    from bascule.decisions.page import plain
    from bascule.ledger.report import evidence_lines

    return "\n".join(f"- {plain(line)}" for line in evidence_lines(run.ledger))
