"""What stands in the way of the practice site is said in one sentence, before anything is installed."""

import os
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "lab" / "setup.sh"


def stub(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("stubs", "sentence"),
    [
        ({"id": "echo 1000"}, "run make as root"),
        ({"id": "echo 0", "unshare": "exit 1"}, "allows no network namespaces"),
    ],
)
def test_a_missing_prerequisite_is_one_sentence(tmp_path: Path, stubs: dict[str, str], sentence: str) -> None:
    for name, text in stubs.items():
        stub(tmp_path, name, text)
    done = subprocess.run(
        ["bash", str(SETUP)],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_machine_without_apt_is_told_so(tmp_path: Path) -> None:
    stub(tmp_path, "id", "echo 0")
    for name in ("bash", "dirname", "readlink"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/bash", str(SETUP)], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("bascule: there is no apt-get here")
