"""Messages that were refused, altered or unreadable: tried with care, treated as decided, or put among the problems."""

import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from bascule.ledger.mailboxes import REPAIRED
from bascule.mailbox.context import PassContext
from bascule.mailbox.imap import internaldate
from bascule.mailbox.imap.errors import DestinationBroke, NotUnderstood, Refused, TransientError
from bascule.mailbox.imap.fetch import fetch_whole, is_longer, list_messages
from bascule.mailbox.imap.flags import SYSTEM
from bascule.mailbox.imap.listing import Listed
from bascule.mailbox.imap.store import expunge, search
from bascule.mailbox.messages.describe import Message, describe, message_subject, repaired_mark
from bascule.mailbox.messages.digests import digests
from bascule.mailbox.messages.late_arrivals import note_unanswered
from bascule.mailbox.messages.problems import report_message
from bascule.mailbox.messages.single_copy import NotGiven, SingleCopy
from bascule.mailbox.problems import Decided
from bascule.mailbox.state.folder import FolderState
from bascule.mailbox.workers import Sessions
from bascule.problems import rules
from bascule.problems.kinds import of_messages
from bascule.problems.model import Action, Decision
from bascule.text.logs import get_logger

log = get_logger(__name__)

REFUSED, ALTERED = "message-refused", "message-altered"
UNREADABLE_TRIES = 2  # how often a message that is carried alone may break a server's connection
A_DAY = 86_400  # seconds
BREAKS_OFF_OLD = "The old server breaks off whenever this message is read (its file there may be damaged)."
BREAKS_OFF = "The new server breaks off whenever it gets this message."
OTHER_OCTETS, OTHER_DATE = "other octets", "another date"  # causes of alterations
REFUSES = "The new server refuses this message."


