"""The engine's command line on the practice site: by the site file, and by two endpoints with master logins."""

import json
import os
import subprocess
import sys
from pathlib import Path

from lab.facts import HOSTS
from lab.hosts.secrets import MASTER_USER, PROBE_ACCOUNT
from lab.paths import CHECKOUT, SITE_FILE
from tests.integration.conftest import Lab


def bascule(ledger_url: str, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BASCULE_LEDGER": ledger_url}
    whole = [sys.executable, "-m", "bascule.mailbox", command, *arguments]
    return subprocess.run(whole, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def test_the_site_file_and_an_account_say_all_that_is_needed(lab: Lab, ledger_url: str) -> None:
    where = ["--site", str(SITE_FILE), "--account", PROBE_ACCOUNT, "--json"]
    surveyed = bascule(ledger_url, "survey", *where)
    assert surveyed.returncode == 0, surveyed.stderr
    would = bascule(ledger_url, "sync", "--dry-run", *where)
    assert would.returncode == 0, would.stderr
    (forecast,), (dry,) = json.loads(surveyed.stdout)["mailboxes"], json.loads(would.stdout)["mailboxes"]
    assert forecast["new_messages"] == dry["copied"] > 20
    assert dry["dry_run"] is True


def test_master_logins_with_passwords_in_files_reach_the_same_mailbox(
    lab: Lab, ledger_url: str, tmp_path: Path
) -> None:
    where = ["--site", str(SITE_FILE), "--account", PROBE_ACCOUNT, "--json"]
    by_site = json.loads(bascule(ledger_url, "survey", *where).stdout)["mailboxes"][0]
    urls = ["--ca-file", str(lab.instance.ca_certificate), "--json"]
    for side, password in (("old", lab.secrets.master_old), ("new", lab.secrets.master_new)):
        file = tmp_path / side
        file.write_text(password + "\n")
        urls += [f"--{side}", f"imaps://{PROBE_ACCOUNT}@{HOSTS[side].fqdn}:993", f"--{side}-master", MASTER_USER]
        urls += [f"--{side}-password-file", str(file)]
    told = bascule(ledger_url, "survey", *urls)
    assert told.returncode == 0, told.stderr
    by_urls = json.loads(told.stdout)["mailboxes"][0]
    assert (by_urls["new_messages"], by_urls["new_bytes"]) == (by_site["new_messages"], by_site["new_bytes"])


def test_an_account_that_can_not_be_reached_gives_status_1_and_says_so(lab: Lab, ledger_url: str) -> None:
    done = bascule(ledger_url, "survey", "--site", str(SITE_FILE), "--account", "nobody-of-that-name", "--json")
    assert done.returncode == 1
    (told,) = json.loads(done.stdout)["mailboxes"]
    assert "nobody-of-that-name" in told["reason"]
