"""Accounts that a pass can't reach, on real servers: no mailbox, and logins that are refused, told apart."""

import contextlib
import imaplib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bascule import mailbox, site
from bascule.hosts.login import Login
from bascule.ledger import Ledger, journal, mailboxes
from bascule.ledger.base import now
from bascule.mailbox import MailboxJob, Server, sync
from bascule.problems import record, store
from bascule.problems.evidence import not_ready
from bascule.problems.model import Option, Problem
from bascule.tasks.mailbox import one_pass, pass_over
from bascule.tasks.run import Run, TryAgain

from tests.ledgers import empty_ledger
from tests.mail_servers import Dovecot, dovecot, mail_directory
from tests.mailbox_states import Account

ORIGIN = journal.Origin("prepare", "run", "mailbox.sync[0]", "postmaster")
AUTHOR = record.Author("ann", "page", ORIGIN)
SITE = site.load(Path(__file__).parents[2] / "lab" / "site.yaml")
MASTER = """
auth_master_user_separator = *
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = passwd-file
  args = {home}/masters
  master = yes
}}
userdb {{
  driver = passwd-file
  args = {home}/known
  result_success = continue-ok
  result_failure = return-fail
}}
"""


class Site:
    """Two servers that know the same accounts at first, and what Bascule knows of them."""

    def __init__(self, old: Dovecot, new: Dovecot, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.old, self.new, self.ledger = old, new, ledger
        self.secret = "master-secret"
        self.decisions: dict[str, str] = {}
        monkeypatch.setattr(mailbox, "job_for", lambda access, account: self.job(account))
        for server in (old, new):
            (server.home / "masters").write_text("mover:{PLAIN}master-secret\n")
            self.know(server, "anna", "bert")

    @staticmethod
    def know(server: Dovecot, *accounts: str) -> None:
        """Let the server know these accounts, and wait until it does: it looks at its file once in a second."""
        known = server.home / "known"
        before = known.stat().st_mtime
        known.write_text("".join(f"{name}::::::\n" for name in accounts))
        os.utime(known, (before + 2, before + 2))
        deadline = time.monotonic() + 60
        while gets_in(server, "anna") != ("anna" in accounts):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def job(self, account: str) -> MailboxJob:
        return MailboxJob(account, self.server("old", account), self.server("new", account))

    def server(self, side: str, account: str) -> Server:
        plain: Server = getattr(self, side).server(account)
        login = Login(f"{account}*mover", self.secret)
        return replace(plain, login=login, side=side, connection=f"imap_{side}", shared_login=True)

    @property
    def run(self) -> Run:
        chosen: Any = SITE.model_copy(update={"decisions": self.decisions})
        return Run(chosen, None, self.ledger, ORIGIN, dry_run=False, selection="all")  # type: ignore[arg-type]

    def open(self) -> list[Problem]:
        return store.problems(self.ledger, account="anna")


def gets_in(server: Dovecot, account: str) -> bool:
    client = imaplib.IMAP4("127.0.0.1", server.port)
    try:
        return client.login(f"{account}*mover", "master-secret")[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.shutdown()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Dovecot, Dovecot]]:
    with mail_directory() as home:
        first, second = home / "old", home / "new"
        for place in (first, second):
            place.mkdir()
            (place / "masters").touch()
            (place / "known").touch()
        with (
            dovecot(first, logins=MASTER.format(home=first)) as old,
            dovecot(second, separator="/", logins=MASTER.format(home=second)) as new,
        ):
            yield old, new


