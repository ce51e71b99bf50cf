"""Postfix at the MX: how long mail may wait, what becomes of requeued mail, and whether the log is whole."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.hosts.access import Access
from bascule.hosts.postfix import maillog
from bascule.hosts.ssh import RemoteHost

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
COPIES = ("always_bcc", "sender_bcc_maps", "recipient_bcc_maps")
LOOKED_BACK = timedelta(days=1)
ENOUGH = 300.0  # lines in a second: journald's own limit is 10,000 in 30 s, and a message has about eight


def queue_lifetime(access: Access, host: str) -> Iterator[Finding]:
    """The MX holds mail long enough for the day, before it returns it to the sender."""
    queues = access.site.queues
    lifetime = _option(access.remote(host), "maximal_queue_lifetime")
    seconds = postfix_seconds(lifetime)
    sentence = f"mail may wait {lifetime} in the queue, and {queues.lifetime_hours} h are wanted"
    if seconds >= queues.lifetime_hours * 3600:
        yield ok(f"{host}: queue", sentence)
    else:
        yield failure(f"{host}: queue", f"{sentence}: raise maximal_queue_lifetime in main.cf")


def second_pass(access: Access, host: str) -> Iterator[Finding]:
    """Mail that waits during the freeze is requeued, and so passes once more what incoming mail passes."""
    remote, subject = access.remote(host), f"{host}: requeued mail"
    copies = [f"`{name}` ({value})" for name in COPIES if (value := _option(remote, name))]
    content_filter = _option(remote, "content_filter")
    own = remote.run(["postconf", "-P", "pickup/unix/content_filter"], check=False).output
    if own:  # of the service through which requeued mail comes in
        content_filter = own.partition("=")[2].strip()
    if copies:
        yield warning(
            subject,
            f"mail that waits during the freeze is copied a second time by {' and '.join(copies)}: be ready for these "
            "copies, or empty it from the freeze until `requeue_mail` has ended",
        )
    if content_filter:
        yield warning(
            subject,
            f"mail that waits during the freeze passes `content_filter` ({content_filter}) a second time, which may "
            "mark or sign it twice: let requeued mail go past it (`postconf -P pickup/unix/content_filter=`)",
        )
    if not copies and not content_filter:
        yield ok(subject, "no BCC and no content filter is met a second time by mail that waits during the freeze")


def mail_log(access: Access, host: str) -> Iterator[Finding]:
    """The journal has every line of the mail log: by it every message is accounted for."""
    remote, subject = access.remote(host), f"{host}: mail log"
    gaps = maillog.gaps(remote, datetime.now(UTC) - LOOKED_BACK)
    for gap in gaps:
        tell = failure if gap.is_silence else warning
        yield tell(subject, f"the journal does not have all of it: {gap}")
    limit = journal_limit(remote)
    if limit is None or limit[0] / limit[1] >= ENOUGH:
        words = "takes every line" if limit is None else f"takes {limit[0]} lines in {limit[1]:.0f} s"
        if not gaps:
            yield ok(subject, f"the journal {words}, and has every line of the last day")
        return
    yield warning(
        subject,
        f"journald takes {limit[0]} lines in {limit[1]:.0f} s only and drops the others, so that not every message can "
        "be accounted for when the queue flows: write `[Journal]` and `RateLimitIntervalSec=0` into "
        "/etc/systemd/journald.conf.d/bascule.conf there, and restart systemd-journald",
    )


def journal_limit(remote: RemoteHost) -> tuple[int, float] | None:
    """How many lines journald takes of one unit, and in how many seconds; None without a limit."""
    text = remote.run(["systemd-analyze", "cat-config", "systemd/journald.conf"]).output
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith(("#", ";")))
    burst, interval = int(settings.get("RateLimitBurst") or 10_000), settings.get("RateLimitIntervalSec") or "30s"
    shown = remote.run(["systemd-analyze", "timespan", interval]).output
    seconds = int(next(line for line in shown.splitlines() if "s: " in line).rpartition(" ")[2]) / 1e6
    return (burst, seconds) if burst and seconds else None


def postfix_seconds(text: str) -> int:
    """A time as Postfix writes it: `5d`, `12h`; days without a letter, as for the queue's lifetime."""
    unit = text[-1:].lower()
    return int(text[:-1]) * SECONDS[unit] if unit in SECONDS else int(text) * SECONDS["d"]


def _option(remote: RemoteHost, name: str) -> str:
    return remote.run(["postconf", "-hx", name]).output.strip()


CHECKS = (queue_lifetime, second_pass, mail_log)
