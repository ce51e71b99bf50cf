"""Each host by SSH: the login, sudo, the units, the virtual machine, the queue's lifetime, the disk."""

from collections.abc import Iterator

from bascule.access import Access, CommandFailed
from bascule.checks import pop3
from bascule.checks.finding import Finding, failure, ok, warning
from bascule.site import ServicePart

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DU_TIMEOUT = 900.0  # seconds; a large store takes its time


def ssh_and_sudo(access: Access, host: str) -> Iterator[Finding]:
    """Login with a known host key, and sudo without a password."""
    login = access.connections.get(access.site.hosts[host].ssh).login
    access.remote(host).run(["true"], sudo=False)
    try:
        access.remote(host).run(["true"])
    except CommandFailed as error:
        yield failure(host, f"`{login}` has no sudo without a password: {error.finished.error.strip()}")
    else:
        yield ok(host, f"SSH as `{login}` and sudo work")


def units(access: Access, host: str) -> Iterator[Finding]:
    """Every unit that the day stops and starts here exists."""
    services = access.site.services
    for name in type(services).model_fields:
        part: ServicePart = getattr(services, name)
        if part.host != host:
            continue
        for unit in part.units:
            shown = access.remote(host).run(["systemctl", "show", "--property=LoadState,ActiveState", unit]).output
            states = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
            if states.get("LoadState") != "loaded":
                yield failure(
                    f"{host}: {unit}",
                    f"systemd says `{states.get('LoadState')}` of it: mend `services.{name}.units` or the unit",
                )
            else:
                yield ok(f"{host}: {unit}", f"the unit exists and is {states.get('ActiveState')}")


def virtual_machine(access: Access, host: str) -> Iterator[Finding]:
    """The hypervisor knows the virtual machine that proxies IMAP."""
    machine = access.site.virtual_machine
    if machine.hypervisor != host:
        return
    done = access.remote(host).run(
        ["env", "LC_ALL=C", "virsh", "-c", machine.uri, "domstate", machine.name], check=False
    )
    if done.status == 0:
        yield ok(f"{host}: {machine.name}", f"virsh knows the virtual machine; it is {done.output.strip()}")
    else:
        yield failure(f"{host}: {machine.name}", f"virsh doesn't know the virtual machine: {done.error.strip()}")


def queue_lifetime(access: Access, host: str) -> Iterator[Finding]:
    """The MX holds mail long enough for the day, before it returns it to the sender."""
    queues = access.site.queues
    if queues.mx != host:
        return
    lifetime = access.remote(host).run(["postconf", "-h", "maximal_queue_lifetime"]).output.strip()
    seconds = postfix_seconds(lifetime)
    sentence = f"mail may wait {lifetime} in the queue, and {queues.lifetime_hours} h are wanted"
    if seconds >= queues.lifetime_hours * 3600:
        yield ok(f"{host}: queue", sentence)
    else:
        yield failure(f"{host}: queue", f"{sentence}: raise maximal_queue_lifetime in main.cf")


def disk_space(access: Access) -> Iterator[Finding]:
    """New has room for what old holds."""
    old, new = access.site.mailboxes.old, access.site.mailboxes.new
    if old.storage is None or new.storage is None:
        yield warning(
            "disk space", "not looked at: write `mailboxes.old.storage` and `mailboxes.new.storage` into the site file"
        )
        return
    measured = access.remote(old.host).run(["du", "-s", "-B1", "--", old.storage], timeout=DU_TIMEOUT).output
    needed = int(measured.split()[0])
    table = access.remote(new.host).run(["df", "-B1", "--output=avail", "--", new.storage]).output
    free = int(table.split()[-1])
    sentence = f"{old.host} holds {_size(needed)} in {old.storage}, {new.host} has {_size(free)} free in {new.storage}"
    if free < needed:
        yield failure("disk space", f"{sentence}: make room")
    elif free < needed * 1.3:
        yield warning("disk space", f"{sentence}: that is tight, indexes and new mail need room too")
    else:
        yield ok("disk space", sentence)


def postfix_seconds(text: str) -> int:
    """A time as Postfix writes it: `5d`, `12h`; days without a letter, as for the queue's lifetime."""
    unit = text[-1:].lower()
    return int(text[:-1]) * SECONDS[unit] if unit in SECONDS else int(text) * SECONDS["d"]


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            break
        count, unit = count / 1000, {"bytes": "kB", "kB": "MB", "MB": "GB", "GB": "TB"}[unit]  # noqa: PLW2901
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


CHECKS = (ssh_and_sudo, units, virtual_machine, queue_lifetime, pop3.users)
