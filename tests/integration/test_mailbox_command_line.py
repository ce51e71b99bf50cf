"""`python -m bascule.mailbox`: what it prints, its exit status, TLS, and the survey."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bascule.ledger import Ledger, leases, mailboxes
from bascule.mailbox import __main__ as cli
from bascule.mailbox import context

from tests.imap_relay import replacing
from tests.mail_servers import PASSWORD, Dovecot, two_dovecots
from tests.mailbox_states import Account, parse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def servers(certificate: tuple[Path, Path]) -> Iterator[tuple[Dovecot, Dovecot]]:
    with two_dovecots(certificate=certificate) as both:
        yield both


def bascule(command: str, *arguments: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "BASCULE_OLD_PASSWORD": password, "BASCULE_NEW_PASSWORD": PASSWORD,
        "PYTHONPATH": str(ROOT / "plugins"),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "bascule.mailbox", command, *arguments],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip


def endpoints(servers: tuple[Dovecot, Dovecot], user: str, tmp_path: Path) -> list[str]:
    old, new = servers
    return [
        "--old", f"imap://{user}@127.0.0.1:{old.port}", "--new", f"imap://{user}@127.0.0.1:{new.port}",
        "--ledger", str(tmp_path / "ledger.db"),
    ]  # fmt: skip


def fill(server: Dovecot, user: str, state: str) -> None:
    with Account(server.port, user, ".") as account:
        account.make(parse(state))


def test_sync_verify_and_survey_say_the_same(servers: tuple[Dovecot, Dovecot], tmp_path: Path) -> None:
    fill(servers[0], "ann", "INBOX: a b/S; Sent: c")
    where = endpoints(servers, "ann", tmp_path)
    before = json.loads(bascule("survey", "--json", *where).stdout)["mailboxes"][0]
    assert (before["unchanged"], before["new_messages"]) == (False, 3)
    done = bascule("sync", "--json", *where)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["mailboxes"][0]
    assert (told["copied"], told["bytes"], told["problem_list"]) == (3, before["new_bytes"], [])
    verified = bascule("verify", "--json", "--verify", "content", *where)
    assert verified.returncode == 0, verified.stdout
    assert sum(folder["messages"] for folder in json.loads(verified.stdout)["mailboxes"][0]["folders"]) == 3
    assert json.loads(bascule("survey", "--json", *where).stdout)["mailboxes"][0]["unchanged"]


def test_verify_names_what_is_missing(servers: tuple[Dovecot, Dovecot], tmp_path: Path) -> None:
    fill(servers[0], "bob", "INBOX: a b")
    where = endpoints(servers, "bob", tmp_path)
    bascule("sync", *where)
    with Account(servers[1].port, "bob", "/") as account:
        account.make(parse("INBOX: a"))
    verified = bascule("verify", *where)
    assert verified.returncode == 3
    assert "old UID 2" in verified.stdout and "missing" in verified.stdout


def test_problems_give_status_3(servers: tuple[Dovecot, Dovecot], tmp_path: Path) -> None:
    fill(servers[0], "eve", "INBOX: a; dovecot-index: b")
    done = bascule("sync", *endpoints(servers, "eve", tmp_path))
    assert done.returncode == 3
    assert "problem" in done.stdout and "dovecot-index" in done.stdout
    again = bascule("sync", "--json", *endpoints(servers, "eve", tmp_path))
    (problem,) = json.loads(again.stdout)["mailboxes"][0]["problem_list"]
    assert problem["proposal"]["action"] == "rename"


def test_beside_a_task_that_works_on_the_mailbox_it_is_refused_with_a_sentence(
    servers: tuple[Dovecot, Dovecot], tmp_path: Path
) -> None:
    fill(servers[0], "max", "INBOX: a b")
    where = endpoints(servers, "max", tmp_path)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with leases.lease(ledger, "max", "transfer/day/mailbox.sync[3]"):
        refused = bascule("sync", "--json", *where)
    assert (refused.returncode, json.loads(refused.stdout)["run_again"]) == (1, True)
    assert "the mailbox of max is being worked on by transfer/day/mailbox.sync[3]" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert mailboxes.mailbox_states(ledger) == {}
    assert bascule("sync", *where).returncode == 0


def test_no_folder_name_drives_the_terminal(servers: tuple[Dovecot, Dovecot], tmp_path: Path) -> None:
    fill(servers[0], "zoe", "INBOX: a; Plan\u202e: b; plan\u202e: c")
    where = endpoints(servers, "zoe", tmp_path)
    done = bascule("sync", *where)
    with Account(servers[1].port, "zoe", "/") as account:
        account.make(parse("INBOX: a; Plan\u202e:"))
    verified = bascule("verify", *where)
    assert (done.returncode, verified.returncode) == (3, 3)
    for printed in (done.stdout, verified.stdout):
        assert "\\u202e" in printed and "\u202e" not in printed


def test_a_refused_login_gives_status_1_and_no_password(servers: tuple[Dovecot, Dovecot], tmp_path: Path) -> None:
    done = bascule("sync", *endpoints(servers, "ann", tmp_path), password="wrong-password")
    assert done.returncode == 1
    assert "refuses the login of `ann`" in done.stderr
    assert "wrong-password" not in done.stdout + done.stderr


def test_a_password_in_the_url_is_refused(tmp_path: Path) -> None:
    done = bascule("sync", "--old", "imap://a:pw@h", "--new", "imap://a@h", "--ledger", str(tmp_path / "l.db"))
    assert done.returncode == 2


@pytest.mark.parametrize("scheme", ["imaps", "imap+starttls"])
def test_tls_with_the_right_certificate(
    servers: tuple[Dovecot, Dovecot], certificate: tuple[Path, Path], tmp_path: Path, scheme: str
) -> None:
    user = scheme.replace("+", "")
    fill(servers[0], user, "INBOX: a b c")
    ports = [s.tls_port if scheme == "imaps" else s.port for s in servers]
    where = ["--old", f"{scheme}://{user}@127.0.0.1:{ports[0]}", "--new", f"{scheme}://{user}@127.0.0.1:{ports[1]}"]
    where += ["--ledger", str(tmp_path / "ledger.db")]
    refused = bascule("sync", *where)
    assert refused.returncode == 1 and "certificate" in refused.stderr
    done = bascule("sync", "--json", "--ca-file", str(certificate[0]), "--verify", "content", *where)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mailboxes"][0]["verified"] == 3


def test_compression_carries_the_same(tmp_path: Path) -> None:
    compressing = "mail_plugins = $mail_plugins zlib\nprotocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}\n"
    with two_dovecots(extra=compressing) as (old, new):
        fill(old, "ann", "INBOX: a b c; Sent: d")
        to_old, to_new = list[bytes](), list[bytes]()
        with replacing(old.port, said=to_old) as old_port, replacing(new.port, said=to_new) as new_port:
            where = endpoints((replace(old, port=old_port), replace(new, port=new_port)), "ann", tmp_path)
            done = bascule("sync", "--json", "--compress", "--verify", "content", *where)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["mailboxes"][0]["verified"] == 4
    for said, command in ((to_old, b"UID FETCH"), (to_new, b"APPEND")):
        assert b"COMPRESS DEFLATE" in b"".join(said)
        assert command not in b"".join(said), "sent in the clear"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is(
    servers: tuple[Dovecot, Dovecot], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(servers[0], "tom", "INBOX: a b c d; Sent: e f")
    for side in ("OLD", "NEW"):
        monkeypatch.setenv(f"BASCULE_{side}_PASSWORD", PASSWORD)
    monkeypatch.setattr(context, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(cli, "to_standard_error", lambda _: None)  # it is the whole process's
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert cli.main(["sync", *endpoints(servers, "tom", tmp_path)]) == 0
    lines = [line.strip() for line in terminal.getvalue().split("\r") if "messages" in line]
    assert re.fullmatch(r"tom: 6 messages, 0\.0 MB, \d+\.\d MB/s", lines[-1])


def test_dry_run_changes_nothing(servers: tuple[Dovecot, Dovecot], tmp_path: Path) -> None:
    fill(servers[0], "dry", "INBOX: a b; Sent: c")
    done = bascule("sync", "--dry-run", *endpoints(servers, "dry", tmp_path))
    assert done.returncode == 0 and "would copy 3 message(s)" in done.stdout
    with Account(servers[1].port, "dry", "/") as account:
        assert account.read() == parse("INBOX:")
