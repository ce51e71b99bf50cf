"""One host on this machine: its overlay, what is written into it before its first boot, and how it is booted."""

import base64
import hashlib
import json
import os
import secrets as random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from lab import facts
from lab.facts import DOCKER_MACHINE, HOSTS, Host
from lab.hosts import images
from lab.hosts import secrets as names
from lab.hosts.network import BRIDGE
from lab.hosts.network import path as namespace_path
from lab.hosts.recipes import CERTIFICATE_KEY, IMAGES, RECIPES, ROOT_ONLY, Owner, Recipe
from lab.hosts.secrets import Secrets
from lab.hosts.tls import Authority
from lab.paths import TEMPLATES, Instance
from lab.shell import PLAIN_ENVIRONMENT, run

AS_IS = Owner("root", "root", 0o644)
POWER_SWITCH = "/var/lib/power-switch"  # where the hypervisor sees the socket of its virtual machine's power switch


@dataclass(frozen=True)
class Overlay:
    """The host's filesystem: its image below, what it wrote above."""

    instance: Instance
    host: Host

    @property
    def root(self) -> Path:
        return self._directory / "root"

    @property
    def _directory(self) -> Path:
        return self.instance.host_directory(self.host.name)

    @property
    def made_with(self) -> Path:
        """Marker of a finished host; its text says with which image."""
        return self._directory / "made"

    def mount(self) -> None:
        """Mount it, over an empty upper directory unless the host was finished earlier on this very image."""
        if not self.is_made():
            shutil.rmtree(self._directory, ignore_errors=True)
        for name in ("upper", "work", "root"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        layers = images.lower_directories(IMAGES[self.host.role])
        options = f"lowerdir={layers},upperdir={self._directory}/upper,workdir={self._directory}/work"
        run(["mount", "-t", "overlay", f"lab-{self.host.name}", "-o", options, self.root])

    def unmount(self) -> None:
        run(["umount", self.root])

    def is_made(self) -> bool:
        return self.made_with.exists() and self.made_with.read_text() == images.key(IMAGES[self.host.role])

    def finish(self) -> None:
        self.made_with.write_text(images.key(IMAGES[self.host.role]))


class Tree:
    """Writes into a mounted host with the owners and modes that the host knows."""

    def __init__(self, root: Path):
        self._root = root
        self._users = _ids(root / "etc/passwd")
        self._groups = _ids(root / "etc/group")

    def write(self, path: str, text: str, owner: Owner = AS_IS) -> None:
        place = self._root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.touch(mode=0o600)
        place.write_text(text)
        os.chown(place, self._users[owner.user], self._groups[owner.group])
        place.chmod(owner.mode)

    def append(self, path: str, text: str) -> None:
        with (self._root / path.lstrip("/")).open("a") as file:
            file.write(text)

    def link(self, path: str, target: str) -> None:
        place = self._root / path.lstrip("/")
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def run(self, command: tuple[str, ...]) -> None:
        run(["chroot", self._root, *command], env=PLAIN_ENVIRONMENT)


def make(overlay: Overlay, secrets: Secrets, authority: Authority) -> None:
    """Write everything that makes the mounted image this host. Done once, before the first boot."""
    host, recipe = overlay.host, RECIPES[overlay.host.name]
    tree = Tree(overlay.root)
    _write_templates(tree, host, recipe, secrets)
    _write_access(tree, overlay)
    _write_certificates(tree, host, recipe, authority)
    for verb, units in (("enable", recipe.enable), ("disable", recipe.disable)):
        if units:
            tree.run(("systemctl", "-q", verb, *units))
    for command in recipe.commands:
        tree.run(command)
    overlay.finish()


def boot_command(overlay: Overlay) -> list[str]:
    """How systemd-nspawn boots the host; it runs until the host is powered off, and exits with 133 when it reboots."""
    instance, host = overlay.instance, overlay.host
    command = [
        *("nsenter", f"--net={namespace_path(instance)}", "systemd-nspawn", "--quiet", "--boot"),
        *(f"--directory={overlay.root}", f"--machine={instance.machine(host.name)}", f"--hostname={host.name}"),
        *("--register=no", "--keep-unit", f"--network-bridge={BRIDGE}", "--capability=CAP_NET_ADMIN,CAP_NET_RAW"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe"),
        *RECIPES[host.name].nspawn,
    ]
    if host.name == "hv":
        command.append(f"--bind={instance.power_switch}:{POWER_SWITCH}")
    if host.name == DOCKER_MACHINE:
        command.append(f"--bind={instance.engine_store}:/var/lib/docker")
    return command


def template_variables(host: Host, secrets: Secrets) -> dict[str, Any]:
    """What templates may use."""
    return {
        "host": host,
        "hosts": HOSTS,
        "domain": facts.DOMAIN,
        "network": facts.NETWORK,
        "interface": facts.INTERFACE,
        "service_addresses": facts.SERVICE_ADDRESSES,
        "aliases": facts.ALIASES,
        "reverse_names": facts.REVERSE_NAMES,
        "reverse_zone": facts.REVERSE_ZONE,
        "virtual_machine": facts.VIRTUAL_MACHINE,
        "virtual_machine_host": facts.VIRTUAL_MACHINE_HOST,
        "ldap_base": facts.LDAP_BASE,
        "people_base": facts.PEOPLE_BASE,
        "ldap_admin_dn": names.LDAP_ADMIN_DN,
        "ldap_bascule_dn": names.LDAP_BASCULE_DN,
        "ldap_reader_dn": names.LDAP_READER_DN,
        "calendar_user": names.CALENDAR_USER,
        "calendar_user_dn": names.CALENDAR_USER_DN,
        "calendar_filler": names.CALENDAR_FILLER,
        "master_user": names.MASTER_USER,
        "tsig_name": names.TSIG_NAME,
        "power_switch": POWER_SWITCH,
        "secrets": secrets,
        "ssha": ssha,
        "ssha256": ssha256,
        "base64_of_hex": lambda text: base64.b64encode(bytes.fromhex(text)).decode(),
    }


def template_files(recipe: Recipe) -> Iterator[tuple[str, Path]]:
    """(path on the host, template) of every file of the recipe; of two for one path the later directory's."""
    found = {}
    for name in recipe.templates:
        for template in sorted((TEMPLATES / name).rglob("*")):
            if template.is_file():
                found["/" + str(template.relative_to(TEMPLATES / name))] = template
    yield from found.items()


def templates_key() -> str:
    """Hash of all recipes and templates, to notice that hosts were made by older ones."""
    digest = hashlib.sha256(json.dumps([str(recipe) for recipe in RECIPES.values()]).encode())
    for template in sorted(TEMPLATES.rglob("*")):
        if template.is_file():
            digest.update(str(template.relative_to(TEMPLATES)).encode() + b"\0" + template.read_bytes())
    return digest.hexdigest()[:12]


def ssha(password: str) -> str:
    return _salted("SSHA", hashlib.sha1, password)


def ssha256(password: str) -> str:
    return _salted("SSHA256", hashlib.sha256, password)


def _salted(scheme: str, algorithm: Callable[[bytes], Any], password: str) -> str:
    salt = random.token_bytes(8)
    return f"{{{scheme}}}" + base64.b64encode(algorithm(password.encode() + salt).digest() + salt).decode()


def _write_templates(tree: Tree, host: Host, recipe: Recipe, secrets: Secrets) -> None:
    environment = jinja2.Environment(  # the lab writes configuration files, no HTML
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    variables = template_variables(host, secrets)
    owners = dict(recipe.owners)
    for path, template in template_files(recipe):
        text = environment.from_string(template.read_text()).render(variables)
        executable = 0o755 if template.stat().st_mode & 0o100 else 0o644
        tree.write(path, text, owners.get(path, Owner("root", "root", executable)))


def _write_access(tree: Tree, overlay: Overlay) -> None:
    """Who may log in by SSH, and the key that proves which host answers."""
    public_key = overlay.instance.ssh_key.with_suffix(".pub").read_text()
    tree.write("/root/.ssh/authorized_keys", public_key, ROOT_ONLY)
    tree.write("/home/bascule/.ssh/authorized_keys", public_key, Owner("bascule", "bascule", 0o600))
    tree.run(("chown", "bascule:bascule", "/home/bascule/.ssh"))
    tree.run(("chmod", "700", "/home/bascule/.ssh", "/root/.ssh"))
    host_key = overlay.instance.host_key(overlay.host.name)
    tree.write("/etc/ssh/ssh_host_ed25519_key", host_key.read_text(), ROOT_ONLY)
    tree.write("/etc/ssh/ssh_host_ed25519_key.pub", host_key.with_suffix(".pub").read_text())


def _write_certificates(tree: Tree, host: Host, recipe: Recipe, authority: Authority) -> None:
    """The host's own certificate, and the lab's authority among those that the host trusts."""
    certificate = authority.issue(host.name)
    tree.write("/etc/ssl/obs/host.pem", certificate.chain)
    tree.write(CERTIFICATE_KEY, certificate.key, dict(recipe.owners).get(CERTIFICATE_KEY, ROOT_ONLY))
    tree.write("/usr/local/share/ca-certificates/lab-ca.crt", authority.pem)
    tree.write("/etc/ssl/certs/lab-ca.pem", authority.pem)
    tree.link(f"/etc/ssl/certs/{authority.subject_hash()}.0", "lab-ca.pem")
    tree.append("/etc/ssl/certs/ca-certificates.crt", authority.pem)


def _ids(listing: Path) -> dict[str, int]:
    """Name -> id, from a passwd or group file."""
    return {line.split(":")[0]: int(line.split(":")[2]) for line in listing.read_text().splitlines()}
