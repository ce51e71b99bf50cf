"""The account's sessions: where they are, ended, and a login from outside that shows where one ends now."""

import socket
import time
from collections import Counter

from bascule.hosts import imap, tls
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.hosts.login import Endpoint, login_for
from bascule.hosts.side_by_side import on_each
from bascule.hosts.ssh import RemoteHost
from bascule.ledger.moves import Server, other
from bascule.moves.entry import part_of
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

KICK_SECONDS = 10.0
ANSWER_SECONDS = 10.0  # without a word from a server: while one hangs, mail is held and nobody is put off
COUNTED_SECONDS = 5.0  # the same, where it is for the journal alone
LOOK_EVERY = 0.1
LOGIN_SECONDS = 60.0


class Sessions:
    """The sessions of one account, as Dovecot's anvil knows them."""

    def __init__(self, access: Access, account: str) -> None:
        self.access, self.account, self.part = access, account, part_of(access)
        servers = access.site.mailboxes
        self.servers = {"old": servers.old, "new": servers.new}
        self.proxies = [access.remote(host) for host in self.part.proxies]
        self.names = [account, f"{account}@{access.site.domain}"]  # as whom people log in
        self._led_as = {*self.names, *(name.lower() for name in self.names)}  # a Dovecot writes names small by itself

    def open(self) -> None:
        """Open the connections to the proxies. Raises AccessError."""
        on_each(self.proxies, lambda proxy: proxy.run(["true"], sudo=False))

    def on(self, server: Server) -> int:
        """How many sessions the server has. Raises AccessError."""
        return sum(self._names_on(server).values())

    def kick(self, to: Server) -> None:
        """End them at the proxies and on the server that the account leaves. Raises AccessError when some stay there.

        A session of a proxy has one on the server behind it: none there is none at all.
        """
        self.send_out()
        leaves = other(to)
        deadline = time.monotonic() + KICK_SECONDS
        while found := self._names_on(leaves):
            if time.monotonic() > deadline:
                raise AccessError(
                    f"{found.total()} session(s) of {self.account} are still on {leaves}, {KICK_SECONDS:.0f} s after "
                    f"they were ended: who comes there past the proxy? (`doveadm who {self.account}` there)"
                )
            for name in found:
                self._remote(leaves).run(["doveadm", "kick", _mask(name)], check=False, timeout=ANSWER_SECONDS)
            time.sleep(LOOK_EVERY)

    def _names_on(self, server: Server) -> Counter[str]:
        """The names under which the server has sessions of the account, and how many: in whatever case it has them."""
        command = ["doveadm", "-f", "tab", "who", "-1", f"{self.account}*"]
        return self._own(self._remote(server).run(command, timeout=ANSWER_SECONDS).output)

    def _own(self, table: str) -> Counter[str]:
        """Its names in the first column of what `doveadm` says of everybody, and how often."""
        names = Counter(line.split("\t")[0] for line in table.splitlines()[1:])
        own = {name.lower() for name in self.names}
        return Counter({name: count for name, count in names.items() if name.lower() in own})

    def led(self) -> int:
        """How many sessions the proxies lead. Raises AccessError.

        What `doveadm proxy kick` says it has ended is the number of one login process alone, whichever answered last
        (seen with Dovecot 2.3: 4 sessions of IMAP and POP3 ended, and it said 1, or 3).
        """
        return sum(on_each(self.proxies, self._led_by).values())

    def _led_by(self, proxy: RemoteHost) -> int:
        """A Dovecot that does not say leads nobody that is known."""
        command = ["doveadm", "-f", "tab", "proxy", "list"]
        said = proxy.run(command, check=False, private=True, timeout=COUNTED_SECONDS)
        own = self._own(said.output)
        self._led_as |= {*own}  # where it keeps them as people wrote them
        return own.total()

    def send_out(self) -> None:
        """End them at the proxies, which know a name in one case alone. Raises AccessError."""
        command = ["doveadm", "proxy", "kick", *sorted(self._led_as)]
        on_each(self.proxies, lambda proxy: proxy.run(command, timeout=ANSWER_SECONDS))

    def prove(self, to: Server) -> None:
        """Log in by the service name, and see on which server that is. Raises AccessError."""
        server = self.servers[to]
        connection = self.access.connections.get(server.connection)
        service = self.part.service
        endpoint = Endpoint(service.name, service.port, ca_file=tls.ca_file(connection), timeout=LOGIN_SECONDS)
        try:
            with imap.opened(endpoint, login_for(server, connection, self.account)):
                there, left = self.on(to), self.on(other(to))
        except imap.ImapError as error:
            raise AccessError(f"a login of {self.account} at {service.name} fails: {reason(error)}") from None
        if not there or left:
            raise AccessError(
                f"a login of {self.account} at {service.name} does not end on {to}: {there} session(s) there, {left} "
                f"on {other(to)}"
            )
        log.info("a login through the proxy ends there", account=self.account, service=service.name, server=to)

    def _remote(self, server: Server) -> RemoteHost:
        return self.access.remote(self.servers[server].host)


def _mask(name: str) -> str:
    """The name for `doveadm kick`, which takes what could be an IPv4 address (0x12, 10.1, of old 4711 too) for one.

    Whose name is longer is then sent out as well, and comes back.
    """
    try:
        socket.inet_aton(name)
    except OSError:
        return name
    return f"{name}*"
