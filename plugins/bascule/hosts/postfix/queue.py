"""Postfix queues: what waits in them and why, acts that make it move, and what was given up.

Plain functions over a host; nothing here is a reversible change.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bascule.hosts.connections import AccessError
from bascule.hosts.postfix import maillog, settings
from bascule.hosts.ssh import RemoteHost
from bascule.text.logs import get_logger

log = get_logger(__name__)

HOLD = "hold"  # the queue of what somebody holds: Postfix leaves it alone until somebody releases it
MOVING = ("incoming", "active", "deferred")  # the queues of what Postfix tries to deliver
UNSENT = ("bounced", "expired", "undeliverable")
IDS_AT_ONCE = 1000  # queue ids in one pattern: `journalctl` and the system take no argument of more than 128 KiB
# Field by field up to the status: what follows it are a foreign server's words, and they may say anything.
RECIPIENT = re.compile(
    r"^(?P<id>[0-9A-Za-z]+): to=<(?P<to>[^>]*)>,(?: orig_to=<[^>]*>,)? relay=[^,]*,(?: conn_use=\d+,)? delay=[^,]*,"
    r" delays=[^,]*, dsn=[^,]*, status=(?P<status>\w+) \((?P<reason>.*)\)$"
)
EXPIRED = re.compile(r"^(?P<id>[0-9A-Za-z]+): from=<[^>]*>, status=(?P<status>expired|force-expired), ")
MESSAGE_ID = re.compile(r"^(?P<id>[0-9A-Za-z]+): message-id=<?(?P<message_id>[^>]*)>?$")
POSTMAP_BROKE = re.compile(r"^postmap: fatal: (.*)$", re.MULTILINE)  # who finds nothing ends with a status, too
NUMBERS = re.compile(r"\b[0-9A-Fa-f]{8,}\b|\[[0-9A-Fa-f.:]+\]|\d+")


class QueueNotEmpty(AccessError):
    """Raised when mail still waits after the time that was given; the text says how much, where to, and why."""


@dataclass(frozen=True)
class Queue:
    """What waits in one host's queue; all but `held` without what somebody holds. A message counts once in `total`."""

    host: str
    total: int = 0
    bytes: int = 0
    oldest: datetime | None = None  # arrival, UTC
    destinations: Counter[str] = field(default_factory=Counter)  # recipients by domain
    reasons: Counter[str] = field(default_factory=Counter)  # recipients by why they wait
    queues: Counter[str] = field(default_factory=Counter)  # messages by Postfix queue (active, deferred ...)
    held: tuple[str, ...] = ()  # queue ids

    def lines(self) -> list[str]:
        """The queue in sentences, for the log."""
        held = [held_sentence(self.host, self.held)] if self.held else []
        if not self.total:
            return [f"{self.host}: the queue is empty", *held]
        since = f", the oldest since {self.oldest:%Y-%m-%d %H:%M:%S} UTC" if self.oldest else ""
        parts = ", ".join(f"{count} {name}" for name, count in sorted(self.queues.items()))
        return [
            f"{self.host}: {self.total} messages wait ({parts}; {self.bytes} bytes){since}",
            *(f"{self.host}: {count} recipients at {name}" for name, count in self.destinations.most_common(20)),
            *(f"{self.host}: {count} recipients because: {reason}" for reason, count in self.reasons.most_common(20)),
            *held,
        ]


def held_sentence(host: str, held: Collection[str]) -> str:
    """What is held, and what to do with it: a release alone would not look the recipients up anew."""
    some = ", ".join(sorted(held)[:20])
    return (
        f"{host}: {len(held)} message(s) are on hold, stay so and are not waited for ({some}). To release one, run "
        "`postsuper -r QUEUE_ID`, which looks its recipients up anew, and not `postsuper -H`"
    )


@dataclass(frozen=True)
class Bounce:
    """A recipient whom Postfix gave up: `status` is bounced, expired or undeliverable."""

    queue_id: str
    message_id: str
    recipient: str
    status: str
    reason: str
    at: datetime  # UTC

    def __str__(self) -> str:
        return (
            f"{self.message_id or f'queue id {self.queue_id}'} to {self.recipient or 'all its recipients'} "
            f"{self.status} at {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"
        )


