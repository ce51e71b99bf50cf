"""Addresses of a host: what its interfaces hold now, and what its configuration gives them at the next boot.

Bascule edits the configuration of ifupdown (interfaces(5)); it recognises other kinds, and leaves them to a person.
"""

import ipaddress
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from bascule.changes import files
from bascule.changes.base import ChangeFailed
from bascule.changes.files import FileState
from bascule.hosts.ssh import RemoteHost

IFUPDOWN = "/etc/network"
PLACES = (IFUPDOWN, "/etc/netplan", "/etc/systemd/network", "/etc/NetworkManager/system-connections")
STANZA = re.compile(r"^\s*(iface|auto|allow-\S+|mapping|source|source-directory|no-auto-down|no-scripts|rename)\b")
COMMAND = re.compile(r"^\s*(pre-up|up|post-up|down|pre-down|post-down)\s")


@dataclass(frozen=True)
class Holding:
    """An address as one interface holds it now."""

    interface: str
    prefix_length: int
    mac: str


def holding(remote: RemoteHost, address: str) -> Holding | None:
    """Which interface of the host holds the address; None when none does."""
    for link in json.loads(remote.run(["ip", "-j", "address", "show"]).output or "[]"):
        for item in link.get("addr_info", []):
            if item.get("local") == address:
                return Holding(link["ifname"], int(item["prefixlen"]), link.get("address", ""))
    return None


def removal_obstacle(remote: RemoteHost, address: str) -> str:
    """Why the address can't be taken from the host without taking more along, as a sentence; "" when it can."""
    links = json.loads(remote.run(["ip", "-j", "-4", "address", "show"]).output or "[]")
    found = next(
        ((link, item) for link in links for item in link.get("addr_info", []) if item.get("local") == address), None
    )
    if found is None:
        return ""
    link, item = found
    others = [other for other in link["addr_info"] if other is not item and _network(other) == _network(item)]
    if not item.get("secondary") and others and not _promotes(remote, link["ifname"]):
        name, along = link["ifname"], ", ".join(other["local"] for other in others)
        return (
            f"{address} is the primary address of {name} on {remote.name}, and removing it takes {along} along: run "
            f"`sysctl -w net.ipv4.conf.{name}.promote_secondaries=1` there, so that {along} stays"
        )
    if remote.run(["printenv", "SSH_CONNECTION"], sudo=False, check=False).output.split()[2:3] == [address]:
        return (
            f"Bascule reaches {remote.name} by {address} itself, and would lose it: let its SSH connection lead to "
            "another address of that host"
        )
    return _route_obstacle(remote, address, set() if others else {_network(item)})


def _route_obstacle(remote: RemoteHost, address: str, networks: Collection[ipaddress.IPv4Network]) -> str:
    """Whether the host has routes that go with the address: from it, or by a gateway in the networks lost with it."""
    for route in json.loads(remote.run(["ip", "-j", "-4", "route", "show", "table", "all"]).output or "[]"):
        gateway = ipaddress.ip_address(route["gateway"]) if "gateway" in route else None
        lost = gateway is not None and any(gateway in network for network in networks)
        if route.get("protocol") != "kernel" and (route.get("prefsrc") == address or lost):
            return (
                f"the route to {route['dst']} on {remote.name} goes with {address}: give it another source or gateway "
                "first"
            )
    return ""


def _network(item: dict[str, Any]) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Interface(f"{item['local']}/{item['prefixlen']}").network


def _promotes(remote: RemoteHost, interface: str) -> bool:
    """Whether the kernel keeps the secondary addresses when the primary one goes (ip-sysctl, promote_secondaries)."""
    paths = [f"/proc/sys/net/ipv4/conf/{name}/promote_secondaries" for name in ("all", interface)]
    return "1" in remote.run(["cat", *paths]).output.split()


def configured(remote: RemoteHost, address: str) -> dict[str, FileState]:
    """The configuration files of the host that give it the address at boot, by their paths."""
    command = ["grep", "-rlsF", "--", address, *PLACES]
    paths = remote.run(command, check=False).output.splitlines()
    found = {path: files.snapshot(remote, path) for path in paths}
    return {
        path: state for path, state in found.items() if state and names_address(files.text_of(state) or "", address)
    }


def names_address(text: str, address: str) -> bool:
    """Whether the text names this very address (not a longer one that begins alike) outside of comments."""
    pattern = re.compile(rf"(?<![\w.:]){re.escape(address)}(?![\w:]|\.\d)")
    return any(pattern.search(line) for line in text.splitlines() if not line.lstrip().startswith("#"))


