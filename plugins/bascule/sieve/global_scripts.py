"""The scripts that everybody on a server may include (`include :global`): read over SSH, as Dovecot 2.x keeps them."""

import posixpath
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from bascule.hosts.connections import AccessError
from bascule.hosts.remembered import Remembered
from bascule.sieve.plan import read
from bascule.sieve.shared import SharedHost
from bascule.text.logs import get_logger

log = get_logger(__name__)

# `sieve_global_dir` is the name that `sieve_global` had before Pigeonhole 0.4.
SETTING = re.compile(r"^plugin/sieve_global(?:_dir)?=(?:file:)?(/[^;%\n]*)(?:;.*)?$", re.MULTILINE)
ANY_SETTING = re.compile(r"^plugin/sieve_global(_dir)?=.", re.MULTILINE)
# How 2.4 names such places is not read here: of such a server nothing is said.
KNOWN_VERSIONS = ("2.0.", "2.1.", "2.2.", "2.3.")
ENDING = ".sieve"

_known: Remembered[Mapping[str, str] | None] = Remembered()


@dataclass
class GlobalScripts:
    """One host's global scripts, asked once for all accounts and threads."""

    host: SharedHost
    _asked: bool = field(default=False, init=False, repr=False)
    _texts: Mapping[str, str] | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def texts(self) -> Mapping[str, str] | None:
        """Each global script's name and text; None where that can't be known (no Dovecot, or a host that is away)."""
        with self._lock:
            if not self._asked:
                try:
                    self._texts = self.host.lately(_known, self._read)
                except AccessError as error:  # the filters are converted all the same; nothing is said of includes
                    log.warning("global filters not read", host=self.host.name, why=str(error))
                self._asked = True
        return self._texts

    def _read(self) -> Mapping[str, str] | None:
        version = self.host.run(["dovecot", "--version"], check=False)
        if version.status != 0 or not version.output.startswith(KNOWN_VERSIONS):
            log.warning("global filters not read", host=self.host.name, why="its server is no Dovecot 2.0 to 2.3")
            return None
        told = self.host.run(["doveconf", "-S", "-n"]).output
        place = SETTING.search(told)
        if place is None:
            return None if ANY_SETTING.search(told) else {}
        found = {name: self._text(posixpath.join(place[1], name + ENDING)) for name in self._names(place[1])}
        log.info("global filters read", host=self.host.name, place=place[1], filters=sorted(found))
        return found

    def _names(self, place: str) -> list[str]:
        words = ["find", "-H", place, "-maxdepth", "1", "-name", f"*{ENDING}", "-not", "-type", "d", "-printf", "%f\\0"]
        told = self.host.run(words, check=False).output
        return sorted(name.removesuffix(ENDING) for name in told.split("\0") if name)

    def _text(self, path: str) -> str:
        return read(self.host.read_file(path) or b"")
