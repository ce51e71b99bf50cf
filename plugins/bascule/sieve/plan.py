"""What becomes of one script: converted, compiled by the new server without being stored, compared, and decided."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bascule.hosts.connections import AccessError
from bascule.sieve.convert import convert
from bascule.sieve.managesieve import Verdict
from bascule.sieve.model import Context, Conversion
from bascule.sieve.parser import parse_leniently
from bascule.sieve.procmail import to_sieve
from bascule.sieve.rules.includes import missing_globals
from bascule.sieve.syntax import SieveSyntaxError
from bascule.text.logs import get_logger
from bascule.text.reason import place_of

log = get_logger(__name__)

Check = Callable[[bytes], Verdict]

NEVER_RAN_RULES = ("stray-colon", "require-missing", "require-conflict")  # by which no strict server ran the script
SHOWN = 20  # places of a filter that are told one by one


@dataclass
class Plan:
    """One script's way to the new server.

    `faithful`: the script with its old behaviour; `repaired`: with every repair proposed; None where new
    refuses it. `target`: what shall stand on the new server now (None: nothing).
    """

    name: str
    original: bytes
    conversion: Conversion | None = None
    faithful: bytes | None = None
    repaired: bytes | None = None
    server_words: str = ""
    repaired_words: str = ""
    warnings: list[str] = field(default_factory=list)  # the compiler's, that no finding explains
    reason: str = ""  # why there is no conversion
    fault: bool = False  # whether that is Bascule's own fault, and none of the script's
    as_sieve: str | None = None  # of a procmailrc: the Sieve script that was made of it, with old's names
    behaviour: list[dict[str, Any]] = field(default_factory=list)  # what differs on a sample of the account's mail
    repaired_behaviour: list[dict[str, Any]] = field(default_factory=list)  # what the repair changes on that sample
    proved: str = ""  # the version on which the comparison stands
    not_compared: str = ""  # why it could not be run on the account's mail
    vacation: str = ""  # what became of the old server's record of answers
    answers_again: bool = False  # somebody may get a second answer, since that record could not be carried over
    global_scripts: dict[str, str] = field(default_factory=dict)  # that new lacks, and what is known of each

    @property
    def never_ran(self) -> bool:
        """Whether the original is one that no server of Sieve ever ran."""
        if self.as_sieve is not None:
            return True
        rules = [finding.rule for finding in self.conversion.findings] if self.conversion else []
        return any(rule in NEVER_RAN_RULES for rule in rules)

    @property
    def changed(self) -> bool:
        """Whether the script that keeps the behaviour differs from the original."""
        return self.faithful is not None and self.faithful != self.original


def read(data: bytes) -> str:
    """A script's text; octets that are not UTF-8 stay recognisable, and come out again as they were."""
    return data.decode("utf-8", errors="surrogateescape")


def write(text: str) -> bytes:
    """The bytes of a script's text."""
    return text.encode("utf-8", errors="surrogateescape")


def make(name: str, original: bytes, context: Context, check: Check, *, procmail: bool = False) -> Plan:
    """Convert one script and have the new server compile what came out. One that fails holds no other back.

    A procmailrc is only proposed: nothing of it is put without a person's decision.
    """
    plan = Plan(name, original)
    try:
        source = read(original)
        if procmail:
            source = plan.as_sieve = to_sieve(source, context.folders, context.extensions)[0]
        plan.conversion = convert(source, context)
        _compile(plan, plan.conversion, context, check)
    except SieveSyntaxError as error:
        plan.reason = str(error)
    except AccessError:
        raise  # the server's trouble, and none of the script's
    except Exception as error:
        log.exception("filter not converted", filter=name)
        reason = f"Bascule has a fault and can't deal with this filter ({place_of(error)})"
        return Plan(name, original, reason=reason, fault=True)
    return plan


def _compile(plan: Plan, conversion: Conversion, context: Context, check: Check) -> None:
    if any(finding.rule == "include-missing" for finding in conversion.findings):
        plan.global_scripts = _missing_globals(conversion.source, context, check)
    verdict = check(write(conversion.text))
    plan.server_words = verdict.words
    if verdict.accepted:
        plan.faithful = write(conversion.text)
        certain = tuple(finding for finding in conversion.findings if finding.rule != "not-compiling")
        plan.conversion = replace(conversion, findings=certain)  # the server knows better
        plan.warnings = _unexplained(plan, verdict, context)
    proposed = write(conversion.proposed)
    if proposed == plan.faithful:
        plan.repaired = proposed
    elif proposed != write(conversion.text):
        verdict = check(proposed)
        plan.repaired_words = verdict.words
        plan.repaired = proposed if verdict.accepted else None
    if plan.as_sieve is not None:
        plan.faithful = None


