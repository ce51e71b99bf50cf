"""Messages that were refused, altered or unreadable: tried with care, treated as decided, or put among the problems."""

import hashlib

from bascule.ledger.mailboxes import REPAIRED
from bascule.ledger.problems import Decision, Option
from bascule.logs import get_logger
from bascule.mailbox import dates
from bascule.mailbox.careful import CarefulCopy
from bascule.mailbox.context import PassContext
from bascule.mailbox.delta import remove
from bascule.mailbox.described import describe, message_subject
from bascule.mailbox.errors import NotUnderstood, Refused, TransientError
from bascule.mailbox.lanes import Lane
from bascule.mailbox.listing import Seen
from bascule.mailbox.looking import list_messages
from bascule.mailbox.matching import digests
from bascule.mailbox.state import FolderState
from bascule.mailbox.wire import LITERAL

log = get_logger(__name__)

KINDS = ("message-refused", "message-altered", "message-unreadable", "message-too-large")
UNREADABLE_TRIES = 2  # how often a message that is read alone may break the old server's connection


class Rejects:
    """Treats the exceptional messages of one folder, one by one."""

    def __init__(self, context: PassContext, folder: FolderState) -> None:
        self.context, self.folder = context, folder
        self.job, self.troubles, self.tell = context.job, context.troubles, context.tell

    def treat(self, lane: Lane, careful: list[Seen]) -> None:
        """Those that are not on new, then those that may have been altered on the way."""
        known = {seen.uid for seen in careful}
        waiting = [uid for uid in self.folder.exceptions if uid not in known and uid not in self.folder.map]
        for seen in careful:
            self._treat(lane, seen)
        for uid in waiting:
            self._treat_by_uid(lane, uid)
        self.folder.map.settle()
        self._check_suspects(lane)

    def _treat_by_uid(self, lane: Lane, uid: int) -> None:
        """A message that an earlier pass has set aside."""
        decision = self._decision(lane, uid)
        if decision and self._leaves_out(decision):
            self.troubles.carried_out(decision)
            return
        try:
            seen = list_messages(lane.old, self.folder.old.raw, [uid])
        except TransientError as error:
            if not lane.old_lost:
                raise
            self.context.counts.broken_words[self.folder.row.id, uid] = str(error)
            self._report_unreadable(lane, uid)
            return
        if seen:
            self._treat(lane, seen[0])
        else:
            self.folder.clear_exceptions([uid])

    def _treat(self, lane: Lane, seen: Seen) -> None:
        decision = self._decision(lane, seen.uid)
        if decision and self._leaves_out(decision):
            self.folder.except_message(seen.uid, "left out")
            self.troubles.carried_out(decision)
            return
        if decision and decision.values.get("action") == "repair":
            self._repair(lane, seen, decision)
            return
        self._try(lane, seen)

    def _decision(self, lane: Lane, uid: int) -> Decision | None:
        """What a person decided about this very message: under its UID there may be another one by now."""
        subject = message_subject(self.folder.shown, uid)
        found = next((pair for kind in KINDS if (pair := self.troubles.decided(kind, subject))), None)
        if found is None:
            return None
        problem, decision = found
        same = uid in self.folder.excepted_before or problem.facts == describe(lane, self.folder, uid).facts()
        return decision if same else None

    def _words(self, uid: int) -> str:
        """What was said to the person who decided about this message."""
        subject = message_subject(self.folder.shown, uid)
        found = next((pair[0] for kind in KINDS if (pair := self.troubles.decided(kind, subject))), None)
        return (found.server_words or found.explanation) if found else ""

    @staticmethod
    def _leaves_out(decision: Decision) -> bool:
        return decision.option is Option.LEAVE_OUT or decision.values.get("action") == "leave out"

    def _try(self, lane: Lane, seen: Seen) -> None:
        if seen.size > self.job.options.largest_message:
            message = describe(lane, self.folder, seen.uid)
            self.folder.except_message(seen.uid, "too large")
            self.troubles.message(
                "message-too-large", message,
                f"The message has {seen.size} bytes; the site file allows {self.job.options.largest_message}.",
                "", "leave out",
            )  # fmt: skip
            return
        if self.context.counts.broken[self.folder.row.id, seen.uid] >= UNREADABLE_TRIES:
            self._report_unreadable(lane, seen.uid)
            return
        try:
            arrived = CarefulCopy(lane.old, lane.new, self.folder).copy(seen)
        except Refused as error:
            self._report_refused(lane, seen, error.words)
        except NotUnderstood as error:
            self._report_refused(lane, seen, str(error))
        except TransientError as error:
            if lane.old_lost:
                self.context.counts.broken[self.folder.row.id, seen.uid] += 1
                self.context.counts.broken_words[self.folder.row.id, seen.uid] = str(error)
                self.folder.except_message(seen.uid, "unreadable")
            raise
        else:
            if arrived is None:
                return
            self.folder.arrived([(seen.uid, arrived.new_uid)], [(seen.uid, seen.flags, seen.flags)])
            self.folder.clear_exceptions([seen.uid])
            self.folder.suspects.add(seen.uid)
            self.tell.copied(1, seen.size)

    def _report_unreadable(self, lane: Lane, uid: int) -> None:
        self.troubles.message(
            "message-unreadable", describe(lane, self.folder, uid),
            "The old server breaks off whenever this message is read (its file there may be damaged).",
            "", "leave out",
            details={"how it ended": self.context.counts.broken_words.get((self.folder.row.id, uid), "")},
        )  # fmt: skip

    def _report_refused(self, lane: Lane, seen: Seen, words: str) -> None:
        self.folder.except_message(seen.uid, "refused")
        self.troubles.message(
            "message-refused", describe(lane, self.folder, seen.uid),
            "The new server refuses this message.", words, "repair" if seen.size else "leave out",
        )  # fmt: skip

    # -- repair by decision

    def _repair(self, lane: Lane, seen: Seen, decision: Decision) -> None:
        from bascule.mailbox import repair  # few passes have a message to repair

        message = describe(lane, self.folder, seen.uid)
        original = fetch_whole(lane, self.folder, seen.uid)
        mark = hashlib.sha256(
            f"{self.folder.row.old_hash}/{self.folder.row.old_uidvalidity}/{seen.uid}".encode()
        ).hexdigest()
        new_uid = self._find_repaired(lane, mark)
        if not new_uid:
            text = repair.with_original_attached(
                message, original, self._words(seen.uid), seen.date, mark=mark, postmaster=self.job.options.postmaster
            )
            try:
                new_uid = CarefulCopy(lane.old, lane.new, self.folder).append(seen, text).new_uid
            except Refused as error:
                self._report_refused(lane, seen, error.words)
                return
            new_uid = new_uid or self._find_repaired(lane, mark)
            self.tell.copied(1, len(text))
        self._replace(lane, seen, new_uid)
        self.troubles.carried_out(decision)

    def _find_repaired(self, lane: Lane, mark: str) -> int:
        """The repaired message may be there from a pass whose end was not seen."""
        lane.new.select(self.folder.new_raw)
        words = lane.new.run(b"UID SEARCH HEADER", b"X-Bascule-Repaired", mark.encode()).responses
        uids = [int(uid) for response in words if response[1] == b"SEARCH" for uid in response[2:]]
        return max(uids, default=0)

    def _replace(self, lane: Lane, seen: Seen, new_uid: int) -> None:
        altered = self.folder.map.find(seen.uid)
        if altered is not None:
            remove(lane.new, self.folder.new_raw, [altered[0]])
            self.folder.map.remove([seen.uid])
        self.folder.arrived([(seen.uid, new_uid)], [(seen.uid, seen.flags, seen.flags)], REPAIRED)
        self.folder.clear_exceptions([seen.uid])
        self.folder.map.settle()

    # -- alterations

    def lost(self, lane: Lane, uids: list[int]) -> None:
        """New said that it has these messages, and has them no more: the next pass copies them again, one by one."""
        if not uids:
            return
        self.folder.map.remove(uids)
        for uid in uids:
            self.folder.except_message(uid, "lost")
            self.troubles.message(
                "message-missing",
                describe(lane, self.folder, uid),
                "The new server took this message and does not show it any more. The next pass copies it again.",
                "",
                "copy again",
            )

    def _check_suspects(self, lane: Lane) -> None:
        altered = {uid for uid, (kind, _) in self.folder.exceptions.items() if kind == "altered"}
        suspects = sorted(uid for uid in self.folder.suspects | altered if uid in self.folder.map)
        if not suspects:
            return
        news = {uid: found[0] for uid in suspects if (found := self.folder.map.find(uid))}
        old = digests(lane.old, self.folder.old.raw, suspects)
        lane.new.select(self.folder.new_raw)
        new = digests(lane.new, self.folder.new_raw, list(news.values()))
        there = {seen.uid: seen for seen in list_messages(lane.new, self.folder.new_raw, sorted(news.values()))}
        seens = {seen.uid: seen for seen in list_messages(lane.old, self.folder.old.raw, suspects)}
        for uid in suspects:
            if uid not in old or news[uid] not in new or uid not in seens:
                continue
            if old[uid] != new[news[uid]]:
                self.altered(lane, seens[uid], "The new server has stored other octets than it was given.")
            elif uid in altered and seens[uid].date not in (there[news[uid]].date, dates.UNKNOWN):
                self.altered_date(lane, seens[uid], there[news[uid]].date)

    def altered_date(self, lane: Lane, seen: Seen, on_new: int) -> None:
        """The message is on new with another date: nothing but the date can be lost."""
        words = f"The new server shows another date: {dates.show(on_new)} instead of {dates.show(seen.date)}."
        self.altered(lane, seen, words, "accept")

    def altered(self, lane: Lane, seen: Seen, explanation: str, action: str = "repair") -> None:
        """The message is on new, but not as it is on old."""
        decision = self._decision(lane, seen.uid)
        if decision and (self._leaves_out(decision) or decision.values.get("action") == "accept"):
            self.troubles.carried_out(decision)
            return
        if decision and decision.values.get("action") == "repair":
            self._repair(lane, seen, decision)
            return
        self.folder.except_message(seen.uid, "altered")
        self.troubles.message("message-altered", describe(lane, self.folder, seen.uid), explanation, "", action)


def fetch_whole(lane: Lane, folder: FolderState, uid: int) -> bytes:
    """A message's octets, in memory: only for the few that are repaired."""
    lane.old.ensure_selected(folder.old.raw)
    pieces: list[bytes] = []

    def handle(line: bytes) -> None:
        literal = LITERAL.search(line)
        if literal and line.endswith(b"BODY[] " + literal[0]):
            pieces.extend(lane.old.wire.stream(int(literal[1])))
            lane.old.wire.read_line()

    lane.old.run(b"UID FETCH", b"%d" % uid, b"(UID BODY.PEEK[])", handler=handle)
    return b"".join(pieces)
