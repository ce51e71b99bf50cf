"""Each host by SSH: the login, sudo, the units, the virtual machine, Postfix, the disk."""

from collections.abc import Iterator

from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.hosts.access import Access
from bascule.hosts.ssh import CommandFailed
from bascule.site import ServicePart, Site

NOTHING = 1_000_000  # bytes; less is no store of mailboxes
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
    for name, part in services_of(access.site):
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


def services_of(site: Site) -> list[tuple[str, ServicePart]]:
    """The site's services by their keys."""
    return [(name, getattr(site.services, name)) for name in type(site.services).model_fields]


def virtual_machine(access: Access, host: str) -> Iterator[Finding]:
    """The hypervisor knows the virtual machine that proxies IMAP."""
    machine = access.site.virtual_machine
    done = access.remote(host).run(
        ["env", "LC_ALL=C", "virsh", "-c", machine.uri, "domstate", machine.name], check=False
    )
    if done.status == 0:
        yield ok(f"{host}: {machine.name}", f"virsh knows the virtual machine; it is {done.output.strip()}")
    else:
        yield failure(f"{host}: {machine.name}", f"virsh doesn't know the virtual machine: {done.error.strip()}")


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
    if needed < NOTHING:
        yield warning("disk space", f"{old.storage} on {old.host} holds {_size(needed)}: is `storage` written right?")
        return
    sentence = f"{old.host} holds {_size(needed)} in {old.storage}, {new.host} has {_size(free)} free in {new.storage}"
    if free < needed:
        yield failure("disk space", f"{sentence}: make room")
    elif free < needed * 1.3:
        yield warning("disk space", f"{sentence}: that is tight, indexes and new mail need room too")
    else:
        yield ok("disk space", sentence)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            break
        count, unit = count / 1000, {"bytes": "kB", "kB": "MB", "MB": "GB", "GB": "TB"}[unit]  # noqa: PLW2901
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