def _missing_globals(source: str, context: Context, check: Check) -> dict[str, str]:
    """What a postmaster needs to install them: the old text as it would be on new, and what new's compiler says."""
    found = {}
    for _, name in missing_globals(parse_leniently(source), context):
        old = (context.old_global_scripts or {}).get(name)
        if old is not None:
            try:
                text = convert(old, replace(context, scripts=None)).text
                found[name] = f"{text}\n# The new server's compiler: {check(write(text)).words or 'nothing to say'}"
            except SieveSyntaxError as error:
                found[name] = f"{old}\n# No Sieve script: {error}"
    return found


def _unexplained(plan: Plan, verdict: Verdict, context: Context) -> list[str]:
    """Warnings that no finding explains: a script that uploads with one may do nothing of what its owner wants."""
    # Whether included scripts are there, the rule `include-missing` says: here they may only not have been put yet.
    known = ["included personal script"] + ["included global script"] * (context.global_scripts is not None)
    warnings = [words for words in verdict.warnings if not any(included in words for included in known)]
    if context.repairs.get("header-name") == "keep" or any("header-name" in f.rule for f in _findings(plan)):
        warnings = [words for words in warnings if "header field name" not in words]
    return warnings


def _findings(plan: Plan) -> tuple[Any, ...]:
    return plan.conversion.findings if plan.conversion else ()


def _places(plan: Plan) -> list[dict[str, Any]]:
    if plan.conversion is None:
        return [{"rule": "not-converted" if plan.fault else "not-parsable", "message": plan.reason}]
    found = []
    for finding in plan.conversion.findings:
        line, column = plan.conversion.place(finding.offset)
        found.append({"line": line, "column": column, "rule": finding.rule, "message": clean(finding.message)})
    return found


def first_places(plan: Plan) -> list[dict[str, Any]]:
    """As many as a person reads, and how many more there are."""
    places = _places(plan)
    if len(places) <= SHOWN:
        return places
    more = f"and {len(places) - SHOWN} more such places, which `python -m bascule.sieve check` lists"
    return [*places[:SHOWN], {"rule": places[SHOWN]["rule"], "message": more}]


def answers(plan: Plan) -> bool:
    """Whether the script may answer for an absent owner."""
    try:
        return any(node.name == "vacation" and not node.is_test for node in parse_leniently(read(plan.original)).walk())
    except SieveSyntaxError:
        return False


def clean(words: str) -> str:
    """Text that any database and page can hold: no half characters, no control characters but line ends."""
    words = words.encode("utf-8", errors="replace").decode("utf-8")
    return "".join(c if c in "\n\t" or c.isprintable() else " " for c in words.replace("\r\n", "\n")).strip()


def page(plan: Plan, now_on_new: bytes | None) -> dict[str, Any]:
    """What the account's page shows of this script; `now_on_new` is what is on the new server now."""
    conversion = plan.conversion
    edits = []
    for edit in conversion.edits if conversion else ():
        line, column = conversion.place(edit.start)  # type: ignore[union-attr]
        edits.append({"line": line, "column": column, "rule": edit.rule, "reason": clean(edit.reason),
                      "before": clean(conversion.source[edit.start : edit.end]), "after": clean(edit.text)})  # type: ignore[union-attr]  # fmt: skip
    return {
        "before": clean(read(plan.original)),
        "after": clean(read(plan.faithful)) if plan.faithful is not None else None,
        "proposed": clean(read(plan.repaired)) if plan.repaired not in (None, plan.faithful) else None,
        "edits": edits,
        "findings": first_places(plan) if conversion is None or conversion.findings else [],
        "server_words": clean(plan.server_words),
        "repaired_words": clean(plan.repaired_words),
        "behaviour": plan.behaviour,
        "repaired_behaviour": plan.repaired_behaviour,
        "proved": plan.proved,
        "not_compared": plan.not_compared,
        "vacation": plan.vacation,
        "answers_again": plan.answers_again,
        "on_new": clean(read(now_on_new)) if now_on_new is not None else None,
    }
