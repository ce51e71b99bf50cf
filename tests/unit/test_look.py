"""The look over all mailboxes: who gets a task, at which place, and what is the evidence of the others."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from bascule import mailbox, site
from bascule.hosts.connections import AccessError, Connection
from bascule.hosts.login import Endpoint, Login, NoPassword
from bascule.ledger import Ledger, LedgerAway, journal, leases, mailboxes
from bascule.ledger.base import now
from bascule.mailbox import look as one_look
from bascule.mailbox.job import MailboxJob
from bascule.mailbox.look import LookResult
from bascule.problems.evidence import evidence_lines, not_ready
from bascule.tasks import look
from bascule.tasks.run import Run
from structlog.testing import capture_logs

from tests.unit.changes.fakes import FakeAccess

SITE = site.load(Path(__file__).parents[2] / "lab" / "site.yaml")
ORIGIN = journal.Origin("transfer", "day", "look_at_mailboxes", "postmaster")
ALL = ["anna", "bert", "carl", "dora"]
FLAGS = "something has changed in INBOX"
SetChanged = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Four mailboxes, each verified by a pass."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for account in ALL:
        finish_pass(ledger, account)
    return Run(SITE, None, ledger, ORIGIN)  # type: ignore[arg-type]


def finish_pass(ledger: Ledger, account: str) -> None:
    with ledger.session() as session:
        mailboxes.finish_mailbox(
            session, account, "verified", folders=1, messages=9, octets=9, problems=0, seconds=1.0, verified=True
        )


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> SetChanged:
    """Say of which mailboxes the servers tell a change."""
    told: dict[str, str] = {}
    monkeypatch.setattr(mailbox, "job_for", lambda access, account: account)
    monkeypatch.setattr(
        look, "look_over", lambda jobs, ledger, **_: [LookResult(account, told.get(account, "")) for account in jobs]
    )

    def set_changed(*accounts: str) -> None:
        told.clear()
        told.update(dict.fromkeys(accounts, FLAGS))

    return set_changed


def test_only_what_has_changed_gets_a_task(run: Run, changed: SetChanged) -> None:
    changed("bert", "dora")
    assert look.look(run, ALL) == ["bert", "dora"]


def test_journal_page_and_report_name_the_others(run: Run, changed: SetChanged) -> None:
    changed("bert")
    look.look(run, ALL)
    (entry,) = journal.entries(run.ledger, kind="look")
    assert entry.after == {
        "unchanged": ["anna", "carl", "dora"],
        "need a pass": {"bert": FLAGS},
        "with a task": ["bert"],
    }
    states = mailboxes.mailbox_states(run.ledger)
    assert [account for account in ALL if states[account].is_unchanged] == ["anna", "carl", "dora"]
    (line,) = [line for line in evidence_lines(run.ledger) if line.startswith("mailboxes in which nothing has changed")]
    assert line.endswith(": 3 (anna, carl, dora)")


def test_a_changed_mailbox_waits_until_a_pass_has_ended(run: Run, changed: SetChanged) -> None:
    changed("bert")
    look.look(run, ALL)
    assert not_ready(run.ledger, ALL, None) == [f"bert: the mailbox is in the state `waiting` ({FLAGS})"]
    finish_pass(run.ledger, "bert")
    assert not_ready(run.ledger, ALL, None) == []
    assert not mailboxes.mailbox_states(run.ledger)["bert"].is_unchanged


def test_a_pass_or_a_look_since_the_freeze_is_asked_for(run: Run, changed: SetChanged) -> None:
    changed()
    frozen_at = now() + timedelta(microseconds=1)
    assert not_ready(run.ledger, ["anna", "bert"], frozen_at) == [
        f"{account}: nobody has looked at the mailbox since the freeze began" for account in ("anna", "bert")
    ]
    look.look(run, ["anna"])
    finish_pass(run.ledger, "bert")
    assert not_ready(run.ledger, ["anna", "bert"], frozen_at) == []


def no_password(account: str) -> NoPassword:
    return NoPassword(f"the connection `imap_new` has no password for {account} in `passwords`: add it there")


def test_who_has_no_password_yet_holds_up_nobody_else(
    run: Run, changed: SetChanged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job_for(access: object, account: str) -> str:
        if account in ("carl", "emil"):  # emil was hired since the last `prepare`
            raise no_password(account)
        return account

    changed()
    monkeypatch.setattr(mailbox, "job_for", job_for)
    assert look.look(run, [*ALL, "emil"]) == ["carl", "emil"]
    (entry,) = journal.entries(run.ledger, kind="look")
    assert entry.after is not None and entry.after["unchanged"] == ["anna", "bert", "dora"]
    words = f"it can't be looked at: {no_password('carl')}"
    assert entry.after["need a pass"]["carl"] == words
    assert not_ready(run.ledger, ALL, None) == [f"carl: the mailbox is in the state `waiting` ({words})"]


def test_a_connection_that_nobody_can_use_ends_the_look_at_once(
    run: Run, changed: SetChanged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def job_for(access: object, account: str) -> str:
        raise AccessError("no connection `imap_new`")

    monkeypatch.setattr(mailbox, "job_for", job_for)
    with pytest.raises(AccessError, match="imap_new"):
        look.look(run, ALL)
    assert journal.entries(run.ledger) == []


def test_a_connection_without_any_passwords_ends_the_look_and_gives_nobody_a_task(run: Run) -> None:
    part = SITE.mailboxes.old.model_copy(update={"login": "secret"})
    access = FakeAccess(SITE.model_copy(update={"mailboxes": SITE.mailboxes.model_copy(update={"old": part})}))
    access.connections = SimpleNamespace(get=lambda name: Connection(name, "imap.test"))  # type: ignore[assignment]
    with pytest.raises(AccessError, match="has no `passwords`"):
        look.look(replace(run, access=access), ALL)
    assert journal.entries(run.ledger) == []


def test_run_again_it_keeps_every_mailbox_at_its_place(run: Run, changed: SetChanged) -> None:
    """Airflow knows the instances of a mapped task by their places alone."""
    changed("bert", "dora")
    look.look(run, ALL)
    changed("anna", "dora")
    assert look.look(run, ALL) == ["bert", "dora", "anna"]
    assert look.look(replace(run, origin=replace(ORIGIN, run="another day")), ALL) == ["anna", "dora"]


def test_a_mailbox_that_somebody_works_on_gets_a_task(run: Run, changed: SetChanged) -> None:
    changed()
    with leases.lease(run.ledger, "carl", "prepare/night/mailbox.sync[2]"):
        assert look.look(run, ALL) == ["carl"]


def test_a_dry_run_writes_nothing(run: Run, changed: SetChanged) -> None:
    changed("bert")
    before = mailboxes.mailbox_states(run.ledger)
    assert look.look(replace(run, dry_run=True), ALL) == ["bert"]
    assert mailboxes.mailbox_states(run.ledger) == before
    assert journal.entries(run.ledger) == []


def test_what_the_ledger_knows_of_many_accounts_is_asked_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with run.ledger.session() as session:
        mailboxes.finish_mailbox(
            session, "carl", "failed", folders=1, messages=9, octets=9, problems=0, seconds=1.0, verified=False
        )
    monkeypatch.setattr(one_look, "_on_the_servers", lambda job, ledger, known: FLAGS if job.account == "dora" else "")
    server = mailbox.Server(Endpoint("imap.obs.test", 993, "tls"), Login("someone", "secret"))
    jobs = [MailboxJob(account, server, server) for account in [*ALL, "emil"]]
    asked: list[str] = []
    sa.event.listen(run.ledger.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    found = {each.account: each.reason for each in one_look.look_over(jobs, run.ledger, connections=4)}
    assert found == {
        "anna": "", "bert": "", "carl": "its last pass left it in the state `failed`", "dora": FLAGS,
        "emil": "no pass has ended yet",
    }  # fmt: skip
    assert len([words for words in asked if words.startswith("SELECT")]) == 3


def jobs() -> list[MailboxJob]:
    server = mailbox.Server(Endpoint("imap.obs.test", 993, "tls"), Login("someone", "secret"))
    return [MailboxJob(account, server, server) for account in ALL]


def test_a_mistake_at_one_mailbox_is_its_reason_for_a_pass_and_no_other_ones(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(job: MailboxJob, ledger: Ledger, known: object) -> str:
        if job.account == "carl":
            raise ValueError("LOGIN carl hidden")
        return ""

    monkeypatch.setattr(one_look, "_on_the_servers", one)
    with capture_logs() as lines:
        found = {each.account: each.reason for each in one_look.look_over(jobs(), run.ledger, connections=2)}
    words = found.pop("carl")
    assert found == {"anna": "", "bert": "", "dora": ""}
    assert words.startswith("it can't be looked at: a mistake in Bascule (") and words.endswith(": report it")
    assert "hidden" not in words
    assert [(line["event"], line["account"], line["exc_info"]) for line in lines] == [("not looked at", "carl", True)]


def test_a_ledger_that_goes_away_meanwhile_ends_the_look(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(job: MailboxJob, ledger: Ledger, known: object) -> str:
        raise LedgerAway("the ledger can't be read")

    monkeypatch.setattr(one_look, "_on_the_servers", one)
    with pytest.raises(LedgerAway):
        one_look.look_over(jobs(), run.ledger, connections=2)


def test_a_mailbox_that_is_slow_to_look_at_keeps_the_next_ones_waiting_for_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_was_looked_at = threading.Event()

    def one(job: MailboxJob, ledger: Ledger, known: object) -> str:
        if job.account == "anna":
            assert last_was_looked_at.wait(20)
        elif job.account == "dora":
            last_was_looked_at.set()
        return ""

    monkeypatch.setattr(one_look, "_on_the_servers", one)
    monkeypatch.setattr(one_look, "AT_ONCE", 1)
    found = one_look.look_over(jobs(), run.ledger, connections=2)
    assert [(each.account, each.reason) for each in found] == [(account, "") for account in ALL]
