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

import structlog

from bascule.access import AccessError, RemoteHost

log = structlog.get_logger(__name__)

UNSENT = ("bounced", "expired", "undeliverable")
# Field by field up to the status: what follows it are a foreign server's words, and they may say anything.
RECIPIENT = re.compile(
    r"^(?P<id>[0-9A-Za-z]+): to=<(?P<to>[^>]*)>,(?: orig_to=<[^>]*>,)? relay=[^,]*,(?: conn_use=\d+,)? delay=[^,]*,"
    r" delays=[^,]*, dsn=[^,]*, status=(?P<status>\w+) \((?P<reason>.*)\)$"
)
EXPIRED = re.compile(r"^(?P<id>[0-9A-Za-z]+): from=<[^>]*>, status=(?P<status>expired|force-expired), ")
MESSAGE_ID = re.compile(r"^(?P<id>[0-9A-Za-z]+): message-id=<?(?P<message_id>[^>]*)>?$")
NUMBERS = re.compile(r"\b[0-9A-Fa-f]{8,}\b|\[[0-9A-Fa-f.:]+\]|\d+")


class QueueNotEmpty(AccessError):
    """Raised when mail still waits after the time that was given; the text says how much, where to, and why."""


@dataclass(frozen=True)
class Queue:
    """What waits in one host's queue. A message with several recipients counts once in `total`."""

    host: str
    total: int = 0
    bytes: int = 0
    oldest: datetime | None = None  # arrival, UTC
    destinations: Counter[str] = field(default_factory=Counter)  # recipients by domain
    reasons: Counter[str] = field(default_factory=Counter)  # recipients by why they wait
    queues: Counter[str] = field(default_factory=Counter)  # messages by Postfix queue (active, deferred, hold ...)

    def lines(self) -> list[str]:
        """The queue in sentences, for the log."""
        if not self.total:
            return [f"{self.host}: the queue is empty"]
        since = f", the oldest since {self.oldest:%Y-%m-%d %H:%M:%S} UTC" if self.oldest else ""
        parts = ", ".join(f"{count} {name}" for name, count in sorted(self.queues.items()))
        return [
            f"{self.host}: {self.total} messages wait ({parts}; {self.bytes} bytes){since}",
            *(f"{self.host}: {count} recipients at {name}" for name, count in self.destinations.most_common(20)),
            *(f"{self.host}: {count} recipients because: {reason}" for reason, count in self.reasons.most_common(20)),
        ]


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
    messages = [
        json.loads(line) for line in remote.run(["postqueue", "-j"], private=True).output.splitlines() if line.strip()
    ]
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
    )


def waiting_ids(remote: RemoteHost) -> set[str]:
    """The queue ids of everything that waits now."""
    lines = remote.run(["postqueue", "-j"], private=True).output.splitlines()
    return {json.loads(line)["queue_id"] for line in lines if line.strip()}


def recipients(remote: RemoteHost) -> set[str]:
    """The addresses for which mail waits now, in small letters."""
    lines = remote.run(["postqueue", "-j"], private=True).output.splitlines()
    return {item["address"].lower() for line in lines if line.strip() for item in json.loads(line)["recipients"]}


def flush(remote: RemoteHost) -> None:
    """Let Postfix try everything that waits at once."""
    remote.run(["postqueue", "-f"])


def requeue_all(remote: RemoteHost) -> int:
    """Put all waiting mail through cleanup again, so that its recipients are looked up anew; how many messages.

    What is looked up is the recipient as it was expanded when the mail came (postsuper(1), virtual(5)): it goes another
    way only when the alias map knows that expanded address, which `include/templates/aliases.j2` sees to.
    """
    said = remote.run(["postsuper", "-r", "ALL"]).error
    remote.run(["postkick", "public", "pickup", "W"])  # else the mail lies in maildrop for up to a minute
    found = re.search(r"Requeued: (\d+) message", said)
    count = int(found.group(1)) if found else 0
    log.info("waiting mail is looked up anew", host=remote.name, messages=count)
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
    log.info("the queue is empty", host=remote.name)


def bounces(remote: RemoteHost, since: datetime | None) -> list[Bounce]:
    """The recipients given up since an instant (UTC; None: since the journal's begin), as the mail log says."""
    given_up = [bounce for at, line in mail_log(remote, since) if (bounce := _bounce(at, line))]
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
    pattern = f"^({'|'.join(sorted(queue_ids))}): message-id="
    found = (MESSAGE_ID.match(line) for _, line in mail_log(remote, None, "--grep", pattern))
    return {match["id"]: match["message_id"] for match in found if match}


def mail_log(remote: RemoteHost, since: datetime | None, *more: str) -> list[tuple[datetime, str]]:
    """The lines of the mail facility, each with its instant (UTC)."""
    # The ledger's instants are UTC without a mark.
    begin = (
        [] if since is None else [f"--since=@{(since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp():.6f}"]
    )
    fields = "--output-fields=MESSAGE,__REALTIME_TIMESTAMP"
    command = ["journalctl", "--no-pager", "--quiet", "--output=json", fields, *begin, *more, "SYSLOG_FACILITY=2"]
    found = remote.run(command, check=False, private=True)
    if found.status != 0 and found.error.strip():
        raise AccessError(f"the mail log of {remote.name} can't be read: {found.error.strip()[-500:]}")
    entries = [json.loads(line) for line in found.output.splitlines() if line.startswith("{")]
    return [
        (datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, UTC), entry["MESSAGE"])
        for entry in entries
        if isinstance(entry.get("MESSAGE"), str)
    ]


def _reason(words: str) -> str:
    """Why a recipient waits, without the numbers that make each case look different."""
    return NUMBERS.sub("#", words).strip()[:200] or "it is on its way"
