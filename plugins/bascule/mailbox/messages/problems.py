"""The problems of messages and keywords, as people read them, and what they have decided about keywords."""

import re
from collections.abc import Mapping
from typing import Any

from bascule.mailbox.imap import flags as flag_rules
from bascule.mailbox.imap.flags import Flags
from bascule.mailbox.messages.describe import Message, message_subject
from bascule.mailbox.problems import PassProblems
from bascule.problems.model import Action, Proposal

KEYWORD = "keyword-refused"


def report_message(
    problems: PassProblems, kind: str, message: Message, explanation: str, action: Action, *, text: str = "",
    details: Mapping[str, Any] | None = None, cause: str = "",
) -> None:  # fmt: skip
    """`text`: the server's, which is the cause where no other is told."""
    problems.add(
        kind, message_subject(message.folder, message.uid), explanation, facts=message.facts(), details=details,
        server_words=text, proposal=Proposal(action), cause=cause or _without_numbers(text or explanation),
    )  # fmt: skip


def _without_numbers(text: str) -> str:
    """Servers name sizes and numbers of messages in what they say."""
    return re.sub(r"\d+", "n", text)[:200]


def report_keyword(problems: PassProblems, folder: str, flag: bytes, messages: int, text: str = "") -> None:
    """New does not take or keep a keyword that so many messages of the folder bear, and nobody has decided about it."""
    keyword = flag.decode("latin-1")
    if problems.decided(KEYWORD, f"{folder}: {keyword}"):
        return
    problems.add(
        KEYWORD, f"{folder}: {keyword}",
        f"The new server does not take the keyword {keyword!r}, which stands on {messages} message(s) "
        f"of the folder {folder!r}. The messages have arrived without it.",
        facts={"folder": folder, "keyword": keyword}, details={"messages": messages}, server_words=text,
        proposal=Proposal(Action.DROP, keyword=keyword), cause=keyword,
    )  # fmt: skip


def open_keywords(problems: PassProblems, folder: str) -> list[bytes]:
    """Keywords of this folder that new has refused and that nobody has decided about."""
    return [
        flag_rules.keyword(problem.facts["keyword"])
        for problem in problems.open_before
        if problem.kind == KEYWORD and problem.facts["folder"] == folder
    ]


def dropped_keywords(problems: PassProblems, folder: str) -> Flags:
    """Keywords of this folder that a person decided to leave behind; that is carried out by doing nothing."""
    dropped = set()
    for problem, decision in problems.all_decided():
        if problem.kind == KEYWORD and problem.facts["folder"] == folder:
            dropped.add(flag_rules.keyword(problem.facts["keyword"]))
            problems.carried_out(decision)
    return frozenset(dropped)
