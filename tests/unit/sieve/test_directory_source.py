"""Scripts that are files on the old host."""

import os
from pathlib import Path

import pytest
from bascule.hosts.connections import AccessError
from bascule.sieve.directory_source import DirectoryServer, ScriptDirectory
from bascule.sieve.old_scripts import OldScripts, read

from tests.local_host import LocalHost

MAIN = b"keep;\r\n"


def source(path: Path) -> ScriptDirectory:
    with DirectoryServer(LocalHost(), str(path.parent / "{account}")).connected(path.name) as opened:  # type: ignore[arg-type]
        return opened


def read_from(path: Path) -> OldScripts:
    return read(source(path), "marie", None)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A home's directory of scripts."""
    (tmp_path / "sieve").mkdir()
    (tmp_path / "sieve" / "main.sieve").write_bytes(MAIN)
    (tmp_path / "sieve" / "a b.sieve").write_bytes(b"\xe9")
    (tmp_path / "sieve" / "x.svbin").write_bytes(b"")
    return tmp_path / "sieve"


@pytest.mark.parametrize("target", ["sieve/main.sieve", "{home}/sieve/main.sieve", "./sieve/../sieve/main.sieve"])
def test_dovecot(scripts: Path, target: str) -> None:
    (scripts.parent / ".dovecot.sieve").symlink_to(target.format(home=scripts.parent))
    found = read_from(scripts)
    assert (found.texts, found.active, found.unreadable) == ({"main": MAIN, "a b": b"\xe9"}, "main", {})


def test_cyrus(tmp_path: Path) -> None:
    (tmp_path / "phpscript.script").write_bytes(b"stop;")
    (tmp_path / "phpscript.bc").write_bytes(b"bc")
    (tmp_path / "defaultbc").symlink_to("phpscript.bc")
    found = read_from(tmp_path)
    assert (found.texts, found.active) == ({"phpscript": b"stop;"}, "phpscript")


def test_the_active_filter_may_be_a_plain_file(scripts: Path) -> None:
    (scripts.parent / ".dovecot.sieve").write_bytes(b"discard;")
    found = read_from(scripts)
    assert (found.active, found.texts["dovecot"], found.texts["main"]) == ("dovecot", b"discard;", MAIN)


def test_the_active_filter_may_lie_in_another_directory_under_the_name_of_one_here(scripts: Path) -> None:
    (scripts.parent / "main.sieve").write_bytes(b"discard;")
    (scripts.parent / "main.sieve").chmod(0o644)
    (scripts.parent / ".dovecot.sieve").symlink_to("main.sieve")
    found = read_from(scripts)
    assert (found.active, found.texts["main (active)"], found.texts["main"]) == ("main (active)", b"discard;", MAIN)


def test_a_link_to_what_the_owner_may_not_read_is_not_followed(scripts: Path) -> None:
    secret = scripts.parent / "secret"
    secret.write_bytes(b"root's own")
    secret.chmod(0o600)
    (scripts.parent / ".dovecot.sieve").symlink_to(secret)
    for path in (scripts, scripts.parent):
        os.chown(path, 65534, 65534)
    found = read_from(scripts)
    assert found.active == "secret"
    assert "not the account's" in found.unreadable["secret"]


@pytest.mark.parametrize("ending", ["sieve", "bc"])
def test_a_link_that_leads_nowhere_is_no_filter_that_is_switched_off(scripts: Path, ending: str) -> None:
    link = {"sieve": scripts.parent / ".dovecot.sieve", "bc": scripts / "defaultbc"}[ending]
    link.symlink_to(f"sieve/gone.{ending}")
    found = read_from(scripts)
    assert (found.active, sorted(found.texts), list(found.unreadable)) == ("gone", ["a b", "main"], ["gone"])


def test_procmail_where_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".procmailrc").write_bytes(b":0\n! a@example.org\n")
    opened = source(tmp_path)
    assert (opened.scripts(), opened.procmail) == ({"procmailrc": True}, "procmailrc")
    assert opened.get("procmailrc") == b":0\n! a@example.org\n"


def test_a_script_called_so_is_no_procmailrc(tmp_path: Path) -> None:
    (tmp_path / "procmailrc.sieve").write_bytes(MAIN)
    (tmp_path / ".procmailrc").write_bytes(b":0\n! a@example.org\n")
    opened = source(tmp_path)
    assert (opened.scripts(), opened.procmail) == ({"procmailrc": False}, None)


def test_no_scripts(tmp_path: Path) -> None:
    assert read_from(tmp_path / "nobody") == OldScripts()


def test_a_file_that_is_gone_meanwhile_holds_no_other_back(scripts: Path) -> None:
    opened = source(scripts)
    names = opened.scripts()
    (scripts / "main.sieve").unlink()
    assert names.keys() == {"main", "a b"}
    assert opened.get("a b") == b"\xe9"
    with pytest.raises(AccessError, match="main"):
        opened.get("main")


def test_a_template_that_is_none_is_said() -> None:
    with (
        pytest.raises(AccessError, match="sieve_directory"),
        DirectoryServer(LocalHost(), "/home/{user}/sieve").connected("marie"),  # type: ignore[arg-type]
    ):
        pass
