"""What becomes of one script: converted, compiled by the new server without being stored, compared, and decided."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bascule.ledger.filters import digest
from bascule.ledger.problems import Decision, Option, Problem
from bascule.sieve.convert import convert
from bascule.sieve.managesieve import Verdict
from bascule.sieve.model import Context, Conversion
from bascule.sieve.rules.includes import missing_globals
from bascule.sieve.syntax import SieveSyntaxError, parse_leniently

Check = Callable[[bytes], Verdict]

# What the kinds of problems are called; the first that applies names a script's problem.
NOT_PARSABLE = "filter not parsable"
NOT_COMPILING = "filter not compiling"
NEVER_RAN = "filter never ran"
NEVER_MATCHES = "filter rule never matches"
NEEDS_A_LOOK = "filter needs a look"
WARNING = "filter compiler warning"
BEHAVIOUR = "filter behaves otherwise"

KIND_OF_RULE = {
    "stray-colon": NEVER_RAN,
    "require-missing": NEVER_RAN,
    "header-name": NEVER_MATCHES,
    "header-name-invalid": NEVER_MATCHES,
}


SHOWN = 20  # places of a filter that are told one by one


@dataclass
class Plan:
    """One script's way to the new server.

    `keeping`: the script with its old behaviour; `repaired`: with every repair proposed; each None where the new server
    refuses it. `target`: what shall stand on the new server now (None: nothing).
    """

    name: str
    original: bytes
    conversion: Conversion | None = None
    keeping: bytes | None = None
    repaired: bytes | None = None
    server_words: str = ""
    repaired_words: str = ""
    warnings: list[str] = field(default_factory=list)  # the compiler's, that no finding explains
    trouble: str = ""  # why there is no conversion
    behaviour: list[dict[str, Any]] = field(default_factory=list)  # what differs on a sample of the account's mail
    repaired_behaviour: list[dict[str, Any]] = field(default_factory=list)  # what the repair changes on that sample
    proved: str = ""  # the version on which the comparison stands
    not_compared: str = ""  # why it could not be run on the account's mail
    vacation: str = ""  # what became of the old server's record of answers
    answers_again: bool = False  # somebody may get a second answer, since that record could not be carried over
    global_scripts: dict[str, str] = field(default_factory=dict)  # that new lacks, and what is known of each

    @property
    def never_ran(self) -> bool:
        """Whether the original is one that no strict server ever ran."""
        rules = [finding.rule for finding in self.conversion.findings] if self.conversion else []
        return any(KIND_OF_RULE.get(rule) == NEVER_RAN for rule in rules)

    @property
    def changed(self) -> bool:
        """Whether the script that keeps the behaviour differs from the original."""
        return self.keeping is not None and self.keeping != self.original


def read(data: bytes) -> str:
    """A script's text; octets that are not UTF-8 stay recognisable, and come out again as they were."""
    return data.decode("utf-8", errors="surrogateescape")


def write(text: str) -> bytes:
    """The bytes of a script's text."""
    return text.encode("utf-8", errors="surrogateescape")


def make(name: str, original: bytes, context: Context, check: Check) -> Plan:
    """Convert one script and have the new server compile what came out."""
    plan = Plan(name, original)
    try:
        plan.conversion = conversion = convert(read(original), context)
    except SieveSyntaxError as error:
        plan.trouble = str(error)
        return plan
    if any(finding.rule == "include-missing" for finding in conversion.findings):
        plan.global_scripts = _missing_globals(conversion.source, context, check)
    verdict = check(write(conversion.text))
    plan.server_words = verdict.words
    if verdict.accepted:
        plan.keeping = write(conversion.text)
        plan.warnings = _unexplained(plan, verdict, context)
    proposed = write(conversion.proposed)
    if proposed == plan.keeping:
        plan.repaired = proposed
    elif proposed != write(conversion.text):
        verdict = check(proposed)
        plan.repaired_words = verdict.words
        plan.repaired = proposed if verdict.accepted else None
    return plan


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


def problem(plan: Plan, account: str) -> Problem | None:
    """The problem of this script for a person, or None when there is nothing to ask."""
    kind = _kind(plan)
    if kind is None:
        return None
    text = read(plan.repaired) if plan.repaired not in (None, plan.keeping) else None
    words = plan.server_words if plan.keeping is None or not plan.warnings else "\n".join(plan.warnings)
    return Problem(
        account=account,
        room="sieve",
        kind=kind,
        subject=plan.name,
        explanation=_explanation(plan, kind),
        facts={
            "original": digest(plan.original),
            "findings": _first_places(plan),
            "warnings": plan.warnings,
            "behaviour": [difference["message"] for difference in plan.behaviour],
        },
        details=_details(plan),
        server_words=clean(words),
        proposal={"action": "repair", "text": text} if text is not None else {"action": "leave as it is"},
    )


def _details(plan: Plan) -> dict[str, Any]:
    """A few lines for the page where a person decides; the account's page has the whole."""
    told = {
        "on recent messages the new filter would": plan.behaviour,
        "with the repair it would": plan.repaired_behaviour,
    }
    scripts = {f"global script {clean(name)!r}": clean(text) for name, text in plan.global_scripts.items()}
    return scripts | {
        what: "; ".join(map(_sentence, differences[:5])) for what, differences in told.items() if differences
    }