def forget(remote: RemoteHost, address: str) -> None:
    """Take the address out of the host's configuration. Raises ChangeFailed where only a person can."""
    present = configured(remote, address)
    edited = {}
    for path, state in present.items():
        if _is_ifupdown(path):
            edited[path] = without_address(state["text"], address, _defined_elsewhere(remote, path))
    left = [path for path in present if names_address(edited.get(path, files.text_of(present[path]) or ""), address)]
    if left:
        raise ChangeFailed(
            f"{address} stands in {', '.join(left)} on {remote.name}, which Bascule can't edit: "
            "take it out by hand so that the next boot doesn't bring it back, then run this task again"
        )
    for path, text in edited.items():
        if text.strip():
            files.restore(remote, path, {**present[path], "text": text})
        else:
            remote.remove_file(path)


def without_address(text: str, address: str, defined_elsewhere: Collection[str] = ()) -> str:
    """An interfaces(5) file without the stanzas that are for this address and the commands that name it.

    An interface that is left without any stanza, here and in the other files, is not to be raised any more either.
    """
    kept, dropped = [], set()
    for stanza in _stanzas(text):
        if _is_for(stanza, address):
            dropped.add(stanza[0].split()[1])
        else:
            kept.append([line for line in stanza if not (COMMAND.match(line) and names_address(line, address))])
    gone = dropped - _defined(kept) - set(defined_elsewhere)
    lines = [line for stanza in kept for line in stanza if not _raises_only(line, gone)]
    nothing_left = all(not line.strip() or line.lstrip().startswith("#") for line in lines)
    return "" if dropped and nothing_left else "".join(f"{line}\n" for line in lines)


def persistent_file(name: str) -> str:
    """Where Bascule writes a service address for ifupdown (a name that `source-directory` takes too)."""
    return f"{IFUPDOWN}/interfaces.d/bascule-{name}"


def persistent_text(interface: str, address: str, prefix_length: int) -> str:
    return (
        "# Service address, added by Bascule.\n"
        f"iface {interface} inet static\n"
        f"    address {address}/{prefix_length}\n"
    )  # fmt: skip


def uses_ifupdown(remote: RemoteHost, interface: str) -> bool:
    """Whether ifupdown brings this interface up at boot and reads interfaces.d."""
    found = remote.run(
        ["grep", "-rhsE", "--", r"^\s*(auto|allow-hotplug|source|source-directory)\s", IFUPDOWN], check=False
    )
    lines = [line.split() for line in found.output.splitlines()]
    raised = any(words[0] in ("auto", "allow-hotplug") and interface in words[1:] for words in lines)
    sourced = any(words[0].startswith("source") and "interfaces.d" in " ".join(words[1:]) for words in lines)
    return raised and sourced


def _defined_elsewhere(remote: RemoteHost, path: str) -> set[str]:
    """The interfaces that have a stanza in another file than this one."""
    lines = remote.run(["grep", "-rsE", "--", r"^\s*iface\s", IFUPDOWN], check=False).output.splitlines()
    pairs = [line.partition(":")[::2] for line in lines]
    return {stanza.split()[1] for file, stanza in pairs if file != path}


def _is_ifupdown(path: str) -> bool:
    return path == f"{IFUPDOWN}/interfaces" or path.startswith(f"{IFUPDOWN}/interfaces.d/")


def _stanzas(text: str) -> list[list[str]]:
    """The lines in groups that begin with a keyword of interfaces(5), or with a comment at the margin."""
    groups: list[list[str]] = [[]]
    for line in text.splitlines():
        if STANZA.match(line) or line.startswith("#"):
            groups.append([])
        groups[-1].append(line)
    return [group for group in groups if group]


def _is_for(stanza: list[str], address: str) -> bool:
    options = [line.split() for line in stanza[1:]]
    own = any(len(o) > 1 and o[0] == "address" and o[1].partition("/")[0] == address for o in options)
    return own and stanza[0].split()[:1] == ["iface"]


def _defined(stanzas: Iterable[list[str]]) -> set[str]:
    return {words[1] for words in (stanza[0].split() for stanza in stanzas if stanza) if words[:1] == ["iface"]}


def _raises_only(line: str, interfaces: set[str]) -> bool:
    words = line.split()
    raises = bool(words) and (words[0] == "auto" or words[0].startswith("allow-"))
    return raises and len(words) > 1 and set(words[1:]) <= interfaces
