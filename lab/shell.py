"""Running the machine's own tools, and saying clearly what failed."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.paths import CHECKOUT, Instance

PLAIN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class LabError(Exception):
    """Something that the person at the terminal can mend; its text is one clear sentence."""


def run(
    command: Iterable[str | Path],
    *,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Run a command and return what it printed; raise LabError with the end of its output when it fails.

    With `log`, everything it prints goes to that file instead.
    """
    arguments = [str(part) for part in command]
    if log is None:
        done = subprocess.run(arguments, input=input, env=env, capture_output=True, text=True, check=False)
        output = done.stderr or done.stdout
    else:
        with log.open("a") as out:
            done = subprocess.run(arguments, input=input, env=env, stdout=out, stderr=out, text=True, check=False)
        output = log.read_text(errors="replace")
    if done.returncode != 0:
        end = "\n".join(output.strip().splitlines()[-15:])
        raise LabError(f"{' '.join(arguments)[:200]} failed with exit status {done.returncode}:\n{end}")
    return done.stdout or ""


def lab(instance: Instance, *words: str) -> None:
    """Run one command of the lab, showing what it prints. Raises LabError."""
    command = [sys.executable, "-m", "lab", "--instance", instance.name, *words]
    if status := subprocess.run(command, cwd=CHECKOUT, check=False).returncode:
        raise LabError(f"`python -m lab {' '.join(words)}` ended with status {status}; its words stand above")
