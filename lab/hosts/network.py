"""The instance's network: a namespace with a bridge that all hosts hang on.

Nothing of it is in the machine's own network.
"""

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path

from lab.facts import CTL_ADDRESS, DOMAIN, HOSTS
from lab.paths import Instance
from lab.shell import run

BRIDGE = "br0"
NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000

# In a mount namespace of its own, so that the machine's name resolution stays as it is.
JOIN = """\
mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf || exit 2
shift 2
exec "$@"
"""


def path(instance: Instance) -> Path:
    return NAMESPACES / instance.namespace


def create(instance: Instance) -> None:
    """Make the namespace with its bridge, when they aren't there."""
    if path(instance).exists():
        return
    name = instance.namespace
    run(["ip", "netns", "add", name])
    run(["ip", "-n", name, "link", "set", "lo", "up"])
    run(["ip", "-n", name, "link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0"])
    run(["ip", "-n", name, "addr", "add", f"{CTL_ADDRESS}/24", "dev", BRIDGE])
    run(["ip", "-n", name, "link", "set", BRIDGE, "up"])


def delete(instance: Instance) -> None:
    """Remove the namespace, and what `ip netns` leaves on the machine when no other namespace is in use."""
    if path(instance).exists():
        run(["ip", "netns", "del", instance.namespace])
    if NAMESPACES.is_dir() and not any(NAMESPACES.iterdir()):
        subprocess.run(["umount", NAMESPACES], capture_output=True, check=False)
        with contextlib.suppress(OSError):
            NAMESPACES.rmdir()


def enter(instance: Instance) -> None:
    """Move this thread, and what it starts, into the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path(instance).open() as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"can't enter the network namespace {instance.namespace}")


def joined(instance: Instance, command: list[str]) -> list[str]:
    """The command that runs `command` inside: its network, its name server, its names."""
    inside = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", JOIN, "join"]
    files = [str(instance.state / "etc" / name) for name in ("hosts", "resolv.conf")]
    return ["nsenter", f"--net={path(instance)}", *inside, *files, *command]


def processes(instance: Instance) -> set[int]:
    """Process ids of whoever lives in the namespace, whichever way it came in."""
    if not path(instance).exists():
        return set()
    wanted, found = path(instance).stat().st_ino, set()
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (directory / "ns/net").stat().st_ino == wanted:
                found.add(int(directory.name))
    return found


def write_name_files(instance: Instance) -> None:
    """/etc/hosts and /etc/resolv.conf of programs that join the namespace."""
    directory = instance.state / "etc"
    directory.mkdir(parents=True, exist_ok=True)
    own = f"{CTL_ADDRESS} ctl.{DOMAIN} ctl {os.uname().nodename}"
    (directory / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{own}\n")
    (directory / "resolv.conf").write_text(f"search {DOMAIN}\nnameserver {HOSTS['dns'].address}\noptions timeout:2\n")
