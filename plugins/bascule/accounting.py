"""The account of mail: what became of every message that an MX accepted, by its Postfix log.

A message is followed from the queue id under which it was accepted through every requeue (`postsuper -r` gives it a new
id, and the log names the one before) to its end: all its recipients sent, or given up, or still waiting.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from bascule import queues
from bascule.access import RemoteHost

QUEUE_ID = r"(?P<id>[0-9A-Za-z]+)"
ACCEPTED = re.compile(rf"^{QUEUE_ID}: client=")
REQUEUED_FROM = re.compile(rf"^{QUEUE_ID}: uid=\d+ from=<[^>]*> orig_id=(?P<from>[0-9A-Za-z]+)$")
QUEUED = re.compile(rf"^{QUEUE_ID}: from=<[^>]*>, size=\d+, nrcpt=\d+ \(queue active\)$")
REMOVED = re.compile(rf"^{QUEUE_ID}: removed$")


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
    """What became of all accepted messages. `unaccounted`: neither ended nor in the queue now."""

    delivered: int = 0
    waiting: int = 0
    given_up: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {
            "accepted": self.delivered + self.waiting + len(self.given_up) + len(self.unaccounted),
            "delivered": self.delivered,
            "waiting": self.waiting,
            "given_up": len(self.given_up),
            "unaccounted": len(self.unaccounted),
        }


def account(remote: RemoteHost, since: datetime | None) -> Account:
    """The account of everything that this host accepted since an instant (UTC). Raises AccessError."""
    messages = follow(line for _, line in queues.mail_log(remote, since))
    return settle(messages.values(), queues.waiting_ids(remote), messages)


def follow(lines: Iterable[str]) -> dict[str, Message]:
    """The messages that the log's lines tell of, by every queue id that each of them has had."""
    messages: dict[str, Message] = {}
    for line in lines:
        if found := ACCEPTED.match(line):
            messages[found["id"]] = Message(found["id"])
        elif (found := REQUEUED_FROM.match(line)) and found["from"] in messages:
            messages[found["id"]] = messages.pop(found["from"])
            messages[found["id"]].ended = False
        elif (found := queues.MESSAGE_ID.match(line)) and found["id"] in messages:
            messages[found["id"]].message_id = found["message_id"]
        elif (found := QUEUED.match(line)) and found["id"] in messages:
            messages[found["id"]].accepted = True
        elif (found := queues.RECIPIENT.match(line)) and found["id"] in messages:
            messages[found["id"]].sent += found["status"] == "sent"
            messages[found["id"]].given_up += found["status"] in queues.UNSENT
        elif (found := REMOVED.match(line)) and found["id"] in messages:
            # The id may be given to another message from now on.
            message = messages.pop(found["id"])
            message.ended = True
            messages[f"{found['id']} ended {len(messages)}"] = message
    return messages


def settle(messages: Iterable[Message], waiting: set[str], by_id: dict[str, Message]) -> Account:
    """Count the messages by what became of them; `waiting` are the queue ids in the queue now."""
    waits = {id(by_id[queue_id]) for queue_id in waiting if queue_id in by_id}
    result = Account()
    for message in messages:
        if not message.accepted:
            continue
        if message.given_up:
            result.given_up.append(str(message))
        elif message.ended and message.sent:
            result.delivered += 1
        elif id(message) in waits:
            result.waiting += 1
        else:
            result.unaccounted.append(str(message))
    return result
