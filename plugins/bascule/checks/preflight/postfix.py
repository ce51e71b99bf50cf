"""Postfix at the MX: how long mail may wait, what becomes of requeued mail, and whether the log is whole."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.hosts.access import Access
from bascule.hosts.postfix import maillog
from bascule.hosts.ssh import RemoteHost

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
COPIES = ("always_bcc", "sender_bcc_maps", "recipient_bcc_maps")
MILTERS = ("smtpd_milters", "non_smtpd_milters")
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
    """Mail that waits during the freeze is requeued, and so passes once more what incoming mail passes.

    Postfix takes what is requeued past its milters (postsuper(1)); but what comes back from a content filter by SMTP
    passes those of the service that takes it back.
    """
    remote, subject = access.remote(host), f"{host}: requeued mail"
    copies = [f"`{name}` ({value})" for name in COPIES if (value := _option(remote, name))]
    content_filter = _of_services(remote, "pickup/unix/content_filter").get("pickup", _option(remote, "content_filter"))
    past = "let requeued mail go past it (`postconf -P pickup/unix/content_filter=`)"
    if copies:
        yield warning(
            subject,
            f"mail that waits during the freeze is copied a second time by {' and '.join(copies)}: be ready for these "
            "copies, or empty it from the freeze until `reroute_mail_queued_at_mx` has ended",
        )
    if content_filter:
        yield warning(
            subject,
            f"mail that waits during the freeze passes `content_filter` ({content_filter}) a second time, which may "
            f"mark or sign it twice: {past}",
        )
        for service, milters in _milters_behind_a_filter(remote).items():
            yield warning(
                subject,
                f"mail that waits during the freeze comes back from `content_filter` through {service} and passes "
                f"`smtpd_milters` ({milters}) there a second time; one that signs with DKIM signs it twice: {past}",
            )
    if not copies and not content_filter:
        past_it = [f"`{name}` ({value})" for name in MILTERS if (value := _option(remote, name))]
        unsigned = f"; Postfix takes it past {' and '.join(past_it)}, so none signs it twice" if past_it else ""
        words = "no BCC and no content filter is met a second time by mail that waits during the freeze"
        yield ok(subject, f"{words}{unsigned}")


def _milters_behind_a_filter(remote: RemoteHost) -> dict[str, str]:
    """The milters of each SMTP service that takes mail back from a content filter: it has an empty one of its own."""
    back = [service for service, value in _of_services(remote, "*/inet/content_filter").items() if not value]
    milters, without = (
        _of_services(remote, f"*/inet/{name}") for name in ("smtpd_milters", "receive_override_options")
    )
    of_all, without_of_all = _option(remote, "smtpd_milters"), _option(remote, "receive_override_options")
    return {
        service: value
        for service in back
        if "no_milters" not in without.get(service, without_of_all) and (value := milters.get(service, of_all))
    }


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
    told = [line.strip().partition("=") for line in text.splitlines() if not line.strip().startswith(("#", ";"))]
    settings = {name.strip(): value.strip() for name, _, value in told}
    burst = _number(settings.get("RateLimitBurst", ""), 10_000)
    interval = settings.get("RateLimitIntervalSec") or "30s"
    shown = remote.run(["systemd-analyze", "timespan", interval]).output
    seconds = int(next(line for line in shown.splitlines() if "s: " in line).rpartition(" ")[2]) / 1e6
    return (burst, seconds) if burst and seconds else None


def _number(text: str, otherwise: int) -> int:
    """What journald makes of it: what is no number counts as not written."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else otherwise


def postfix_seconds(text: str) -> int:
    """A time as Postfix writes it: `5d`, `12h`; days without a letter, as for the queue's lifetime."""
    unit = text[-1:].lower()
    return int(text[:-1]) * SECONDS[unit] if unit in SECONDS else int(text) * SECONDS["d"]


def _option(remote: RemoteHost, name: str) -> str:
    return remote.run(["postconf", "-hx", name]).output.strip()


def _of_services(remote: RemoteHost, name: str) -> dict[str, str]:
    """A setting that services of master.cf have of their own, by service. `name`: `service/type/setting`."""
    lines = remote.run(["postconf", "-Px", name], check=False).output.splitlines()
    settings = (line.partition("=") for line in lines)
    return {where.strip().rsplit("/", 2)[0]: value.strip() for where, _, value in settings}


CHECKS = (queue_lifetime, second_pass, mail_log)
