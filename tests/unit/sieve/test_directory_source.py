"""Scripts that are files on the old host."""

from dataclasses import dataclass, field

from bascule.access import Finished
from bascule.sieve.directory_source import DirectoryServer


@dataclass
class Host:
    """A host with files and links."""

    files: dict[str, bytes]
    links: dict[str, str] = field(default_factory=dict)
    name: str = "old"

    def run(self, command: list[str], **_: object) -> Finished:
        if command[0] == "find":
            inside = [path.rsplit("/", 1)[1] for path in self.files if path.rsplit("/", 1)[0] == command[1]]
            return Finished(0, "".join(f"{name}\0" for name in inside), "", 0.0)
        target = self.links.get(command[1])
        return Finished(1 if target is None else 0, target or "", "", 0.0)

    def read_file(self, path: str) -> bytes | None:
        return self.files.get(path)


def scripts(host: Host, path: str) -> tuple[dict[str, bool], dict[str, bytes]]:
    with DirectoryServer(host, path).connected("marie") as source:  # type: ignore[arg-type]
        names = source.scripts()
        return names, {name: source.get(name) for name in names}


def test_dovecot() -> None:
    files = {"main.sieve": b"keep;\r\n", "a b.sieve": b"\xe9", "x.svbin": b""}
    host = Host(
        {f"/home/marie/sieve/{name}": data for name, data in files.items()},
        {"/home/marie/sieve/../.dovecot.sieve": "sieve/main.sieve\n"},
    )
    assert scripts(host, "/home/{account}/sieve") == (
        {"main": True, "a b": False},
        {"main": b"keep;\r\n", "a b": b"\xe9"},
    )


def test_cyrus() -> None:
    host = Host(
        {"/var/sieve/marie/phpscript.script": b"stop;", "/var/sieve/marie/phpscript.bc": b"bc"},
        {"/var/sieve/marie/defaultbc": "phpscript.bc"},
    )
    assert scripts(host, "/var/sieve/{account}") == ({"phpscript": True}, {"phpscript": b"stop;"})


def test_procmail_where_there_is_nothing_else() -> None:
    host = Host({"/home/marie/.procmailrc": b":0\n! a@example.org\n"})
    names, texts = scripts(host, "/home/{account}")
    assert names == {"procmailrc": True}
    assert texts["procmailrc"].startswith(b'redirect "a@example.org";')


def test_no_scripts() -> None:
    assert scripts(Host({}), "/home/{account}/sieve") == ({}, {})
