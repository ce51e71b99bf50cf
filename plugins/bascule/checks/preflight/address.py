"""Each service address can leave its old owner without taking anything else along."""

import ipaddress
from collections.abc import Iterator

from bascule.changes.interfaces import holding, removal_obstacle
from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.hosts.access import Access


def removable(access: Access) -> Iterator[Finding]:
    """Ask the old owners of both addresses, as the change itself will."""
    parts = access.site.service_addresses
    for part in (parts.imap, parts.pop):
        address, subject = str(ipaddress.ip_interface(part.address).ip), f"address of {part.name}"
        if part.old_owner is None:
            yield ok(subject, "no host of the site file has it to give away (`old_owner`)")
            continue
        remote = access.remote(part.old_owner)
        if obstacle := removal_obstacle(remote, address):
            yield failure(subject, obstacle)
        elif holding(remote, address) is None:
            yield warning(subject, f"{part.old_owner} shall give {address} away, and does not have it now")
        else:
            yield ok(subject, f"{part.old_owner} can give {address} away and keeps its other addresses and routes")
