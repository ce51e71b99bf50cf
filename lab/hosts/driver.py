"""What the commands do: bring an instance up and down, look at it, reach its hosts. Works again after any crash."""

import asyncio
import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lab.facts import HOSTS, USUAL
from lab.hosts import cgroups, connections, images, network
from lab.hosts.host import Overlay, templates_key
from lab.hosts.recipes import IMAGES, RECIPES
from lab.hosts.secrets import load_or_make
from lab.hosts.tls import Authority
from lab.paths import CHECKOUT, Instance
from lab.shell import LabError, run

READY_SECONDS = 180
QUIET_SECONDS = 2  # after which one says what is done
# Each host's systemd needs about seven inotify instances of root's; the kernel's usual 128 are used up by two sites.
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 8192


def say(text: str) -> None:
    print(f"lab: {text}", flush=True)


def check_prerequisites() -> None:
    """Raise LabError with one clear sentence when this machine can't run the lab."""
    if os.geteuid() != 0:
        raise LabError("the lab boots hosts and makes network namespaces: run it as root")
    tools = ("ip", "nsenter", "systemd-nspawn", "ssh", "ssh-keygen", "openssl", "chroot")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise LabError(f"{', '.join(missing)} is missing: install the Debian packages that lab/packages.txt lists")
    if reason := images.usable():
        raise LabError(reason)
    cgroups.hierarchies()


def raise_limits() -> None:
    """The one setting of the machine that the lab changes."""
    if int(INOTIFY_LIMIT.read_text()) < INOTIFY_INSTANCES:
        INOTIFY_LIMIT.write_text(str(INOTIFY_INSTANCES))
        say(f"raised this machine's fs.inotify.max_user_instances to {INOTIFY_INSTANCES}")


def up(instance: Instance, *, fresh: bool = False, names: list[str] | None = None) -> None:
    """Make what is missing and wait until every host answers. With `fresh` the hosts begin again from their images."""
    check_prerequisites()
    raise_limits()
    started = time.monotonic()
    wanted = names or list(USUAL)
    images.build([IMAGES[role] for role in dict.fromkeys(HOSTS[name].role for name in wanted)], say)
    with _lock(instance):
        if fresh:
            _end(instance, gently=False)
            shutil.rmtree(instance.state / "hosts", ignore_errors=True)
        if _ask(instance, "states") is None:
            _end(instance, gently=False)
            _drop_hosts_of_other_images(instance)
            _prepare_state(instance)
            network.create(instance)
            _start_supervisor(instance)
        _hint_at_changed_recipes(instance)
        with contextlib.ExitStack() as stack:
            switches = [stack.enter_context(_connected(instance)) for _ in wanted]
            for name, switch in zip(wanted, switches, strict=True):
                _send(switch, {"act": "on", "host": name})
            for switch in switches:
                _receive(switch)
    network.enter(instance)
    asyncio.run(_wait_for(instance, wanted))
    say(f"{instance.name} is up: {len(wanted)} hosts, {time.monotonic() - started:.1f} s")


def down(instance: Instance) -> None:
    """Shut the hosts down; leave no process, mount, namespace or control group."""
    with _lock(instance):
        _end(instance, gently=True)


def purge(instance: Instance) -> None:
    """Bring the instance down and remove its state. Images stay."""
    with _lock(instance):
        _end(instance, gently=False)
        _remove_hosts(instance)
        shutil.rmtree(instance.state, ignore_errors=True)


def _remove_hosts(instance: Instance) -> None:
    """One after the other; the mail of a thousand people takes minutes, which are told."""
    began = time.monotonic()
    for host in sorted((instance.state / "hosts").glob("*/")):
        shutil.rmtree(host, ignore_errors=True)
        if time.monotonic() - began > QUIET_SECONDS:
            say(f"{instance.name}: what {host.name} had on its disk is removed ({time.monotonic() - began:.0f} s)")


def status(instance: Instance) -> dict[str, str]:
    """Power of every host; empty when the instance is down."""
    return _ask(instance, "states") or {}


def power(instance: Instance, host: str, act: str) -> None:
    """Switch a host on (and wait until it answers) or off."""
    if _ask(instance, act, host) is None:
        raise LabError(f"the lab {instance.name!r} is not up")
    if act == "on":
        network.enter(instance)
        asyncio.run(_wait_for(instance, [host]))


def ssh_command(instance: Instance, host: str, command: list[str]) -> list[str]:
    """The command that reaches a host as root. One argument goes to the host's shell as it is, several are quoted."""
    reach = ["nsenter", f"--net={network.path(instance)}", *_ssh(instance, host)]
    return reach if not command else [*reach, command[0] if len(command) == 1 else shlex.join(command)]


