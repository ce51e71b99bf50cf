"""A service address taken over by the new server: live, known to the network's neighbours, and kept over a reboot."""

import ipaddress
import re
from collections.abc import Collection
from typing import Any, Literal

from bascule.changes import files, interfaces, probes
from bascule.changes.base import Change, ChangeFailed, State
from bascule.changes.interfaces import Holding
from bascule.hosts.access import Access
from bascule.hosts.ssh import RemoteHost
from bascule.site import ServiceAddressPart
from bascule.text.logs import get_logger

log = get_logger(__name__)

ARP_SECONDS = 3  # how long answers to an ARP request are waited for
ANSWER_SECONDS = 15  # how long the network may take to learn the new place
MAC = re.compile(r"\[([0-9A-Fa-f:]{17})\]")


class ServiceAddress(Change):
    """The service address held by its new owner only, now and after the next boot of either.

    State: {"held_by": {host: {"interface", "prefix_length"}}, "configured": {host: {path: file that gives it}}}.
    """

    kind = "address"

    def __init__(self, access: Access, service: Literal["imap", "pop"]) -> None:
        super().__init__(access)
        self.service = service
        self.part: ServiceAddressPart = getattr(access.site.service_addresses, service)
        interface = ipaddress.ip_interface(self.part.address)
        if interface.version != 4:
            raise ChangeFailed(f"{self.part.name}: only IPv4 service addresses can be taken over; {interface} is not")
        self.address, self.prefix_length = str(interface.ip), interface.network.prefixlen
        self.new = access.remote(self.part.new_owner)
        self.owners = [self.part.new_owner, *([self.part.old_owner] if self.part.old_owner else [])]

    @property
    def subject(self) -> str:
        return f"{self.part.name} {self.address}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"service": self.service}

    @property
    def desired(self) -> State:
        text = interfaces.persistent_text(self.part.interface, self.address, self.prefix_length)
        file = {"text": text, "mode": "644", "owner": "root:root"}
        place = {"interface": self.part.interface, "prefix_length": self.prefix_length}
        return {
            "held_by": {self.part.new_owner: place},
            "configured": {self.part.new_owner: {interfaces.persistent_file(self.service): file}},
        }

    def observe(self) -> State:
        holding = {host: self._holding(host) for host in self.owners}
        configured = {host: interfaces.configured(self.access.remote(host), self.address) for host in self.owners}
        return {
            "held_by": {
                host: {"interface": held.interface, "prefix_length": held.prefix_length}
                for host, held in holding.items()
                if held
            },
            "configured": {host: found for host, found in configured.items() if found},
        }

    def is_desired(self, state: State) -> bool:
        """Any configuration of the new owner will do that gives it the address, not only the one we write."""
        return set(state["held_by"]) == set(state["configured"]) == {self.part.new_owner}

    def apply(self) -> None:
        self._refuse_strangers()
        self._refuse_unknown_network()
        self._refuse_loss(self.owners[1:])
        was_held = bool(self.part.old_owner and self._holding(self.part.old_owner))
        if self.part.old_owner:
            self._release(self.part.old_owner)
        if not self._holding(self.part.new_owner):
            if was_held:  # else nobody has answered a moment ago
                self._refuse_answers(self.part.new_owner, self.part.interface)
            self._take(self.part.new_owner, self.part.interface, self.prefix_length)
        self._keep_after_boot()
        self._announce(self.new, self.part.interface)

    def verify(self) -> None:
        found = self.observe()
        if not self.is_desired(found):
            raise ChangeFailed(f"{self.subject}: shall be {self.part.new_owner}'s alone, but: {self.summary(found)}")
        own = probes.connect_from(self.new, self._own_address(), self.part.port, tls_name=self.part.name)
        if not own.is_open or not own.certificate:
            raise ChangeFailed(
                f"{self.subject}: {self.part.new_owner} itself does not speak TLS on {self._own_address()} port "
                f"{self.part.port} ({own.error or own.answer}): is the service running, is it still isolated?"
            )
        answer = probes.Answer("not tried")

        def new_owner_answers() -> bool:
            nonlocal answer
            viewer = self.access.remote(self.part.verify_from)
            answer = probes.connect_from(viewer, self.address, self.part.port, tls_name=self.part.name)
            return answer.is_open and answer.certificate == own.certificate and self._is_neighbour(viewer)

        if not probes.wait_for(new_owner_answers, ANSWER_SECONDS):
            raise ChangeFailed(self._who_answers(answer, own.certificate))
        log.info(
            "the new owner answers", address=self.address, seen_from=self.part.verify_from, certificate=own.certificate
        )

    def revert(self, before: State) -> None:
        self._refuse_loss([host for host in self.owners if host not in before["held_by"]])
        for host in self.owners:
            if host not in before["held_by"]:
                self._drop(host)
            self._restore_configuration(host, before["configured"].get(host, {}))
        for host, place in before["held_by"].items():
            if not self._holding(host):
                self._refuse_answers(host, place["interface"])
                self._take(host, place["interface"], place["prefix_length"])
            self._announce(self.access.remote(host), place["interface"])
        found = self.observe()
        if found != before:
            raise ChangeFailed(
                f"{self.subject}: is not as it was before: {self.summary(found)} instead of {self.summary(before)}"
            )

    def summary(self, state: State) -> State:
        return {**state, "configured": {host: sorted(found) for host, found in state["configured"].items()}}

    def _holding(self, host: str) -> Holding | None:
        return interfaces.holding(self.access.remote(host), self.address)

    def _own_address(self) -> str:
        return self.access.site.hosts[self.part.new_owner].address

    def _refuse_strangers(self) -> None:
        """Before anything is touched: nobody but the old owner may answer for the address."""
        old = self._holding(self.part.old_owner) if self.part.old_owner else None
        strangers = self._answering(self.new, self.part.interface) - ({old.mac.lower()} if old else set())
        if strangers:
            raise ChangeFailed(self._still_answered(strangers))

    def _refuse_loss(self, hosts: Collection[str]) -> None:
        """Before anything is touched: the address must leave these hosts alone, without others and without routes."""
        for host in hosts:
            if obstacle := interfaces.removal_obstacle(self.access.remote(host), self.address):
                raise ChangeFailed(f"{self.subject}: {obstacle}, then run this task again; nothing was changed")

    def _refuse_unknown_network(self) -> None:
        if interfaces.configured(self.new, self.address) or interfaces.uses_ifupdown(self.new, self.part.interface):
            return
        raise ChangeFailed(
            f"{self.subject}: {self.part.interface} of {self.part.new_owner} is not brought up by ifupdown with "
            f"interfaces.d, the only network configuration that Bascule writes: give it {self.address} in its own "
            "configuration, for the next boot, and run this task again; nothing was changed"
        )

    def _release(self, host: str) -> None:
        interfaces.forget(self.access.remote(host), self.address)
        self._drop(host)

    def _drop(self, host: str) -> None:
        held = self._holding(host)
        if held:
            place = f"{self.address}/{held.prefix_length}"
            self.access.remote(host).run(["ip", "address", "del", place, "dev", held.interface])

    def _refuse_answers(self, host: str, interface: str) -> None:
        if answering := self._answering(self.access.remote(host), interface):
            raise ChangeFailed(self._still_answered(answering))

    def _take(self, host: str, interface: str, prefix_length: int) -> None:
        place = f"{self.address}/{prefix_length}"
        self.access.remote(host).run(["ip", "address", "replace", place, "dev", interface])

    def _keep_after_boot(self) -> None:
        if not interfaces.configured(self.new, self.address):
            text = interfaces.persistent_text(self.part.interface, self.address, self.prefix_length)
            files.write(self.new, interfaces.persistent_file(self.service), text.encode())

    def _restore_configuration(self, host: str, before: dict[str, files.FileState]) -> None:
        remote = self.access.remote(host)
        ours = interfaces.persistent_file(self.service)
        if host == self.part.new_owner and ours not in before:
            remote.remove_file(ours)
        for path, file in before.items():
            if files.snapshot(remote, path) != file:
                files.restore(remote, path, file)

    def _answering(self, remote: RemoteHost, interface: str) -> set[str]:
        """The hardware addresses, besides the host's own, that answer for the address (RFC 5227 section 2.1.1)."""
        command = ["arping", "-D", "-c", "2", "-w", str(ARP_SECONDS), "-I", interface, self.address]
        found = remote.run(command, check=False)
        if found.status == 0:
            return set()
        macs = {mac.lower() for mac in MAC.findall(found.output)}
        if not macs:
            raise ChangeFailed(
                f"{self.subject}: on {remote.name} arping can't look for duplicates: "
                f"{(found.error or found.output).strip() or 'it said nothing'}"
            )
        return macs

    def _announce(self, remote: RemoteHost, interface: str) -> None:
        """Gratuitous ARP, so that neighbours and routers forget the old hardware address at once."""
        remote.run(["arping", "-U", "-c", "2", "-w", str(ARP_SECONDS), "-I", interface, self.address], check=False)

    def _is_neighbour(self, viewer: RemoteHost) -> bool:
        """Whether the viewer's neighbour table names the new owner, if it has the address at all (else: routed)."""
        held = self._holding(self.part.new_owner)
        seen = viewer.run(["ip", "-4", "neighbour", "show", "to", self.address], sudo=False).output.split()
        return "lladdr" not in seen or (held is not None and seen[seen.index("lladdr") + 1] == held.mac)

    def _still_answered(self, macs: set[str]) -> str:
        return (
            f"{self.subject}: is still answered by {', '.join(sorted(macs))}, which is not {self.part.new_owner}: find "
            "that machine by its hardware address and take the address from it; nothing was added"
        )

    def _who_answers(self, answer: probes.Answer, certificate: str) -> str:
        seen = f"seen from {self.part.verify_from}, port {self.part.port} of {self.subject}"
        if not answer.is_open:
            return f"{seen}: {answer.answer} ({answer.error}), {ANSWER_SECONDS} s after the takeover"
        if answer.certificate != certificate:
            shown = answer.certificate[:16] or answer.error
            return (
                f"{seen}: another machine than {self.part.new_owner} answers (its certificate: {shown}; "
                f"expected: {certificate[:16]})"
            )
        return f"{seen}: the neighbour table does not name {self.part.new_owner}'s hardware address"
