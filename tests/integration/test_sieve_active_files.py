"""An active filter that Pigeonhole's ManageSieve does not list: found beside it, as delivery finds it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from bascule.hosts.connections import AccessError
from bascule.sieve.active_files import DovecotActiveFiles
from bascule.sieve.managesieve_answers import ManageSieveError
from bascule.sieve.old_scripts import ActiveFile, read

from tests.local_host import LocalHost
from tests.mail_servers import mail_directory
from tests.sieve_servers import SieveServer, pigeonhole

TEXT = b"discard;\n"


@pytest.fixture(scope="module")
def server() -> Iterator[SieveServer]:
    with mail_directory() as home, pigeonhole(home) as running:
        yield running


@pytest.fixture
def files(server: SieveServer) -> DovecotActiveFiles:
    assert server.homes is not None
    config = server.homes.parent / "dovecot.conf"

    def with_config(command: list[str]) -> list[str]:
        return [command[0], "-c", str(config), *command[1:]] if command[0].startswith("dove") else command

    return DovecotActiveFiles(LocalHost(changed=with_config))  # type: ignore[arg-type]


@pytest.fixture
def home(server: SieveServer, request: pytest.FixtureRequest) -> Path:
    """A home of the account `marie-NAME OF THE TEST` with an inactive script."""
    assert server.homes is not None
    account = account_of(request)
    with server.connected(account) as client:
        client.put("main", b"keep;\n")
    return server.homes / account


def account_of(request: pytest.FixtureRequest) -> str:
    return f"marie-{request.node.name}"


def test_a_plain_file(
    server: SieveServer, files: DovecotActiveFiles, home: Path, request: pytest.FixtureRequest
) -> None:
    (home / ".dovecot.sieve").write_bytes(TEXT)
    os.chown(home / ".dovecot.sieve", home.stat().st_uid, -1)
    with server.connected(account_of(request)) as client:
        assert not any(client.scripts().values())
    assert files.find(account_of(request)) == ActiveFile("dovecot", f"{home}/.dovecot.sieve", TEXT)


def home_of(server: SieveServer, account: str, files: dict[str, bytes | None]) -> None:
    """A home with these files; None: a directory."""
    assert server.homes is not None
    home, like = server.homes / account, server.homes.stat()
    home.mkdir()
    for name, octets in files.items():
        (home / name).mkdir() if octets is None else (home / name).write_bytes(octets)
    for path in (home, *home.iterdir()):
        os.chown(path, like.st_uid, like.st_gid)


@pytest.mark.parametrize("there", ["no directory", "an empty directory"])
@pytest.mark.parametrize("active", [TEXT, b"", None], ids=["a file", "an empty file", "none"])
def test_all_that_there_is_of_filters_is_what_delivery_follows(
    server: SieveServer, files: DovecotActiveFiles, there: str, active: bytes | None
) -> None:
    account = f"zoe-{len(there)}-{len(active) if active is not None else None}"
    content = {".dovecot.sieve": active} if active is not None else {}
    home_of(server, account, content if there == "no directory" else {**content, "sieve": None})
    with server.connected(account) as client:
        found = read(client, account, files)
    assert (found.unreadable, found.doubt) == ({}, "")
    assert found.texts == ({} if active is None else {"dovecot": active})
    assert found.active == (None if active is None else "dovecot")


def test_a_file_where_the_directory_should_be_is_told_in_the_servers_words(server: SieveServer) -> None:
    """Pigeonhole's ManageSieve lets nobody in then; it has to be mended on old."""
    home_of(server, "file", {"sieve": b"", ".dovecot.sieve": TEXT})
    with pytest.raises(ManageSieveError, match="ends the connection: Internal error"), server.connected("file"):
        pass


def test_a_link_out_of_the_scripts_directory(
    server: SieveServer, files: DovecotActiveFiles, home: Path, request: pytest.FixtureRequest
) -> None:
    (home / "elsewhere").write_bytes(TEXT)
    (home / "elsewhere").chmod(0o644)
    (home / ".dovecot.sieve").symlink_to("elsewhere")
    with server.connected(account_of(request)) as client:
        assert not any(client.scripts().values())
    found = files.find(account_of(request))
    assert found is not None and found.text == TEXT


def test_a_link_that_leads_nowhere(files: DovecotActiveFiles, home: Path, request: pytest.FixtureRequest) -> None:
    (home / ".dovecot.sieve").symlink_to("sieve/gone.sieve")
    assert files.find(account_of(request)) == ActiveFile("dovecot", f"{home}/.dovecot.sieve", None)


def test_a_link_to_what_the_owner_may_not_read(
    files: DovecotActiveFiles, home: Path, request: pytest.FixtureRequest
) -> None:
    (home.parent.parent / "secret").write_bytes(b"root's own")
    (home.parent.parent / "secret").chmod(0o600)
    (home / ".dovecot.sieve").symlink_to(home.parent.parent / "secret")
    with pytest.raises(AccessError, match="not the account's"):
        files.find(account_of(request))


def test_no_filter_at_all(files: DovecotActiveFiles, home: Path, request: pytest.FixtureRequest) -> None:
    assert files.find(account_of(request)) is None


def test_of_many_accounts_one_command_tells_who_has_none(
    server: SieveServer, files: DovecotActiveFiles, request: pytest.FixtureRequest
) -> None:
    names = [f"{account_of(request)}-{number}" for number in range(5)]
    for name in names:
        home_of(server, name, {".dovecot.sieve": TEXT} if name.endswith("3") else {})
    assert server.homes is not None
    (server.homes / names[4] / ".dovecot.sieve").symlink_to("sieve/gone.sieve")
    asked: list[list[str]] = []
    host = cast("LocalHost", files.host)
    counted = LocalHost(changed=lambda command: asked.append(command) or host.changed(command))  # type: ignore[func-returns-value]
    many = DovecotActiveFiles(counted, names)  # type: ignore[arg-type]
    assert [many.find(name) for name in names[:3]] == [None, None, None]
    assert len(asked) == 3  # the setting, the homes, the files
    assert [found.text for name in names[3:] if (found := many.find(name))] == [TEXT, None]
    (server.homes / names[0] / ".dovecot.sieve").write_bytes(TEXT)
    os.chown(server.homes / names[0] / ".dovecot.sieve", (server.homes / names[0]).stat().st_uid, -1)
    assert many.find(names[0]) is not None, "it is asked anew"


def test_a_name_that_nobody_knows_keeps_the_others_from_nothing(
    server: SieveServer, files: DovecotActiveFiles, home: Path, request: pytest.FixtureRequest
) -> None:
    """What `doveadm user` says of several has no line for who is unknown: whose home is whose can't be told then."""
    (home / ".dovecot.sieve").write_bytes(TEXT)
    os.chown(home / ".dovecot.sieve", home.stat().st_uid, -1)
    shorter = {"said": False}

    def one_line_less(command: list[str]) -> list[str]:
        known = cast("LocalHost", files.host).changed(command)
        if command[:2] == ["doveadm", "user"] and len(command) > 5:
            shorter["said"] = True
            return known[:-1]
        return known

    many = DovecotActiveFiles(LocalHost(changed=one_line_less), [account_of(request), "nobody"])  # type: ignore[arg-type]
    found = many.find(account_of(request))
    assert shorter["said"]
    assert found is not None and found.text == TEXT
