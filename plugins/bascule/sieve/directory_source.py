"""Scripts that lie as files on the old host, for servers without ManageSieve: read over SSH, one directory an account.

Dovecot: `~/sieve/NAME.sieve`, the active one behind the link `~/.dovecot.sieve`, or that file itself. Cyrus:
`NAME.script`, the active one behind `defaultbc` (`NAME.bc`). A `.procmailrc` in the directory is the active filter, if
there is no other.
"""

import contextlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from bascule.hosts.connections import AccessError
from bascule.sieve.active_files import read_for
from bascule.sieve.shared import SharedHost

ENDINGS = (".sieve", ".script", ".siv")
ACTIVE_LINKS = ("../.dovecot.sieve", ".dovecot.sieve", "defaultbc", "default")
PROCMAIL = ".procmailrc"
PROCMAIL_NAME = "procmailrc"


@dataclass
class ScriptDirectory:
    """One account's directory, with the same face as a ManageSieve connection: names, which is active, texts."""

    host: SharedHost
    path: str
    redirects: int | None = None  # files don't say how many redirections their server allowed
    extensions: frozenset[str] | None = None  # nor which extensions it had
    modified_utf7: bool | None = None  # nor how it read folders' names
    _files: dict[str, str] = field(default_factory=dict, init=False)  # script's name -> path; "" of one that is none
    _inside: frozenset[str] = field(default=frozenset(), init=False)  # paths of files in the directory itself

    @property
    def procmail(self) -> str | None:
        """The name of the script that is a procmailrc, after `scripts`."""
        return PROCMAIL_NAME if self._files.get(PROCMAIL_NAME) == posixpath.join(self.path, PROCMAIL) else None

    def scripts(self) -> dict[str, bool]:
        """Each script's name, and whether it is the active one; also an active one that lies elsewhere, or nowhere."""
        names = self._listed()
        self._files = {_stem(name): posixpath.join(self.path, name) for name in names if name.endswith(ENDINGS)}
        self._inside = frozenset(posixpath.join(self.path, name) for name in names)
        active = self._active()
        if not self._files and PROCMAIL in names:
            self._files = {PROCMAIL_NAME: posixpath.join(self.path, PROCMAIL)}
            active = PROCMAIL_NAME
        return {name: name == active for name in self._files}

    def get(self, name: str) -> bytes:
        """One script, byte for byte."""
        path = self._files.get(name)
        if path and path not in self._inside:
            owner = self.host.run(["find", self.path, "-maxdepth", "0", "-printf", "%U"]).output
            return read_for(self.host, path, owner)
        data = self.host.read_file(path) if path else None
        if data is None:
            raise AccessError(f"the filter {name!r} is not there in {self.path} on {self.host.name}")
        return data

    def reopen(self) -> None:
        """Nothing to be done: each command is on its own."""

    def _listed(self) -> list[str]:
        words = ["find", self.path, "-maxdepth", "1", "-type", "f", "-printf", "%f\\0"]
        told = self.host.run(words, check=False).output
        return sorted(name for name in told.split("\0") if name)

    def _active(self) -> str | None:
        for link in ACTIVE_LINKS:
            place = posixpath.join(self.path, link)
            kind = self.host.run(["find", place, "-maxdepth", "0", "-printf", "%y%Y"], check=False).output
            if kind == "ff":
                return self._named(_stem(link).lstrip("./"), place)
            if kind.startswith("l"):
                return self._behind(place, leads_somewhere=kind[1:] == "f")
        return None

    def _behind(self, place: str, *, leads_somewhere: bool) -> str:
        """The script behind the link; one that lies in another directory is another one, whatever it is called."""
        target = self.host.run(["readlink", place]).output.strip()
        script = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
        name = _stem(posixpath.basename(script).removesuffix(".bc"))
        inside = posixpath.dirname(script) == posixpath.normpath(self.path)
        if name in self._files and inside:
            return name
        return self._named(name, place if leads_somewhere and not script.endswith(".bc") else "")

    def _named(self, name: str, path: str) -> str:
        while name in self._files:
            name += " (active)"
        self._files[name] = path
        return name


@dataclass(frozen=True)
class DirectoryServer:
    """All accounts' directories on one host; `path` is a template such as /home/{account}/sieve."""

    host: SharedHost
    path: str

    @contextlib.contextmanager
    def connected(self, account: str) -> Iterator[ScriptDirectory]:
        """The directory of this account. Raises AccessError."""
        try:
            path = self.path.format(account=account)
        except (KeyError, IndexError, ValueError):
            raise AccessError(f"`sieve_directory` is {self.path!r}: only {{account}} may stand in it") from None
        yield ScriptDirectory(self.host, path)


def _stem(file: str) -> str:
    return next((file.removesuffix(ending) for ending in ENDINGS if file.endswith(ending)), file)
