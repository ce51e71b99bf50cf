"""The active script where Dovecot's ManageSieve lists none: a plain file, a link out of the scripts' directory, or one
that leads nowhere. Delivery follows it all the same."""

import itertools
import posixpath
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field

from bascule.hosts.connections import AccessError
from bascule.hosts.remembered import Remembered
from bascule.sieve.old_scripts import ActiveFile
from bascule.sieve.shared import SharedHost

SETTING = re.compile(r"^plugin/sieve=(?P<value>.*)$", re.MULTILINE)
DEFAULT = "~/.dovecot.sieve"
LARGEST = 1 << 20  # bytes, as Pigeonhole's own limit
OTHERS_MAY_READ = 0o004
AT_ONCE = 50  # accounts of which one command is asked; few enough that what it says is seconds old
FIND = ("env", "LC_ALL=C", "find")  # so that its complaints are the ones that `GONE` knows
GONE = re.compile(r"^find: (?P<quote>'?)(?P<place>.*)(?P=quote): (No such file or directory|Not a directory)$")
UNKNOWN_TARGET = "l?"  # a link, and nobody can say to what
MASK = re.compile(r"[*?\ufffd]")  # `doveadm user` takes such a name for many; the last is what was no UTF-8

_settings: Remembered[str] = Remembered()


@dataclass
class DovecotActiveFiles:
    """One host's, whose place is asked once for all accounts and threads.

    `accounts`: those that will be asked for, in this order; most have none, which is asked of many at once.
    """

    host: SharedHost
    accounts: InitVar[Iterable[str]] = ()
    _place: str | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _coming: dict[str, None] = field(default_factory=dict, init=False, repr=False)
    _have_none: set[str] = field(default_factory=set, init=False, repr=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self, accounts: Iterable[str]) -> None:
        self._coming = dict.fromkeys(account for account in accounts if not MASK.search(account))

    def find(self, account: str) -> ActiveFile | None:
        """The account's; None when there is none. Raises AccessError when that can't be known."""
        if self._has_none(account):
            return None
        place = self._expanded(self._home(account), account)
        told = self._kind(place)
        name = posixpath.basename(place).removesuffix(".sieve").lstrip(".") or "sieve"
        if not told:
            return None
        if told.startswith("l") and told[1:] not in ("f", "d"):
            return ActiveFile(name, place, None)
        owner = self.host.run(["doveadm", "user", "-f", "uid", account]).output.strip()
        return ActiveFile(name, place, read_for(self.host, place, owner))

    def _kind(self, place: str) -> str:
        """The kind of what is there and of what a link leads to, as `find` has letters for them; "" when none is there.

        Raises AccessError when `find` did not look: it was not let in, its disk is away, or sudo refuses it.
        """
        finished = self.host.run([*FIND, place, "-maxdepth", "0", "-printf", "%y%Y"], check=False)
        complaints = [line for line in finished.error.splitlines() if line.startswith("find: ")]
        none = bool(complaints) and all(GONE.search(line) for line in complaints) and not finished.output
        if none or finished.output not in ("", UNKNOWN_TARGET):
            return finished.output
        raise AccessError(
            f"whether there is a filter at {place} on {self.host.name} can't be seen: "
            + (finished.error.strip() or f"`find` ended with status {finished.status} and said nothing")
        )

    def _has_none(self, account: str) -> bool:
        """Whether it was seen with those that come next; False also where that was not told: it is asked alone then."""
        with self._asking:
            if account in self._coming:
                del self._coming[account]
                asked = [account, *itertools.islice(self._coming, AT_ONCE - 1)]
                self._coming = dict.fromkeys(name for name in self._coming if name not in {*asked})
                self._have_none |= self._without(asked) if len(asked) > 1 else set()
            none = account in self._have_none
            self._have_none.discard(account)  # who asks once more wants to know how it is then
            return none

    def _without(self, accounts: Sequence[str]) -> set[str]:
        """Those of them that certainly have no active file."""
        try:
            told = self.host.run(["doveadm", "user", "-f", "home", *accounts], check=False).output
            homes = [line for line in told.splitlines() if line]  # Dovecot 2.3 has empty lines between them
            if len(homes) != len(accounts):  # one is unknown, or has a home with a line break
                return set()
            known = zip(accounts, homes, strict=True)
            places = {name: self._expanded(home, name) for name, home in known if not MASK.search(home)}
            words = [*FIND, *places.values(), "/", "-maxdepth", "0", "-printf", "%p\\0"]
            finished = self.host.run(words, check=False)
        except AccessError:  # each one's own question says it
            return set()
        if not finished.output.endswith("/\0"):  # the last word's answer: it was cut short without it
            return set()
        gone = {match["place"] for line in finished.error.splitlines() if (match := GONE.search(line))}
        return {name for name, place in places.items() if place in gone}

    def _home(self, account: str) -> str:
        return self.host.run(["doveadm", "user", "-f", "home", account]).output.strip()

    def _expanded(self, home: str, account: str) -> str:
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
