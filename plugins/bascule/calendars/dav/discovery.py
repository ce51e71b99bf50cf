"""Where a domain's calendars are served (RFC 6764 section 6): by its SRV and TXT records, then by `/.well-known/`."""

import ipaddress
import ssl
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

import dns.exception
import dns.resolver
import httpx

from bascule.hosts.connections import AccessError
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

WELL_KNOWN = "/.well-known/"
STEPS = 5  # redirects
SECONDS = 10.0  # for each question
SERVICES = {"caldav": "_caldavs._tcp", "carddav": "_carddavs._tcp"}


def located(url: str, verify: ssl.SSLContext) -> str:
    """Where to begin: where the redirects from a well-known address end; any other address as it is.

    Nothing secret is sent on the way. Raises AccessError when a redirect leads out of TLS, or to no end.
    """
    if WELL_KNOWN not in url:
        return url
    here = _by_dns(url)
    with httpx.Client(verify=verify, timeout=SECONDS) as client:
        for _ in range(STEPS):
            try:
                answer = client.request("PROPFIND", here, headers={"Depth": "0"})
            except httpx.HTTPError as error:
                raise AccessError(f"{here} can't be asked where the calendars are: {reason(error)}") from None
            if not answer.is_redirect:
                # Without such an address, the service begins at the top (RFC 6764 section 6, step 3).
                return urljoin(here, "/") if answer.status_code == 404 else here
            there = urljoin(here, answer.headers["location"])
            if urlsplit(here).scheme == "https" and urlsplit(there).scheme != "https":
                raise AccessError(
                    f"{here} leads to {there}, which is not encrypted: write the right address into `url`"
                )
            log.info("calendars: led on", by=here, to=there)
            here = there
    raise AccessError(f"{url} leads on and on: write the address where the calendars are into `url`")


def _by_dns(url: str) -> str:
    """The server and path that the domain's records name; the address itself where there are none."""
    parts = urlsplit(url)
    service = SERVICES.get(parts.path.rstrip("/").rsplit("/", 1)[-1])
    host = parts.hostname or ""
    if service is None or _is_address(host):
        return url
    named = _records(f"{service}.{host}", "SRV")
    if not named:
        return url
    record = min(named, key=lambda found: (found.priority, -found.weight))
    target = str(record.target).rstrip(".")
    if not target:
        raise AccessError(f"the domain {host} says in DNS that it has no such service ({service})")
    texts = [b"".join(found.strings).decode(errors="replace") for found in _records(f"{service}.{host}", "TXT")]
    path = next((text.removeprefix("path=") for text in texts if text.startswith("path=/")), parts.path)
    log.info("calendars: found by DNS", domain=host, server=target, port=record.port, path=path)
    return f"https://{target}:{record.port}{path}"


@cache
def _records(name: str, kind: str) -> list[Any]:
    """The records of one name; none where DNS doesn't answer, since most domains have none of these."""
    try:
        return list(dns.resolver.resolve(name, kind, lifetime=SECONDS))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        log.warning("DNS doesn't answer, so the domain's own address is taken", name=name, why=str(error))
        return []


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
