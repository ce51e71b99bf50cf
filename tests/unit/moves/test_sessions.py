"""The sessions of one account, as `doveadm who` tells them: all of its own are seen and ended, and no others."""

import shlex
from collections.abc import Sequence

import pytest
from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import Finished
from bascule.moves import sessions
from bascule.moves.sessions import Sessions

from tests.unit.changes.fakes import FakeAccess

HEAD = "username\tservice\tpid\tip"


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> FakeAccess:
    monkeypatch.setattr(sessions, "LOOK_EVERY", 0.0)
    return FakeAccess()


def log_in(access: FakeAccess, *names: str) -> None:
    """On old, which lets a session go when it is kicked by a mask that means its name."""
    there, old = [*names], access.remote("old")

    def who(command: Sequence[str]) -> str:
        return "\n".join([HEAD, *(f"{name}\timap\t1\t198.51.100.2" for name in there)])

    def kick(command: Sequence[str]) -> str:
        mask = command[-1]
        there[:] = [name for name in there if not (name == mask or (mask.endswith("*") and name.startswith(mask[:-1])))]
        return ""

    old.answers |= {"doveadm -f tab who -1": who, "doveadm kick": kick}


def test_all_that_are_its_own_are_seen_and_ended_and_no_others(access: FakeAccess) -> None:
    """Dovecot keeps names as people wrote them where `auth_username_format` says so."""
    log_in(access, "anna", "Anna", "ANNA@obs.test", "anna", "annabel", "anna@elsewhere.test")
    found = Sessions(access, "anna")
    assert found.on("old") == 4
    found.kick("new")
    assert found.on("old") == 0
    kicked = [line for line in access.remote("old").commands if line.startswith("doveadm kick")]
    assert sorted(kicked) == ["doveadm kick ANNA@obs.test", "doveadm kick Anna", "doveadm kick anna"]
    assert access.remote("proxy").commands == ["doveadm proxy kick anna anna@obs.test"]


@pytest.mark.parametrize("name", ["20261234", "0x12", "10.1"])
def test_a_name_that_doveadm_takes_for_an_address_is_found_all_the_same(access: FakeAccess, name: str) -> None:
    log_in(access, name, "anna")
    found = Sessions(access, name)
    assert found.on("old") == 1
    found.kick("new")
    assert found.on("old") == 0
    asked = [shlex.split(line)[-1] for line in access.remote("old").commands]
    assert {*asked} == {f"{name}*"}


def test_sessions_that_come_back_are_told(access: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "KICK_SECONDS", 0.0)
    log_in(access, "anna")
    access.remote("old").answers["doveadm kick"] = ""
    with pytest.raises(AccessError, match=r"1 session\(s\) of anna are still on old.*past the proxy"):
        Sessions(access, "anna").kick("new")


LISTED = "username\tproto\tsrc ip\tdest ip\tport"
LISTED_AGAIN = "username\tservice\tsrc-ip\tdest-ip\tdest-port"  # the second login process has a head of its own


def test_what_the_proxies_lead_is_counted_over_all_of_their_login_processes(access: FakeAccess) -> None:
    """As Dovecot 2.3 writes it; what `doveadm proxy kick` says is the number of one of them alone."""
    rest = "198.51.100.1\t198.51.100.11"
    lines = [f"anna\tpop3\t{rest}\t110", LISTED_AGAIN, f"Anna@obs.test\timap\t{rest}\t143", f"bert\timap\t{rest}\t143"]
    access.remote("proxy").answers["doveadm -f tab proxy list"] = "\n".join([LISTED, *lines, ""])
    assert Sessions(access, "anna").led() == 2


def test_a_proxy_that_does_not_list_its_sessions_leads_none_that_are_known(access: FakeAccess) -> None:
    access.remote("proxy").answers["doveadm -f tab proxy list"] = Finished(75, "", "connect(ipc) failed", 0.0)
    assert Sessions(access, "anna").led() == 0


def kicked_at_the_proxy(access: FakeAccess) -> list[str]:
    return [line for line in access.remote("proxy").commands if line.startswith("doveadm proxy kick")]


def test_an_account_with_capitals_is_sent_out_also_under_the_name_that_dovecot_makes_of_it(access: FakeAccess) -> None:
    """`doveadm proxy kick Grand` ends nothing where the proxy leads `grand`, as `auth_username_format` has it."""
    Sessions(access, "Grand").send_out()
    assert kicked_at_the_proxy(access) == ["doveadm proxy kick Grand Grand@obs.test grand grand@obs.test"]


def test_who_came_in_is_sent_out_as_the_proxy_writes_it(access: FakeAccess) -> None:
    """Where Dovecot keeps names as people wrote them."""
    access.remote("proxy").answers["doveadm -f tab proxy list"] = f"{LISTED}\nANNA\timap\t192.0.2.1\t192.0.2.2\t143\n"
    found = Sessions(access, "anna")
    assert found.led() == 1
    found.send_out()
    assert kicked_at_the_proxy(access) == ["doveadm proxy kick ANNA anna anna@obs.test"]
