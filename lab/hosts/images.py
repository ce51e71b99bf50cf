"""Images: the root filesystems that hosts boot from, built once per machine and shared by all clones and instances.

An image is a debootstrapped base, or a layer of packages over it (an overlay's upper directory). Each lies in the
cache under a name that ends in a hash of what builds it, so a changed recipe makes a new image and leaves the old one
to those who run on it. A build happens in a `.partial` directory that is renamed at the end: after a crash it is thrown
away.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.paths import CACHE
from lab.shell import PLAIN_ENVIRONMENT, LabError, run

SAY = Callable[[str], None]
ENGINE = "engine-"  # what the names of the cluster's stores (lab/cluster/store.py) begin with
UNUSED_SECONDS = 14 * 24 * 3600  # images that nobody booted for two weeks are removed by the next build

BASE_PACKAGES = (
    "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,openssh-client,iproute2,ifupdown,nftables,iputils-arping,"
    "iputils-ping,netcat-openbsd,ca-certificates,openssl,procps,python3-minimal,rsync,curl,sudo"
)
MASKED_UNITS = (
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer man-db.timer "
    "systemd-networkd.service console-getty.service getty@tty1.service exim4.service"
)
# Index caches would add 70 MB to each layer.
APT_SETTINGS = """\
APT::Install-Recommends "0";
APT::Keep-Downloaded-Packages "1";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
# Runs in its own mount and uts namespace: a crash leaves nothing to unmount, and the machine's name leaks nowhere.
CHROOT = """\
set -e
tree=$1 debs=$2; shift 2
hostname image.obs.test
if [ -n "$LOWER" ]; then mount -t overlay image -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK" "$tree"; fi
mount --bind "$debs" "$tree/var/cache/apt/archives"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
mount -t tmpfs tmpfs "$tree/dev"
for node in null zero random urandom; do touch "$tree/dev/$node"; mount --bind "/dev/$node" "$tree/dev/$node"; done
mkdir "$tree/dev/shm"
ln -s /proc/self/fd "$tree/dev/fd"
printf '#!/bin/sh\\nexit 101\\n' > "$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"
status=0
chroot "$tree" "$@" || status=$?
rm "$tree/usr/sbin/policy-rc.d"
exit $status
"""


@dataclass(frozen=True)
class Image:
    """What builds a layer: packages by apt (with debconf answers), then commands inside.

    With `release` it is a base of its own, of that Debian release; else it stands on `base`, or on BASE.
    """

    name: str
    packages: tuple[str, ...] = ()
    debconf: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    base: "Image | None" = None
    release: str = ""


BASE = Image(
    "base",
    packages=tuple(BASE_PACKAGES.split(",")),
    commands=(
        ("useradd", "--create-home", "--shell", "/bin/bash", "bascule"),
        ("systemctl", "-q", "enable", "ssh", "networking"),
        ("systemctl", "-q", "mask", *MASKED_UNITS.split()),
    ),
)