def read(remote: RemoteHost) -> Queue:
    """What waits now. Raises AccessError when the queue can't be read."""
    everything = _messages(remote)
    messages = [message for message in everything if message["queue_name"] != HOLD]
    recipients = [recipient for message in messages for recipient in message["recipients"]]
    arrivals = [message["arrival_time"] for message in messages]
    return Queue(
        host=remote.name,
        total=len(messages),
        bytes=sum(message["message_size"] for message in messages),
        oldest=datetime.fromtimestamp(min(arrivals), UTC) if arrivals else None,
        destinations=Counter(item["address"].rpartition("@")[2].lower() for item in recipients),
        reasons=Counter(_reason(item.get("delay_reason", "")) for item in recipients),
        queues=Counter(message["queue_name"] for message in messages),
        held=tuple(message["queue_id"] for message in everything if message["queue_name"] == HOLD),
    )


def ids(remote: RemoteHost) -> tuple[set[str], set[str]]:
    """The queue ids of what waits now, and of what somebody holds."""
    found = _messages(remote)
    held = {message["queue_id"] for message in found if message["queue_name"] == HOLD}
    return {message["queue_id"] for message in found} - held, held


def recipients(remote: RemoteHost) -> set[str]:
    """The addresses for which mail waits now, in small letters; without what somebody holds."""
    waiting = [message for message in _messages(remote) if message["queue_name"] != HOLD]
    return {item["address"].lower() for message in waiting for item in message["recipients"]}


@dataclass(frozen=True)
class Waiting:
    """One recipient of one message that waits; `reason`: why, in Postfix's words, once it was tried."""

    queue_id: str
    queue: str  # active, deferred ...
    address: str
    reason: str


def waiting_for(remote: RemoteHost, addresses: Collection[str], delimiters: str) -> list[Waiting]:
    """What waits for these addresses, with or without an extension, in whichever queue.

    `delimiters`: the characters after which Postfix takes the rest of a user's name for one; empty: it knows none.
    An alias's extension goes on to what the alias means. A message that is still coming in is not seen.
    """
    wanted = {address.lower() for address in addresses}
    return [
        Waiting(message["queue_id"], message["queue_name"], item["address"], item.get("delay_reason", ""))
        for message in _messages(remote)
        for item in message["recipients"]
        if not wanted.isdisjoint({item["address"].lower(), _without_extension(item["address"].lower(), delimiters)})
    ]


def _without_extension(address: str, delimiters: str) -> str:
    user, at, domain = address.rpartition("@")
    end = next((place for place, letter in enumerate(user) if place and letter in delimiters), len(user))
    return f"{user[:end]}{at}{domain}"


def requeue(remote: RemoteHost, queue_ids: Collection[str]) -> None:
    """Put these messages through cleanup again, so that their recipients are looked up anew (see `requeue_all`).

    Those that are deferred: of one that is active another recipient may be getting it now, and would get it twice.
    """
    if queue_ids:
        words = [word for queue_id in sorted(queue_ids) for word in ("-r", queue_id)]
        remote.run(["postsuper", *words, "deferred"])
        _pick_up(remote)


def _pick_up(remote: RemoteHost) -> None:
    """Else what was requeued lies in maildrop for up to a minute. Now and then a signal ends the command."""
    for _ in range(3):
        if remote.run(["postkick", "public", "pickup", "W"], check=False).status == 0:
            return


def try_now(remote: RemoteHost, queue_ids: Collection[str]) -> None:
    """Let Postfix try these messages at once."""
    for queue_id in sorted(queue_ids):
        remote.run(["postqueue", "-i", queue_id], check=False)  # it may be gone by now


def forget_route(remote: RemoteHost) -> None:
    """Let the queue manager forget the one route that it remembers, for 30 s, whatever the maps say (resolve_clnt.c).

    It remembers the one that it looked up last. This one is of a message that it throws away itself (double bounce).
    """
    sender = settings.of(remote).get("double_bounce_sender") or "double-bounce"
    remote.run(["sendmail", "-f", "<>", f"{sender}@localhost"], input=b"Subject: forget the last route\n\n")


def looked_up(remote: RemoteHost, maps: Collection[str], keys: Collection[str]) -> dict[str, str]:
    """What the maps of these parameters (`transport_maps`) say of keys: the first one that says anything of a key.

    One command asks them all (postmap(1)). Raises AccessError when one can't be asked: Postfix delivers nothing then.
    """
    known = settings.of(remote)
    tables = [table for name in maps for table in settings.tables(known.get(name, ""))]
    if not tables:
        return {}
    lines = "".join(f"{key}\n" for key in keys).encode()
    said = remote.run(["postmap", "-q", "-", *tables], input=lines, check=False)
    if broken := POSTMAP_BROKE.search(said.error):
        raise AccessError(f"{' and '.join(maps)} of {remote.name} can't be asked, `postmap` says: {broken[1][:500]}")
    return {key: value.strip() for key, _, value in (line.partition("\t") for line in said.output.splitlines())}