@pytest.fixture
def there(servers: tuple[Dovecot, Dovecot], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    found = Site(*servers, Ledger(empty_ledger(tmp_path / "ledger.db")), monkeypatch)
    assert pass_over(found.run, "bert", last_try=True).problems == 0
    return found


def test_an_account_that_old_does_not_know_has_nothing_to_carry(there: Site) -> None:
    there.know(there.old, "bert")
    result = pass_over(there.run, "anna", last_try=False)
    assert result.problems == 1 and "login of anna*mover" in result.failed
    (problem,) = there.open()
    assert (problem.room, problem.kind, problem.facts["side"]) == ("account", "no-mailbox", "old")
    assert problem.details["compared"] == "bert gets in by the same login"
    assert problem.details["connection"] == "imap_old"
    assert problem.proposal.stored() == {"action": "leave out"}


def test_leaving_it_out_holds_in_every_pass_until_there_is_a_mailbox(there: Site) -> None:
    there.know(there.old, "bert")
    pass_over(there.run, "anna", last_try=True)
    record.record(there.ledger, [record.Choice(there.open()[0], Option.APPLY)], AUTHOR)
    for _ in range(2):
        frozen_at = now()
        assert pass_over(there.run, "anna", last_try=True).problems == 0
        assert not_ready(there.ledger, ["anna"], frozen_at) == []
        assert mailboxes.mailbox_states(there.ledger)["anna"].state == "verified"
        assert [problem.state for problem, _ in store.all_decisions(there.ledger)] == ["settled"]
    there.know(there.old, "anna", "bert")
    with Account(there.old.port, "anna", ".") as account:
        account.append("INBOX", "a")
    assert pass_over(there.run, "anna", last_try=True).copied == 1
    assert store.all_decisions(there.ledger) == []


def test_a_standing_decision_leaves_it_out_without_asking(there: Site) -> None:
    there.know(there.old, "bert")
    there.decisions = {"account/no-mailbox": "leave out"}
    assert pass_over(there.run, "anna", last_try=True).problems == 0
    assert there.open() == []


def test_what_a_pass_has_reached_before_is_never_proposed_to_be_left_out(there: Site) -> None:
    assert pass_over(there.run, "anna", last_try=True).problems == 0
    there.know(there.old, "bert")
    there.decisions = {"account/no-mailbox": "leave out"}
    assert pass_over(there.run, "anna", last_try=True).problems == 1
    (problem,) = there.open()
    assert problem.proposal.stored() == {"action": "look again"}
    assert "An earlier pass has reached it" in problem.explanation
    assert mailboxes.mailbox_states(there.ledger)["anna"].state == "failed"


def test_an_account_that_new_does_not_know_must_be_created_there(there: Site) -> None:
    there.know(there.new, "bert")
    assert pass_over(there.run, "anna", last_try=True).problems == 1
    (problem,) = there.open()
    assert (problem.kind, problem.facts["side"], problem.proposal.action) == ("no-mailbox", "new", "look again")
    there.know(there.new, "anna", "bert")
    assert pass_over(there.run, "anna", last_try=True).problems == 0
    assert there.open() == []


def test_a_login_that_is_refused_for_everybody_is_the_connections(there: Site) -> None:
    there.secret = "mistyped"
    assert one_pass(there.run, "anna", last_try=True).problems == 1
    (problem,) = there.open()
    assert (problem.kind, problem.facts["side"]) == ("login-refused", "old")
    assert "`imap_old`" in problem.explanation and "Authentication failed" in problem.server_words
    assert "mistyped" not in repr(problem)
    there.secret = "master-secret"
    assert one_pass(there.run, "anna", last_try=True).problems == 0
    assert there.open() == []


def test_a_server_that_lets_nobody_in_is_a_problem_only_at_the_last_try(there: Site) -> None:
    there.know(there.old)
    with pytest.raises(TryAgain, match="login of anna"):
        one_pass(there.run, "anna", last_try=False)
    assert there.open() == []
    assert "login of anna" in one_pass(there.run, "anna", last_try=True).failed
    assert [problem.kind for problem in there.open()] == ["pass failed"]


def test_keeping_such_a_mailbox_on_old_ends_its_passes(there: Site) -> None:
    there.secret = "mistyped"
    one_pass(there.run, "anna", last_try=True)
    record.record(there.ledger, [record.Choice(there.open()[0], Option.KEEP_ON_OLD)], AUTHOR)
    assert pass_over(there.run, "anna", last_try=True).problems == 0
    assert mailboxes.mailbox_states(there.ledger)["anna"].state == "kept on old"