def exec_inside(instance: Instance, command: list[str]) -> None:
    """Become the command, inside the instance's network. Ended by `down` if it still runs then."""
    if not network.path(instance).exists():
        raise LabError(f"the lab {instance.name!r} is not up: python -m lab --instance {instance.name} up")
    cgroups.enter(instance, cgroups.JOINED)
    joined = network.joined(instance, command)
    os.execvp(joined[0], joined)


def forward(instance: Instance, port: int, listen: int, address: str = "127.0.0.1") -> None:
    """Let 127.0.0.1:`listen` of the machine reach `address`:`port` inside the namespace, until `down`."""
    if not network.path(instance).exists():
        raise LabError(f"the lab {instance.name!r} is not up")
    meeting = instance.runtime / f"forward-{listen}.sock"
    if _listens("127.0.0.1", listen):
        if meeting.exists():
            return
        raise LabError(f"port {listen} of this machine is taken by another program: choose another with --listen")
    meeting.unlink(missing_ok=True)
    inner = ["socat", f"UNIX-LISTEN:{meeting},fork,mode=600", f"TCP:{address}:{port}"]
    outer = ["socat", f"TCP-LISTEN:{listen},bind=127.0.0.1,fork,reuseaddr", f"UNIX-CONNECT:{meeting}"]
    for command in (["nsenter", f"--net={network.path(instance)}", *inner], outer):
        _start_detached(instance, command, "forward")
    _wait_until(lambda: meeting.exists() and _listens("127.0.0.1", listen), 10, f"forwarding of port {listen}")


def tunnel(instance: Instance, host: str, socket_path: Path, target: str) -> None:
    """Let a socket of this machine reach `target` (address:port) as the host reaches it, through SSH, until `down`."""
    reach = _ssh(instance, host)
    command = [*reach[:-1], "-N", "-L", f"{socket_path}:{target}", reach[-1]]
    _start_detached(instance, ["nsenter", f"--net={network.path(instance)}", *command], "forward")
    _wait_until(socket_path.exists, 20, f"the tunnel to {target} through {host}")


@contextlib.contextmanager
def _lock(instance: Instance) -> Iterator[None]:
    """One command at a time changes an instance."""
    instance.runtime.parent.mkdir(parents=True, exist_ok=True)
    with instance.runtime.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare_state(instance: Instance) -> None:
    """Secrets, keys, certificates and connections; made once, kept until `purge`."""
    instance.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    for directory in (instance.state / "log", instance.ssh_key.parent):
        directory.mkdir(parents=True, exist_ok=True)
    secrets = load_or_make(instance.secrets)
    Authority(instance.ca_certificate.parent)
    for key, comment in [(instance.ssh_key, "bascule-lab"), *((instance.host_key(name), name) for name in HOSTS)]:
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", key])
    instance.known_hosts.write_text("".join(_known_host(instance, name) for name in HOSTS))
    network.write_name_files(instance)
    connections.write(instance, secrets)


def _known_host(instance: Instance, name: str) -> str:
    host = HOSTS[name]
    key = " ".join(instance.host_key(name).with_suffix(".pub").read_text().split()[:2])
    return f"{host.fqdn},{host.name},{host.address} {key}\n"


def _hint_at_changed_recipes(instance: Instance) -> None:
    marker, now = instance.state / "hosts" / "recipes", templates_key()
    if not marker.exists():
        marker.parent.mkdir(exist_ok=True)
        marker.write_text(now)
    elif marker.read_text() != now:
        say("the recipes or templates have changed since these hosts were made: `up --fresh` makes them anew")


def _drop_hosts_of_other_images(instance: Instance) -> None:
    """What a host wrote fits only on the image that it was made from; and the hosts of a site are made together."""
    overlays = [Overlay(instance, host) for host in HOSTS.values()]
    if any(overlay.made_with.exists() and not overlay.is_made() for overlay in overlays):
        say("an image has changed since these hosts were made: all begin again from their images")
        shutil.rmtree(instance.state / "hosts")


def _start_supervisor(instance: Instance) -> None:
    own = [sys.executable, "-m", "lab", "--instance", instance.name, "supervise"]
    _start_detached(instance, ["unshare", "--mount", "--propagation", "slave", *own], cgroups.DRIVER)
    _wait_until(lambda: _ask(instance, "states") is not None, 20, "the lab's supervisor")


