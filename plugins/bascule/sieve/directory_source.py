"""Scripts that lie as files on the old host, for servers without ManageSieve: read over SSH, one directory an account.

Dovecot: `~/sieve/NAME.sieve`, the active one behind the link `~/.dovecot.sieve`. Cyrus: `NAME.script`, the active one
behind `defaultbc` (`NAME.bc`). A `.procmailrc` in the directory becomes a Sieve script, if there is no other.
"""

import contextlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from bascule.sieve.hosts import SharedHost
from bascule.sieve.plan import read, write
from bascule.sieve.procmail import to_sieve

ENDINGS = (".sieve", ".script", ".siv")
ACTIVE_LINKS = ("../.dovecot.sieve", ".dovecot.sieve", "defaultbc", "default")
PROCMAIL = ".procmailrc"
PROCMAIL_NAME = "procmailrc"


@dataclass(frozen=True)
class ScriptDirectory:
    """One account's directory, with the same face as a ManageSieve connection: names, which is active, texts."""

    host: SharedHost
    path: str
    redirects: int | None = None  # files don't say how many redirections their server allowed

    def scripts(self) -> dict[str, bool]:
        """Each script's name, and whether it is the active one."""
        files = self._files()
        active = self._active()
        found = {_stem(name): _stem(name) == active for name in files if name.endswith(ENDINGS)}
        return found or ({PROCMAIL_NAME: True} if PROCMAIL in files else {})

    def get(self, name: str) -> bytes:
        """One script, byte for byte; a procmailrc as the Sieve script that does the same."""
        if name == PROCMAIL_NAME and PROCMAIL in self._files():
            return write(to_sieve(read(self._read(PROCMAIL)))[0])
        return next(self._read(file) for file in self._files() if _stem(file) == name)

    def _read(self, file: str) -> bytes:
        return self.host.read_file(posixpath.join(self.path, file)) or b""

    def _files(self) -> list[str]:
        words = ["find", self.path, "-maxdepth", "1", "-type", "f", "-printf", "%f\\0"]
        told = self.host.run(words, check=False).output
        return sorted(name for name in told.split("\0") if name)

    def _active(self) -> str | None:
        for link in ACTIVE_LINKS:
            told = self.host.run(["readlink", posixpath.join(self.path, link)], check=False)
            if told.status == 0:
                return _stem(posixpath.basename(told.output.strip()).removesuffix(".bc"))
        return None


@dataclass(frozen=True)
class DirectoryServer:
    """All accounts' directories on one host; `path` is a template such as /home/{account}/sieve."""

    host: SharedHost
    path: str

    @contextlib.contextmanager
    def connected(self, account: str) -> Iterator[ScriptDirectory]:
        """The directory of this account."""
        yield ScriptDirectory(self.host, self.path.format(account=account))


def _stem(file: str) -> str:
    return next((file.removesuffix(ending) for ending in ENDINGS if file.endswith(ending)), file)
