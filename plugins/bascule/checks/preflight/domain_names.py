"""DNS agrees with the site file, at every authoritative server."""

import contextlib
import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver
import dns.reversename

from bascule.checks.preflight.finding import Finding, failure, ok, some, warning
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.text.reason import reason

TIMEOUT = 10.0  # seconds
LONGEST_TTL = 3600  # seconds; names whose meaning changes on the day should not be remembered longer


class NotLookedUp(AccessError):
    """Raised when no name server that is asked where Bascule runs could answer."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} could not be looked up within {TIMEOUT:.0f} s: the name server that is set where Bascule's tasks "
            "run (/etc/resolv.conf there) doesn't answer, or can't"
        )


def hosts_and_services(access: Access) -> Iterator[Finding]:
    """Every host's name leads to an address, and the service names to theirs."""
    site = access.site
    for host in site.hosts.values():
        yield _told(f"DNS: {host.address}", _host, host.address)
    for part in (site.service_addresses.imap, site.service_addresses.pop):
        yield _told(f"DNS: {part.name}", _service, part.name, str(ipaddress.ip_interface(part.address).ip))


def reverse(access: Access) -> Iterator[Finding]:
    """Addresses lead back to names: SOGo and mail servers wait long where they don't."""
    names = [host.address for host in access.site.hosts.values()]
    addresses, found, unknown = dict[str, str](), 0, list[str]()
    for name in names:
        try:
            its_own = _addresses(name)
            addresses |= dict.fromkeys(its_own, name)
            found += bool(its_own)
        except NotLookedUp:
            unknown.append(name)
    lacking = [f"{name} ({address})" for address, name in addresses.items() if not _has_name(address)]
    if not addresses:
        yield warning("reverse DNS", f"not looked at: none of the {len(names)} hosts has an address in DNS")
        return
    if unknown:
        yield warning("reverse DNS", f"not looked at for {some(unknown)}: nobody could say which addresses they have")
    if lacking:
        yield warning(
            "reverse DNS", f"no name for {some(lacking)}: SOGo waits up to 10 s at each request of such a client"
        )
    else:
        yield ok("reverse DNS", f"the {len(addresses)} addresses of {found} hosts have names")


def mail_exchanger(access: Access) -> Iterator[Finding]:
    """The domain's MX is the host whose queue holds the mail of the day."""
    site = access.site
    answer = _resolved(site.domain, "MX")
    exchangers = sorted(record.exchange.to_text(omit_final_dot=True) for record in answer)
    ours = site.hosts[site.queues.mx].address
    others = [name for name in exchangers if not _same_host(name, ours)]
    if not exchangers:
        yield failure(f"DNS: MX of {site.domain}", f"there is none, and `queues.mx` is {ours}")
    elif len(others) == len(exchangers):
        yield failure(f"DNS: MX of {site.domain}", f"is {some(exchangers)}, and `queues.mx` is {ours}")
    elif others:
        yield warning(
            f"DNS: MX of {site.domain}", f"mail may come through {some(others)} too, which Bascule doesn't watch"
        )
    else:
        yield ok(f"DNS: MX of {site.domain}", f"is {some(exchangers)}")


def authoritative_servers(access: Access) -> Iterator[Finding]:
    """Each authoritative server of the zone answers the same for the service names, with a short TTL."""
    site = access.site
    name = site.service_addresses.imap.name
    try:
        zone = dns.resolver.zone_for_name(name, lifetime=TIMEOUT)
    except dns.exception.DNSException:
        raise NotLookedUp(name) from None
    servers = sorted(record.target.to_text() for record in _resolved(zone.to_text(), "NS"))
    if not servers:
        yield failure(f"DNS: zone {zone.to_text()}", "no name server is named for it, so that none was asked")
    for server in servers:
        for part in (site.service_addresses.imap, site.service_addresses.pop):
            subject, wanted = f"DNS: {part.name} at {server.rstrip('.')}", str(ipaddress.ip_interface(part.address).ip)
            yield _told(subject, _at_server, server, part.name, wanted)


def _told(subject: str, look: Callable[..., Finding], *about: str) -> Finding:
    """What was found, or that nobody could look it up."""
    try:
        return look(subject, *about)
    except NotLookedUp as error:
        return failure(subject, str(error))


def _at_server(subject: str, server: str, name: str, wanted: str) -> Finding:
    addresses = _addresses(server)
    if not addresses:
        return failure(subject, "this name server has no address")
    kind = "AAAA" if ":" in wanted else "A"
    try:
        answer = dns.query.udp(dns.message.make_query(name, kind), addresses[0], timeout=TIMEOUT)
    except dns.exception.DNSException:
        return failure(subject, f"this name server gives no usable answer within {TIMEOUT:.0f} s")
    except OSError as error:
        return failure(subject, f"this name server can't be asked: {reason(error)}")
    found = {record.to_text(): rrset.ttl for rrset in answer.answer for record in rrset if rrset.rdtype in (1, 28)}
    if wanted not in found:
        return failure(subject, f"it says {some(sorted(found)) or 'nothing'}, and the site file says {wanted}")
    if found[wanted] > LONGEST_TTL:
        return warning(
            subject, f"its TTL is {found[wanted]} s: should the name have to change, clients keep the old one"
        )
    return ok(subject, f"it says {wanted}, for {found[wanted]} s")


def _host(subject: str, name: str) -> Finding:
    found = _addresses(name)
    if found:
        return ok(subject, f"is {', '.join(found)}")
    return failure(subject, "has no address: mend `hosts` or the zone")


def _service(subject: str, name: str, wanted: str) -> Finding:
    found = _addresses(name)
    if found == [wanted]:
        return ok(subject, f"is {wanted}")
    return failure(subject, f"is {some(found) or 'unknown'}, and the site file says {wanted}")


def _same_host(one: str, other: str) -> bool:
    return one.lower() == other.lower() or bool(set(_addresses(one)) & set(_addresses(other)))


def _has_name(address: str) -> bool:
    """Whether the address leads to a name; not in time is no."""
    try:
        return bool(_resolved(dns.reversename.from_address(address).to_text(), "PTR"))
    except NotLookedUp:
        return False


def _addresses(name: str) -> list[str]:
    """Raises NotLookedUp when nobody knows."""
    with contextlib.suppress(ValueError):  # it is a name, then
        return [str(ipaddress.ip_address(name))]
    return sorted(record.to_text() for kind in ("A", "AAAA") for record in _resolved(name, kind))


def _resolved(name: str, kind: str) -> list[Any]:
    """The records of this kind; none is an answer too. Raises NotLookedUp."""
    try:
        return list(dns.resolver.resolve(name, kind, lifetime=TIMEOUT))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException:  # its words name the resolver of this machine or container, and no remedy
        raise NotLookedUp(name) from None


CHECKS = (hosts_and_services, reverse, mail_exchanger, authoritative_servers)
