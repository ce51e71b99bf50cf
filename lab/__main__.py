"""`python -m lab`: the practice site from the command line."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

from lab.facts import HOSTS
from lab.hosts import driver
from lab.paths import CHECKOUT, Instance
from lab.shell import LabError

# Commands that are modules of their own and run inside the site's network.
INSIDE = {
    "fill": ("corpus", "put people, mail, filters and calendars into a fresh site"),
    "meanwhile": ("corpus", "what people do between `prepare` and the day"),
    "inject": ("measure", "start|stop|report: numbered messages through the MX"),
    "audit": ("measure", "compare what is on new with what was filled in"),
}

Act = Callable[[Instance, argparse.Namespace], int | None]


def main(arguments: list[str]) -> int:
    parser = _parser()
    asked, rest = parser.parse_known_args(arguments)
    asked.rest = rest
    if asked.rest and "module" not in asked:
        parser.error(f"unrecognized arguments: {' '.join(asked.rest)}")
    try:
        act: Act = asked.act
        return act(Instance(asked.instance), asked) or 0
    except (LabError, ValueError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description="The practice site: real hosts on this machine.")
    parser.add_argument("--instance", default="main", help="name of the site; several run side by side (default: main)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="boot the hosts and wait until they answer")
    up.add_argument("--fresh", action="store_true", help="throw away what the hosts have written, and begin again")
    up.add_argument(
        "hosts", nargs="*", type=_host, metavar="HOST", help="these alone (default: all but the Docker machine)"
    )
    up.set_defaults(act=lambda instance, asked: driver.up(instance, fresh=asked.fresh, names=asked.hosts))
    commands.add_parser("down", help="shut the hosts down, leave nothing running").set_defaults(act=_down)
    commands.add_parser("purge", help="down, and remove the site's state").set_defaults(act=_purge)
    commands.add_parser("status", help="the hosts' power").set_defaults(act=_status)

    ssh = commands.add_parser("ssh", help="a command, or a shell, on a host as root")
    ssh.add_argument("host", choices=HOSTS)
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    ssh.set_defaults(act=_ssh)
    execute = commands.add_parser("exec", help="a command of this machine inside the site's network")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    execute.set_defaults(act=lambda instance, asked: driver.exec_inside(instance, asked.command))
    power = commands.add_parser("power", help="switch a host on or off, or pull its plug")
    power.add_argument("host", choices=HOSTS)
    power.add_argument("act_of_power", metavar="on|off|destroy", choices=("on", "off", "destroy"))
    power.set_defaults(act=lambda instance, asked: driver.power(instance, asked.host, asked.act_of_power))
    log = commands.add_parser("log", help="the console of a host")
    log.add_argument("host", choices=HOSTS)
    log.set_defaults(act=_log)
    forward = commands.add_parser("forward", help="let this machine's 127.0.0.1 reach a port inside the site's network")
    forward.add_argument("port", type=int)
    forward.add_argument("--listen", type=int, help="port on this machine (default: the same)")
    forward.set_defaults(act=lambda instance, asked: driver.forward(instance, asked.port, asked.listen or asked.port))
    for module, (group, help_text) in INSIDE.items():
        inside = commands.add_parser(module, help=help_text, add_help=False)
        inside.set_defaults(act=_inside, module=f"lab.{group}.{module}")
    commands.add_parser("supervise").set_defaults(act=_supervise)
    return parser


def _host(name: str) -> str:
    if name not in HOSTS:
        raise argparse.ArgumentTypeError(f"no host {name!r}: there are {', '.join(HOSTS)}")
    return name


def _down(instance: Instance, asked: argparse.Namespace) -> None:
    driver.down(instance)
    driver.say(f"{instance.name} is down")


def _purge(instance: Instance, asked: argparse.Namespace) -> None:
    driver.purge(instance)
    driver.say(f"{instance.name} is removed")


def _status(instance: Instance, asked: argparse.Namespace) -> int:
    states = driver.status(instance)
    for host in HOSTS.values():
        print(f"{host.name:8}{host.address:16}{states.get(host.name, 'off')}")
    return 0 if states else 1


def _ssh(instance: Instance, asked: argparse.Namespace) -> int:
    return subprocess.call(driver.ssh_command(instance, asked.host, asked.command))


def _log(instance: Instance, asked: argparse.Namespace) -> None:
    path = instance.log(asked.host)
    if not path.exists():
        raise LabError(f"{asked.host} was never booted in {instance.name}")
    os.execvp("cat", ["cat", str(path)])


def _inside(instance: Instance, asked: argparse.Namespace) -> None:
    os.chdir(CHECKOUT)
    own = [sys.executable, "-m", asked.module, "--instance", instance.name]
    driver.exec_inside(instance, [*own, *asked.rest])


def _supervise(instance: Instance, asked: argparse.Namespace) -> None:
    from lab.hosts.supervisor import supervise

    supervise(instance)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
