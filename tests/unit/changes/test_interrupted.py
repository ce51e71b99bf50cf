"""Every change cut before each of its commands in turn, by a killed process.

After each cut, one more run ends the change and an undo brings everything back; and so does an undo without that run.
"""

import base64
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bascule import changes
from bascule.changes import acts, base, probes
from bascule.changes.base import Change
from bascule.hosts.ssh import Finished
from bascule.ledger import Ledger, journal

from tests.ledgers import empty_ledger
from tests.unit.changes.fakes import FakeAccess, FakeHost
from tests.unit.changes.test_address import Network
from tests.unit.changes.test_aliases import answer_lookups, set_accounts
from tests.unit.changes.test_service import FakeSystemd, listening

ORIGIN = journal.Origin("freeze")
COMMANDS_AT_MOST = 200


class Killed(BaseException):
    """The process is gone."""


@dataclass
class World:
    """Hosts in memory, what else there is to compare, and how many commands are left until the process is killed."""

    access: FakeAccess
    more: Callable[[], Any] = lambda: None
    left: int = COMMANDS_AT_MOST * 10

    def __post_init__(self) -> None:
        for host in ("old", "new", "mx", "web", "hv", "client"):
            self._count(self.access.remote(host))

    def state(self) -> Any:
        found = {name: dict(host.files) for name, host in self.access.hosts.items()}
        return found, self.more()

    def _count(self, host: FakeHost) -> None:
        for name in ("run", "write_file", "remove_file"):
            setattr(host, name, self._counted(getattr(host, name)))

    def _counted(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            if self.left <= 0:
                raise Killed
            self.left -= 1
            return act(*arguments, **named)

        return counted


def address_world() -> World:
    access = FakeAccess()
    network = Network(access, "old")

    def certificate_of(holder: str) -> str:
        return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(holder.encode()).decode()}\n-----END CERTIFICATE-----\n"

    access.remote("new").answers["timeout 5 openssl"] = certificate_of("new")
    access.remote("client").answers["timeout 5 openssl"] = lambda _: certificate_of("".join(network.holders))
    return World(access, lambda: set(network.holders))


def service_world() -> World:
    access = FakeAccess()
    units = FakeSystemd(access, "new", **{"postfix__service": "active", "postfix@-__service": "active"})
    access.remote("new").answers["ss -H"] = lambda _: listening(25) * (units.active["postfix.service"] == "active")
    return World(access, lambda: dict(units.active))


def webmail_world() -> World:
    access = FakeAccess()
    host, loaded = access.remote("web"), {"file": b""}
    target = access.site.webmail.target

    def reload(_: Sequence[str]) -> str:
        loaded["file"] = host.files.get(access.site.webmail.path, b"")
        return ""

    host.answers["systemctl reload-or-restart"] = reload
    access.remote("client").answers["curl"] = lambda _: f"302 {target}" if target.encode() in loaded["file"] else "200 "
    return World(access, lambda: dict(loaded))


def aliases_world() -> World:
    access = FakeAccess()
    answer_lookups(access)
    access.remote("mx").files["/etc/postfix/virtual"] = b"postmaster@obs.test somebody@obs.test\n"
    return World(access)


def firewall_world() -> World:
    access = FakeAccess()
    host, kernel = access.remote("old"), {"rules": "", "enabled": "disabled"}
    path = access.site.isolation.old.path

    def nft(command: Sequence[str]) -> str:
        if command[1] == "--file":
            kernel["rules"] = host.files[path].decode()
        elif command[1] == "delete":
            kernel["rules"] = ""
        elif command[1:3] == ["list", "tables"]:
            return "table inet filter\n" + "table inet bascule_isolation\n" * bool(kernel["rules"])
        return kernel["rules"]

    def systemctl(command: Sequence[str]) -> str | Finished:
        if command[1] == "is-enabled":
            return kernel["enabled"]
        if "enable" in command or "disable" in command:
            kernel["enabled"] = "enabled" if "enable" in command else "disabled"
        if "--now" in command:
            kernel["rules"] = ""
        return ""

    host.answers |= {"nft": nft, "systemctl": systemctl, "ss -H": listening(993)}
    refused = Finished(1, "", "connect: Connection refused\n", 0)
    for place in ("client", "mx", "hv"):
        access.remote(place).answers["env LC_ALL=C timeout"] = lambda _: refused if kernel["rules"] else ""
    return World(access, lambda: dict(kernel))


def virtual_machine_world() -> World:
    access = FakeAccess()
    machine = {"state": "running"}

    def virsh(command: Sequence[str]) -> str:
        verb = command[command.index("--connect") + 2]
        machine["state"] = {"shutdown": "shut off", "start": "running"}.get(verb, machine["state"])
        return machine["state"]

    access.remote("hv").answers["env LC_ALL=C virsh"] = virsh
    return World(access, lambda: dict(machine))


CASES: dict[str, tuple[Callable[[], World], str, dict[str, Any]]] = {
    "address": (address_world, "address", {"service": "pop"}),
    "service": (service_world, "service", {"service": "reception_new", "state": "stopped"}),
    "webmail": (webmail_world, "webmail", {}),
    "aliases": (aliases_world, "aliases", {}),
    "firewall": (firewall_world, "firewall", {"side": "old", "state": "isolated"}),
    "virtual machine": (virtual_machine_world, "virtual_machine", {"state": "shut off"}),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    set_accounts(monkeypatch, {"ada": ["ada@new.obs.test"], "bob": ["bob@old.obs.test"]})
    monkeypatch.setattr(probes, "connect_from_here", lambda *_: probes.Answer("open"))
    monkeypatch.setattr(probes.time, "sleep", lambda seconds: None)


def ledgers(directory: Path) -> Iterator[Ledger]:
    for number in itertools.count():
        ledger = Ledger(empty_ledger(directory / f"{number}.db"))
        yield ledger
        ledger.engine.dispose()


def undo_everything(world: World, ledger: Ledger) -> None:
    for act in acts.in_force(journal.entries(ledger)):
        base.undo(changes.kind(act.kind).from_parameters(world.access, act.parameters), act.before, ledger, ORIGIN)


@pytest.mark.parametrize("run_again", [True, False], ids=["run again, then undone", "undone at once"])
@pytest.mark.parametrize("name", CASES)
def test_a_change_that_is_cut_anywhere_can_be_ended_and_undone(name: str, run_again: bool, tmp_path: Path) -> None:
    make_world, kind, parameters = CASES[name]
    for cut, ledger in zip(range(COMMANDS_AT_MOST), ledgers(tmp_path), strict=False):
        world = make_world()
        before = world.state()

        def make(world: World = world) -> Change:
            return changes.kind(kind).from_parameters(world.access, parameters)

        world.left = cut
        try:
            base.run(make(), ledger, ORIGIN)
        except Killed:
            pass
        else:
            assert cut > 3, "the change was cut at least a few times"
            return
        world.left = COMMANDS_AT_MOST * 10
        if run_again:
            base.run(make(), ledger, ORIGIN)
            assert make().is_desired(make().observe())
            assert base.run(make(), ledger, ORIGIN).outcome == base.Outcome.UNCHANGED
        undo_everything(world, ledger)
        assert world.state() == before, f"cut before command {cut + 1}"
        assert acts.in_force(journal.entries(ledger)) == []
    pytest.fail(f"the change does not end after {COMMANDS_AT_MOST} commands")
