"""What stands on the new server: read, compiled, stored, read back and activated; somebody's own work never touched."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bascule.ledger.filters import FilterStatus, digest
from bascule.problems import rules
from bascule.problems.model import Action, Decision, Do, Problem, Proposal
from bascule.sieve import plan as planning
from bascule.sieve import script_problem
from bascule.sieve.managesieve import ManageSieve, Refused, Verdict
from bascule.sieve.managesieve_answers import ManageSieveError
from bascule.sieve.plan import Plan
from bascule.sieve.questions import CHANGED_ON_NEW, OTHER_ACTIVE, REFUSED, Questions
from bascule.text.logs import get_logger

log = get_logger(__name__)

NO_FILTER = "no filter"
BESIDE = "{name} (old server)"
PASSES_BY_ITSELF = ("TRYLATER",)


@dataclass
class Counts:
    """Scripts that were put, made active, or stood there as they should."""

    put: int = 0
    activated: int = 0
    unchanged: int = 0


@dataclass
class NewScripts:
    """One account's scripts on the new server. `known`: what the ledger has of each.

    `puts`: what Bascule put in this pass, `activated`: what it made active (None: switched all off, the last one
    counts): both are written down together, and after any end.
    """

    account: str
    server: ManageSieve
    questions: Questions
    known: Mapping[str, FilterStatus]
    dry_run: bool
    there: dict[str, bytes] = field(default_factory=dict)
    active: str | None = None
    puts: dict[str, bytes] = field(default_factory=dict)
    activated: list[str | None] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def read(self) -> None:
        """What stands there. A script that the server doesn't give is somebody's all the same."""
        listed = self.server.scripts()
        self.active = next((name for name, active in listed.items() if active), None)
        for name in listed:
            try:
                self.there[name] = self.server.get(name)
            except Refused as refused:
                self.there[name] = f"# {refused}\n".encode()
        self._stood = frozenset(listed)

    def check(self, script: bytes) -> Verdict:
        """What the compiler says; a script that the server refuses to look at, or breaks over, is not accepted."""
        try:
            return self.server.check(script)
        except Refused as refused:
            if refused.code in PASSES_BY_ITSELF:
                raise
            return Verdict(False, str(refused))
        except ManageSieveError as error:
            self.server.reopen()
            log.warning("connection opened once more", account=self.account, why=str(error))
            return Verdict(False, f"the new server breaks off over this filter: {error}")

    def put(self, plan: Plan, target: bytes) -> bytes | None:
        """Store the script unless it stands there already or is somebody's own; return what stands there by us."""
        name, there = plan.name, self.there.get(plan.name)
        if there == target:
            self.counts.unchanged += 1
            self._remember_put(name, target)
            return target
        if there is not None and not self._ours(name, there, plan):
            return self._changed_on_new(plan, target, there)
        return self._store(name, target)

    def _ours(self, name: str, there: bytes, plan: Plan) -> bool:
        """Whether what stands on new is what Bascule put, or the untouched original: nobody's own work."""
        known = self.known.get(name)
        return there == plan.original or (known is not None and known.put == digest(there))

    def _changed_on_new(self, plan: Plan, target: bytes, there: bytes) -> bytes | None:
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
            proposal=Proposal(Action.KEEP_BOTH, do=Do.PUT_BESIDE, name=self._free(BESIDE.format(name=plan.name))),
        )
        known = self.questions.ask(problem)
        if known is None or self.dry_run:
            return None
        return self._follow(known[1], plan, target, problem)

    def _free(self, name: str) -> str:
        """This name, or one near to it, that no script has there."""
        number, found = 2, name
        while found in self.there:
            found, number = f"{name} {number}", number + 1
        return found

    def _follow(self, decision: Decision, plan: Plan, target: bytes, problem: Problem) -> bytes | None:
        chosen = decision.chosen
        act = chosen.do if rules.applies(decision, Action.KEEP_BOTH) else Do.KEEP_NEW
        if act is Do.OVERWRITE:
            stored = self._store(plan.name, target)
            if stored is not None:
                self.questions.settle(problem)
            return stored
        if act is Do.PUT_BESIDE and not self._put_beside(str(chosen.name), target):
            return None
        self.questions.settle(problem)
        return None

    def _put_beside(self, name: str, target: bytes) -> bool:
        """Whether it stands there; under another name where somebody's filter has this one meanwhile."""
        if target in (text for each, text in self.there.items() if each.startswith(name)):
            return True
        return self._store(self._free(name), target) is not None

    def _store(self, name: str, target: bytes) -> bytes | None:
        if self.dry_run:
            log.info("filter would be put", account=self.account, filter=name, bytes=len(target))
            return target
        try:
            verdict = self.server.put(name, target)
        except Refused as refused:
            if refused.code in PASSES_BY_ITSELF:
                raise
            return self._refused(name, target, f"{refused.code} {refused.words}".strip())
        if not verdict.accepted:
            return self._refused(name, target, verdict.words)
        if self.server.get(name) != target:
            raise ManageSieveError(f"the filter {name!r} of {self.account} was put on new, but comes back otherwise")
        self.there[name] = target
        self.counts.put += 1
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
            proposal=Proposal(Action.REPAIR, text=planning.clean(planning.read(target))),
        )
        known = self.questions.ask(problem)
        mended = script_problem.text_of(known[1], target) if known is not None else None
        if known is None:
            return None
        if mended == target:  # applied as it was, and refused once more
            self.questions.ask_again(*known)
            return None
        stored = None if mended is None else self._store(name, mended)
        self.questions.settle(problem)
        return stored

    def _remember_put(self, name: str, target: bytes) -> None:
        known = self.known.get(name)
        if not self.dry_run and (known is None or known.put != digest(target)):
            self.puts[name] = target

    def activate(self, old_active: str | None, doubt: str, now_on_new: Mapping[str, bytes | None]) -> None:
        """The script that is active on old becomes active on new, unless somebody has chosen otherwise there.

        `doubt`: why it can't be known that none is active on old; then nothing is switched off without a decision.
        """
        ours = next((name for name in self._stood if name in self.known and self.known[name].activated), None)
        if old_active == self.active:
            self._remember_active(old_active, ours)
            return
        if old_active is not None and now_on_new.get(old_active) is None:
            return
        if (self.active != ours or doubt) and not self._may_replace_active(old_active, doubt):
            return
        if self.dry_run:
            self.counts.activated += 1
            log.info("filter would be activated", account=self.account, filter=old_active or "(none)")
        elif self._set_active(old_active):
            self._remember_active(old_active, ours)

    def _set_active(self, name: str | None) -> bool:
        try:
            self.server.set_active(name or "")
        except Refused as refused:
            self._refused_active(name or NO_FILTER, f"{refused.code} {refused.words}".strip())
            return False
        self.counts.activated += 1
        log.info("filter activated", account=self.account, filter=name or "(none)", before=self.active or "(none)")
        return True

    def _refused_active(self, name: str, words: str) -> None:
        problem = Problem(
            account=self.account,
            room="sieve",
            kind=REFUSED,
            subject=name,
            explanation=f"The new server has stored the filter {name!r} and refuses to make it the active one. Mend "
            "the cause there and let Bascule look again, or leave this out: then nothing is made active.",
            facts={"active": name, "words": planning.clean(words)},
            server_words=planning.clean(words),
        )
        if self.questions.ask(problem) is not None:
            self.questions.settle(problem)

    def _remember_active(self, name: str | None, ours: str | None) -> None:
        if not self.dry_run and name != ours:
            self.activated.append(name)

    def _may_replace_active(self, old_active: str | None, doubt: str) -> bool:
        here, there = self.active or NO_FILTER, old_active or NO_FILTER
        reason = f" ({doubt})" if doubt else ""
        problem = Problem(
            account=self.account,
            room="sieve",
            kind=OTHER_ACTIVE,
            subject=here,
            explanation=f"On the new server {here!r} is active, {'' if doubt else 'not by Bascule; '}on the old one "
            f"{there!r} is{reason}. The new server stays as it is until this is decided: `leave it so`, or `as on the "
            "old server`.",
            facts={"on new": self.active, "on old": old_active},
            proposal=Proposal(Action.CHOOSE, do=Do.LEAVE_IT_SO),
        )
        known = self.questions.ask(problem)
        if known is None:
            return False
        self.questions.settle(problem)
        return rules.applies(known[1], Action.CHOOSE) and known[1].chosen.do is Do.AS_ON_OLD
