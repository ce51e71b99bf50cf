"""The secrets of a site: made once, completed, never shown."""

import json
import stat
from pathlib import Path

from lab.hosts.secrets import Secrets, load_or_make


def test_secrets_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secrets.json"
    assert load_or_make(path) == load_or_make(path)


def test_only_root_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_that_is_missing_is_added_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_or_make(path)
    known = json.loads(path.read_text())
    del known["tsig"]
    path.write_text(json.dumps(known))
    completed = load_or_make(path)
    assert completed.master_old == made.master_old
    assert completed.tsig != made.tsig
    assert load_or_make(path) == completed


def test_accounts_have_passwords_of_their_own_that_stay() -> None:
    secrets = Secrets()
    assert secrets.password_of("alice") == secrets.password_of("alice") != secrets.password_of("bob")
    assert Secrets().password_of("alice") != secrets.password_of("alice")


def test_no_secret_is_in_the_representation() -> None:
    secrets = Secrets()
    assert secrets.master_old not in repr(secrets)
