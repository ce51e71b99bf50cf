"""The gate of the cutover: wait until no problem is open, then ask go or no go with the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from bascule.ledger import journal, moves, phases
from bascule.problems import store
from bascule.problems.evidence import AT_THE_GATE, evidence_lines, not_ready
from bascule.problems.evidence import evidence as evidence_of
from bascule.problems.page import plain
from bascule.tasks import accounts, forecast
from bascule.tasks.notify import address_of
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger

log = get_logger(__name__)

GO, NO_GO = "Go: take the addresses", "No go"


@dataclass(frozen=True)
class GateQuestion:
    """What a gate asks: its headline, its page as Markdown, and who may answer (nobody named: everybody)."""

    subject: str
    body: str
    reviewers: list[str]


def is_free(run: Run) -> bool:
    """Whether every problem has been settled by a person; a dry run waits for nobody."""
    waiting = store.accounts_with_open(run.ledger)
    if waiting:
        log.info("accounts wait for a person", count=len(waiting), accounts=waiting[:20])
        run.outcome.becomes("waiting", f"{len(waiting)} account(s) wait for a person")
    return not waiting or run.dry_run


def question(run: Run) -> GateQuestion | None:
    """Go or no go; None when nobody has to be asked. A go that was given in this run holds, a no go asks again.

    Raises NeedsPerson while a problem is open or a mailbox is not ready.
    """
    refuse_open_problems(run)
    for line in evidence_lines(run.ledger):
        log.info(line)
    if run.dry_run:
        log.info("dry run: a person would be asked now")
        return None
    if given := go_of(run):
        log.info("the go was given in this run already", by=given)
        return None
    return GateQuestion("Go or no go?", evidence(run), run.site.gates.cutover)


def take_answer(run: Run, options: Sequence[str], person: str) -> None:
    """Write the decision down. Raises NeedsPerson unless it is a go, and while a problem is open."""
    option = options[0] if len(options) == 1 else NO_GO
    if option == GO:
        refuse_open_problems(run)
    after = {"option": option, "decided_by": person}
    before = {"evidence": evidence(run), "in full": evidence_lines(run.ledger)}  # the page names only the first of many
    entry = journal.Entry("decision", "gate", "cutover", run.origin, before=before, after=after)
    journal.append(run.ledger, entry)
    if option != GO:
        raise NeedsPerson(
            f"{person} said no go. Nothing has been taken over; mail waits at the MX. "
            "Clear this task to be asked again, or run `rollback`."
        )
    phases.mark(run.ledger, "cutover", "go", run.origin, note=f"by {person}")
    log.info("go", by=person)


def refuse_open_problems(run: Run) -> None:
    """The gate's own check beside the sensor's: no problem open, every mailbox verified, kept on old, or moved before.

    Raises NeedsPerson.
    """
    if run.dry_run:
        return
    waiting = store.accounts_with_open(run.ledger)
    if waiting:
        raise NeedsPerson(
            f"{len(waiting)} account(s) have open problems ({', '.join(waiting[:20])}): "
            "settle them in `transfer`, then clear this task"
        )
    of_the_day = moves.not_moved(run.ledger, accounts.names(run))
    if unready := not_ready(run.ledger, of_the_day, phases.marked_at(run.ledger, "freeze", "started")):
        raise NeedsPerson(
            f"{len(unready)} mailbox(es) are not ready ({'; '.join(unready[:20])}): "
            "clear `mailbox.sync` of each in `transfer`, or `look_at_mailboxes` where one has none, with downstream, "
            "then clear this task"
        )


def go_of(run: Run) -> str | None:
    """Who gave the go in this run, if somebody did."""
    for entry in journal.entries(run.ledger, kind="gate", subject="cutover"):
        after = entry.after or {}
        if entry.origin.run == run.origin.run and after.get("option") == GO:
            return str(after.get("decided_by"))
    return None


def evidence(run: Run) -> str:
    """What a person has to know for the decision, as Markdown: numbers first, then what is unusual, then the rest."""
    parts = evidence_of(run.ledger, AT_THE_GATE)
    unusual = [f"- {plain(line)}" for _, named in parts for line in named]
    rest = address_of("evidence")
    return "\n".join(
        [
            *(f"- {plain(line)}" for line in [*(counted for counted, _ in parts), *forecast.lines(run.ledger)]),
            *(["", "**By name:**", "", *unusual] if unusual else []),
            *(["", f"[All of it]({rest})"] if rest else []),
        ]
    )
