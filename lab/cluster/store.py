"""The engine's store: the images that the cluster's files name, and the Dockerfile's, made once per machine.

It lies in the cache beside the hosts' images, under a hash of what builds it. An instance gets a copy of it whose
layers are hard links: the engine never writes into a layer.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lab.cluster import checkout
from lab.cluster.bases import CERTIFICATES, ENTRYPOINT, IMAGES, base_images
from lab.hosts import cgroups, images
from lab.hosts.images import SAY
from lab.hosts.recipes import DOCKER, RECIPES
from lab.paths import CACHE, CHECKOUT, Instance
from lab.shell import PLAIN_ENVIRONMENT, LabError, run

BUILDER = Instance("cluster-images")  # its name alone, for a control group
SCRIPT = Path(__file__).resolve().parent / "build.sh"
# Root filesystems are put together in a mount namespace of their own: a crash leaves nothing to unmount.
TOGETHER = """\
set -e
place=$1; shift
for name in $NAMES; do
  eval "lower=\\$LOWER_$name"
  mkdir -p "$place/$name/upper" "$place/$name/work" "$place/$name/root"
  above="upperdir=$place/$name/upper,workdir=$place/$name/work"
  mount -t overlay "$name" -o "lowerdir=$lower,$above" "$place/$name/root"
done
cp "$ENTRYPOINT" "$place/postgres/root/usr/local/bin/docker-entrypoint.sh"
cp /etc/resolv.conf "$place/docker/root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$place/python/root$CERTIFICATES"
exec "$@"
"""


def key() -> str:
    """Hash of what decides what is in the store, without DAGs and plugins: those are copied anew each time."""
    parts = [images.key(image) for image in (DOCKER, *IMAGES)]
    files = [CHECKOUT / "Dockerfile", CHECKOUT / "requirements-cluster.txt", SCRIPT, ENTRYPOINT]
    texts = [file.read_text(encoding="utf-8") for file in files]
    return hashlib.sha256(json.dumps([parts, texts, str(base_images())]).encode()).hexdigest()[:12]


def directory() -> Path:
    return CACHE / "images" / f"{images.ENGINE}{key()}"


def build(say: SAY) -> None:
    """Make the store when it is missing. Waits while another clone builds it."""
    images.build([DOCKER, *IMAGES], say)
    with _lock():
        place, began = directory(), time.monotonic()
        if not place.is_dir():
            _build(place, say)
            say(f"the cluster's images built ({time.monotonic() - began:.0f} s)")
        os.utime(place)


def main() -> int:
    try:
        build(lambda text: print(f"cluster: {text}", flush=True))
    except LabError as error:
        print(f"cluster: {error}", flush=True)
        return 1
    return 0


def copy(target: Path) -> None:
    """A store for an instance: the layers are linked, all else is copied."""
    source = directory() / "store"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    target.chmod(0o710)
    for path in source.iterdir():
        linked = path.name == "overlay2" and source.stat().st_dev == target.stat().st_dev
        run(["cp", "-al" if linked else "-a", path, target])


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    with (CACHE / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(place: Path, say: SAY) -> None:
    say("building the cluster's images (some minutes, the first time)")
    partial = place.with_name(place.name + ".partial")
    for left_by_a_crash in place.parent.glob(f"{images.ENGINE}*.partial"):
        shutil.rmtree(left_by_a_crash, ignore_errors=True)
    for name in ("store", "checkout"):
        (partial / name).mkdir(parents=True)
    checkout.copy(partial / "checkout")
    (partial / "bases.json").write_text(
        json.dumps([[base.image.name, base.name, *base.changes] for base in base_images()])
    )
    log = partial / "build.log"
    try:
        if _run(_command(partial), log):
            end = "\n".join(log.read_text(errors="replace").strip().splitlines()[-15:])
            raise LabError(f"the cluster's images can't be built ({log} has everything):\n{end}")
    finally:
        cgroups.kill(BUILDER, "build")
        cgroups.remove(BUILDER)
        with contextlib.suppress(OSError):
            Path("/run/systemd/nspawn/propagate", _name()).rmdir()
        for spare in (*(image.name for image in (DOCKER, *IMAGES)), "checkout"):
            shutil.rmtree(partial / spare, ignore_errors=True)
    partial.rename(place)


def _run(command: list[str], log: Path) -> int:
    """Run the build in a control group of its own, by which its engine is found whatever becomes of it."""
    with log.open("ab") as output:
        return subprocess.run(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
            preexec_fn=lambda: cgroups.enter(BUILDER, "build"),
        ).returncode  # fmt: skip


def _command(partial: Path) -> list[str]:
    """The build, in the Docker machine's own filesystem and in this machine's network, which it leaves as it is."""
    binds = [f"--bind-ro={partial / image.name / 'root'}:/bases/{image.name}" for image in IMAGES]
    return [
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", TOGETHER, "together", str(partial)),
        *("systemd-nspawn", "--quiet", "--as-pid2", "--register=no", "--keep-unit", "--resolv-conf=off"),
        *("--timezone=off", "--link-journal=no", "--console=pipe", f"--machine={_name()}"),
        *RECIPES["docker"].nspawn,
        *(f"--directory={partial / 'docker' / 'root'}", f"--bind={partial / 'store'}:/var/lib/docker", *binds),
        *(f"--bind-ro={partial / 'checkout'}:/checkout", f"--bind-ro={partial / 'bases.json'}:/bases.json"),
        *(f"--bind-ro={SCRIPT}:/build.sh", "/build.sh"),
    ]


def _name() -> str:
    return f"engine-{os.getpid()}"


def _environment() -> dict[str, str]:
    lower = {f"LOWER_{image.name}": images.lower_directories(image) for image in (DOCKER, *IMAGES)}
    return {
        **PLAIN_ENVIRONMENT,
        **lower,
        "NAMES": " ".join(image.name for image in (DOCKER, *IMAGES)),
        "ENTRYPOINT": str(ENTRYPOINT),
        "CERTIFICATES": CERTIFICATES,
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    }


if __name__ == "__main__":
    sys.exit(main())