def _start_detached(instance: Instance, command: list[str], group: str) -> None:
    log = instance.state / "log" / f"{group}.log"
    with log.open("ab") as output:
        subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: cgroups.enter(instance, group),  # noqa: PLW1509 (this process has one thread)
        )


def _end(instance: Instance, *, gently: bool) -> None:
    """End everything of the instance, also what a crash has left."""
    if gently and _ask(instance, "quit") is not None:
        driver = cgroups.DRIVER
        _wait_until(lambda: not cgroups.processes(instance, driver), 60, "the hosts' shutdown")
    _step_out(instance)
    for group in (cgroups.DRIVER, *cgroups.groups(instance)):
        cgroups.kill(instance, group)
    cgroups.remove(instance)
    _end_visitors(instance)
    network.delete(instance)
    for name in HOSTS:
        with contextlib.suppress(OSError):
            Path("/run/systemd/nspawn/propagate", instance.machine(name)).rmdir()
    shutil.rmtree(instance.runtime, ignore_errors=True)


def _end_visitors(instance: Instance) -> None:
    """End what still runs in the site's network; a namespace lives as long as anything in it."""
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        for pid in network.processes(instance) - cgroups.own_line():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while network.processes(instance) - cgroups.own_line() and time.monotonic() < deadline:
            time.sleep(0.05)


def _step_out(instance: Instance) -> None:
    """Leave the instance's control group when this command was itself started through `exec`."""
    if os.getpid() in cgroups.processes(instance):
        cgroups.leave()


@contextlib.contextmanager
def _connected(instance: Instance) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as switch:
        switch.settimeout(120)
        switch.connect(str(instance.control_socket))
        yield switch


def _send(switch: socket.socket, request: dict[str, str]) -> None:
    switch.sendall(json.dumps(request).encode() + b"\n")


def _receive(switch: socket.socket) -> dict[str, str]:
    with switch.makefile() as lines:
        answer = json.loads(lines.readline() or '{"error": "the supervisor has gone"}')
    if "error" in answer:
        raise LabError(answer["error"])
    return answer["states"]


def _ask(instance: Instance, act: str, host: str = "") -> dict[str, str] | None:
    """The states after the act; None when no supervisor runs, or one that has got stuck."""
    try:
        with _connected(instance) as switch:
            _send(switch, {"act": act, "host": host})
            return _receive(switch)
    except (FileNotFoundError, ConnectionError, TimeoutError):
        return None


async def _wait_for(instance: Instance, names: list[str]) -> None:
    """Until every port answers and systemd has finished starting."""
    started = time.monotonic()
    failures = await asyncio.gather(*(_wait_for_host(instance, name, started) for name in names))
    if problems := [failure for failure in failures if failure]:
        raise LabError("; ".join(problems))


async def _wait_for_host(instance: Instance, name: str, started: float) -> str | None:
    """Wait for one host; say how it is, or return why it isn't ready."""
    for port in (22, *RECIPES[name].ports):
        while not await _answers(HOSTS[name].address, port):
            if _late(started):
                return f"{name} does not answer on port {port} after {READY_SECONDS} s: see {instance.log(name)}"
            await asyncio.sleep(0.1)
    while (state := await _system_state(instance, name)) not in ("running", "degraded"):
        if _late(started):
            return f"{name} is {state!r} after {READY_SECONDS} s: see {instance.log(name)}"
        await asyncio.sleep(0.2)
    note = "" if state == "running" else ", but a unit has failed: systemctl --failed"
    say(f"{name} answers ({time.monotonic() - started:.1f} s){note}")
    return None


async def _system_state(instance: Instance, name: str) -> str:
    """What systemd says once it has finished starting, or what ssh complained of."""
    asked = await asyncio.create_subprocess_exec(
        *_ssh(instance, name),
        "systemctl is-system-running --wait",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asked.communicate()
    return output.decode().strip()


def _late(started: float) -> bool:
    return time.monotonic() - started > READY_SECONDS


async def _answers(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 2)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _ssh(instance: Instance, host: str) -> list[str]:
    options = ("BatchMode=yes", "ConnectTimeout=5", "StrictHostKeyChecking=yes", "LogLevel=ERROR", "IdentitiesOnly=yes")
    known_hosts = str(instance.known_hosts).replace("%", "%%")
    known = f'UserKnownHostsFile="{known_hosts}"'  # ssh would split it at spaces
    settings = [part for option in (*options, known) for part in ("-o", option)]
    return ["ssh", "-F", "none", "-i", str(instance.ssh_key), *settings, f"root@{HOSTS[host].address}"]


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def _wait_until(condition: object, seconds: float, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what} is not ready after {seconds:.0f} s")
        time.sleep(0.05)
