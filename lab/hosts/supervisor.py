"""The program behind a running instance: boots its hosts, starts them again when they reboot, switches their power.

One per instance, in a mount namespace of its own: the hosts' overlays are mounted there and vanish with it. It is asked
through a unix socket, one line of JSON each way: `{"act": "on", "host": "old"}` -> `{"states": {"old": "on", ...}}`.
A second socket, which the hypervisor sees, answers for its virtual machine alone.
"""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable

from lab.facts import HOSTS, VIRTUAL_MACHINE_HOST, Host
from lab.hosts import cgroups
from lab.hosts.host import Overlay, boot_command, make
from lab.hosts.secrets import load_or_make
from lab.hosts.tls import Authority
from lab.paths import Instance
from lab.shell import PLAIN_ENVIRONMENT, LabError

REBOOTED = 133  # systemd-nspawn's exit status when the host rebooted and nobody but us can start it again
SHUTDOWN_SECONDS = 30
NSPAWN_ENVIRONMENT = {
    **PLAIN_ENVIRONMENT,
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # each host has a network of its own, and may forward in it
}


class Machine:
    """A host's power: off, on, or stopping."""

    def __init__(self, instance: Instance, host: Host, prepare: Callable[[], None]):
        self.state = "off"
        self._instance = instance
        self._host = host
        self._prepare = prepare
        self._process: Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._switching = asyncio.Lock()

    async def on(self) -> None:
        async with self._switching:
            if self.state == "off":
                await asyncio.to_thread(self._prepare)
                self._process = await self._boot()
                self.state = "on"
                self._running = asyncio.create_task(self._watch())

    async def off(self) -> None:
        """Shut down in good order, as the button of a real machine does; by force when that takes too long."""
        async with self._switching:
            if self._running and self._process and self.state == "on":
                self.state = "stopping"
                self._signal(signal.SIGTERM)
                done, _ = await asyncio.wait({self._running}, timeout=SHUTDOWN_SECONDS)
                if not done:
                    say(f"{self._host.name} does not shut down in {SHUTDOWN_SECONDS} s: ended by force")
                    await self._end_by_force()

    async def destroy(self) -> None:
        """Pull the plug."""
        async with self._switching:
            if self.state == "on":
                self.state = "stopping"
                await self._end_by_force()

    async def shutdown(self) -> None:
        """Ask the host to shut down and don't wait, as a hypervisor does."""
        self._remember(asyncio.create_task(self.off()))

    async def reboot(self) -> None:
        self._remember(asyncio.create_task(self._off_and_on()))

    async def _off_and_on(self) -> None:
        await self.off()
        await self.on()

    def _remember(self, task: asyncio.Task[None]) -> None:
        """asyncio itself holds tasks by weak references only."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _boot(self) -> Process:
        overlay = Overlay(self._instance, self._host)
        say(f"{self._host.name} boots")
        with self._instance.log(self._host.name).open("ab") as console:
            return await asyncio.create_subprocess_exec(
                *boot_command(overlay),
                stdin=DEVNULL,
                stdout=console,
                stderr=console,
                env=NSPAWN_ENVIRONMENT,
                preexec_fn=lambda: cgroups.enter(self._instance, self._host.name),
                start_new_session=True,
            )

    async def _watch(self) -> None:
        """Until the host is off: wait, and boot it again when it rebooted."""
        assert self._process
        try:
            while True:
                status = await self._process.wait()
                say(f"{self._host.name} left with {status}")
                await asyncio.to_thread(cgroups.kill, self._instance, self._host.name)
                if status != REBOOTED or self.state == "stopping":
                    break
                self._process = await self._boot()
        finally:
            self.state = "off"

    async def _end_by_force(self) -> None:
        assert self._running
        await asyncio.to_thread(cgroups.kill, self._instance, self._host.name)
        await self._running

    def _signal(self, number: int) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)


class Supervisor:
    def __init__(self, instance: Instance):
        self._instance = instance
        self._secrets = load_or_make(instance.secrets)
        self._authority = Authority(instance.ca_certificate.parent)
        self._machines = {name: Machine(instance, host, self._preparation(host)) for name, host in HOSTS.items()}
        self._quit = asyncio.Event()

    async def run(self) -> None:
        """Serve until told to quit; then shut all hosts down."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._quit.set)
        self._instance.power_switch.mkdir(parents=True, exist_ok=True)
        self._instance.control_socket.unlink(missing_ok=True)
        switch = self._instance.power_switch / "switch.sock"
        switch.unlink(missing_ok=True)
        await asyncio.start_unix_server(self._serve((VIRTUAL_MACHINE_HOST,)), switch)
        await asyncio.start_unix_server(self._serve(tuple(HOSTS)), self._instance.control_socket)
        await self._quit.wait()
        await asyncio.gather(*(machine.off() for machine in self._machines.values()))

    def _preparation(self, host: Host) -> Callable[[], None]:
        overlay = Overlay(self._instance, host)

        def prepare() -> None:
            if overlay.root.is_mount():
                return
            overlay.mount()
            try:
                if not overlay.is_made():
                    make(overlay, self._secrets, self._authority)
            except BaseException:
                overlay.unmount()  # half made: the next try begins again
                raise

        return prepare

    def _serve(
        self, allowed: tuple[str, ...]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        """A handler of connections that may act on the allowed hosts."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                answer = await self._answer(json.loads(line), allowed)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
            writer.close()

        return handle

    async def _answer(self, request: dict[str, str], allowed: tuple[str, ...]) -> dict[str, object]:
        act, host = request.get("act"), request.get("host")
        try:
            if act == "quit" and len(allowed) > 1:
                self._quit.set()
            elif act in ("on", "off", "shutdown", "destroy", "reboot"):
                if host not in allowed:
                    return {"error": f"no power switch for host {host!r} here"}
                await getattr(self._machines[host], act)()
            elif act != "states":
                return {"error": f"unknown act {act!r}"}
        except (LabError, OSError) as error:
            return {"error": str(error)}
        return {"states": {name: self._machines[name].state for name in allowed}}


def supervise(instance: Instance) -> None:
    asyncio.run(Supervisor(instance).run())


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
