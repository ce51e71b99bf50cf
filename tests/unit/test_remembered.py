"""What is known of a host is asked once a minute, of each one for itself; several are asked at the same time."""

import threading

import pytest
from bascule.hosts import remembered
from bascule.hosts.connections import AccessError
from bascule.hosts.postfix import settings
from bascule.hosts.remembered import Remembered
from bascule.hosts.side_by_side import on_each
from bascule.hosts.ssh import RemoteHost

from tests.unit.changes.fakes import FakeHost


def test_a_setting_is_asked_once_a_minute_of_each_host(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(remembered.time, "monotonic", lambda: clock[0])
    mx, old = FakeHost("mx"), FakeHost("old")
    said = ("double_bounce_sender = bounced", "recipient_delimiter =", "transport_maps = hash:/a, regexp:/b=c")
    mx.answers["postconf"] = "\n".join(said)
    for clock[0] in (0.0, 30.0, 60.0):
        assert settings.of(mx) == {
            "double_bounce_sender": "bounced", "recipient_delimiter": "", "transport_maps": "hash:/a, regexp:/b=c",
        }  # fmt: skip
        assert settings.of(old) == {}
    assert (len(mx.commands), len(old.commands)) == (1, 1)
    clock[0], mx.answers["postconf"] = 60.1, "recipient_delimiter = +\n"
    assert settings.of(mx) == {"recipient_delimiter": "+"}


def test_what_could_not_be_asked_is_asked_again() -> None:
    """No answer is none that is known."""
    known, asked = Remembered[str](), FakeHost()

    def away() -> str:
        raise AccessError("away")

    with pytest.raises(AccessError):
        known.of(asked, away)
    assert known.of(asked, lambda: "there") == "there"


def test_hosts_are_asked_at_the_same_time_and_each_once() -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(remote: RemoteHost) -> str:
        both.wait()
        return remote.name.upper()

    mx, old = FakeHost("mx"), FakeHost("old")
    assert on_each([mx, old, mx], meet) == {"mx": "MX", "old": "OLD"}
    assert on_each([], meet) == {}


def test_one_host_that_fails_lets_the_others_end() -> None:
    done: list[str] = []

    def act(remote: RemoteHost) -> None:
        if remote.name == "mx":
            raise AccessError("mx is away")
        done.append(remote.name)

    with pytest.raises(AccessError, match="mx is away"):
        on_each([FakeHost("mx"), FakeHost("old"), FakeHost("new")], act)
    assert sorted(done) == ["new", "old"]
