"""Isolation: a host's mail ports reachable from the listed networks only, by nftables.

The rules have a table of their own, a file of their own, and a small unit of their own that loads the file at boot and
again whenever nftables is reloaded: nothing that belongs to the host's own firewall is edited.
"""

import ipaddress
from typing import Any, Literal

from bascule.changes import files, probes
from bascule.changes.base import Change, ChangeFailed, State
from bascule.hosts.access import Access
from bascule.site import IsolationPart, Side
from bascule.text.logs import get_logger

log = get_logger(__name__)

TABLE = "bascule_isolation"
UNIT = "bascule-isolation.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
UNIT_TEXT = """\
# Written by Bascule: loads its isolation rules at boot, and again after nftables has been reloaded.
[Unit]
Description=Isolation of the mail ports by Bascule
DefaultDependencies=no
Wants=network-pre.target
After=nftables.service
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {path}
ExecReload=/usr/sbin/nft -f {path}
ExecStop=-/usr/sbin/nft delete table inet {table}

[Install]
WantedBy=sysinit.target nftables.service
"""


class Isolation(Change):
    """The mail ports of `old` or `new` isolated, or open again.

    State: {"loaded": the mark of the rules that the kernel has, or None; "rules": file; "unit": file; "enabled": bool}.
    """

    kind = "firewall"

    def __init__(self, access: Access, side: Side, state: Literal["isolated", "open"]) -> None:
        super().__init__(access)
        self.side = side
        self.state = state
        self.part: IsolationPart = getattr(access.site.isolation, side)
        self.remote = access.remote(self.part.host)

    @property
    def subject(self) -> str:
        return f"{self.part.host}: {' '.join(str(port) for port in self.part.ports)}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"side": self.side, "state": self.state}

    @property
    def desired(self) -> State:
        if self.state == "open":
            return {"loaded": None, "rules": None, "unit": None, "enabled": False}
        rules, unit = rules_of(self.part), UNIT_TEXT.format(path=self.part.path, table=TABLE)
        return {"loaded": mark_of(self.part), "rules": _file(rules), "unit": _file(unit), "enabled": True}

    def observe(self) -> State:
        return {
            "loaded": self._loaded_mark(),
            "rules": files.snapshot(self.remote, self.part.path),
            "unit": files.snapshot(self.remote, UNIT_PATH),
            "enabled": self.remote.run(["systemctl", "is-enabled", "--", UNIT], check=False).output.strip()
            == "enabled",
        }

    def apply(self) -> None:
        self._bring_to(self.desired)

    def revert(self, before: State) -> None:
        self._bring_to(before)
        found = self.observe()
        if found != before:
            raise ChangeFailed(
                f"{self.subject}: the firewall is not as it was before: it has {self.summary(found)} instead of "
                f"{self.summary(before)}"
            )

    def verify(self) -> None:
        found = self.observe()
        if found != self.desired:
            raise ChangeFailed(
                f"{self.subject}: the ports shall be {self.state}, but the host has {self.summary(found)}; the "
                f"template `{self.part.template}` must carry the comment {{{{ mark }}}} in a rule"
            )
        listening = sorted(probes.listening(self.remote, self.part.ports))
        if not listening:
            log.warning(
                "nothing listens on the isolated ports now, so that a refusal proves nothing: "
                "look again (run this change again) when the service runs",
                subject=self.subject,
            )
            return
        self._verify_from_here(listening)
        if self.state == "isolated":
            self._verify_refused(listening)

    def summary(self, state: State) -> State:
        return {**state, "rules": files.short(state["rules"]), "unit": files.short(state["unit"])}

    def _bring_to(self, wanted: State) -> None:
        if wanted["rules"] is None and wanted["loaded"] is None:
            self._remove()
            return
        # First the rules that take effect now, then what makes them last: a crash in between leaves them stricter.
        files.restore(self.remote, self.part.path, wanted["rules"])
        if wanted["loaded"] is not None:
            self.remote.run(["nft", "--check", "--file", self.part.path])
            self.remote.run(["nft", "--file", self.part.path])
        files.restore(self.remote, UNIT_PATH, wanted["unit"])
        self.remote.run(["systemctl", "daemon-reload"])
        if wanted["enabled"]:
            self.remote.run(["systemctl", "--quiet", "enable", "--", UNIT])
            self.remote.run(["systemctl", "start", "--", UNIT])
        else:
            self.remote.run(["systemctl", "--quiet", "disable", "--", UNIT], check=False)

    def _remove(self) -> None:
        self.remote.run(["systemctl", "--quiet", "disable", "--now", "--", UNIT], check=False)
        if self._loaded_mark() is not None:
            self.remote.run(["nft", "delete", "table", "inet", TABLE])
        files.restore(self.remote, UNIT_PATH, None)
        files.restore(self.remote, self.part.path, None)
        self.remote.run(["systemctl", "daemon-reload"])

    def _loaded_mark(self) -> str | None:
        """The mark in the kernel's rules; empty when the table is there without one; None when there is no table."""
        tables = self.remote.run(["nft", "list", "tables"]).output.split("\n")
        if f"table inet {TABLE}" not in tables:
            return None
        rules = self.remote.run(["nft", "list", "table", "inet", TABLE]).output
        _, found, rest = rules.partition('comment "')
        return rest.partition('"')[0] if found else ""

    def _verify_from_here(self, listening: list[int]) -> None:
        address = self.access.site.hosts[self.part.host].address
        for port in listening:
            answer = probes.connect_from_here(address, port)
            if not answer.is_open:
                raise ChangeFailed(
                    f"{self.subject}: port {port} can't be reached from here ({answer.answer}: {answer.error}): "
                    f"`isolation.{self.side}.allow` must contain the address that Bascule comes from"
                )
            log.info("reached from here, as it must be", host=self.part.host, port=port)

    def _verify_refused(self, listening: list[int]) -> None:
        address = self.access.site.hosts[self.part.host].address
        for place in self.part.refused_from:
            for port in listening:
                answer = probes.connect_from(self.access.remote(place), address, port)
                if answer.is_open:
                    raise ChangeFailed(
                        f"{self.subject}: port {port} can still be reached from {place}: is that host in "
                        f"`isolation.{self.side}.allow`?"
                    )
                log.info("refused, as it must be", host=self.part.host, port=port, tried_from=place, got=answer.answer)


def rules_of(part: IsolationPart) -> str:
    """The file of nftables rules for one isolated host."""
    return _fill(part, mark_of(part))


def mark_of(part: IsolationPart) -> str:
    """The comment that tells these rules from any others: a hash of all that is in them."""
    return f"bascule {files.digest(_fill(part, ''))[:16]}"


def _fill(part: IsolationPart, mark: str) -> str:
    networks = [ipaddress.ip_network(network) for network in part.allow]
    ipv4 = ipaddress.collapse_addresses(item for item in networks if isinstance(item, ipaddress.IPv4Network))
    ipv6 = ipaddress.collapse_addresses(item for item in networks if isinstance(item, ipaddress.IPv6Network))
    return files.render(
        part.template,
        table=TABLE,
        ports=sorted(set(part.ports)),
        allow_ipv4=[str(network) for network in ipv4],
        allow_ipv6=[str(network) for network in ipv6],
        mark=mark,
    )


def _file(text: str) -> files.FileState:
    return {"text": text, "mode": "644", "owner": "root:root"}
