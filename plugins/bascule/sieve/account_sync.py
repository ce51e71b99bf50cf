"""One account's pass: look at all scripts on both sides, plan, ask, put, activate, verify."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from sqlalchemy.orm import Session

from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, filters
from bascule.ledger.filters import digest
from bascule.problems import store
from bascule.problems.model import Problem
from bascule.sieve import old_scripts, script_problem
from bascule.sieve import plan as planning
from bascule.sieve.differential_test import INCLUDE, Proof, version
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.managesieve import ManageSieve
from bascule.sieve.model import Choice, Context
from bascule.sieve.new_scripts import NewScripts
from bascule.sieve.old_scripts import ActiveFiles, OldScripts, Source
from bascule.sieve.plan import Plan
from bascule.sieve.questions import UNREADABLE, Questions
from bascule.sieve.vacation import VacationRecord
from bascule.text.logs import get_logger
from bascule.text.reason import place_of

log = get_logger(__name__)


@dataclass
class AccountResult:
    """Counts of one account's pass; `problems` are those that wait for a person.

    `folders`: fingerprint of what was known of the account's folders. `again`: something could not be had that another
    pass may get, and nobody is asked about it.
    """

    account: str
    scripts: int = 0
    converted: int = 0
    put: int = 0
    activated: int = 0
    unchanged: int = 0
    problems: int = 0
    folders: str = ""
    again: bool = False


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
    active_files: ActiveFiles | None = None  # None: an active script that the old server doesn't list is not looked for
    dry_run: bool = False

    def run(self) -> AccountResult:
        """Do it all; what can't be done becomes a problem."""
        self.known = {status.name: status for status in filters.filters(self.ledger, self.account)}
        self.questions = Questions(self.ledger, self.account, self.dry_run)
        self.questions.load()
        self.on_new = NewScripts(self.account, self.new, self.questions, self.known, self.dry_run)
        result = AccountResult(self.account)
        try:
            self._pass(result)
        finally:
            if self.on_new.puts or self.on_new.activated:
                with self.ledger.session() as session:
                    self._write_puts(session)
        return replace(result, problems=self.questions.open, **asdict(self.on_new.counts))

    def _pass(self, result: AccountResult) -> None:
        originals = self._fetch()
        self.on_new.read()
        context = self._context(originals)
        plans = self._plans(originals, context)
        active = plans.get(originals.active or "")
        if active is not None:
            self._prove(active, plans, context)
        result.scripts = len(plans) + len(originals.unreadable)
        result.converted = sum(plan.changed for plan in plans.values())
        now_on_new = {name: self._carry(plan) for name, plan in plans.items()}
        self.on_new.activate(self._active(originals), originals.doubt, now_on_new)
        if active is not None:
            self._carry_vacation_record(active)
        result.again = self._may_get_more(originals, active)
        self._write_down(plans, now_on_new)

    def _fetch(self) -> OldScripts:
        found = old_scripts.read(self.old, self.account, self.active_files)
        new_to_us = {
            name: data
            for name, data in found.texts.items()
            if name not in self.known
            or (self.known[name].original, self.known[name].active) != (digest(data), name == found.active)
        }
        if new_to_us:
            with self.ledger.session() as session:
                for name, data in new_to_us.items():
                    filters.keep_original(session, self.account, name, data, active=name == found.active)
        return found

    def _active(self, originals: OldScripts) -> str | None:
        """The active script of old; None when a person has decided to do without one that can't be read."""
        left_out = {name for name, why in originals.unreadable.items() if self._left_unread(name, why)}
        return None if originals.active in left_out else originals.active

    def _left_unread(self, name: str, why: str) -> bool:
        problem = Problem(
            account=self.account,
            room="sieve",
            kind=UNREADABLE,
            subject=name,
            explanation=f"The old server's filter {name!r} can't be read: {planning.clean(why)}. Nothing of it is "
            "carried. Repair it there and let Bascule look again, or leave it out.",
            facts={"why": planning.clean(why)},
            server_words=planning.clean(why),
        )
        if self.questions.ask(problem) is None:
            return False
        self.questions.settle(problem)
        return True

    def _context(self, originals: OldScripts) -> Context:
        return Context(
            folders=replace(self.folders, modified_utf7=self.old.modified_utf7),
            left_out=self.left_out,
            extensions=self.new.extensions,
            old_extensions=self.old.extensions,
            redirects=self.new.redirects,
            old_redirects=self.old.redirects,
            notify_methods=self.new.notify_methods,
            own_addresses=self.addresses,
            old_hosts=self.old_hosts,
            scripts={name: planning.read(data) for name, data in originals.texts.items()},
            global_scripts=self.global_scripts,
            old_global_scripts=self.old_global_scripts,
            repairs={
                "header-name": self.never_matching,
                "header-name-invalid": "keep" if self.never_matching == "keep" else "ask",
            },
        )

    def _plans(self, originals: OldScripts, context: Context) -> dict[str, Plan]:
        """What becomes of each script; those that won't stand on new are missed by the ones that include them."""
        plans = self._made(originals, context)
        lost = {name for name, plan in plans.items() if plan.faithful is None and self._stays_away(plan)}
        if not lost:
            return plans
        now_on_new = {name: text for name, text in (context.scripts or {}).items() if name not in lost}
        return self._made(originals, replace(context, scripts=now_on_new))

    def _made(self, originals: OldScripts, context: Context) -> dict[str, Plan]:
        return {
            name: planning.make(name, data, context, self.on_new.check, procmail=name == self.old.procmail)
            for name, data in originals.texts.items()
        }

    def _stays_away(self, plan: Plan) -> bool:
        asked = script_problem.problem(plan, self.account)
        known = self.questions.decided(asked) if asked is not None else None
        return known is None or script_problem.choose(plan, known)[0] is None

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
            except Exception as error:
                plan.not_compared = f"Bascule has a fault and could not compare it ({place_of(error)})"
                log.exception("filter not compared", account=self.account, filter=plan.name)

    def _carry(self, plan: Plan) -> bytes | None:
        """Bring one script over; return what stands on the new server under its name as it should, else None."""
        asked = script_problem.problem(plan, self.account)
        target, settled = script_problem.choose(plan, self.questions.ask(asked))
        now_on_new = None
        if target is not None:
            now_on_new = self.on_new.put(plan, target)
        if asked is not None and settled and (now_on_new is not None or target is None):
            self.questions.settle(asked)
        return now_on_new

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

    def _may_get_more(self, originals: OldScripts, active: Plan | None) -> bool:
        """Whether a server did not say something about which nobody is asked: what the page says may change."""
        if active is not None and (active.answers_again or (active.not_compared and not active.proved)):
            return True
        unknown = self.global_scripts is None or self.old_global_scripts is None
        return bool(originals.doubt) or (unknown and any(INCLUDE in data for data in originals.texts.values()))

    def _write_down(self, plans: Mapping[str, Plan], now_on_new: Mapping[str, bytes | None]) -> None:
        """The pages that changed, and the end of the look: problems that were not met again are gone."""
        pages = {}
        for name, plan in plans.items():
            page = planning.page(plan, now_on_new[name])
            if name not in self.known or self.known[name].report != page:
                pages[name] = page
        waiting = store.problems(self.ledger, account=self.account, room="sieve", states=("open", "decided"))
        if pages or self.on_new.puts or self.on_new.activated or waiting:
            with self.ledger.session() as session:
                for name, page in pages.items():
                    filters.set_report(session, self.account, name, page)
                self._write_puts(session)
                store.withdraw_unseen(session, self.account, "sieve", self.questions.seen)

    def _write_puts(self, session: Session) -> None:
        for name, data in self.on_new.puts.items():
            filters.set_put(session, self.account, name, data)
        if self.on_new.activated:
            filters.set_activated(session, self.account, self.on_new.activated[-1])
        self.on_new.puts.clear()
        self.on_new.activated.clear()
