"""Everything that a room needs to reach the site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bascule.hosts.connections import Connection, Connections, EnvironmentConnections
from bascule.hosts.ssh import RemoteHost, connect_ssh

if TYPE_CHECKING:
    import paramiko

    from bascule.site import Site


class Access:
    """Everything that a room needs to reach the site: the site file, its connections, its hosts by SSH."""

    def __init__(
        self,
        site: Site,
        connections: Connections,
        ssh: Callable[[Connection], paramiko.SSHClient] = connect_ssh,
    ) -> None:
        self.site = site
        self.connections = connections
        self._ssh = ssh
        self._remotes: dict[str, RemoteHost] = {}

    def remote(self, host: str) -> RemoteHost:
        """The host of this name in the site file; connects when first used."""
        if host not in self._remotes:
            conn_id = self.site.hosts[host].ssh
            self._remotes[host] = RemoteHost(host, lambda: self._ssh(self.connections.get(conn_id)))
        return self._remotes[host]

    def again(self) -> Access:
        """The same site and connections with SSH sessions of its own, for another thread. Close it too."""
        return Access(self.site, self.connections, self._ssh)

    def close(self) -> None:
        for remote in self._remotes.values():
            remote.close()
        self._remotes.clear()


@contextmanager
def opened(site: Site, connections: Connections | None = None) -> Iterator[Access]:
    """An Access that is closed at the end; connections from the environment unless given."""
    access = Access(site, connections or EnvironmentConnections())
    try:
        yield access
    finally:
        access.close()
