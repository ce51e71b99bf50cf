"""Quotas raised in a real directory, from which the new server reads them; and the way of a decision about one."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import ldap3
import pytest
from bascule.changes import acts, base, kind
from bascule.changes.base import ChangeFailed, Outcome
from bascule.changes.quota import AccountQuota
from bascule.hosts.access import Access
from bascule.hosts.directory import DirectoryError
from bascule.ledger import Ledger, journal
from bascule.problems import record, store
from bascule.problems.model import Option, Problem
from bascule.tasks.mailbox import pass_over
from bascule.tasks.run import Run

from lab.corpus.store import Stores
from lab.paths import CHECKOUT, SITE_FILE
from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab
from tests.integration.directory_entries import add, administrator, dn_of, remove

__all__ = ["changing"]
ORIGIN = journal.Origin("problems", "run", "settle", "postmaster")
ATTRIBUTE = "mailQuota"
SMALL, LARGE = 51_200, 50_000_000  # bytes


@pytest.fixture(scope="module")
def admin(lab: Lab) -> Iterator[ldap3.Connection]:
    with administrator(lab) as connection:
        yield connection


@pytest.fixture
def account(admin: ldap3.Connection) -> Iterator[str]:
    name = f"quota-{uuid.uuid4().hex[:8]}"  # its mail outlives the test on the servers
    add(admin, name)
    yield name
    remove(admin, [name])


def set_quota(admin: ldap3.Connection, account: str, value: int | None) -> None:
    """What a person does who changes the entry by hand."""
    assert admin.modify(dn_of(account), {ATTRIBUTE: [(ldap3.MODIFY_REPLACE, [] if value is None else [str(value)])]})


def quota_of(admin: ldap3.Connection, account: str) -> list[str]:
    admin.search(dn_of(account), "(objectClass=*)", ldap3.BASE, attributes=[ATTRIBUTE])
    return [str(value) for value in admin.entries[0][ATTRIBUTE].values]


@pytest.mark.parametrize("before", [None, SMALL], ids=["none", "a small one"])
def test_a_quota_is_raised_and_put_back(
    access: Access, changing: Changing, admin: ldap3.Connection, account: str, before: int | None
) -> None:
    set_quota(admin, account, before)
    first, then = changing.round_trip(lambda: AccountQuota(access, account, LARGE))
    assert first["values"] == ([str(before)] if before else [])
    assert then["values"] == [str(LARGE)]
    assert quota_of(admin, account) == first["values"]


def test_a_larger_quota_is_left_as_it_is(
    access: Access, changing: Changing, admin: ldap3.Connection, account: str
) -> None:
    set_quota(admin, account, LARGE * 2)
    assert changing.run(lambda: AccountQuota(access, account, LARGE)).outcome == Outcome.UNCHANGED
    assert quota_of(admin, account) == [str(LARGE * 2)]


def test_what_somebody_set_since_is_not_put_back(
    access: Access, changing: Changing, admin: ldap3.Connection, account: str
) -> None:
    make = lambda: AccountQuota(access, account, LARGE)  # noqa: E731
    changing.run(make)
    set_quota(admin, account, LARGE * 3)
    with pytest.raises(ChangeFailed, match=f"'{LARGE * 3}'.*somebody set since"):
        changing.put_back(make)
    assert quota_of(admin, account) == [str(LARGE * 3)]


def test_who_changes_the_entry_at_the_same_moment_is_not_overwritten(
    access: Access, admin: ldap3.Connection, account: str
) -> None:
    change = AccountQuota(access, account, LARGE)
    set_quota(admin, account, SMALL)
    change.observe()
    set_quota(admin, account, SMALL * 2)
    with pytest.raises(ChangeFailed, match="the directory refuses `mailQuota`"):
        change.apply()
    assert quota_of(admin, account) == [str(SMALL * 2)]


def test_an_account_that_the_directory_does_not_have_is_named(access: Access) -> None:
    with pytest.raises(DirectoryError, match="0 entries of the account quota-nobody"):
        AccountQuota(access, "quota-nobody", LARGE).observe()


# -- from the problem to the mail on new


@pytest.fixture
def run(lab: Lab, access: Access, ledger_url: str) -> Run:
    return Run(lab.site, access, Ledger(ledger_url), ORIGIN, dry_run=False, selection="all")


@pytest.fixture
def full(lab: Lab, admin: ldap3.Connection, account: str) -> str:
    """An account with 200 kB on old, and a quota of 50 KiB on new."""
    set_quota(admin, account, SMALL)
    with Stores(lab.instance).reader("old", account) as client:
        for number in range(20):
            client.append("INBOX", f"Subject: {number}\r\n\r\n{'x' * 10_000}\r\n".encode())
    return account


def on_new(lab: Lab, account: str) -> int:
    with Stores(lab.instance).reader("new", account) as client:
        return int(client.select_folder("INBOX", readonly=True)[b"EXISTS"])


def the_problem(run: Run, account: str) -> Problem:
    (problem,) = store.problems(run.ledger, account=account)
    return problem


def decide(run: Run, problem: Problem) -> None:
    record.record(run.ledger, [record.Choice(problem, Option.APPLY)], record.Author("ann", "page", ORIGIN))


def test_a_decision_raises_the_quota_and_the_mail_arrives_and_rollback_puts_it_back(
    lab: Lab, run: Run, admin: ldap3.Connection, full: str
) -> None:
    assert pass_over(run, full, last_try=True).problems == 1
    problem = the_problem(run, full)
    assert (problem.kind, problem.facts["limit"], on_new(lab, full)) == ("quota", SMALL, 0)
    decide(run, problem)
    result = pass_over(run, full, last_try=True)
    assert (result.problems, result.copied, on_new(lab, full)) == (0, 20, 20)
    assert quota_of(admin, full) == [str(problem.proposal.bytes)]
    assert [entry.event for entry in journal.entries(run.ledger)] == ["decision", "intent", "done"]
    pass_over(run, full, last_try=True)
    assert [entry.event for entry in journal.entries(run.ledger, kind="quota")] == ["intent", "done"]
    (act,) = acts.in_force(journal.entries(run.ledger))
    base.undo(kind(act.kind).from_parameters(run.access, act.parameters), act.before, run.ledger, ORIGIN)
    assert quota_of(admin, full) == [str(SMALL)]


def test_the_command_line_does_what_a_task_does(
    lab: Lab, run: Run, ledger_url: str, admin: ldap3.Connection, full: str
) -> None:
    def sync() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bascule.mailbox", "sync", "--site", str(SITE_FILE), "--account", full]
        environment = {**os.environ, "BASCULE_LEDGER": ledger_url}
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    assert sync().returncode == 3
    decide(run, problem := the_problem(run, full))
    done = sync()
    assert (done.returncode, on_new(lab, full)) == (0, 20), done.stderr
    assert quota_of(admin, full) == [str(problem.proposal.bytes)]
    assert {entry.origin.phase for entry in journal.entries(run.ledger, kind="quota")} == {"command line"}


def test_a_standing_decision_raises_it_in_the_same_task(lab: Lab, run: Run, admin: ldap3.Connection, full: str) -> None:
    decided = lab.site.model_copy(update={"decisions": {"mailbox/quota": "apply"}})
    result = pass_over(Run(decided, run.access, run.ledger, ORIGIN, False, "all"), full, last_try=True)
    assert (result.problems, on_new(lab, full)) == (0, 20)


def test_without_an_attribute_in_the_site_file_it_is_asked_again(lab: Lab, run: Run, full: str) -> None:
    bare = lab.site.model_copy(update={"mailboxes": lab.site.mailboxes.model_copy(update={"quota": None})})
    by_hand = Run(bare, lab.access(bare), run.ledger, ORIGIN, False, "all")
    pass_over(by_hand, full, last_try=True)
    decide(run, the_problem(run, full))
    assert pass_over(by_hand, full, last_try=True).problems == 1
    assert the_problem(run, full).state == "open"


def test_a_dry_run_raises_nothing(run: Run, admin: ldap3.Connection, full: str) -> None:
    pass_over(run, full, last_try=True)
    decide(run, the_problem(run, full))
    pass_over(Run(run.site, run.access, run.ledger, ORIGIN, True, "all"), full, last_try=True)
    assert quota_of(admin, full) == [str(SMALL)]
