"""The lab's driver after crashes: a second site beside the one that the other tests use, mistreated."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.facts import USUAL
from lab.hosts import cgroups, network
from lab.paths import CHECKOUT, Instance
from tests.integration.conftest import Lab

INSTANCE = Instance("crash")
REBOOT_SECONDS = 90


def _lab(*words: str, status: int = 0) -> str:
    """Run a command of the lab as a person does: on the machine, not inside the site that the tests run in."""
    done = _run(*words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    outside = ["nsenter", f"--mount=/proc/{os.getppid()}/ns/mnt", f"--net=/proc/{os.getppid()}/ns/net"]
    command = [*outside, f"--wd={CHECKOUT}", sys.executable, "-m", "lab", "--instance", INSTANCE.name, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def _site() -> Iterator[None]:
    _lab("up", "--fresh")
    yield
    _lab("purge")


@pytest.fixture(autouse=True)
def _all_on_before_each(_site: None) -> None:
    _lab("up")


def _all_on() -> bool:
    words = _lab("status").split()
    return {name for name, state in zip(words[::3], words[2::3], strict=True) if state == "on"} == set(USUAL)


def _kill(group: str) -> None:
    """End the first process of a group (which started the others) by force, and no other."""
    os.kill(min(cgroups.processes(INSTANCE, group)), signal.SIGKILL)


def test_two_sites_with_the_same_addresses_live_side_by_side(lab: Lab) -> None:
    mark = "/root/mark-of-the-second-site"
    _lab("ssh", "old", "touch", mark)
    assert lab.ssh("old", f"test -e {mark} || echo absent").strip() == "absent"


def test_up_again_changes_nothing() -> None:
    before = _lab("ssh", "old", "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
    _lab("up")
    assert _lab("ssh", "old", "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1") == before


def test_what_a_host_wrote_is_there_after_down_and_up_and_gone_after_fresh() -> None:
    _lab("ssh", "old", "touch", "/root/kept")
    _lab("down")
    _lab("up")
    _lab("ssh", "old", "test", "-e", "/root/kept")
    _lab("up", "--fresh")
    _lab("ssh", "old", "test", "-e", "/root/kept", status=1)


def test_host_that_reboots_comes_back() -> None:
    _run("ssh", "client", "touch /run/before-the-reboot; systemctl reboot")  # cut off, or not, before its status comes
    deadline = time.monotonic() + REBOOT_SECONDS
    # 0: not down yet; 255: down; 1: up again, with an empty /run.
    while (status := _run("ssh", "client", "test", "-e", "/run/before-the-reboot").returncode) != 1:
        assert time.monotonic() < deadline, f"the host has not come back (ssh ended with {status})"
        time.sleep(0.5)


def test_up_after_the_supervisor_was_killed() -> None:
    _kill(cgroups.DRIVER)
    _lab("up")
    assert _all_on()


def test_up_after_a_host_was_killed() -> None:
    _kill("client")
    _lab("up")
    assert _all_on()


@pytest.mark.parametrize("crashed", [False, True])
def test_down_leaves_nothing(crashed: bool) -> None:
    if crashed:
        _kill(cgroups.DRIVER)
    _lab("down")
    assert cgroups.processes(INSTANCE) == set()
    assert [path for path in cgroups.hierarchies() if (path / INSTANCE.cgroup).exists()] == []
    assert not network.path(INSTANCE).exists()
    assert not INSTANCE.runtime.exists()
    mounts = Path(f"/proc/{os.getppid()}/mounts").read_text()
    assert str(INSTANCE.state) not in mounts and INSTANCE.namespace not in mounts
    _lab("down")
    assert "is not up" in _lab("exec", "true", status=2)


def test_down_ends_what_came_into_the_network_by_another_way() -> None:
    visitor = subprocess.Popen(["nsenter", f"--net={network.path(INSTANCE)}", "sleep", "600"])
    _lab("down")
    assert visitor.wait(10) != 0