class MessagesAside:
    """Treats the messages of one folder that the bulk copy leaves alone, one by one."""

    def __init__(self, context: PassContext, folder: FolderState, sessions: Sessions) -> None:
        self.context, self.folder, self.sessions = context, folder, sessions
        self.job, self.problems = context.job, context.problems

    def treat_one(self, message: Listed) -> None:
        """One that is not on new."""
        self._treat(message)

    def treat(self, single: list[Listed], treated: Collection[int] = ()) -> None:
        """Those that are not on new (old UIDs `treated` were), then those that may have been altered on the way."""
        known = {message.uid for message in single}.union(treated)
        waiting = [uid for uid in self.folder.aside if uid not in known and uid not in self.folder.map]
        for message in single:
            self._treat(message)
        for uid in waiting:
            self._treat_by_uid(uid)
        self.folder.map.settle()
        self._check_suspects()

    def _treat_by_uid(self, uid: int) -> None:
        """A message that an earlier pass has set aside."""
        decision = self._decision(uid)
        if decision and rules.leaves_out(decision):
            self.problems.carried_out(decision)
            return
        if self._as_before(uid, REFUSED):
            return
        try:
            listed = list_messages(self.sessions.source, self.folder.old.encoded, [uid])
        except TransientError as error:
            if not self.sessions.source_lost:
                raise
            self.context.counts.broken_texts[self.folder.row.id, uid] = str(error)
            self._report_unreadable(uid)
            return
        if listed:
            self._treat(listed[0])
        else:
            self.folder.take_back([uid])

    def _as_before(self, uid: int, kind: str) -> bool:
        """Whether an earlier pass has asked, and nobody has decided or said to look again: nothing is tried anew."""
        if uid not in self.folder.aside_before or self._decided(uid) is not None:
            return False
        problem = self.problems.unchanged(kind, message_subject(self.folder.name, uid))
        if problem is not None:
            self.problems.keep_open(problem)
        return problem is not None

    def _treat(self, message: Listed) -> None:
        decision = self._decision(message.uid)
        if decision and rules.leaves_out(decision):
            self.folder.set_aside(message.uid, "left out")
            self.problems.carried_out(decision)
            return
        if decision and rules.applies(decision, Action.REPAIR):
            self._repair(message, decision)
            return
        if not self._as_before(message.uid, REFUSED):
            self._try(message)

    def _decided(self, uid: int) -> Decided | None:
        """The last decision about a message under this UID, with its problem."""
        subject = message_subject(self.folder.name, uid)
        found = [pair for kind in of_messages() if (pair := self.problems.decided(kind, subject))]
        return max(found, key=lambda pair: pair[1].decided_at, default=None)

    def _decision(self, uid: int) -> Decision | None:
        """What a person decided about this very message: under its UID there may be another one by now."""
        found = self._decided(uid)
        if found is None:
            return None
        problem, decision = found
        same = uid in self.folder.aside_before or problem.facts == self._described(uid).facts()
        return decision if same else None

    def _refusal(self, uid: int) -> str:
        """What was told to the person who decided about this message."""
        found = self._decided(uid)
        return (found[0].server_words or found[0].explanation) if found else ""

    def _described(self, uid: int) -> Message:
        return describe(self.sessions, self.folder.old.encoded, uid)

    def _try(self, message: Listed) -> None:
        if self._is_too_large(message):
            self.folder.set_aside(message.uid, "too large")
            self._report(
                "message-too-large", message.uid,
                f"The message has {message.size} bytes; the site file allows {self.job.options.largest_message}.",
                Action.LEAVE_OUT,
            )  # fmt: skip
            return
        if self.context.counts.broken[self.folder.row.id, message.uid] >= UNREADABLE_TRIES:
            self._report_unreadable(message.uid)
            return
        key, counts = (self.folder.row.id, message.uid), self.context.counts
        if counts.killed[key] >= UNREADABLE_TRIES:
            self._report_refused(message, counts.broken_texts[key], BREAKS_OFF)
            return
        try:
            new_uid = self._copy(message)
        except NotGiven as error:
            self.folder.set_aside(message.uid, "unreadable")
            self._report_unreadable(message.uid, "The old server lists this message and does not give it.", error.text)
        except Refused as error:
            self._report_refused(message, error.text)
        except NotUnderstood as error:
            self._report_refused(message, str(error))
        except TransientError as error:
            counts.broken_texts[key] = str(error)
            if self.sessions.source_lost:
                counts.broken[key] += 1
                self.folder.set_aside(message.uid, "unreadable")
            elif self.sessions.destination_lost:
                counts.killed[key] += 1
                counts.add(destination_broken=1)
                self.folder.set_aside(message.uid, "suspect")
                note_unanswered(counts, self.folder, [message.uid])
                raise DestinationBroke(str(error)) from None
            raise
        else:
            if new_uid is None:
                return
            self.folder.appended([message], [new_uid] if new_uid else [])
            self.folder.take_back([message.uid])
            self.folder.suspects.add(message.uid)
            self.context.progress.copied(1, message.size)

    def _is_too_large(self, message: Listed) -> bool:
        largest, source = self.job.options.largest_message, self.folder.sides(self.sessions)[0]
        return message.size > largest and is_longer(source.session, source.name, message.uid, largest)

    def _copy(self, message: Listed) -> int | None:
        """A message is not held back for its flags or its date: what is refused with them is tried without."""
        try:
            return self._single().copy(message)
        except Refused:
            plain = self._without_what_may_be_refused(message)
            if plain == message:
                raise
            return self._single().copy(plain)

    def _without_what_may_be_refused(self, message: Listed) -> Listed:
        """With system flags only, and without a date that servers are known to refuse."""
        system = frozenset(flag for flag in message.flags if flag in SYSTEM.values())
        in_range = 0 <= message.date <= time.time() + A_DAY
        return replace(message, flags=system, date=message.date if in_range else internaldate.UNKNOWN)

    def _report_unreadable(self, uid: int, explanation: str = BREAKS_OFF_OLD, text: str = "") -> None:
        ended = self.context.counts.broken_texts.get((self.folder.row.id, uid), "")
        self._report(
            "message-unreadable", uid, explanation, Action.LEAVE_OUT, text=text,
            details={} if text else {"how it ended": ended}, cause=explanation,
        )  # fmt: skip

    def _report_refused(self, message: Listed, text: str, explanation: str = REFUSES) -> None:
        self.folder.set_aside(message.uid, "refused")
        action = Action.REPAIR if message.size else Action.LEAVE_OUT
        self._report(REFUSED, message.uid, explanation, action, text=text)

    def _report(self, kind: str, uid: int, explanation: str, action: Action, **more: Any) -> None:
        report_message(self.problems, kind, self._described(uid), explanation, action, **more)

    # -- repair by decision

    def _repair(self, message: Listed, decision: Decision) -> None:
        from bascule.mailbox.messages import repair  # few passes have a message to repair

        described = self._described(message.uid)
        original = fetch_whole(self.sessions.source, self.folder.old.encoded, message.uid)
        mark = repaired_mark(self.folder.row.old_hash, self.folder.row.old_uidvalidity, message.uid)
        new_uid = self._find_repaired(mark)
        if not new_uid:
            text = repair.with_original_attached(
                described,
                original,
                self._refusal(message.uid),
                message.date,
                mark=mark,
                postmaster=self.job.options.postmaster,
            )
            try:
                new_uid = self._single().append(message, text)
            except Refused as error:
                self._report_refused(message, error.text)
                return
            new_uid = new_uid or self._find_repaired(mark)
            self.context.progress.copied(1, len(text))
        self._replace(message, new_uid)
        self.problems.carried_out(decision)

    def _find_repaired(self, mark: str) -> int:
        """The repaired message may be there from a pass whose end was not seen."""
        self.sessions.destination.select(self.folder.new_encoded)
        return max(search(self.sessions.destination, b"HEADER", b"X-Bascule-Repaired", mark.encode()), default=0)

    def _replace(self, message: Listed, new_uid: int) -> None:
        altered = self.folder.map.find(message.uid)
        if altered is not None:
            expunge(self.sessions.destination, self.folder.new_encoded, [altered[0]])
            self.folder.map.remove([message.uid])
        self.folder.arrived([(message.uid, new_uid)], [(message.uid, message.flags, message.flags)], REPAIRED)
        self.folder.take_back([message.uid])
        self.folder.map.settle()

    # -- alterations

    def lost(self, uids: list[int]) -> None:
        """New said that it has these messages, and has them no more: the next pass copies them again, one by one."""
        if not uids:
            return
        self.folder.map.remove(uids)
        for uid in uids:
            self.folder.set_aside(uid, "lost")
            self._report(
                "message-missing", uid,
                "The new server took this message and does not show it any more. The next pass copies it again.",
                Action.COPY_AGAIN,
            )  # fmt: skip

    def _check_suspects(self) -> None:
        altered = {
            uid
            for uid, (kind, _) in self.folder.aside.items()
            if kind == "altered" and not (uid in self.folder.map and self._as_before(uid, ALTERED))
        }
        suspects = sorted(uid for uid in self.folder.suspects | altered if uid in self.folder.map)
        if not suspects:
            return
        new_uids = {uid: found[0] for uid in suspects if (found := self.folder.map.find(uid))}
        source, destination = self.folder.sides(self.sessions)
        old = digests(source, suspects)
        destination.session.select(destination.name)
        new = digests(destination, list(new_uids.values()))
        listed = list_messages(destination.session, destination.name, new_uids.values())
        on_new = {message.uid: message for message in listed}
        on_old = {message.uid: message for message in list_messages(source.session, source.name, suspects)}
        for uid in suspects:
            if uid not in old or new_uids[uid] not in new or uid not in on_old:
                continue
            if old[uid].mail != new[new_uids[uid]].mail:
                self.altered(on_old[uid], "The new server has stored other octets than it was given.")
            elif uid in altered and on_old[uid].date not in (on_new[new_uids[uid]].date, internaldate.UNKNOWN):
                self.altered_date(on_old[uid], on_new[new_uids[uid]].date)

    def altered_date(self, message: Listed, on_new: int) -> None:
        """The message is on new with another date: nothing but the date can be lost."""
        dates = f"{internaldate.show(on_new)} instead of {internaldate.show(message.date)}"
        self.altered(message, f"The new server shows another date: {dates}.", Action.ACCEPT, OTHER_DATE)

    def altered(
        self, message: Listed, explanation: str, action: Action = Action.REPAIR, cause: str = OTHER_OCTETS
    ) -> None:
        """The message is on new, but not as it is on old."""
        decision = self._decision(message.uid)
        if decision and (rules.leaves_out(decision) or rules.applies(decision, Action.ACCEPT)):
            self.problems.carried_out(decision)
            return
        if decision and rules.applies(decision, Action.REPAIR):
            self._repair(message, decision)
            return
        self.folder.set_aside(message.uid, "altered")
        self._report(ALTERED, message.uid, explanation, action, cause=cause)

    def _single(self) -> SingleCopy:
        return SingleCopy(*self.folder.sides(self.sessions), self.folder.row.new_uidvalidity)
