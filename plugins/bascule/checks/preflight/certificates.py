"""New's certificates are valid for the service names, before the addresses move there."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

from bascule.checks.preflight.finding import Finding, failure, ok, warning
from bascule.hosts import tls
from bascule.hosts.access import Access
from bascule.text.reason import reason

TIMEOUT = 15.0  # seconds
SOON = 14  # days


def service_names(access: Access) -> Iterator[Finding]:
    """Connect to new itself and ask for each service name's certificate."""
    new = access.site.mailboxes.new
    ca_file = tls.ca_file(access.connections.get(new.connection))
    parts = access.site.service_addresses
    for part in (parts.imap, parts.pop):
        host = access.site.hosts[part.new_owner].address
        yield _certificate(host, part.port, part.name, ca_file)


def _certificate(host: str, port: int, name: str, ca_file: str | None) -> Finding:
    subject = f"certificate for {name} on {host}:{port}"
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT) as plain,
            tls.context(ca_file).wrap_socket(plain, server_hostname=name) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return failure(subject, f"clients would refuse it: {error.verify_message}")
    except OSError as error:
        return failure(
            subject, f"no TLS there ({reason(error)}): is the service running, and is this port one with TLS?"
        )
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (ends - datetime.now(UTC)).days
    sentence = f"valid for {name} until {ends:%Y-%m-%d}"
    return ok(subject, sentence) if days > SOON else warning(subject, f"{sentence}, which is in {days} days")