def _messages(remote: RemoteHost) -> list[dict[str, Any]]:
    lines = remote.run(["postqueue", "-j"], private=True).output.splitlines()
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError:
        said = next((line for line in lines if not line.startswith("{")), lines[-1])
        raise AccessError(f"the queue of {remote.name} can't be read, `postqueue -j` says: {said[:200]}") from None


def flush(remote: RemoteHost) -> None:
    """Let Postfix try everything that waits at once."""
    remote.run(["postqueue", "-f"])


def requeue_all(remote: RemoteHost) -> int:
    """Put all waiting mail through cleanup again, so that its recipients are looked up anew; how many messages.

    What somebody holds stays held: requeued, it would be delivered.
    What is looked up is the recipient as it was expanded when the mail came (postsuper(1), virtual(5)): it goes another
    way only when the alias map knows that expanded address, which `include/templates/aliases.j2` sees to.
    """
    said = remote.run(["postsuper", "-r", "ALL", *MOVING]).error
    _pick_up(remote)
    found = re.search(r"Requeued: (\d+) message", said)
    count = int(found.group(1)) if found else 0
    log.info("waiting mail is looked up anew", host=remote.name, messages=count)
    if held := ids(remote)[1]:
        log.warning(held_sentence(remote.name, held))
    return count


def wait_until_sent_on(
    remote: RemoteHost, addresses: Collection[str], what_to_do: str, seconds: float = 120, every: float = 1
) -> None:
    """Wait until nothing is queued for these addresses any more. Raises QueueNotEmpty after `seconds`."""
    deadline = time.monotonic() + seconds
    while left := recipients(remote) & {address.lower() for address in addresses}:
        if time.monotonic() > deadline:
            some = ", ".join(sorted(left)[:20])
            raise QueueNotEmpty(f"after {seconds:.0f} s mail for {some} still waits on {remote.name}: {what_to_do}")
        time.sleep(every)


def wait_until_empty(remote: RemoteHost, seconds: float = 900, every: float = 2) -> None:
    """Flush, then wait until nothing is queued. Raises QueueNotEmpty after `seconds` with what is left, and why."""
    flush(remote)
    deadline = time.monotonic() + seconds
    while (found := read(remote)).total:
        if time.monotonic() > deadline:
            raise QueueNotEmpty(
                f"after {seconds:.0f} s the queue of {remote.name} is not empty:\n" + "\n".join(found.lines())
            )
        time.sleep(every)
    for line in found.lines():
        log.info(line)


def bounces(remote: RemoteHost, since: datetime | None) -> list[Bounce]:
    """The recipients given up since an instant (UTC; None: since the journal's begin), as the mail log says."""
    given_up = [bounce for at, line in maillog.lines(remote, since) if (bounce := _bounce(at, line))]
    if not given_up:
        return []
    names = _message_ids(remote, {bounce.queue_id for bounce in given_up})
    return [Bounce(b.queue_id, names.get(b.queue_id, ""), b.recipient, b.status, b.reason, b.at) for b in given_up]


def _bounce(at: datetime, line: str) -> Bounce | None:
    found = RECIPIENT.match(line)
    if found and found["status"] in UNSENT:
        return Bounce(found["id"], "", found["to"], found["status"], found["reason"], at)
    expired = EXPIRED.match(line)
    if expired:
        return Bounce(expired["id"], "", "", "expired", "it waited longer than the queue's lifetime", at)
    return None


def _message_ids(remote: RemoteHost, queue_ids: Iterable[str]) -> dict[str, str]:
    """The Message-Id of each queued message, which the log named when it came: perhaps long before it was given up."""
    found: dict[str, str] = {}
    ids = sorted(queue_ids)
    for at in range(0, len(ids), IDS_AT_ONCE):
        pattern = f"^({'|'.join(ids[at : at + IDS_AT_ONCE])}): message-id="
        matches = (MESSAGE_ID.match(line) for _, line in maillog.lines(remote, None, "--grep", pattern))
        found |= {match["id"]: match["message_id"] for match in matches if match}
    return found


def _reason(words: str) -> str:
    """Why a recipient waits, without the numbers that make each case look different."""
    return NUMBERS.sub("#", words).strip()[:200] or "it is on its way"
