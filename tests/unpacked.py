"""Servers that Debian does not let be installed beside Dovecot: their packages are only unpacked."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

VAR = Path(__file__).parents[1] / "var"
LIBRARIES = ("usr/lib", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")


class PackagesMissing(Exception):
    """Raised when the packages can't be had."""


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """The folder below `var/` into which these packages were unpacked; they are fetched when it is not there yet.

    Raises PackagesMissing.
    """
    root = VAR / name
    done = root / f".unpacked-{'-'.join(packages)[:80]}"
    archives = root / "packages"
    archives.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a worker beside us may run what lies there already
        if not done.exists():
            _unpack(packages, archives, root)
            done.touch()
    return root


def _unpack(packages: Sequence[str], archives: Path, root: Path) -> None:
    if not shutil.which("apt-get"):
        raise PackagesMissing("no apt-get on this machine")
    fetched = subprocess.run(["apt-get", "download", "-q", *packages], cwd=archives, capture_output=True, check=False)
    if fetched.returncode:
        raise PackagesMissing(fetched.stderr.decode(errors="replace")[-300:])
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)


def environment(root: Path) -> dict[str, str]:
    """The environment in which what lies there finds its libraries."""
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": ":".join(str(root / part) for part in LIBRARIES)}


def unpacked_or_skip(name: str, packages: Sequence[str]) -> Path:
    """The same for a test, which can't run without them."""
    try:
        return unpacked(name, packages)
    except PackagesMissing as error:
        pytest.skip(f"{name}: {error}")
