"""The problem that a script is for a person, and what a decision about it means."""

import re
from typing import Any

from bascule.ledger.filters import digest
from bascule.problems import rules
from bascule.problems.model import Action, Decision, Option, Problem, Proposal
from bascule.sieve.plan import Plan, clean, first_places, read, write

# What the kinds of problems are called; the first that applies names a script's problem.
NOT_PARSABLE = "filter not parsable"
NOT_COMPILING = "filter not compiling"
NEVER_RAN = "filter never ran"
NEVER_MATCHES = "filter rule never matches"
NEEDS_A_LOOK = "filter needs a look"
WARNING = "filter compiler warning"
BEHAVIOUR = "filter behaves otherwise"
NOT_CONVERTED = "filter not converted"
FROM_PROCMAIL = "filter from procmail"

KIND_OF_RULE = {
    "stray-colon": NEVER_RAN,
    "invisible-character": NEVER_RAN,
    "require-missing": NEVER_RAN,
    "require-conflict": NEVER_RAN,
    "header-name": NEVER_MATCHES,
    "header-name-invalid": NEVER_MATCHES,
}

# What a pass found about the servers and not about one account: the same question for everybody who has it.
SITE_WIDE = {"extension-unavailable", "extension-asked-for"}


def problem(plan: Plan, account: str) -> Problem | None:
    """The problem of this script for a person, or None when there is nothing to ask."""
    kind = _kind(plan)
    if kind is None:
        return None
    words = plan.server_words if plan.faithful is None or not plan.warnings else "\n".join(plan.warnings)
    facts: dict[str, Any] = {
        "original": digest(plan.original),
        "findings": first_places(plan),
        "warnings": plan.warnings,
        "behaviour": [difference["message"] for difference in plan.behaviour],
    }
    if plan.as_sieve is not None:
        facts["as Sieve"] = digest(write(plan.as_sieve))
    return Problem(
        account=account,
        room="sieve",
        kind=kind,
        subject=plan.name,
        explanation=_explanation(plan, kind),
        facts=facts,
        details=_details(plan),
        server_words=clean(words),
        proposal=_proposal(plan),
        cause=_cause(plan),
    )


def _proposal(plan: Plan) -> Proposal:
    if plan.fault:
        return Proposal(Action.REPAIR, text=clean(read(plan.original)))
    if plan.repaired in (None, plan.faithful):
        return Proposal(Action.LEAVE_AS_IT_IS)
    return Proposal(Action.REPAIR, text=read(plan.repaired or b""))


def _cause(plan: Plan) -> str:
    findings = plan.conversion.findings if plan.conversion else ()
    if not findings or any(finding.rule not in SITE_WIDE for finding in findings) or plan.warnings or plan.behaviour:
        return ""
    return "; ".join(sorted({clean(finding.message) for finding in findings}))


def _details(plan: Plan) -> dict[str, Any]:
    """A few lines for the page where a person decides; the account's page has the whole."""
    told = {
        "on recent messages the new filter would": plan.behaviour,
        "with the repair it would": plan.repaired_behaviour,
    }
    forms = (
        {}
        if plan.as_sieve is None
        else {"the procmailrc on the old server": clean(read(plan.original)), "the same as Sieve": clean(plan.as_sieve)}
    )
    scripts = {f"global script {clean(name)!r}": clean(text) for name, text in plan.global_scripts.items()}
    return (
        forms
        | scripts
        | {what: "; ".join(map(_sentence, differences[:5])) for what, differences in told.items() if differences}
    )


def _sentence(difference: dict[str, Any]) -> str:
    return f"{', '.join(difference['after'])} instead of {', '.join(difference['before'])} ({difference['message']})"


def _kind(plan: Plan) -> str | None:
    findings = plan.conversion.findings if plan.conversion else ()
    rules = {KIND_OF_RULE.get(finding.rule, NEEDS_A_LOOK) for finding in findings}
    applies = {
        NOT_CONVERTED: plan.fault,
        NOT_PARSABLE: plan.conversion is None,
        FROM_PROCMAIL: plan.as_sieve is not None,
        NEVER_RAN: NEVER_RAN in rules,
        NEVER_MATCHES: NEVER_MATCHES in rules,
        NOT_COMPILING: plan.faithful is None,
        NEEDS_A_LOOK: bool(rules),
        WARNING: bool(plan.warnings),
        BEHAVIOUR: bool(plan.behaviour),
    }
    return next((kind for kind, so in applies.items() if so), None)


def _explanation(plan: Plan, kind: str) -> str:
    state = {
        NOT_PARSABLE: "It is no Sieve script, so no server runs it, and it is not carried over",
        NOT_COMPILING: "The new server refuses it, so it is not carried over yet",
        NEVER_RAN: "As it is, no strict server runs it",
        NEVER_MATCHES: "It was carried over as it is, and a rule in it can never match",
        NEEDS_A_LOOK: "It was carried over, and something in it may not do what it did",
        WARNING: "It was carried over, and the new server's compiler warns",
        NOT_CONVERTED: "It is not carried over. The form holds its old text, which is put as it stands there",
        FROM_PROCMAIL: "It was made from procmail recipes and is put only when a person has compared both forms",
        BEHAVIOUR: "On the account's own mail it would act otherwise than the old one",
    }[kind]
    places = [
        f"line {place['line']}: {place['message']}" if "line" in place else place["message"]
        for place in first_places(plan)
    ]
    return clean(f"The filter {plan.name!r}: {state}. " + "; ".join(places or plan.warnings))


def choose(plan: Plan, known: tuple[Problem, Decision] | None) -> tuple[bytes | None, bool]:
    """What shall stand on the new server, and whether that is what the person's decision says.

    Without a decision the behaviour is kept: the converted script without its repairs, if the new server takes it. A
    proposal that was taken as it was is made anew (a folder may have been renamed since); an edited text stands.
    """
    if known is None or known[1].option is Option.LOOK_AGAIN:
        return plan.faithful, False
    mended = text_of(known[1], plan.original)
    if mended is not None and plan.repaired is not None and as_proposed(*known):
        mended = plan.repaired
    return (plan.faithful if mended is None else mended), True


def as_proposed(problem: Problem, decision: Decision) -> bool:
    """Whether the person took the text as it was proposed (forms may change white space)."""
    given, proposed = decision.chosen.text, problem.proposal.text
    return given is not None and proposed is not None and given.split() == proposed.split()


def text_of(decision: Decision, original: bytes) -> bytes | None:
    """The script that a person decided on, as edited in the form; None when the decision names none."""
    text = decision.chosen.text
    if text is None or not rules.applies(decision, Action.REPAIR):
        return None
    return write(_line_ends_of(original, text))


def _line_ends_of(original: bytes, text: str) -> str:
    """A form on a web page turns line ends into its own: give back the script's where it has only one kind."""
    lines, crlf = original.count(b"\n"), original.count(b"\r\n")
    if lines == crlf and crlf:
        return re.sub(r"\r?\n", "\r\n", text)
    return text.replace("\r\n", "\n") if not crlf else text
