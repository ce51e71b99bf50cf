"""A real sshd that lets only some connections begin at once."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from bascule.hosts import ssh
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError

from tests.integration.busy_account import wait_for
from tests.integration.conftest import Lab

AT_ONCE = 20
FEW = "/etc/ssh/sshd_config.d/zz-few.conf"  # of this option sshd takes the last value that it reads


@pytest.fixture(autouse=True)
def few_startups(lab: Lab) -> Iterator[None]:
    lab.write("client", FEW, "MaxStartups 2:100:2\n")
    lab.ssh("client", "systemctl restart ssh")
    yield
    wait_for(lambda: lets_in(lab), "sshd lets nobody in")
    lab.ssh("client", f"rm {FEW}; systemctl restart ssh")


def lets_in(lab: Lab) -> bool:
    """It counts connections for a moment after their other end has closed them."""
    try:
        lab.ssh("client", "true")
    except AssertionError:
        return False
    return True


def test_twenty_at_once_all_come_in(access: Access) -> None:
    def hostname(_: int) -> str:
        own = access.again()
        try:
            return own.remote("client").run(["hostname"], sudo=False).output.strip()
        finally:
            own.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(hostname, range(AT_ONCE))) == ["client"] * AT_ONCE


def test_who_is_turned_away_for_long_hears_of_the_limit(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "PATIENCE", 2.0)
    access = lab.access()
    with (
        socket.create_connection(("client.obs.test", 22)),
        socket.create_connection(("client.obs.test", 22)),
        pytest.raises(AccessError, match=r"client\.obs\.test closed the SSH connection .*MaxStartups"),
    ):
        access.remote("client").run(["true"])
    access.close()
