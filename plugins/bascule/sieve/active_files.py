"""The active script where Dovecot's ManageSieve lists none: a plain file, a link out of the scripts' directory, or one
that leads nowhere. Delivery follows it all the same."""

import posixpath
import re
import threading
from dataclasses import dataclass, field

from bascule.hosts.connections import AccessError
from bascule.hosts.remembered import Remembered
from bascule.sieve.old_scripts import ActiveFile
from bascule.sieve.shared import SharedHost

SETTING = re.compile(r"^plugin/sieve=(?P<value>.*)$", re.MULTILINE)
DEFAULT = "~/.dovecot.sieve"
LARGEST = 1 << 20  # bytes, as Pigeonhole's own limit
OTHERS_MAY_READ = 0o004

_settings: Remembered[str] = Remembered()


@dataclass
class DovecotActiveFiles:
    """One host's, whose place is asked once for all accounts and threads."""

    host: SharedHost
    _place: str | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def find(self, account: str) -> ActiveFile | None:
        """The account's; None when there is none. Raises AccessError when that can't be known."""
        place = self._expanded(account)
        told = self.host.run(["find", place, "-maxdepth", "0", "-printf", "%y%Y"], check=False).output
        name = posixpath.basename(place).removesuffix(".sieve").lstrip(".") or "sieve"
        if not told:
            return None
        if told.startswith("l") and told[1:] not in ("f", "d"):
            return ActiveFile(name, place, None)
        owner = self.host.run(["doveadm", "user", "-f", "uid", account]).output.strip()
        return ActiveFile(name, place, read_for(self.host, place, owner))

    def _expanded(self, account: str) -> str:
        home = self.host.run(["doveadm", "user", "-f", "home", account]).output.strip()
        local, _, domain = account.partition("@")
        values = {"%h": home, "%u": account, "%n": local, "%d": domain, "%%": "%"}
        setting = self._setting()
        place = re.sub("%.", lambda found: values.get(found[0], found[0]), setting)
        place = posixpath.join(home, place.removeprefix("~/")) if place.startswith("~/") else place
        if not place.startswith("/") or re.search("%[^hund%]", setting):
            raise AccessError(f"`plugin/sieve` of {self.host.name} is {setting!r}, which can't be followed")
        return place

    def _setting(self) -> str:
        """Where the active script is, as Dovecot's `sieve` says (Pigeonhole's documentation, "Script Location")."""
        with self._lock:
            if self._place is None:
                told = self.host.lately(_settings, lambda: self.host.run(["doveconf", "-S", "-n"]).output)
                found = SETTING.search(told)
                place, *options = (found["value"] if found else DEFAULT).removeprefix("file:").split(";")
                named = [option.removeprefix("active=") for option in options if option.startswith("active=")]
                self._place = named[0] if named else place
        return self._place


def read_for(host: SharedHost, place: str, owner: str) -> bytes:
    """A file that the owner (a number) could read. Raises AccessError.

    Bascule reads as root: a link of somebody's must lead to nothing that they could not read themselves.
    """
    told = host.run(["find", "-L", place, "-maxdepth", "0", "-printf", "%y %U %m %s"], check=False).output
    kind, file_owner, mode, size = told.split(" ") if told.count(" ") == 3 else ("", "", "0", "0")
    if kind != "f" or int(size) > LARGEST:
        raise AccessError(f"{place} on {host.name} is no file of a filter's size")
    if file_owner != owner and not int(mode, 8) & OTHERS_MAY_READ:
        raise AccessError(f"{place} on {host.name} leads to a file that is not the account's")
    return host.read_file(place) or b""
