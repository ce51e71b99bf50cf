"""TLS with every certificate checked: one context for each authority, made once.

Reading the certificates of the machine's trust store costs more than a whole login.
"""

from __future__ import annotations

import functools
import ssl
from typing import TYPE_CHECKING

from bascule.hosts.connections import AccessError

if TYPE_CHECKING:
    from bascule.hosts.connections import Connection


def ca_file(connection: Connection) -> str | None:
    """The connection's own authority, if it names one. Raises AccessError when no certificate can be read from it."""
    path = connection.extra.get("ca_file")
    try:
        context(path)
    except AccessError as error:
        raise AccessError(f"the connection `{connection.conn_id}`: {error}") from None
    return path


@functools.cache
def context(ca_file: str | None) -> ssl.SSLContext:
    """Trusts the machine's authorities, or this one alone. Raises AccessError when no certificate can be read."""
    return _made(ca_file)


@functools.cache
def web_context(ca_file: str | None) -> ssl.SSLContext:
    """The same for web servers, apart from the mail servers': httpx makes every context that it gets offer HTTP."""
    return _made(ca_file)


def _made(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:  # which is an OSError too
        reason = "it is no certificate in PEM form"
    except OSError as error:
        reason = error.strerror or str(error)
    raise AccessError(f"`ca_file` {ca_file} can't be used where Bascule runs: {reason}")
