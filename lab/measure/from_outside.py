"""The outage as a user sees it: on the host `client` a program logs in at the service name, twice a second.

It asks neither Bascule nor its ledger: what it was told is all that counts here.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lab.hosts import driver
from lab.hosts.secrets import load_or_make
from lab.measure import reader
from lab.measure.programs import SERVICE
from lab.paths import Instance
from lab.shell import LabError

HOST, PORT = "client", 993
PAUSE = 0.5  # seconds from the beginning of an act to the next one's
FIRST_SECONDS = 30  # until the first act has ended
STOP_SECONDS = 2 * reader.ANSWER_SECONDS
OK = "ok"


@dataclass(frozen=True)
class Seen:
    """What the program saw. Times are Unix time.

    `seconds`: the longest time without a successful act, from the end of one to the end of the next one; None when none
    was successful. `ended`: None when no act was successful afterwards.
    """

    acts: int = 0
    refused: int = 0
    seconds: float | None = None
    began: float | None = None
    ended: float | None = None
    words: str = ""  # what went wrong first in that time


def seen(lines: Iterable[str]) -> Seen:
    """The longest gap between successful acts in the program's lines; a line that was cut off is left out."""
    acts = list(_acts(lines))
    good = [at for at, words in acts if words == OK]
    if not good:
        return Seen(len(acts), len(acts), words=acts[0][1] if acts else "")
    last = acts[-1][0]
    gaps: list[tuple[float, float, float | None]] = [
        (after - before, before, after) for before, after in pairwise(good)
    ]
    gaps.append((last - good[-1], good[-1], None if last > good[-1] else last))
    seconds, began, ended = max(gaps, key=lambda gap: gap[0])
    within = (words for at, words in acts if words != OK and began < at and (ended is None or at < ended))
    return Seen(len(acts), len(acts) - len(good), round(seconds, 1), began, ended, next(within, ""))


def _acts(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    for line in lines:
        at, _, words = line.strip().partition(" ")
        with contextlib.suppress(ValueError):
            if words and line.endswith("\n"):
                yield float(at), words


@contextlib.contextmanager
def watched(instance: Instance, account: str) -> Iterator[Path]:
    """The program acts as this account during the block, from its first act on. Yields the file of its lines."""
    said = instance.state / "from_outside.txt"
    process = _begun(instance, account, said)
    try:
        deadline = time.monotonic() + FIRST_SECONDS
        while not said.stat().st_size and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        yield said
    finally:
        _end(process)


def check(instance: Instance, account: str) -> None:
    """Let it act once or twice while everything works. Raises LabError with what it was told."""
    with watched(instance, account) as said:
        pass
    found = read(said)
    if found.seconds is None:
        words = found.words or "the program ended, or said nothing"
        raise LabError(f"{account} can't log in at {SERVICE} from {HOST}: {words}")


def read(said: Path) -> Seen:
    """What it saw, by the file of its lines."""
    return seen(said.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True))


def _begun(instance: Instance, account: str, said: Path) -> subprocess.Popen[bytes]:
    """The program on its host; what it must not show in its arguments comes in by its standard input."""
    asked = {
        "host": SERVICE, "port": PORT, "account": account, "trust": instance.ca_certificate.read_text(),
        "password": load_or_make(instance.secrets).password_of(account), "pause": PAUSE,
    }  # fmt: skip
    program = Path(reader.__file__).read_text(encoding="utf-8")
    command = driver.ssh_command(instance, HOST, ["python3", "-c", program])
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended already: the wait for its first line tells
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """It ends with its standard input."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
