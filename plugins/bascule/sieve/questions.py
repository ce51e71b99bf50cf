"""The problems of one account's filters in one pass: reported, matched with what was decided, settled."""

from dataclasses import dataclass, field, replace

from bascule.ledger import Ledger
from bascule.problems import store
from bascule.problems.model import Decision, Problem
from bascule.sieve import script_problem
from bascule.text.logs import get_logger

log = get_logger(__name__)

CHANGED_ON_NEW = "filter changed on new"
OTHER_ACTIVE = "other filter active on new"
REFUSED = "filter refused by new"
UNREADABLE = "filter unreadable"

Known = tuple[Problem, Decision]


@dataclass
class Questions:
    """`open`: how many wait for a person. `seen`: the ids of all that were met."""

    ledger: Ledger
    account: str
    dry_run: bool
    open: int = 0
    seen: set[int] = field(default_factory=set)
    _decided: dict[tuple[str, str], Known] = field(default_factory=dict)

    def load(self) -> None:
        """Read the decisions in force."""
        found = store.decisions(self.ledger, self.account, "sieve")
        self._decided = {(problem.kind, problem.subject): (problem, decision) for problem, decision in found}

    def decided(self, problem: Problem) -> Known | None:
        """What was decided about it on the same facts, without asking."""
        known = self._decided.get((problem.kind, problem.subject))
        return known if known is not None and known[0].facts == problem.facts else None

    def ask(self, problem: Problem | None) -> Known | None:
        """Report the problem; the decision in force on its facts, if there is one."""
        if problem is None:
            return None
        known = self._decided.get((problem.kind, problem.subject))
        if known is not None and known[0].facts == problem.facts and script_problem.as_proposed(*known):
            # Keep what the person saw: by it the next pass knows that it was taken as proposed.
            problem = replace(problem, proposal=known[0].proposal)
        with self.ledger.session() as session:
            number = store.report(session, problem)
        self.seen.add(number)
        if known is not None and number not in {found.id for found in self._open()}:
            return known
        self.open += 1
        log.warning("filter needs a person", account=self.account, filter=problem.subject, kind=problem.kind,
                    why=problem.explanation, server=problem.server_words)  # fmt: skip
        return None

    def ask_again(self, problem: Problem, decision: Decision) -> None:
        """What was decided about it has been tried, and did not help."""
        if self.dry_run:
            return
        with self.ledger.session() as session:
            store.did_not_help(session, problem.id, decision)
        self.open += 1
        log.warning("filter needs a person: what was decided did not help", account=self.account,
                    filter=problem.subject, kind=problem.kind)  # fmt: skip

    def _open(self) -> list[Problem]:
        return store.problems(self.ledger, account=self.account, room="sieve", states=("open",))

    def settle(self, problem: Problem) -> None:
        """What was decided about it has been carried out."""
        known = self._decided.get((problem.kind, problem.subject))
        if not self.dry_run and known is not None and known[0].state != "settled":
            with self.ledger.session() as session:
                store.settle(session, known[0].id)
            log.info("decision applied", account=self.account, filter=problem.subject, kind=problem.kind,
                     option=known[1].option.value, decided_by=known[1].decided_by)  # fmt: skip
