"""The account of mail: what became of every message that an MX accepted, by its Postfix log.

A message is followed from the queue id under which it was accepted through every requeue (`postsuper -r` gives it a new
id, and the log names the one before) to its end: all its recipients sent, or given up, or still waiting.
"""

import re
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime

from bascule.hosts.postfix import maillog, queue
from bascule.hosts.postfix.maillog import Gap
from bascule.hosts.ssh import RemoteHost

# What is delivered between a look at the log and the one at the queue is in neither: looked at again, it has ended.
LOOKS = 4
PAUSE = 2.0  # seconds

QUEUE_ID = r"(?P<id>[0-9A-Za-z]+)"
ACCEPTED = re.compile(rf"^{QUEUE_ID}: client=")
REQUEUED_FROM = re.compile(rf"^{QUEUE_ID}: uid=\d+ from=<[^>]*> orig_id=(?P<from>[0-9A-Za-z]+)$")
QUEUED = re.compile(rf"^{QUEUE_ID}: from=<[^>]*>, size=\d+, nrcpt=\d+ \(queue active\)$")
REMOVED = re.compile(rf"^{QUEUE_ID}: removed$")
# Requeued while it was delivered: what comes in anew has no recipient left, and the pickup service drops it.
DONE_BEFORE = re.compile(rf"^warning: maildrop/[0-9A-Za-z]+: error writing {QUEUE_ID}: no recipients specified$")


@dataclass
class Message:
    """One accepted message: its Message-Id, and what the log says became of it."""

    queue_id: str
    message_id: str = ""
    accepted: bool = False  # the queue manager has it: a client that broke off in the middle was told nothing
    sent: int = 0  # recipients
    given_up: int = 0  # recipients
    ended: bool = False

    def __str__(self) -> str:
        return f"<{self.message_id}>" if self.message_id else f"queue id {self.queue_id}"


@dataclass
class Account:
    """What became of all accepted messages. `unaccounted`: neither ended nor in the queue now. `held`: by somebody.

    `gaps`: times of which the log does not say everything, so that there may be messages of which nothing is known.
    """

    delivered: int = 0
    waiting: int = 0
    held: int = 0
    given_up: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {
            "accepted": self.delivered + self.waiting + self.held + len(self.given_up) + len(self.unaccounted),
            "delivered": self.delivered,
            "waiting": self.waiting,
            "held": self.held,
            "given_up": len(self.given_up),
            "unaccounted": len(self.unaccounted),
        }


def account(remote: RemoteHost, since: datetime | None) -> Account:
    """The account of everything that this host accepted since an instant (UTC). Raises AccessError."""
    missing = maillog.gaps(remote, since)
    for left in reversed(range(LOOKS)):
        found = tally(follow(line for _, line in maillog.lines(remote, since)), *queue.ids(remote))
        if not found.unaccounted or not left:
            break
        time.sleep(PAUSE)
    return replace(found, gaps=missing)


def follow(lines: Iterable[str]) -> dict[str, Message]:
    """The messages that the log's lines tell of, by every queue id that each of them has had."""
    messages: dict[str, Message] = {}
    for line in lines:
        if found := ACCEPTED.match(line):
            messages[found["id"]] = Message(found["id"])
        elif (found := REQUEUED_FROM.match(line)) and found["from"] in messages:
            messages[found["id"]] = messages.pop(found["from"])
            messages[found["id"]].ended = False
        elif (found := queue.MESSAGE_ID.match(line)) and found["id"] in messages:
            messages[found["id"]].message_id = found["message_id"]
        elif (found := QUEUED.match(line)) and found["id"] in messages:
            messages[found["id"]].accepted = True
        elif (found := queue.RECIPIENT.match(line)) and found["id"] in messages:
            messages[found["id"]].sent += found["status"] == "sent"
            messages[found["id"]].given_up += found["status"] in queue.UNSENT
        elif (found := queue.EXPIRED.match(line)) and found["id"] in messages:
            messages[found["id"]].given_up += 1
        elif (found := REMOVED.match(line) or DONE_BEFORE.match(line)) and found["id"] in messages:
            # The id may be given to another message from now on.
            message = messages.pop(found["id"])
            message.ended = True
            messages[f"{found['id']} ended {len(messages)}"] = message
    return messages


def tally(messages: Mapping[str, Message], waiting: Set[str], held: Set[str] = frozenset()) -> Account:
    """Count the messages (by queue id) by what became of them; `waiting` and `held`: the queue ids of now."""
    result = Account()
    for queue_id, message in messages.items():
        if queue_id in held:
            result.held += 1
        elif not message.accepted:
            continue
        elif message.given_up:
            result.given_up.append(str(message))
        elif message.ended and message.sent:
            result.delivered += 1
        elif queue_id in waiting:
            result.waiting += 1
        else:
            result.unaccounted.append(str(message))
    return result
