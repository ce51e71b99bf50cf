"""The problems of folders, as people read them, and what they have decided about a folder."""

from collections.abc import Mapping
from typing import Any

from bascule.mailbox.problems import Decided, PassProblems
from bascule.problems import rules
from bascule.problems.model import AS_IT_IS, LEAVE_OUT, LOOK_AGAIN, Action, Decision, Proposal
from bascule.problems.rules import BOTH_CHANGED
from bascule.text.name_map import NameProblem

REMOVED, RENAMED, REPLACED = "removed on old", "renamed on old", "replaced on new"  # in the facts of BOTH_CHANGED


def report_name(
    problems: PassProblems, name: str, problem: NameProblem, text: str = "", *, separator: str = "", below: int = 0,
    messages: int = 0,
) -> None:  # fmt: skip
    """`separator` of the new server; `below`: folders that wait for what is decided about this one.

    `messages`: in all of them.
    """
    details = {
        "separator": separator,
        AS_IT_IS: problem.as_it_is,
        "folders below it that wait": below,
        "messages that wait": messages,
    }
    problems.add(
        problem.kind, name, f"The folder {name!r} can't be carried under this name: {problem.explanation}.",
        facts={"folder": name, "like": problem.like} if problem.like else {"folder": name},
        details={key: value for key, value in details.items() if value},
        server_words=text, proposal=Proposal(Action.RENAME, name=problem.proposal),
    )  # fmt: skip


def report_unreadable(problems: PassProblems, name: str, text: str) -> None:
    problems.add(
        "folder-unreadable", name,
        f"The old server lists the folder {name!r} but does not open it. Repair it there, or leave it out.",
        facts={"folder": name}, server_words=text, proposal=LEAVE_OUT,
    )  # fmt: skip


def report_not_listed(problems: PassProblems, name: str) -> None:
    """Met in every pass until the server lists the folder again, or has it no more; all of them are one question."""
    decided = problems.decided("folder-unreadable", name)
    if decided is not None:
        problems.carried_out(decided[1])
        return
    problems.add(
        "folder-unreadable", name,
        f"The old server does not list the folder {name!r} any more, and has it all the same. What was carried of it "
        "stays on the new server as it is, and nothing more is carried. Repair the list of folders there, or leave it "
        "out.",
        facts={"folder": name, "listed": False}, proposal=LEAVE_OUT, cause="not listed",
    )  # fmt: skip


def stays_on_new(problems: PassProblems, name: str, new_name: str, text: str) -> bool:
    """The folder was removed on old, and new keeps what Bascule had put there: whether it may, by decision."""
    facts = {"folder": name, "change": REMOVED}
    decided = problems.decided("folder-closed-on-new", name)
    if decided is not None and decided[0].facts == facts and rules.leaves_out(decided[1]):
        problems.carried_out(decided[1])
        return True
    problems.add(
        "folder-closed-on-new", name,
        f"The folder {name!r} was removed on the old server, and the new server does not let go of what Bascule had "
        f"put into {new_name!r} there. Look at that server's log, mend it there, then let Bascule look again. To leave "
        "it out means that it stays on new.",
        facts=facts, server_words=text, proposal=LOOK_AGAIN,
    )  # fmt: skip
    return False


def report_changed_uids(problems: PassProblems, name: str, reason: str) -> None:
    """Met in every pass, and asked about until a person has accepted it; all folders of one reason are one question."""
    decided = problems.decided("uids-changed", name)
    if decided is not None:
        problems.carried_out(decided[1])
        return
    problems.add(
        "uids-changed", name,
        f"The folder {name!r} has other UIDs on the new server than on old, so that mail programs download it once "
        f"more: {reason}.",
        facts={"folder": name, "reason": reason}, proposal=Proposal(Action.ACCEPT), cause=reason,
    )  # fmt: skip


