"""DNS agrees with the site file, at every authoritative server."""

import contextlib
import ipaddress
from collections.abc import Iterator

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver
import dns.reversename
import structlog

from bascule.access import Access
from bascule.checks.finding import Finding, failure, ok, some, warning

log = structlog.get_logger(__name__)

TIMEOUT = 10.0  # seconds
LONGEST_TTL = 3600  # seconds; names whose meaning changes on the day should not be remembered longer


def hosts_and_services(access: Access) -> Iterator[Finding]:
    """Every host's name leads to an address, and the service names to theirs."""
    site = access.site
    for host in site.hosts.values():
        found = _addresses(host.address)
        yield (
            ok(f"DNS: {host.address}", f"is {', '.join(found)}")
            if found
            else failure(f"DNS: {host.address}", "has no address: mend `hosts` or the zone")
        )
    for part in (site.service_addresses.imap, site.service_addresses.pop):
        yield _service(part.name, str(ipaddress.ip_interface(part.address).ip))


def reverse(access: Access) -> Iterator[Finding]:
    """Addresses lead back to names: SOGo and mail servers wait long where they don't."""
    names = {host.address: host.address for host in access.site.hosts.values()}
    lacking = []
    for name in names:
        for address in _addresses(name):
            try:
                dns.resolver.resolve(dns.reversename.from_address(address), "PTR", lifetime=TIMEOUT)
            except dns.exception.DNSException:
                lacking.append(f"{name} ({address})")
    if lacking:
        yield warning(
            "reverse DNS", f"no name for {some(lacking)}: SOGo waits up to 10 s at each request of such a client"
        )
    else:
        yield ok("reverse DNS", f"the addresses of all {len(names)} hosts have names")


def mail_exchanger(access: Access) -> Iterator[Finding]:
    """The domain's MX is the host whose queue holds the mail of the day."""
    site = access.site
    answer = dns.resolver.resolve(site.domain, "MX", lifetime=TIMEOUT)
    exchangers = sorted(record.exchange.to_text(omit_final_dot=True) for record in answer)
    ours = site.hosts[site.queues.mx].address
    others = [name for name in exchangers if not _same_host(name, ours)]
    if len(others) == len(exchangers):
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
    zone = dns.resolver.zone_for_name(site.service_addresses.imap.name, lifetime=TIMEOUT)
    servers = sorted(record.target.to_text() for record in dns.resolver.resolve(zone, "NS", lifetime=TIMEOUT))
    for server in servers:
        for part in (site.service_addresses.imap, site.service_addresses.pop):
            yield _at_server(server, part.name, str(ipaddress.ip_interface(part.address).ip))


def _at_server(server: str, name: str, wanted: str) -> Finding:
    subject = f"DNS: {name} at {server.rstrip('.')}"
    addresses = _addresses(server)
    if not addresses:
        return failure(subject, "this name server has no address")
    kind = "AAAA" if ":" in wanted else "A"
    try:
        answer = dns.query.udp(dns.message.make_query(name, kind), addresses[0], timeout=TIMEOUT)
    except (dns.exception.DNSException, OSError) as error:
        return failure(subject, f"this name server doesn't answer: {error}")
    found = {record.to_text(): rrset.ttl for rrset in answer.answer for record in rrset if rrset.rdtype in (1, 28)}
    if wanted not in found:
        return failure(subject, f"it says {some(sorted(found)) or 'nothing'}, and the site file says {wanted}")
    if found[wanted] > LONGEST_TTL:
        return warning(
            subject, f"its TTL is {found[wanted]} s: should the name have to change, clients keep the old one"
        )
    return ok(subject, f"it says {wanted}, for {found[wanted]} s")


def _service(name: str, wanted: str) -> Finding:
    found = _addresses(name)
    if found == [wanted]:
        return ok(f"DNS: {name}", f"is {wanted}")
    return failure(f"DNS: {name}", f"is {some(found) or 'unknown'}, and the site file says {wanted}")


def _same_host(one: str, other: str) -> bool:
    return one.lower() == other.lower() or bool(set(_addresses(one)) & set(_addresses(other)))


def _addresses(name: str) -> list[str]:
    with contextlib.suppress(ValueError):  # it is a name, then
        return [str(ipaddress.ip_address(name))]
    found: list[str] = []
    for kind in ("A", "AAAA"):
        try:
            found += [record.to_text() for record in dns.resolver.resolve(name, kind, lifetime=TIMEOUT)]
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue  # it has no address of this kind, which the caller tells
        except dns.exception.DNSException as error:  # nobody knows whether it has one
            log.warning("name not looked up", name=name, kind=kind, why=str(error))
    return sorted(found)


CHECKS = (hosts_and_services, reverse, mail_exchanger, authoritative_servers)
