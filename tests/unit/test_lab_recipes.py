"""What is written into the hosts."""

import dataclasses
from pathlib import Path

import jinja2
import pytest

from lab.facts import HOSTS, SERVICE_ADDRESSES
from lab.hosts import images
from lab.hosts.host import Tree, ssha, template_files, template_variables
from lab.hosts.recipes import IMAGES, RECIPES, Owner
from lab.hosts.secrets import Secrets
from lab.paths import TEMPLATES


def _render(host: str, secrets: Secrets) -> dict[str, str]:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    variables = template_variables(HOSTS[host], secrets)
    found = template_files(RECIPES[host])
    return {path: environment.from_string(template.read_text()).render(variables) for path, template in found}


def test_every_host_has_a_recipe_and_an_image() -> None:
    assert RECIPES.keys() == HOSTS.keys()
    assert {host.role for host in HOSTS.values()} == IMAGES.keys()


def test_every_template_directory_is_used() -> None:
    used = {name for recipe in RECIPES.values() for name in recipe.templates}
    assert {path.name for path in TEMPLATES.iterdir()} == used


@pytest.mark.parametrize("host", HOSTS)
def test_no_file_with_a_secret_in_it_is_for_everybody(host: str) -> None:
    secrets = Secrets()
    kept = dict(RECIPES[host].owners)
    values = list(dataclasses.asdict(secrets).values())
    open_to_all = [
        path
        for path, text in _render(host, secrets).items()
        if any(value in text for value in values) and (path not in kept or kept[path].mode & 0o007)
    ]
    assert open_to_all == []


@pytest.mark.parametrize("host", HOSTS)
def test_owners_are_named_for_files_that_are_written(host: str) -> None:
    written = {path for path, _ in template_files(RECIPES[host])} | {"/etc/ssl/obs/host.key"}
    assert {path for path, _ in RECIPES[host].owners} <= written


def test_old_comes_up_with_the_pop_address_and_the_proxy_with_imap() -> None:
    secrets = Secrets()
    assert SERVICE_ADDRESSES["pop"] in _render("old", secrets)["/etc/network/interfaces.d/service-pop"]
    assert SERVICE_ADDRESSES["imap"] in _render("proxy", secrets)["/etc/network/interfaces.d/service-imap"]
    assert not [path for path in _render("new", secrets) if "interfaces.d" in path]


def test_old_and_new_differ_in_separator_and_prefix() -> None:
    old, new = (_render(host, Secrets())["/etc/dovecot/dovecot.conf"] for host in ("old", "new"))
    assert "prefix = INBOX." in old and "separator = ." in old
    assert "prefix =\n" in new and "separator = /" in new


def test_image_key_changes_with_what_is_in_it() -> None:
    image = images.Image("x", packages=("a",))
    other = dataclasses.replace(image, packages=("a", "b"))
    assert images.key(image) != images.key(other)
    assert images.directory(image) != images.directory(other)


def test_layers_stand_on_the_base() -> None:
    image = IMAGES["mail"]
    top, below = images.lower_directories(image).split(":")
    assert top.startswith(str(images.directory(image))) and below.startswith(str(images.directory(images.BASE)))


def test_hash_is_salted() -> None:
    assert ssha("x") != ssha("x")


def test_tree_writes_with_the_hosts_own_users(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:\ndovecot:x:0:0::/:\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    Tree(tmp_path).write("/etc/x/secret", "s", Owner("dovecot", "root", 0o640))
    assert (tmp_path / "etc/x/secret").read_text() == "s"
    assert (tmp_path / "etc/x/secret").stat().st_mode & 0o777 == 0o640


def test_tree_replaces_a_link_instead_of_writing_through_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/resolv.conf").symlink_to(outside)
    Tree(root).write("/etc/resolv.conf", "inside")
    assert outside.read_text() == "untouched"


def test_a_build_throws_half_built_images_away_and_no_engine_that_is_being_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "CACHE", tmp_path)
    monkeypatch.setattr(images, "_build", lambda image: images.directory(image).mkdir())
    for name in ("dns-0123.partial", "engine-0123.partial"):
        (tmp_path / "images" / name).mkdir(parents=True)
    images.build([IMAGES["dns"]], print)
    assert images.directory(IMAGES["dns"]).is_dir()
    assert [path.name for path in (tmp_path / "images").glob("*.partial")] == ["engine-0123.partial"]
