"""What the last pass of a move meets in the mailbox: it turns the move, unless it was decided before."""

from types import SimpleNamespace

import pytest
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger
from bascule.mailbox import job
from bascule.mailbox.imap.server import Server
from bascule.moves import acts
from bascule.moves.acts import MailboxWaits, SiteActs
from bascule.problems import store
from bascule.problems.model import LEAVE_OUT, Option, Problem

from tests.deciding import decide
from tests.unit.changes.fakes import FakeAccess


class Engine:
    """The mailbox engine: `found` are the problems that its passes meet as long as nobody has decided about them."""

    def __init__(self, ledger: Ledger, *found: Problem) -> None:
        self.ledger, self.found, self.passes = ledger, found, 0

    def sync_mailbox(self, job: object, ledger: Ledger, *, owner: str) -> SimpleNamespace:
        self.passes += 1
        decided = {(problem.kind, problem.subject) for problem, _ in store.decisions(ledger, "zoe", "mailbox")}
        with ledger.session() as session:
            for problem in self.found:
                if (problem.kind, problem.subject) not in decided:
                    store.report(session, problem)
        open_problems = store.problems(ledger, account="zoe", room="mailbox")
        return SimpleNamespace(copied=1, flags_changed=0, removed=0, verified=1, problems=len(open_problems))


def problem(kind: str) -> Problem:
    return Problem("zoe", "mailbox", kind, "INBOX/7", "the message has 60 MB", {"size": 6}, {}, "", LEAVE_OUT)


@pytest.fixture
def moving(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> SiteActs:
    made = SiteActs(FakeAccess(), ledger, "zoe", "task")
    monkeypatch.setattr(made, "_filters", lambda: 0)
    monkeypatch.setattr(acts.mailbox, "job_for", lambda *_: None)
    return made


def engine(monkeypatch: pytest.MonkeyPatch, ledger: Ledger, *found: Problem) -> Engine:
    made = Engine(ledger, *found)
    monkeypatch.setattr(acts.mailbox, "sync_mailbox", made.sync_mailbox)
    return made


def test_a_problem_that_only_the_last_pass_meets_waits_for_a_person(
    moving: SiteActs, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, ledger, problem("message-too-large"))
    with pytest.raises(MailboxWaits, match=r"1 problem\(s\) of the mailbox that wait.*60 MB.*`problems`"):
        moving._pass("new")


def test_one_that_was_decided_before_does_not(
    moving: SiteActs, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine(monkeypatch, ledger, problem("message-too-large"))
    with pytest.raises(MailboxWaits):
        moving._pass("new")
    decide(ledger, *store.problems(ledger), option=Option.LEAVE_OUT)
    assert moving._pass("new")["problems"] == 0
    assert made.passes == 2


def test_one_about_which_the_site_file_decides_costs_one_more_pass(
    moving: SiteActs, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine(monkeypatch, ledger, problem("message-too-large"))

    def by_the_site_file() -> int:
        decide(ledger, *store.problems(ledger), option=Option.LEAVE_OUT)
        return 1

    moving.decide = by_the_site_file
    assert moving._pass("new")["problems"] == 0
    assert made.passes == 2


def test_uids_that_are_lost_on_new_are_no_reason_to_go_back(
    moving: SiteActs, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is there; the question is asked all the same."""
    engine(monkeypatch, ledger, problem("uids-changed"))
    assert moving._pass("new")["problems"] == 1
    engine(monkeypatch, ledger, problem("uids-changed"), problem("message-altered"))
    with pytest.raises(MailboxWaits, match="1 problem"):
        moving._pass("new")


def test_who_shall_stay_on_old_since_this_minute_is_not_left_without_mail_on_new(
    moving: SiteActs, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, ledger, problem("message-too-large"))
    with pytest.raises(MailboxWaits):
        moving._pass("new")
    decide(ledger, *store.problems(ledger), option=Option.KEEP_ON_OLD)
    with pytest.raises(MailboxWaits, match="stays on old"):
        moving._pass("new")


@pytest.mark.parametrize(("uids", "on_the_way_back"), [("keep", "keep where possible"), ("new", "new")])
def test_on_the_way_back_uids_are_no_question_that_could_end_it(
    monkeypatch: pytest.MonkeyPatch, uids: str, on_the_way_back: str
) -> None:
    access = FakeAccess()
    part = access.site.mailboxes.model_copy(update={"uids": uids})
    site = access.site.model_copy(update={"mailboxes": part})
    monkeypatch.setattr(job, "_server", lambda *_: Server(Endpoint("127.0.0.1", 143), Login("zoe", "")))
    assert job.job_back(FakeAccess(site), "zoe").options.uids == on_the_way_back
