"""The cluster's scripts, with passwords, archives and files as people bring them."""

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import sqlalchemy as sa
import yaml

from lab.paths import CHECKOUT

ODD = "p$w%d@x'y:z/#? \"q\\é"
# `docker` for the scripts: it writes down what it is asked for, and answers as a cluster that is down.
DOCKER = """#!/bin/bash
echo "$*" >> "$LOG"
case "$*" in
  *pg_dump*) echo PGDMP of "${@: -1}" ;;
  *pg_restore*) ! grep -q broken - ;;
  "compose cp"*) mkdir "${@: -1}" ;;
  *" tar "*) cat > /dev/null ;;
  *) exit 0 ;;
esac
"""


def ran(script: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run([script, *words], env=given, capture_output=True, text=True, check=False)


def copied(script: str, place: Path, **paths: Path) -> Path:
    """A script of `cluster/` that finds other places than the containers' ones."""
    text = (CHECKOUT / "cluster" / script).read_text(encoding="utf-8")
    for path in paths.values():
        text = text.replace(f"/{path.relative_to(place)}", str(path))
    copy = place / script
    copy.write_text(text, encoding="utf-8")
    copy.chmod(0o755)
    return copy


def overlay(name: str) -> dict[str, Any]:
    """The services of a Compose file, without Compose's own tags."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    return yaml.safe_load(re.sub("!(reset|override) ", "", text))["services"]


@pytest.mark.parametrize("setting", ["database", "results", "ledger", "broker"])
def test_a_password_may_have_any_character(tmp_path: Path, setting: str) -> None:
    secrets = tmp_path / "run" / "secrets"
    secrets.mkdir(parents=True)
    for name in ("postgres_password", "ledger_password", "redis_password"):
        (secrets / name).write_text(f"{ODD}\n", encoding="utf-8")  # an editor ends the line
    url = ran(copied("secret.sh", tmp_path, secrets=secrets), setting).stdout

    assert "\n" not in url
    found = urlsplit(url).password if setting == "broker" else sa.make_url(url.removeprefix("db+")).password
    assert (unquote(found or "") if setting == "broker" else found) == ODD


def test_a_password_that_cant_be_read_is_no_empty_one(tmp_path: Path) -> None:
    done = ran(copied("secret.sh", tmp_path, secrets=tmp_path / "run" / "secrets"), "database")

    assert done.returncode == 1 and not done.stdout
    assert "postgres_password: No such file" in done.stderr


@pytest.mark.parametrize("name", ["docker-compose.yaml", "docker-compose.several.yaml"])
def test_redis_takes_a_password_of_any_characters(tmp_path: Path, name: str) -> None:
    """In its file a quote and a backslash have a backslash before them."""
    (tmp_path / "redis_password").write_text(f"{ODD}\n", encoding="utf-8")
    line = next(line for line in overlay(name)["redis"]["command"][2].splitlines() if "requirepass" in line)
    line = line.replace("$$", "$").replace("/run/secrets", str(tmp_path)).replace("/tmp/redis.conf", "/dev/stdout")
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout

    quoted = ODD.replace("\\", "\\\\").replace('"', '\\"')
    assert said == f'requirepass "{quoted}"\nappendonly yes\n'


def test_a_directory_that_docker_made_is_no_site_file(tmp_path: Path) -> None:
    site, logs = (tmp_path / "opt" / "bascule" / name for name in ("site.yaml", "logs"))
    for directory in (site, logs):
        directory.mkdir(parents=True)
    done = ran(copied("init.sh", tmp_path, site=site, logs=logs))

    assert done.returncode == 1 and "there is no site.yaml" in done.stderr


@pytest.mark.parametrize("days", ["ninety", "0", "-5"])
def test_who_cleans_knows_after_how_many_days(days: str) -> None:
    done = ran(CHECKOUT / "cluster" / "clean.sh", "now", BASCULE_KEEP_DAYS=days)

    assert done.returncode == 1 and f'BASCULE_KEEP_DAYS is "{days}"' in done.stderr


def test_a_worker_elsewhere_trusts_the_authorities_of_its_image() -> None:
    """psycopg2's own library has no authorities where it looks for those of the system (`sslrootcert=system`)."""
    worker = overlay("docker-compose.worker.yaml")["worker"]["environment"]
    trusted = re.compile(r"(?:sslrootcert|ssl_ca_certs)=\$\{BASCULE_CA_FILE:-(.*)\}$")
    found = {name: trusted.search(value) for name, value in worker.items() if name.endswith("_OPTIONS")}

    assert {name: match and match[1] for name, match in found.items()} == dict.fromkeys(
        ("BASCULE_DATABASE_OPTIONS", "BASCULE_BROKER_OPTIONS"), "/etc/ssl/certs/ca-certificates.crt"
    )


def test_the_logs_of_a_worker_elsewhere_are_cleaned_without_its_database(tmp_path: Path) -> None:
    environment = overlay("docker-compose.worker.yaml")["cleaner"]["environment"]
    (tmp_path / "opt" / "bascule" / "logs").mkdir(parents=True)
    old, new = (tmp_path / "opt" / "bascule" / "logs" / name for name in ("old.log", "new.log"))
    for log in (old, new):
        log.touch()
    os.utime(old, (0, 0))
    script = copied("clean.sh", tmp_path, logs=old.parent)
    done = ran(script, "now", PATH=f"{os.environ['PATH']}:{tmp_path}", BASCULE_KEEP_DAYS="90", **environment)

    assert done.returncode == 0 and not done.stderr  # there is no `airflow` here
    assert new.exists() and not old.exists()


def test_kubernetes_has_no_user_whose_password_everybody_knows() -> None:
    """The chart makes `admin`, with the password `admin`, unless it is told not to."""
    values = yaml.safe_load((CHECKOUT / "cluster" / "helm-values.yaml").read_text(encoding="utf-8"))

    assert values["createUserJob"]["defaultUser"]["enabled"] is False


class Place:
    """A checkout with the files of a site, in which the scripts of backup and restore run."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root / "a checkout", root / "log"
        shutil.copytree(CHECKOUT / "cluster", self.root / "cluster")
        (self.root / "secrets").mkdir()
        for name in ("site.yaml", ".env", "secrets/connections.yaml", "docker-compose.override.yaml"):
            (self.root / name).write_text(f"{name} of the day\n", encoding="utf-8")
        (root / "bin").mkdir()
        (root / "bin" / "docker").write_text(DOCKER, encoding="utf-8")
        (root / "bin" / "docker").chmod(0o755)
        self.path = f"{root / 'bin'}:{os.environ['PATH']}"

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("", encoding="utf-8")
        return ran(self.root / "cluster" / script, *words, PATH=self.path, LOG=str(self.log))

    def backup(self) -> Path:
        return self.root / self.run("backup.sh").stdout.strip()

    def files(self) -> dict[str, str]:
        found = (path for path in self.root.rglob("*") if path.is_file() and "backups" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_text(encoding="utf-8") for path in found}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def changed(archive: Path, part: str, text: str | None) -> Path:
    """Another archive, in which a part has this text, or is absent."""
    tree = archive.with_suffix(".tree")
    with tarfile.open(archive) as packed:
        packed.extractall(tree, filter="data")
    (tree / part).unlink()
    if text is not None:
        (tree / part).write_text(text, encoding="utf-8")
    other = archive.with_name("other.tar")
    with tarfile.open(other, "w") as packed:
        packed.add(tree, arcname=".")
    return other


def test_a_backup_comes_back_with_each_file_that_the_site_wrote_itself(place: Place) -> None:
    archive, before = place.backup(), place.files()
    assert archive.stat().st_mode & 0o777 == 0o600
    for name in ("site.yaml", ".env", "docker-compose.override.yaml", "secrets/connections.yaml"):
        (place.root / name).unlink()
    for _ in range(2):  # the second time over what is there
        done = place.run("restore.sh", str(archive))
        assert done.returncode == 0, done.stderr

    assert {name: place.files().get(name) for name in before} == before
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


@pytest.mark.parametrize(
    ("part", "text", "said"),
    [
        ("airflow.dump", None, "has no airflow.dump"),
        ("bascule.dump", "", "bascule.dump in .* is no dump of PostgreSQL"),
        ("", "", "is no whole archive"),
    ],
)
def test_a_wrong_archive_changes_nothing(place: Place, part: str, text: str | None, said: str) -> None:
    archive = place.backup()
    if part:
        archive = changed(archive, part, text)
    else:
        archive.write_bytes(archive.read_bytes()[:3000])
    (place.root / "site.yaml").write_text("of today\n", encoding="utf-8")
    before = place.files()
    done = place.run("restore.sh", str(archive))

    assert done.returncode == 1 and re.search(f"{said}.*: nothing was changed", done.stderr)
    assert place.files() == before
    assert not re.search("up|dropdb|psql", place.log.read_text(encoding="utf-8"))


def test_a_dump_that_breaks_off_costs_no_database(place: Place) -> None:
    archive = changed(place.backup(), "airflow.dump", "PGDMP broken")
    done = place.run("restore.sh", str(archive))

    assert done.returncode == 1 and "the databases are as they were" in done.stderr
    asked = place.log.read_text(encoding="utf-8")
    assert "--dbname restored_airflow" in asked and "RENAME" not in asked
    assert re.findall("dropdb .* (\\w+)$", asked, re.MULTILINE) == ["restored_bascule", "restored_airflow"]


def test_a_backup_that_fails_leaves_nothing_behind(place: Place) -> None:
    (place.root / "site.yaml").unlink()
    done = place.run("backup.sh")

    assert done.returncode != 0 and "site.yaml" in done.stderr
    assert list((place.root / "backups").iterdir()) == []
