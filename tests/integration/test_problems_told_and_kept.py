"""What a decision does on real servers: one letter however often, and mail that goes to old again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.changes.directory import Destination, KeptDestination
from bascule.hosts.access import Access
from bascule.ledger import Ledger, journal
from bascule.problems import letters, record, store
from bascule.problems.model import Action, Option, Problem, Proposal
from bascule.tasks.letters import tell_owners
from bascule.tasks.run import Run

from lab.corpus.store import Stores
from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab
from tests.integration.directory_entries import add, administrator, destination_of, remove

__all__ = ["changing"]
ACCOUNT, OTHER = "decided-eve", "decided-max"
ORIGIN = journal.Origin("drain", "run", "tell_owners", "postmaster")


@pytest.fixture(autouse=True)
def entries(lab: Lab) -> Iterator[None]:
    with administrator(lab) as admin:
        remove(admin, [ACCOUNT, OTHER])
        for account in (ACCOUNT, OTHER):
            add(admin, account)
        yield
        remove(admin, [ACCOUNT, OTHER])


@pytest.fixture
def run(lab: Lab, access: Access, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("BASCULE_REPORTS", str(tmp_path))
    ledger = Ledger(ledger_url)
    problem = Problem(ACCOUNT, "mailbox", "folder-name", "~x", "", proposal=Proposal(Action.RENAME, name="x"))
    with ledger.session() as session:
        number = store.report(session, problem)
    found = store.problems(ledger)
    record.record(ledger, [record.Choice(found[0], Option.APPLY)], record.Author("postmaster", "page", ORIGIN))
    with ledger.session() as session:
        store.settle(session, number)
    return Run(lab.site, access, ledger, ORIGIN, dry_run=False, selection=f"(uid={ACCOUNT})")


def letters_in_inbox(lab: Lab) -> int:
    with Stores(lab.instance).reader("new", ACCOUNT) as client:
        client.select_folder("INBOX", readonly=True)
        return len(client.search(["HEADER", "Message-ID", letters.message_id(lab.site, ACCOUNT)]))


def test_a_letter_comes_once_however_often_the_task_runs(lab: Lab, run: Run, tmp_path: Path) -> None:
    assert tell_owners(run) == {"letters": 1, "accounts": 1}
    assert tell_owners(run) == {"letters": 0, "accounts": 1}
    with run.ledger.session() as session:  # killed after the append: the ledger does not know of it
        session.execute(letters_table().delete())
    tell_owners(run)
    assert letters_in_inbox(lab) == 1
    assert f"{ACCOUNT}: renamed: ~x -> x" in (tmp_path / f"{lab.site.name}-helpdesk.txt").read_text(encoding="utf-8")


def letters_table():
    from bascule.ledger.letters import LetterRow

    return LetterRow.__table__


def test_the_site_file_switches_letters_off_and_the_list_is_written_all_the_same(
    lab: Lab, run: Run, tmp_path: Path
) -> None:
    quiet = lab.site.model_copy(update={"letters": lab.site.letters.model_copy(update={"owners": False})})
    before = letters_in_inbox(lab)
    assert tell_owners(Run(quiet, run.access, run.ledger, ORIGIN, False, run.selection))["letters"] == 0
    assert letters_in_inbox(lab) == before
    assert (tmp_path / f"{lab.site.name}-helpdesk.csv").exists()


def test_a_dry_run_writes_no_letter(lab: Lab, run: Run) -> None:
    before = letters_in_inbox(lab)
    tell_owners(Run(run.site, run.access, run.ledger, ORIGIN, True, run.selection))
    assert letters_in_inbox(lab) == before


def test_the_destination_of_a_kept_account_goes_back_alone_and_rollback_ends_where_it_began(
    lab: Lab, access: Access, changing: Changing
) -> None:
    with administrator(lab) as admin:
        changing.run(lambda: Destination(access, [ACCOUNT, OTHER]))
        keep = lambda: KeptDestination(access, [ACCOUNT])  # noqa: E731
        changing.run(keep)
        assert destination_of(admin, ACCOUNT) == f"{ACCOUNT}@old.obs.test"
        assert destination_of(admin, OTHER) == f"{OTHER}@new.obs.test"
        changing.put_back(keep)
        changing.put_back(lambda: Destination(access, [ACCOUNT, OTHER]))
        assert {destination_of(admin, name) for name in (ACCOUNT, OTHER)} == {
            f"{ACCOUNT}@old.obs.test",
            f"{OTHER}@old.obs.test",
        }
