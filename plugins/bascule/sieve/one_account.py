"""One account's pass: look at all scripts on both sides, plan, ask, put, activate, verify."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy.orm import Session

from bascule.access import AccessError
from bascule.ledger import Ledger, filters, problems
from bascule.ledger.filters import digest
from bascule.ledger.problems import Decision, Option, Problem
from bascule.sieve import plan as planning
from bascule.sieve.behaviour import Proof, version
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.managesieve import ManageSieve, ManageSieveError, Refused
from bascule.sieve.model import Choice, Context
from bascule.sieve.plan import Plan
from bascule.sieve.servers import Source
from bascule.sieve.vacation import VacationRecord

log = structlog.get_logger(__name__)

CHANGED_ON_NEW = "filter changed on new"
OTHER_ACTIVE = "other filter active on new"
REFUSED = "filter refused by new"

NO_FILTER = "no filter"
BESIDE = "{name} (old server)"


@dataclass
class AccountResult:
    """Counts of one account's pass; `problems` are those that wait for a person."""

    account: str
    scripts: int = 0
    converted: int = 0
    put: int = 0
    activated: int = 0
    unchanged: int = 0
    problems: int = 0


@dataclass
class AccountPass:
    """The pass over one account's filters, with both connections open. Raises ManageSieveError when one breaks."""

    account: str
    old: Source
    new: ManageSieve
    ledger: Ledger
    folders: FolderMap
    addresses: frozenset[str] = frozenset()
    old_hosts: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()  # old folders, by decision
    global_scripts: Mapping[str, str] | None = None  # of the new server, None: unknown
    old_global_scripts: Mapping[str, str] | None = None
    never_matching: Choice = "ask"
    proof: Proof | None = None
    vacation: VacationRecord | None = None
    dry_run: bool = False

    def run(self) -> AccountResult:
        """Do it all; what can't be done becomes a problem."""
        self.result = AccountResult(self.account)
        self.seen: set[int] = set()
        self.puts: dict[str, bytes] = {}  # what Bascule put in this pass; written down together, and after any end
        self.activated: list[str | None] = []  # what it made active (None: switched all off), the last one counts
        self.known = {status.name: status for status in filters.filters(self.ledger, self.account)}
        self.decisions = self._decisions()
        try:
            self._look_and_carry()
        finally:
            if self.puts or self.activated:
                with self.ledger.session() as session:
                    self._write_puts(session)
        return self.result

    def _look_and_carry(self) -> None:
        originals, old_active = self._fetch()
        on_new = self.new.scripts()
        self.there = {name: self.new.get(name) for name in on_new}
        self.stood = frozenset(on_new)
        self.new_active = next((name for name, active in on_new.items() if active), None)
        context = self._context(originals)
        plans = self._plans(originals, context)
        if old_active is not None:
            self._prove(plans[old_active], plans, context)
        standing = {name: self._carry(plan) for name, plan in plans.items()}
        self._activate(old_active, standing)
        if old_active is not None:
            self._carry_vacation_record(plans[old_active])
        self._write_down(plans, standing)

    def _plans(self, originals: Mapping[str, bytes], context: Context) -> dict[str, Plan]:
        """What becomes of each script; those that won't stand on new are missed by the ones that include them."""
        plans = {name: planning.make(name, data, context, self.new.check) for name, data in originals.items()}
        lost = {name for name, plan in plans.items() if plan.keeping is None and self._stays_away(plan)}
        if not lost:
            return plans
        standing = {name: text for name, text in (context.scripts or {}).items() if name not in lost}
        context = replace(context, scripts=standing)
        return {name: planning.make(name, data, context, self.new.check) for name, data in originals.items()}

    def _stays_away(self, plan: Plan) -> bool:
        asked = planning.problem(plan, self.account)
        known = self.decisions.get((asked.kind, asked.subject)) if asked else None
        if known is None or asked is None or known[0].facts != asked.facts:
            return True
        return planning.choose(plan, known)[0] is None

    def _decisions(self) -> dict[tuple[str, str], tuple[Problem, Decision]]:
        found = problems.decisions(self.ledger, self.account, "sieve")
        return {(problem.kind, problem.subject): (problem, decision) for problem, decision in found}

    def _fetch(self) -> tuple[dict[str, bytes], str | None]:
        scripts = self.old.scripts()
        originals = {name: self.old.get(name) for name in scripts}
        new_to_us = {
            name: data
            for name, data in originals.items()
            if name not in self.known
            or (self.known[name].original, self.known[name].active) != (digest(data), scripts[name])
        }
        if new_to_us:
            with self.ledger.session() as session:
                for name, data in new_to_us.items():
                    filters.keep_original(session, self.account, name, data, active=scripts[name])
        self.result.scripts = len(originals)
        return originals, next((name for name, active in scripts.items() if active), None)

    def _context(self, originals: Mapping[str, bytes]) -> Context:
        return Context(
            folders=self.folders,
            left_out=self.left_out,
            extensions=self.new.extensions,
            redirects=self.new.redirects,
            old_redirects=self.old.redirects,
            own_addresses=self.addresses,
            old_hosts=self.old_hosts,
            scripts={name: planning.read(data) for name, data in originals.items()},
            global_scripts=self.global_scripts,
            old_global_scripts=self.old_global_scripts,
            repairs={
                "header-name": self.never_matching,
                "header-name-invalid": "keep" if self.never_matching == "keep" else "ask",
            },
        )

    def _prove(self, plan: Plan, others: Mapping[str, Plan], context: Context) -> None:
        """Compare what the active script does on the account's own mail, once for each version of it."""
        known, now = self.known.get(plan.name), version(plan, others, context)
        if known is not None and known.report.get("proved") == now:
            plan.proved = now
            plan.behaviour = known.report["behaviour"]
            plan.repaired_behaviour = known.report["repaired_behaviour"]
            plan.not_compared = known.report["not_compared"]
        elif self.proof is not None:
            try:
                self.proof.compare(self.account, plan, others, context)
            except AccessError as error:  # no reason to leave an account without its filters; the page says it
                plan.not_compared = planning.clean(str(error))
                log.warning("filter not compared", account=self.account, filter=plan.name, why=plan.not_compared)

    def _carry(self, plan: Plan) -> bytes | None:
        """Bring one script over; return what stands on the new server under its name as it should, else None."""
        self.result.converted += plan.changed
        asked = planning.problem(plan, self.account)
        target, settled = planning.choose(plan, self._decide(asked))
        standing = None
        if target is not None:
            standing = self._put(plan, target, asked)
        if asked is not None and settled and not self.dry_run and (standing is not None or target is None):
            self._settle(asked)
        return standing

    def _decide(self, problem: Problem | None) -> tuple[Problem, Decision] | None:
        """Report the problem; the decision in force on its facts, if there is one."""
        if problem is None:
            return None
        known = self.decisions.get((problem.kind, problem.subject))
        if known is not None and known[0].facts == problem.facts and planning.as_proposed(*known):
            # Keep what the person saw: by it the next pass knows that it was taken as proposed.
            problem = replace(problem, proposal=known[0].proposal)
        with self.ledger.session() as session:
            number = problems.report(session, problem)
        self.seen.add(number)
        found = next((p for p in self._open_problems() if p.id == number), None)
        if known is not None and found is None:
            return known
        self.result.problems += 1
        log.warning("filter needs a person", account=self.account, filter=problem.subject, kind=problem.kind,
                    why=problem.explanation, server=problem.server_words)  # fmt: skip
        return None

    def _open_problems(self) -> list[Problem]:
        return problems.problems(self.ledger, account=self.account, room="sieve", states=("open",))

    def _put(self, plan: Plan, target: bytes, asked: Problem | None) -> bytes | None:
        """Store the script unless it stands there already or is somebody's own; verify by reading it back."""
        name, there = plan.name, self.there.get(plan.name)
        if there == target:
            self.result.unchanged += 1
            self._remember_put(name, target)
            return target
        if there is not None and not self._ours(name, there, plan):
            return self._meet_changed(plan, target, there)
        return self._store(name, target, asked)

    def _ours(self, name: str, there: bytes, plan: Plan) -> bool:
        """Whether what stands on new is what Bascule put, or the untouched original: nobody's own work."""
        known = self.known.get(name)
        return there == plan.original or (known is not None and known.put == digest(there))

    def _meet_changed(self, plan: Plan, target: bytes, there: bytes) -> bytes | None:
        """Somebody (a beta tester) has a filter of this name on new: never overwritten without a decision."""
        problem = Problem(
            account=self.account,
            room="sieve",
            kind=CHANGED_ON_NEW,
            subject=plan.name,
            explanation=f"The filter {plan.name!r} stands on the new server in another form than the one from the old "
            "server: somebody has written or changed it there. Both are shown; the one on the new server stays until "
            "this is decided: `put beside` keeps both, `overwrite` takes the old server's, `keep new` leaves that out.",
            facts={"on new": digest(there), "from old": digest(target)},
            details={"on new": planning.clean(planning.read(there)), "from old": planning.clean(planning.read(target))},
            proposal={"action": "keep both", "do": "put beside", "name": BESIDE.format(name=plan.name)},
        )
        known = self._decide(problem)
        if known is None or self.dry_run:
            return None
        return self._follow(known[1], plan, target, problem)

    def _follow(self, decision: Decision, plan: Plan, target: bytes, problem: Problem) -> bytes | None:
        act = str(decision.values.get("do", "put beside")).strip() if decision.option is Option.APPLY else "keep new"
        if act == "overwrite":
            stored = self._store(plan.name, target, problem)
            if stored is not None:
                self._settle(problem)
            return stored
        if act == "put beside":
            beside = str(decision.values.get("name") or BESIDE.format(name=plan.name))
            if beside not in self.there and self._store(beside, target, problem) is None:
                return None
        self._settle(problem)
        return None

    def _store(self, name: str, target: bytes, asked: Problem | None) -> bytes | None:
        if self.dry_run:
            log.info("filter would be put", account=self.account, filter=name, bytes=len(target))
            return target
        try:
            verdict = self.new.put(name, target)
        except Refused as refused:
            return self._refused(name, target, f"{refused.code} {refused.words}".strip())
        if not verdict.accepted:
            return self._refused(name, target, verdict.words)
        if self.new.get(name) != target:
            raise ManageSieveError(f"the filter {name!r} of {self.account} was put on new, but comes back otherwise")
        self.there[name] = target
        self.result.put += 1
        self._remember_put(name, target)
        log.info("filter put and read back", account=self.account, filter=name, bytes=len(target))
        return target

    def _refused(self, name: str, target: bytes, words: str) -> bytes | None:
        problem = Problem(
            account=self.account,
            room="sieve",
            kind=REFUSED,
            subject=name,
            explanation=f"The new server refuses to store the filter {name!r}. Mend it in the form, or at the server "
            "(quota, number of scripts), and let Bascule look again.",
            facts={"text": digest(target), "words": planning.clean(words)},
            server_words=planning.clean(words),
            proposal={"action": "repair", "text": planning.clean(planning.read(target))},
        )
        known = self._decide(problem)
        mended = planning.text_of(known[1], target) if known is not None else None
        if known is None or mended == target:
            return None
        stored = None if mended is None else self._store(name, mended, problem)
        self._settle(problem)
        return stored

    def _remember_put(self, name: str, target: bytes) -> None:
        known = self.known.get(name)
        if not self.dry_run and (known is None or known.put != digest(target)):
            self.puts[name] = target

    def _activate(self, old_active: str | None, standing: Mapping[str, bytes | None]) -> None:
        """The script that is active on old becomes active on new, unless somebody has chosen otherwise there."""
        ours = next((name for name in self.stood if name in self.known and self.known[name].activated), None)
        if old_active == self.new_active:
            self._remember_active(old_active, ours)
            return
        if old_active is not None and standing.get(old_active) is None:
            return
        if self.new_active != ours and not self._may_replace_active(old_active):
            return
        self.result.activated += 1
        if self.dry_run:
            log.info("filter would be activated", account=self.account, filter=old_active or "(none)")
            return
        self.new.set_active(old_active or "")
        self._remember_active(old_active, ours)
        log.info(
            "filter activated", account=self.account, filter=old_active or "(none)", before=self.new_active or "(none)"
        )

    def _remember_active(self, name: str | None, ours: str | None) -> None:
        if not self.dry_run and name != ours:
            self.activated.append(name)

    def _may_replace_active(self, old_active: str | None) -> bool:
        problem = Problem(
            account=self.account,
            room="sieve",
            kind=OTHER_ACTIVE,
            subject=self.new_active or NO_FILTER,
            explanation=f"On the new server {self.new_active or NO_FILTER!r} is active, not by Bascule; on the old one "
            f"{old_active or NO_FILTER!r} is. The new server stays as it is until this is decided: `leave it so`, or "
            "`as on the old server`.",
            facts={"on new": self.new_active, "on old": old_active},
            proposal={"action": "choose", "do": "leave it so"},
        )
        known = self._decide(problem)
        if known is None:
            return False
        decision = known[1]
        if not self.dry_run:
            self._settle(problem)
        return decision.option is Option.APPLY and decision.values.get("do") == "as on the old server"

    def _settle(self, problem: Problem) -> None:
        known = self.decisions.get((problem.kind, problem.subject))
        if known is not None and known[0].state != "settled":
            with self.ledger.session() as session:
                problems.settle(session, known[0].id)
            log.info("decision applied", account=self.account, filter=problem.subject, kind=problem.kind,
                     option=known[1].option.value, decided_by=known[1].decided_by)  # fmt: skip

    def _carry_vacation_record(self, plan: Plan) -> None:
        """Who got an answer from old gets none from new; where that can't be had, the page says so."""
        if self.vacation is None or not planning.answers(plan):
            return
        try:
            self.vacation.carry(self.account, dry_run=self.dry_run)
            done = "will be carried over with the filter" if self.dry_run else "was carried over"
            plan.vacation = f"who had an answer from the old server gets no second one: its record {done}"
        except AccessError as error:
            plan.answers_again = True
            plan.vacation = f"some may get a second answer: the old server's record could not be carried over ({error})"
            log.warning("record of vacation answers not carried over", account=self.account, why=str(error))

    def _write_down(self, plans: Mapping[str, Plan], standing: Mapping[str, bytes | None]) -> None:
        """The pages that changed, and the end of the look: problems that were not met again are gone."""
        pages = {}
        for name, plan in plans.items():
            page = planning.page(plan, standing[name])
            if name not in self.known or self.known[name].report != page:
                pages[name] = page
        waiting = problems.problems(self.ledger, account=self.account, room="sieve", states=("open", "decided"))
        if pages or self.puts or self.activated or waiting:
            with self.ledger.session() as session:
                for name, page in pages.items():
                    filters.set_report(session, self.account, name, page)
                self._write_puts(session)
                problems.withdraw_unseen(session, self.account, "sieve", self.seen)

    def _write_puts(self, session: Session) -> None:
        for name, data in self.puts.items():
            filters.set_put(session, self.account, name, data)
        if self.activated:
            filters.set_activated(session, self.account, self.activated[-1])
        self.puts, self.activated = {}, []
