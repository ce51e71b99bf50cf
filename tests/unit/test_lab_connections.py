"""The connections that a site gives to Airflow."""

import json
import shlex
import stat
from pathlib import Path

import pytest

from lab.facts import HOSTS
from lab.hosts import connections
from lab.hosts.secrets import Secrets
from lab.paths import Instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance("x", tmp_path)
    instance.ssh_key.parent.mkdir(parents=True)
    for name in HOSTS:
        instance.host_key(name).with_suffix(".pub").write_text(f"ssh-ed25519 AAAA{name} comment\n")
    return instance


def test_every_host_is_reached_with_its_key_checked(instance: Instance) -> None:
    found = connections.of(instance, Secrets())
    for name in HOSTS:
        extra = found[f"bascule_ssh_{name}"]["extra"]
        assert extra["host_key"] == f"ssh-ed25519 AAAA{name}"
        assert extra["no_host_key_check"] is False


def test_a_shell_reads_the_file_as_it_was_meant(instance: Instance) -> None:
    secrets = Secrets()
    connections.write(instance, secrets)
    words = shlex.split((instance.state / "connections.env").read_text())
    read = {name: json.loads(value) for name, _, value in (word.partition("=") for word in words)}
    assert read["AIRFLOW_CONN_BASCULE_MAIL_OLD"]["password"] == secrets.master_old
    assert len(read) == len(connections.of(instance, secrets))


@pytest.mark.parametrize("name", ["connections.env", "connections.json"])
def test_only_root_reads_the_files(instance: Instance, name: str) -> None:
    connections.write(instance, Secrets())
    assert stat.S_IMODE((instance.state / name).stat().st_mode) == 0o600