def report_unlisted(problems: PassProblems, name: str, text: str) -> None:
    """What is listed is carried; it is looked for again in every pass until somebody takes it as it is."""
    decided = problems.decided("folder-incomplete", name)
    if decided is not None:
        problems.carried_out(decided[1])
        return
    problems.add(
        "folder-incomplete", name,
        f"The old server counts more messages in the folder {name!r} than it lists. Those that it lists are carried, "
        "and none is removed on new while it is so. Repair the folder's index on the old server, or accept it so.",
        facts={"folder": name}, server_words=text, proposal=Proposal(Action.ACCEPT), cause="unlisted",
    )  # fmt: skip


def was_incomplete(problems: PassProblems, name: str) -> bool:
    """Whether an earlier pass met that, and nobody has decided about it: then all of the folder is listed again."""
    return any(problem.kind == "folder-incomplete" and problem.subject == name for problem in problems.open_before)


NAMELESS = "(a folder without a name)"


def report_nameless(problems: PassProblems, folders: int) -> None:
    problems.leave_out_or_ask(
        "folder-unreadable", NAMELESS,
        f"The old server lists {folders} folder(s) without a name, which nobody can open. Look there which these are; "
        "all others are carried.",
        facts={"folder": NAMELESS}, details={"folders": folders},
    )  # fmt: skip


def report_virtual(problems: PassProblems, reason: str, names: list[str]) -> None:
    """`reason`: the special use, or the prefix of the namespace; all mailboxes of a site have the same ones."""
    problems.leave_out_or_ask(
        "folder-virtual", reason,
        f"The old server has {len(names)} folder(s) that are not carried unless somebody says so ({reason}): usually "
        "they only show messages that lie in other folders, and to copy them would double the mailbox.",
        facts={"why": reason}, details={"folders": ", ".join(sorted(names)[:10]), "number of folders": len(names)},
    )  # fmt: skip


def report_closed_on_new(problems: PassProblems, name: str, new_name: str, text: str) -> None:
    """The folder is on new and can't be opened there; to leave it out is nobody's first thought."""
    problems.add(
        "folder-closed-on-new", name,
        f"The new server lists the folder {new_name!r} but does not open it, so that nothing could be carried "
        "into it. Look at that server's log, mend it there, then let Bascule look again.",
        facts={"folder": name}, server_words=text, proposal=LOOK_AGAIN,
    )  # fmt: skip


def report_both_changed(
    problems: PassProblems, name: str, explanation: str, facts: Mapping[str, Any], proposal: Proposal, **details: int
) -> None:
    """A folder of old was changed on both sides since the last pass, in ways that exclude one another."""
    shown = {key.replace("_", " "): value for key, value in details.items()}
    problems.add(BOTH_CHANGED, name, explanation, facts={"folder": name, **facts}, details=shown, proposal=proposal)


def both_changed_decision(problems: PassProblems, name: str, facts: Mapping[str, Any]) -> Decision | None:
    """What a person chose about this change; another change of the same folder is asked about anew."""
    found = problems.decided(BOTH_CHANGED, name)
    return found[1] if found and found[0].facts == {"folder": name, **facts} else None


def new_name_decided(problems: PassProblems, name: str) -> Decided | None:
    """The last decision about an old folder, if it gives the folder a new name."""
    last = _last(problems, name)
    return last if last and rules.new_name_of(*last) else None


def left_out(problems: PassProblems, name: str) -> Decision | None:
    """The last decision about an old folder, if it leaves the folder out."""
    last = _last(problems, name)
    return last[1] if last and rules.leaves_out(last[1]) else None


def _last(problems: PassProblems, name: str) -> Decided | None:
    about = [
        (problem, decision)
        for problem, decision in problems.all_decided()
        # What was decided when the folder was removed on old says nothing of one that has its name now.
        if problem.kind.startswith("folder-") and problem.subject == name and problem.facts.get("change") != REMOVED
    ]
    return max(about, key=lambda pair: pair[1].decided_at, default=None)
