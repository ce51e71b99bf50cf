"""The oracles for filters: Debian's `sievec` and `sieve-test`, and real procmail, each in a directory of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from bascule.sieve.actions import Actions, read_actions

from tests.mail_servers import mail_directory

OLD_EXTENSIONS = "+imapflags +notify +vnd.dovecot.duplicate +editheader +vacation-seconds"
_NOBODY = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
_CONFIG = """
mail_plugins =
ssl = no
first_valid_uid = 1
log_path = /dev/stderr
plugin {{
  sieve = file:{home}/scripts;active={home}/active.sieve
  sieve_max_actions = 0
  {extensions}
}}
"""


def as_nobody(*command: str | Path) -> list[str]:
    return [*(_NOBODY if os.geteuid() == 0 else ()), *map(str, command)]


@dataclass
class Pigeonhole:
    """`sievec` and `sieve-test` with Pigeonhole's own old extensions, or without."""

    home: Path

    def compiled(self, script: bytes | str, *, old: bool = False) -> str:
        """What the compiler says; "" when it takes the script without a word."""
        path = self._written("compiled.sieve", script)
        done = self._run("sievec", "-c", self._config(old=old), path, self.home / "out.svbin")
        return done.replace(f"{self.home}/", "")

    def actions(self, script: bytes | str, message: bytes, *, old: bool = False) -> Actions | None:
        """What the script would do with the message; None when it can't be run."""
        path, mail = self._written("run.sieve", script), self._written("message.eml", message)
        told = self._run("sieve-test", "-c", self._config(old=old), "-l", f"maildir:{self.home}/mail", path, mail)
        return read_actions(told)

    def _config(self, *, old: bool) -> Path:
        extensions = f"sieve_extensions = {OLD_EXTENSIONS}" if old else ""
        return self._written(f"dovecot-{old}.conf", _CONFIG.format(home=self.home, extensions=extensions))

    def _written(self, name: str, text: bytes | str) -> Path:
        path = self.home / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
        path.chmod(0o644)
        return path

    def _run(self, *command: str | Path) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "USER": "nobody"}
        done = subprocess.run(as_nobody(*command), env=environment, capture_output=True, check=False, cwd=self.home)
        crash = f"\nerror: ended by signal {-done.returncode}" if done.returncode < 0 else ""
        return (done.stdout + done.stderr).decode(errors="replace") + crash


@contextmanager
def pigeonhole_tools() -> Iterator[Pigeonhole]:
    with mail_directory() as home:
        home.chmod(0o777)
        yield Pigeonhole(home)


@pytest.fixture(scope="session")
def pigeonhole() -> Iterator[Pigeonhole]:
    with pigeonhole_tools() as tools:
        yield tools


_PROCMAIL = """
HOME={home}
DEFAULT={home}/DEFAULT/
ORGMAIL={home}/DEFAULT/
SENDMAIL={home}/sendmail
MAILDIR={home}
LOCKSLEEP=1
LOCKTIMEOUT=2
"""


@dataclass(frozen=True)
class Outcome:
    """Where a message is: folders (INBOX too), with how many copies of it, and the addresses that it was sent to."""

    folders: frozenset[str]
    sent_to: frozenset[str]


def procmail(recipes: str, message: bytes) -> Outcome:
    """What real procmail does with the message; `$HOME` is a directory of its own.

    Its INBOX is a Maildir: behind each mail that it puts into an mbox it sleeps for a second. A lock that another one
    of its own processes has left would hold it for 17 minutes.
    """
    with mail_directory() as place, tempfile.TemporaryDirectory(dir=place) as name:
        home = Path(name)
        (home / "Mail").mkdir()
        (home / "rc").write_text(_PROCMAIL.format(home=home) + recipes, encoding="utf-8")
        (home / "sendmail").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {home}/SENT\ncat > /dev/null\n')
        (home / "sendmail").chmod(0o755)
        if os.geteuid() == 0:
            for path in (home, *home.iterdir()):
                shutil.chown(path, "nobody", "nogroup")
        subprocess.run(
            as_nobody("procmail", "-m", home / "rc"), input=message, capture_output=True, check=False, cwd=home
        )
        sent = (home / "SENT").read_text().split() if (home / "SENT").exists() else []
        folders = {"INBOX"} if (home / "DEFAULT").exists() else set()
        folders |= {_folder(path.relative_to(home / "Mail")) for path in (home / "Mail").rglob("*") if path.is_file()}
        return Outcome(frozenset(folders), frozenset(word for word in sent if "@" in word))


def _folder(path: Path) -> str:
    parts = [part for part in path.parts if part not in ("new", "cur", "tmp")]
    if "new" in path.parts:  # a maildir, whose last part is the message
        parts = parts[:-1]
    name = "/".join(parts)
    return name[1:].replace(".", "/") if name.startswith(".") else name


def sieve_outcome(done: Actions | None) -> Outcome | None:
    """The same of a script's actions."""
    if done is None:
        return None
    sent = {one.words.partition("<")[2].partition(">")[0] for one in done if one.words.startswith("redirect")}
    return Outcome(frozenset(one.folder for one in done if one.folder is not None), frozenset(sent))