def _sentence(difference: dict[str, Any]) -> str:
    return f"{', '.join(difference['after'])} instead of {', '.join(difference['before'])} ({difference['message']})"


def _kind(plan: Plan) -> str | None:
    if plan.conversion is None:
        return NOT_PARSABLE
    rules = [finding.rule for finding in plan.conversion.findings]
    for kind in (NEVER_RAN, NEVER_MATCHES):
        if any(KIND_OF_RULE.get(rule) == kind for rule in rules):
            return kind
    if plan.keeping is None:
        return NOT_COMPILING
    if rules:
        return NEEDS_A_LOOK
    if plan.warnings:
        return WARNING
    return BEHAVIOUR if plan.behaviour else None


def _places(plan: Plan) -> list[dict[str, Any]]:
    if plan.conversion is None:
        return [{"rule": "not-parsable", "message": plan.trouble}]
    found = []
    for finding in plan.conversion.findings:
        line, column = plan.conversion.place(finding.offset)
        found.append({"line": line, "column": column, "rule": finding.rule, "message": clean(finding.message)})
    return found


def _first_places(plan: Plan) -> list[dict[str, Any]]:
    """As many as a person reads, and how many more there are."""
    places = _places(plan)
    if len(places) <= SHOWN:
        return places
    more = f"and {len(places) - SHOWN} more such places, which `python -m bascule.sieve check` lists"
    return [*places[:SHOWN], {"rule": places[SHOWN]["rule"], "message": more}]


def _explanation(plan: Plan, kind: str) -> str:
    state = {
        NOT_PARSABLE: "It is no Sieve script, so no server runs it, and it is not carried over",
        NOT_COMPILING: "The new server refuses it, so it is not carried over yet",
        NEVER_RAN: "As it is, no strict server runs it",
        NEVER_MATCHES: "It was carried over as it is, and a rule in it can never match",
        NEEDS_A_LOOK: "It was carried over, and something in it may not do what it did",
        WARNING: "It was carried over, and the new server's compiler warns",
        BEHAVIOUR: "On the account's own mail it would act otherwise than the old one",
    }[kind]
    places = [
        f"line {place['line']}: {place['message']}" if "line" in place else place["message"]
        for place in _first_places(plan)
    ]
    return clean(f"The filter {plan.name!r}: {state}. " + "; ".join(places or plan.warnings))


def choose(plan: Plan, known: tuple[Problem, Decision] | None) -> tuple[bytes | None, bool]:
    """What shall stand on the new server, and whether that is what the person's decision says.

    Without a decision the behaviour is kept: the converted script without its repairs, if the new server takes it. A
    proposal that was taken as it was is made anew (a folder may have been renamed since); an edited text stands.
    """
    if known is None or known[1].option is Option.LOOK_AGAIN:
        return plan.keeping, False
    mended = text_of(known[1], plan.original)
    if mended is not None and plan.repaired is not None and as_proposed(*known):
        mended = plan.repaired
    return (plan.keeping if mended is None else mended), True


def as_proposed(problem: Problem, decision: Decision) -> bool:
    """Whether the person took the text as it was proposed (forms may change white space)."""
    given, proposed = decision.values.get("text"), problem.proposal.get("text")
    return isinstance(given, str) and isinstance(proposed, str) and given.split() == proposed.split()


def text_of(decision: Decision, original: bytes) -> bytes | None:
    """The script that a person decided on, as edited in the form; None when the decision names none."""
    text = decision.values.get("text") if decision.option is Option.APPLY else None
    if not isinstance(text, str) or decision.values.get("action", "repair") != "repair":
        return None
    return write(_line_ends_of(original, text))


def _line_ends_of(original: bytes, text: str) -> str:
    """A form on a web page turns line ends into its own: give back the script's where it has only one kind."""
    lines, crlf = original.count(b"\n"), original.count(b"\r\n")
    if lines == crlf and crlf:
        return re.sub(r"\r?\n", "\r\n", text)
    return text.replace("\r\n", "\n") if not crlf else text


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


def page(plan: Plan, standing: bytes | None) -> dict[str, Any]:
    """What the account's page shows of this script; `standing` is what is on the new server now."""
    conversion = plan.conversion
    edits = []
    for edit in conversion.edits if conversion else ():
        line, column = conversion.place(edit.start)  # type: ignore[union-attr]
        edits.append({"line": line, "column": column, "rule": edit.rule, "reason": clean(edit.reason),
                      "before": clean(conversion.source[edit.start : edit.end]), "after": clean(edit.text)})  # type: ignore[union-attr]  # fmt: skip
    return {
        "before": clean(read(plan.original)),
        "after": clean(read(plan.keeping)) if plan.keeping is not None else None,
        "proposed": clean(read(plan.repaired)) if plan.repaired not in (None, plan.keeping) else None,
        "edits": edits,
        "findings": _first_places(plan) if conversion is None or conversion.findings else [],
        "server_words": clean(plan.server_words),
        "repaired_words": clean(plan.repaired_words),
        "behaviour": plan.behaviour,
        "repaired_behaviour": plan.repaired_behaviour,
        "proved": plan.proved,
        "not_compared": plan.not_compared,
        "vacation": plan.vacation,
        "answers_again": plan.answers_again,
        "on_new": clean(read(standing)) if standing is not None else None,
    }