def key(image: Image) -> str:
    """Hash of everything that decides what is inside the image."""
    parts = [_said(base_of(image)), _said(image), APT_SETTINGS, CHROOT, release_of(image)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _said(image: Image) -> dict[str, Any]:
    return {name: value for name, value in asdict(image).items() if value or name not in ("base", "release")}


def base_of(image: Image) -> Image:
    """The image that it stands on; a base stands on itself."""
    return image if image.release else image.base or BASE


def release_of(image: Image) -> str:
    return base_of(image).release or suite()


def directory(image: Image) -> Path:
    return CACHE / "images" / f"{image.name}-{key(image)}"


def lower_directories(image: Image) -> str:
    """The `lowerdir` option of an overlay that stands on this image."""
    base = directory(base_of(image)) / "tree"
    return str(base) if image == base_of(image) else f"{directory(image) / 'tree'}:{base}"


def build(images: list[Image], say: SAY) -> None:
    """Make the images that are missing. Waits while another clone builds."""
    wanted = list(dict.fromkeys([*map(base_of, images), *images]))
    if all(_is_built(image) for image in wanted):
        _mark_used(wanted)
        return
    with _lock(say):
        _remove_leftovers()
        for image in wanted:
            if not _is_built(image):
                started = time.monotonic()
                _build(image)
                say(f"image {image.name} built ({time.monotonic() - started:.0f} s)")
        _mark_used(wanted)


def suite() -> str:
    """The Debian release of this machine, which the hosts get too."""
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    raise LabError("/etc/os-release names no VERSION_CODENAME: the lab needs a Debian machine")


@contextmanager
def _lock(say: SAY) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another lab builds its images: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_built(image: Image) -> bool:
    return directory(image).is_dir()


def _mark_used(images: list[Image]) -> None:
    for image in images:
        os.utime(directory(image))


def _remove_leftovers() -> None:
    """Half-built images after a crash, and those that nobody used for long.

    Not half-built engines of the cluster: they may be under way (they have a lock of their own).
    """
    (CACHE / "images").mkdir(parents=True, exist_ok=True)
    oldest = time.time() - UNUSED_SECONDS
    for path in (CACHE / "images").iterdir():
        half_built = path.suffix == ".partial" and not path.name.startswith(ENGINE)
        if half_built or path.stat().st_mtime < oldest:
            shutil.rmtree(path)


def _build(image: Image) -> None:
    place = directory(image)
    partial = place.with_name(place.name + ".partial")
    (partial / "tree").mkdir(parents=True)
    try:
        (_build_base if image == base_of(image) else _build_layer)(image, partial)
    except LabError as error:
        raise LabError(
            f"image {image.name} can't be built ({partial / 'build.log'} has everything): {error}"
        ) from error
    partial.rename(place)
    os.sync()


def _build_base(image: Image, partial: Path) -> None:
    tree, log = partial / "tree", partial / "build.log"
    debs = CACHE / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    release = release_of(image)
    mirrors = [(name.replace(suite(), release), uri) for name, uri in _mirrors()]
    main = next(uri for name, uri in mirrors if name == release)
    options = ["--variant=minbase", f"--cache-dir={debs}", f"--include={','.join(image.packages)}"]
    run(["debootstrap", *options, release, tree, main], log=log)
    _hand_on_apt_configuration(tree, mirrors)
    _chroot(partial, ["apt-get", "-q", "update"])
    _chroot(partial, ["apt-get", "-q", "-y", "dist-upgrade"])
    for command in image.commands:
        _chroot(partial, list(command))
    (tree / "etc/machine-id").write_text("")
    for unwanted in ("var/lib/dbus/machine-id", "etc/ssh/ssh_host_*", "var/cache/apt/archives/*.deb"):
        for path in tree.glob(unwanted):
            path.unlink()


def _build_layer(image: Image, partial: Path) -> None:
    for needed in ("root", "work"):
        (partial / needed).mkdir()
    if image.debconf:
        _chroot(partial, ["debconf-set-selections"], layer=image, input="\n".join(image.debconf) + "\n")
    install = ["apt-get", "-q", "-y", "-o", "DPkg::Options::=--force-unsafe-io", "install", *image.packages]
    if image.packages:
        try:
            _chroot(partial, install, layer=image)
        except LabError:  # the base's package lists may be older than what the mirror still has
            _chroot(partial, ["apt-get", "-q", "update"], layer=image)
            _chroot(partial, install, layer=image)
    for command in image.commands:
        _chroot(partial, list(command), layer=image)
    for spare in ("root", "work"):
        shutil.rmtree(partial / spare)


def _mirrors() -> list[tuple[str, str]]:
    """(release, address) of Debian's own archives as this machine's apt is configured to reach them."""
    if not (found := _archives()):  # apt knows an archive's origin only once it has its lists
        run(["apt-get", "-q", "update"])
        found = _archives()
    if not any(release == suite() for release, _ in found):
        raise LabError(f"apt knows no Debian archive of {suite()}: mend this machine's /etc/apt")
    return found


def _archives() -> list[tuple[str, str]]:
    form = "$(ORIGIN) $(RELEASE) $(REPO_URI)"
    lines = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines()
    known = [line.split() for line in dict.fromkeys(lines) if line.startswith("Debian ")]
    return [(release, uri) for _, release, uri in known if release.startswith(suite())]


def _hand_on_apt_configuration(tree: Path, mirrors: list[tuple[str, str]]) -> None:
    """The image reaches the mirrors as this machine does: same archives, same proxies, resolver and certificates."""
    (tree / "etc/apt/sources.list").write_text("".join(f"deb {uri} {release} main\n" for release, uri in mirrors))
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv4")
    kept = [line for line in run(["apt-config", "dump"]).splitlines() if line.startswith(wanted)]
    (tree / "etc/apt/apt.conf.d/00machine").write_text("\n".join(kept) + "\n")
    (tree / "etc/apt/apt.conf.d/01lab").write_text(APT_SETTINGS)
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        shutil.copy(bundle, tree / "etc/ssl/certs/ca-certificates.crt")


def _chroot(partial: Path, command: list[str], *, layer: Image | None = None, input: str | None = None) -> None:
    """Run a command inside the image that is being built."""
    debs = CACHE / "debs"
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    env = {**PLAIN_ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive", "LOWER": ""}
    root = partial / "tree"
    if layer:
        root = partial / "root"
        overlay = {"LOWER": directory(base_of(layer)) / "tree", "UPPER": partial / "tree", "WORK": partial / "work"}
        env |= {name: str(path) for name, path in overlay.items()}
    isolated = ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", CHROOT, "chroot"]
    run([*isolated, root, debs, *command], env=env, log=partial / "build.log", input=input)


def usable() -> str | None:
    """Why images can't be built or mounted on this machine, as one sentence; None when they can."""
    missing = [tool for tool in ("debootstrap", "apt-get", "unshare", "mount") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} is missing: install the Debian packages that lab/packages.txt lists"
    if not can_make_namespaces():
        return "this machine allows no new namespaces (unshare --mount --net failed): the lab can't run here"
    return None


def can_make_namespaces() -> bool:
    return subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode == 0
