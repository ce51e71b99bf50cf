"""The problems of one pass: collected, matched with the decisions in force, written to the ledger at the end."""

import threading
from dataclasses import dataclass, field
from typing import Any

from bascule.ledger import Ledger, problems
from bascule.ledger.base import now
from bascule.ledger.problems import AS_IT_IS, Decision, Option, Problem, Room, is_folder_name
from bascule.logs import get_logger
from bascule.mailbox.described import Message, message_subject
from bascule.mailbox.flags import Flags
from bascule.mailbox.names import NameProblem
from bascule.mailbox.quota import Quota, Shortage

log = get_logger(__name__)

ROOM: Room = "mailbox"
BOTH_CHANGED = "folder-both-changed"
REMOVED = "removed on old"  # in the facts of such a problem
QUOTA = "quota"  # the kind of this problem, and its subject: an account has one


@dataclass
class Troubles:
    """What this pass met. Lanes add under the lock."""

    ledger: Ledger
    account: str
    found: list[Problem] = field(default_factory=list)
    applied: set[int] = field(default_factory=set)  # problems whose decision this pass has carried out
    lock: threading.Lock = field(default_factory=threading.Lock)
    _open_keywords: dict[str, list[bytes]] = field(default_factory=dict)
    _decided: dict[tuple[str, str], tuple[Problem, Decision]] = field(default_factory=dict)

    def load(self) -> None:
        """Read the decisions in force."""
        for problem, decision in problems.decisions(self.ledger, self.account, ROOM):
            self._decided[problem.kind, problem.subject] = (problem, decision)

        for problem in problems.problems(self.ledger, account=self.account, room=ROOM):
            if problem.kind == "keyword-refused":
                keywords = self._open_keywords.setdefault(problem.facts["folder"], [])
                keywords.append(problem.facts["keyword"].encode("latin-1"))

    def open_keywords(self, folder: str) -> list[bytes]:
        """Keywords of this folder that new has refused and that nobody has decided about."""
        return self._open_keywords.get(folder, [])

    def dropped_keywords(self, folder: str) -> Flags:
        """Keywords of this folder that a person decided to leave behind."""
        dropped = set()
        for (kind, _), (problem, decision) in self._decided.items():
            if kind == "keyword-refused" and problem.facts["folder"] == folder:
                dropped.add(problem.facts["keyword"].encode("latin-1"))
                self.carried_out(decision)
        return frozenset(dropped)

    def decision(self, kind: str, subject: str) -> Decision | None:
        """What a person chose for this problem, on the same facts."""
        found = self._decided.get((kind, subject))
        return found[1] if found else None

    def left_out(self, kind: str, subject: str) -> tuple[Problem, Decision] | None:
        """The problem as it was decided about, when a person chose to do without what it names."""
        found = self._decided.get((kind, subject))
        return found if found and found[1].option in (Option.APPLY, Option.LEAVE_OUT) else None

    def folder_renamed(self, shown: str) -> tuple[Problem, Decision] | None:
        """The last decision about an old folder, if it gives the folder a new name."""
        last = self._last_about_folder(shown)
        if last is None or not is_folder_name(last[0]) or _leaves_out(last[1]):
            return None
        return last if last[1].values.get("name") else None

    def folder_left_out(self, shown: str) -> Decision | None:
        """The last decision about an old folder, if it leaves the folder out."""
        last = self._last_about_folder(shown)
        return last[1] if last and _leaves_out(last[1]) else None

    def _last_about_folder(self, shown: str) -> tuple[Problem, Decision] | None:
        about = [
            pair
            for (kind, subject), pair in self._decided.items()
            # What was decided when the folder was removed on old says nothing of one that has its name now.
            if kind.startswith("folder-") and subject == shown and pair[0].facts.get("change") != REMOVED
        ]
        return max(about, key=lambda pair: pair[1].decided_at, default=None)

    def decided(self, kind: str, subject: str) -> tuple[Problem, Decision] | None:
        """The problem about which a person has decided, as that person saw it, with the decision."""
        return self._decided.get((kind, subject))

    def keep_on_old(self) -> Decision | None:
        """Whether a person chose that this mailbox stays where it is."""
        chosen = (decision for _, decision in self._decided.values() if decision.option is Option.KEEP_ON_OLD)
        return next(chosen, None)

    def carried_out(self, decision: Decision) -> None:
        with self.lock:
            self.applied.add(decision.problem_id)

    def add(self, problem: Problem) -> None:
        """A problem was met (again)."""
        log.warning(
            "problem in mailbox", account=self.account, kind=problem.kind, subject=problem.subject,
            explanation=problem.explanation, server_words=problem.server_words,
        )  # fmt: skip
        with self.lock:
            self.found.append(problem)

    def write(self, complete: bool) -> int:
        """Write everything to the ledger; after a complete pass, what was not met again is withdrawn.

        What was decided and was met again all the same is open again. Returns how many problems are open.
        """
        began = now()
        with self.ledger.session() as session:
            seen = {problems.report(session, problem) for problem in self.found}
            for problem_id in self.applied - seen:
                problems.settle(session, problem_id)
            if complete:
                problems.withdraw_unseen(session, self.account, ROOM, seen | self.applied)
            problems.reopen_unsettled(session, self.account, (ROOM,), since=began)
        return len(problems.problems(self.ledger, account=self.account, room=ROOM))

    # -- the kinds

    def folder_name(
        self,
        shown: str,
        problem: NameProblem,
        words: str = "",
        *,
        separator: str = "",
        below: int = 0,
        messages: int = 0,
    ) -> None:
        """`separator` of the new server; `below`: folders that wait for what is decided about this one.

        `messages`: in all of them.
        """
        details = {
            "separator": separator,
            AS_IT_IS: problem.as_it_is,
            "folders below it that wait": below,
            "messages that wait": messages,
        }
        self.add(
            Problem(
                self.account,
                ROOM,
                problem.kind,
                shown,
                f"The folder {shown!r} can't be carried under this name: {problem.explanation}.",
                facts={"folder": shown, "like": problem.like} if problem.like else {"folder": shown},
                details={key: value for key, value in details.items() if value},
                server_words=words,
                proposal={"action": "rename", "name": problem.proposal},
            )
        )

    def folder_unreadable(self, shown: str, words: str) -> None:
        self.add(
            Problem(
                self.account,
                ROOM,
                "folder-unreadable",
                shown,
                f"The old server lists the folder {shown!r} but does not open it. Repair it there, or leave it out.",
                facts={"folder": shown},
                server_words=words,
                proposal={"action": "leave out"},
            )
        )

    def folder_closed_on_new(self, shown: str, new_name: str, words: str) -> None:
        """The folder is on new and can't be looked at there; to leave it out is nobody's first thought."""
        self.add(
            Problem(
                self.account,
                ROOM,
                "folder-closed-on-new",
                shown,
                f"The new server lists the folder {new_name!r} but does not open it, so that nothing could be carried "
                "into it. Look at that server's log, mend it there, then let Bascule look again.",
                facts={"folder": shown},
                server_words=words,
                proposal={"action": "look again"},
            )
        )

    def both_changed(
        self, shown: str, explanation: str, facts: dict[str, Any], proposal: dict[str, Any], **details: int
    ) -> None:
        """A folder of old was changed on both sides since the last pass, in ways that exclude one another."""
        self.add(
            Problem(
                self.account,
                ROOM,
                BOTH_CHANGED,
                shown,
                explanation,
                facts={"folder": shown} | facts,
                details={key.replace("_", " "): value for key, value in details.items()},
                proposal=proposal,
            )
        )

    def both_changed_decision(self, shown: str, facts: dict[str, Any]) -> Decision | None:
        """What a person chose about this change; another change of the same folder is asked about anew."""
        found = self.decided(BOTH_CHANGED, shown)
        return found[1] if found and found[0].facts == {"folder": shown} | facts else None

    def message(
        self,
        kind: str,
        message: Message,
        explanation: str,
        words: str,
        action: str,
        details: dict[str, Any] | None = None,
    ) -> None:
        self.add(
            Problem(
                self.account,
                ROOM,
                kind,
                message_subject(message.folder, message.uid),
                explanation,
                facts=message.facts(),
                details=details or {},
                server_words=words,
                proposal={"action": action},
            )
        )

    def keyword(self, folder: str, keyword: str, messages: int, words: str) -> None:
        if self.decision("keyword-refused", f"{folder}: {keyword}"):
            return
        self.add(
            Problem(
                self.account,
                ROOM,
                "keyword-refused",
                f"{folder}: {keyword}",
                f"The new server does not take the keyword {keyword!r}, which stands on {messages} message(s) "
                f"of the folder {folder!r}. The messages have arrived without it.",
                facts={"folder": folder, "keyword": keyword},
                details={"messages": messages},
                server_words=words,
                proposal={"action": "drop", "keyword": keyword},
            )
        )

    def unknown_identifier(self, name: str, rights: dict[str, str], words: str) -> None:
        """Access rights for somebody whom the directory or the new server does not know. `rights`: by folder."""
        self.add(
            Problem(
                self.account,
                ROOM,
                "acl-unknown",
                name,
                f"{name!r} has rights on {len(rights)} folder(s) of this mailbox and can't be given them on the new "
                "server. Everything else of the folders is carried.",
                facts={"identifier": name, "rights": rights},
                details={"rights": "; ".join(f"{folder}: {letters}" for folder, letters in list(rights.items())[:10])},
                server_words=words,
                proposal={"action": "leave out"},
            )
        )

    def annotation(self, folder: str, entry: str, token: str, words: str) -> None:
        self.add(
            Problem(
                self.account,
                ROOM,
                "metadata-refused",
                f"{folder}: {entry}",
                f"The annotation {entry!r} of the folder {folder!r} can't be carried to the new server.",
                facts={"folder": folder, "entry": entry, "value": token},
                server_words=words,
                proposal={"action": "leave out"},
            )
        )

    def quota(self, words: str, new: Quota) -> None:
        """New said that the quota is full, although it seemed to be large enough, or did not tell it before."""
        self.add(
            Problem(
                self.account,
                ROOM,
                QUOTA,
                QUOTA,
                "The account's quota on the new server is full: the rest of the mailbox can't be copied. "
                "Raise the quota there, then let Bascule look again.",
                facts={"limit": new.limit},
                details={"used on new": new.used} if new.limit is not None else {},
                server_words=words,
                proposal={"action": "look again"},
            )
        )

    def shortage(self, short: Shortage) -> None:
        """What is to be copied is more than the quota leaves; nothing of it was copied."""
        by_size = short.new.left is not None and short.octets > short.new.left
        what = (
            f"{short.octets:,} bytes are to be copied, and the quota of {short.new.limit:,} bytes leaves "
            f"{short.new.left:,}"
            if by_size
            else f"{short.messages:,} messages are to be copied, and the quota of {short.new.most_messages:,} messages "
            f"leaves {short.new.messages_left:,}"
        )
        self.add(
            Problem(
                self.account,
                ROOM,
                QUOTA,
                QUOTA,
                f"The mailbox does not fit into the account's quota on the new server: {what}. Nothing more is copied "
                "until this is decided, since a full mailbox would take no new mail.",
                facts={"limit": short.new.limit, "most messages": short.new.most_messages},
                details={
                    "bytes to copy": short.octets,
                    "messages to copy": short.messages,
                    "bytes used on new": short.new.used,
                    "bytes used on old": short.old.used or None,
                    "quota on old in bytes": short.old.limit,
                },
                proposal={"action": "raise the quota", "bytes": short.proposed}
                if by_size
                else {"action": "look again"},
            )
        )

    def has_space(self) -> None:
        """All fits into new's quota: what was decided about it has helped."""
        decision = self.decision(QUOTA, QUOTA)
        if decision is not None and decision.option is Option.APPLY:
            self.carried_out(decision)


def _leaves_out(decision: Decision) -> bool:
    return decision.option is Option.LEAVE_OUT or decision.values.get("action") == "leave out"
