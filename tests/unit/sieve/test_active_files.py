"""An account has no active filter only where `find` says that there is none; where it could not look, that is told."""

from pathlib import Path

import pytest
from bascule.hosts.connections import AccessError
from bascule.sieve.active_files import DovecotActiveFiles
from bascule.sieve.old_scripts import ActiveFile

from tests.local_host import LocalHost

NAMES = ["ada", "bob", "o'neil", "zoé", "eve"]
TEXT = b"discard;\n"


class Old(LocalHost):
    """A host with Dovecot's words for homes in a directory; `find` is this machine's.

    `script`: what runs instead of `find` where `place` is among what is looked for ("" is everywhere).
    """

    def __init__(self, homes: Path, place: str = "nowhere", script: str = "") -> None:
        super().__init__("old", changed=self._here)
        self.homes, self.place, self.script = homes, place, script
        self.looked: list[int] = []  # how many words each `find` had

    def _here(self, command: list[str]) -> list[str]:
        if command[0] == "doveconf":
            return ["true"]
        if command[:4] == ["doveadm", "user", "-f", "home"]:
            return ["printf", "%s\n", *(str(self.homes / name) for name in command[4:])]
        if command[0] == "doveadm":
            return ["stat", "-c", "%u", str(self.homes)]
        if "-L" in command:
            return command
        self.looked.append(len(command))
        if any(self.place in word for word in command):
            return ["sh", "-c", self.script, "sh", *command]
        return command


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo \"find: '$4': Permission denied\" >&2; exit 1", "Permission denied"),
        ("echo \"find: '$4': Stale file handle\" >&2; exit 1", "Stale file handle"),
        ("echo 'sudo: a password is required' >&2; exit 1", "a password is required"),
        ("echo \"env: 'find': No such file or directory\" >&2; exit 127", "env: 'find': No such file"),
        ("echo \"find: '$4': Permission denied\" >&2; printf 'l?'; exit 1", "Permission denied"),
        ("exit 137", "status 137 and said nothing"),
        ("exit 0", "status 0 and said nothing"),
    ],
)
def test_where_find_could_not_look_nothing_is_taken_for_none(homes: Path, script: str, why: str) -> None:
    with pytest.raises(AccessError, match=f"{homes}/ada/.dovecot.sieve on old can't be seen: .*{why}"):
        DovecotActiveFiles(Old(homes, "", script)).find("ada")  # type: ignore[arg-type]
    many = DovecotActiveFiles(Old(homes, "", script), NAMES)  # type: ignore[arg-type]
    for name in NAMES:
        with pytest.raises(AccessError, match="can't be seen"):
            many.find(name)


def test_none_is_what_find_says_is_not_there(homes: Path) -> None:
    (homes / "bob").rmdir()
    (homes / "eve").rmdir()
    (homes / "eve").write_bytes(b"no directory")
    for name in NAMES:
        assert DovecotActiveFiles(Old(homes)).find(name) is None  # type: ignore[arg-type]


def test_a_host_that_sudo_can_t_resolve_is_no_reason(homes: Path) -> None:
    warns = "echo 'sudo: unable to resolve host old: Name or service not known' >&2; exec \"$@\""
    assert DovecotActiveFiles(Old(homes, "", warns)).find("ada") is None  # type: ignore[arg-type]


def test_of_many_only_those_with_another_complaint_are_told(homes: Path) -> None:
    (homes / "ada" / ".dovecot.sieve").write_bytes(TEXT)
    refused = "sed '\\|/eve/|s/No such.*/Permission denied/' >&2"
    host = Old(homes, "/eve/", f"\"$@\" 2>&1 >/dev/null | {refused}; printf '/\\0'")
    many = DovecotActiveFiles(host, ["bob", "eve", "ada"])  # type: ignore[arg-type]
    assert many.find("bob") is None
    assert many.find("ada") == ActiveFile("dovecot", f"{homes}/ada/.dovecot.sieve", TEXT)
    host.script = "echo \"find: '$4': Permission denied\" >&2; exit 1"
    with pytest.raises(AccessError, match="Permission denied"):
        many.find("eve")
    assert len(host.looked) == 3, "bob is not asked alone"


def test_an_answer_that_was_cut_short_is_no_answer(homes: Path) -> None:
    (homes / "eve" / ".dovecot.sieve").write_bytes(TEXT)
    (homes / "ada" / ".dovecot.sieve").write_bytes(TEXT)
    host = Old(homes, "/ada/", '"$@" | head -z -n 1')
    many = DovecotActiveFiles(host, ["bob", "ada", "eve"])  # type: ignore[arg-type]
    assert many.find("bob") is None
    assert len(host.looked) == 2, "bob is asked alone, since the answer about all was cut short"
    host.place = "nowhere"
    found = many.find("eve")
    assert found is not None and found.text == TEXT
