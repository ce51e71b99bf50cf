"""Where a server keeps the scripts for everybody, as its own configuration says."""

from collections.abc import Callable
from typing import Any

import pytest
from bascule.hosts.connections import AccessError
from bascule.hosts.remembered import Remembered
from bascule.hosts.ssh import Finished
from bascule.sieve.global_scripts import GlobalScripts

FILES = {"/srv/global/site.sieve": b"keep;\n", "/srv/global/\xe9t\xe9.sieve": b"# \xe9\n"}
AROUND = "service/lmtp/user=vmail\nplugin/sieve=file:~/sieve\n{}\nmail_location=sdbox:~/sdbox\n"


class Host:
    """A host with Dovecot; counts how often it is asked."""

    name = "old"

    def __init__(self, setting: str = "", version: str = "2.3.19.1 (9b53102964)", status: int = 0) -> None:
        self.setting, self.version, self.status, self.commands = setting, version, status, 0

    def run(self, command: list[str], **_: object) -> Finished:
        self.commands += 1
        if command[0] == "dovecot":
            return Finished(self.status, self.version, "", 0.0)
        if command[0] == "doveconf":
            return Finished(0, AROUND.format(self.setting), "", 0.0)
        assert command[2].rstrip("/") == "/srv/global"
        return Finished(0, "".join(f"{path.rpartition('/')[2]}\0" for path in FILES), "", 0.0)

    def lately(self, known: Remembered[Any], ask: Callable[[], Any]) -> Any:
        return known.of(self, ask)

    def read_file(self, path: str) -> bytes | None:
        return FILES[path]


@pytest.mark.parametrize(
    "setting",
    ["sieve_global=/srv/global", "sieve_global=file:/srv/global/;bindir=/var/x", "sieve_global_dir=/srv/global"],
)
def test_they_are_read_where_the_configuration_says(setting: str) -> None:
    host = Host(f"plugin/{setting}")
    scripts = GlobalScripts(host)  # type: ignore[arg-type]
    assert scripts.texts() == {"site": "keep;\n", "\xe9t\xe9": "# \udce9\n"}
    asked = host.commands
    assert scripts.texts() and host.commands == asked


def test_without_a_place_there_are_none() -> None:
    assert GlobalScripts(Host("plugin/sieve_dir=/x")).texts() == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        Host("plugin/sieve_global=dict:file:/etc/x"),
        Host("plugin/sieve_global=/srv/%d/global"),
        Host("plugin/sieve_global=/srv/global", version="2.4.1"),
        Host(status=127),
    ],
)
def test_what_is_kept_otherwise_is_not_known(host: Host) -> None:
    assert GlobalScripts(host).texts() is None  # type: ignore[arg-type]


def test_a_host_that_is_away_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> Finished:
        raise AccessError("gone")

    host = Host()
    monkeypatch.setattr(host, "run", away)
    assert GlobalScripts(host).texts() is None  # type: ignore[arg-type]
