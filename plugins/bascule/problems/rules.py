"""What a decision means, once for all rooms."""

from collections.abc import Iterable

from bascule.problems.model import Action, Decision, Option, Problem, Proposal

BOTH_CHANGED = "folder-both-changed"


def is_folder_name(problem: Problem) -> bool:
    """Whether the problem is about what a folder is called, so that its proposal is a new name."""
    return problem.room == "mailbox" and problem.kind.startswith("folder-name")


def looks_again(option: Option, chosen: Proposal) -> bool:
    """Whether nothing is decided: a person mends it by hand, also where that is what was proposed and applied."""
    return option is Option.LOOK_AGAIN or (option is Option.APPLY and chosen.action is Action.LOOK_AGAIN)


def applies(decision: Decision, *actions: Action) -> bool:
    """Whether one of these actions is to be carried out."""
    return decision.option is Option.APPLY and decision.chosen.action in actions


def leaves_out(decision: Decision) -> bool:
    """Whether the decision means that something is not carried."""
    return decision.option is Option.LEAVE_OUT or applies(decision, Action.LEAVE_OUT, Action.LEAVE_OUT_ITEM)


def new_name_of(problem: Problem, decision: Decision) -> str | None:
    """The name that the folder gets on the new server; None when the decision gives it none."""
    if is_folder_name(problem) and decision.option is Option.APPLY:
        return decision.chosen.name
    return None


def folders_left_out(decided: Iterable[tuple[Problem, Decision]]) -> frozenset[str]:
    """The old folders that are not carried by decision, as people read their names. The last decision counts.

    To leave out what was decided about a folder that has changed on both sides means that it stays on new.
    """
    about = [pair for pair in decided if pair[0].room == "mailbox" and pair[0].kind.startswith("folder-")]
    last = {problem.subject: (problem, decision) for problem, decision in sorted(about, key=lambda p: p[1].decided_at)}
    return frozenset(
        name for name, (problem, decision) in last.items() if problem.kind != BOTH_CHANGED and leaves_out(decision)
    )
