"""One script's trouble is one script's problem: on old, on new, and in Bascule itself."""

from collections.abc import Callable

import pytest
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, filters
from bascule.problems import store
from bascule.problems.model import Do, Option, Problem
from bascule.sieve.account_sync import AccountPass, AccountResult
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.managesieve import ManageSieveError
from bascule.sieve.old_scripts import ActiveFile
from bascule.sieve.questions import CHANGED_ON_NEW, OTHER_ACTIVE, REFUSED, UNREADABLE
from bascule.sieve.script_problem import FROM_PROCMAIL, NEEDS_A_LOOK, NOT_COMPILING, NOT_CONVERTED
from bascule.views import filters as filters_page
from bascule.views.language import Reader

from tests.deciding import decide
from tests.unit.sieve.fakes import Server

FILING = b'require "fileinto";\nfileinto "INBOX.A";\n'
FILED = FILING.replace(b"INBOX.", b"")

Run = Callable[..., AccountResult]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    def go(old: Server, new: Server, **more: object) -> AccountResult:
        folders = FolderMap({"INBOX": "INBOX"}, ".", "/", "INBOX.", "")
        return AccountPass("marie", old, new, ledger, folders, **more).run()  # type: ignore[arg-type]

    return go


def open_problems(ledger: Ledger) -> dict[str, Problem]:
    return {problem.subject: problem for problem in store.problems(ledger)}


def test_a_character_that_there_is_not_is_left_as_it_is(ledger: Ledger, run: Run) -> None:
    draft = b'require ["fileinto", "encoded-character"];\nfileinto "A${unicode:FFFFFFFFFFFF}";\n'
    new = Server()
    assert run(Server({"main": FILING, "draft": draft}, "main"), new).problems == 1
    assert (new.stored, new.active) == ({"main": FILED, "draft": draft}, "main")
    assert open_problems(ledger)["draft"].kind == NEEDS_A_LOOK


def test_a_fault_of_bascule_over_one_script_holds_no_other_back(
    ledger: Ledger, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bascule.sieve import plan

    convert = plan.convert

    def failing(source: str, context: object) -> object:
        if "boom" in source:
            raise OverflowError("too large")
        return convert(source, context)  # type: ignore[arg-type]

    monkeypatch.setattr(plan, "convert", failing)
    old, new = Server({"main": FILING, "draft": b"# boom\nkeep;\n"}, "main"), Server()
    assert run(old, new).problems == 1
    assert (new.stored, new.active) == ({"main": FILED}, "main")
    (problem,) = open_problems(ledger).values()
    assert (problem.kind, problem.subject) == (NOT_CONVERTED, "draft")
    assert "Overflow" not in problem.explanation and "Bascule has a fault" in problem.explanation
    decide(ledger, text="keep;\n")
    assert run(old, new).problems == 0
    assert new.stored["draft"] == b"keep;\n"


def test_a_fault_over_the_comparison_is_told_and_the_filter_is_carried(ledger: Ledger, run: Run) -> None:
    class Broken:
        def compare(self, *_: object) -> None:
            raise KeyError("x")

    new = Server()
    assert run(Server({"main": FILING}, "main"), new, proof=Broken()).problems == 0
    assert new.stored == {"main": FILED}
    assert "Bascule has a fault" in filters.filters(ledger, "marie")[0].report["not_compared"]


@pytest.mark.parametrize("active", ["main", "broken"])
def test_a_script_that_old_does_not_give_is_named_and_the_others_are_carried(
    ledger: Ledger, run: Run, active: str
) -> None:
    old = Server({"main": FILING, "broken": b"keep;"}, active, refused={"broken": "no such file"})
    new = Server({"mine": b"stop;"}, None)
    assert run(old, new).problems == 1
    (problem,) = open_problems(ledger).values()
    assert (problem.kind, problem.subject) == (UNREADABLE, "broken")
    assert "no such file" in problem.explanation
    assert new.stored["main"] == FILED
    assert new.active == ("main" if active == "main" else None)
    decide(ledger, option=Option.LEAVE_OUT)
    assert run(old, new).problems == 0


def test_a_script_over_which_the_old_connection_breaks_is_named_and_the_others_are_carried(
    ledger: Ledger, run: Run
) -> None:
    old = Server({"a": FILING, "broken": b"crash", "main": b"keep;"}, "main", breaks_over=b"crash")
    new = Server()
    assert run(old, new).problems == 1
    assert (new.stored, new.active) == ({"a": FILED, "main": b"keep;"}, "main")
    assert open_problems(ledger)["broken"].kind == UNREADABLE


def test_a_script_over_which_the_new_compiler_breaks_is_named_and_the_others_are_carried(
    ledger: Ledger, run: Run
) -> None:
    old = Server({"a": b"# crash\nkeep;", "main": FILING}, "main")
    new = Server(breaks_over=b"crash")
    assert run(old, new).problems == 1
    assert (new.stored, new.active) == ({"main": FILED}, "main")
    problem = open_problems(ledger)["a"]
    assert (problem.kind, problem.server_words) == (
        NOT_COMPILING, "the new server breaks off over this filter: the connection broke"
    )  # fmt: skip


def test_a_script_that_new_does_not_give_is_somebodys_own(ledger: Ledger, run: Run) -> None:
    new = Server({"main": b"mine", "other": b"x"}, refused={"main": "damaged", "other": "damaged"})
    assert run(Server({"main": FILING, "draft": FILING}, "draft"), new).problems == 1
    assert (new.stored["main"], new.stored["draft"], new.active) == (b"mine", FILED, "draft")
    assert open_problems(ledger)["main"].kind == CHANGED_ON_NEW


def test_an_activation_that_is_refused_is_a_problem(ledger: Ledger, run: Run) -> None:
    new = Server(refuses_active="QUOTA")
    assert run(Server({"main": FILING}, "main"), new).problems == 1
    assert (new.stored["main"], new.active, open_problems(ledger)["main"].kind) == (FILED, None, REFUSED)
    new.refuses_active = ""
    assert run(Server({"main": FILING}, "main"), new).problems == 0
    assert new.active == "main"


def test_what_passes_by_itself_is_no_question(ledger: Ledger, run: Run) -> None:
    with pytest.raises(ManageSieveError):
        run(Server({"main": FILING}, "main"), Server(refuses="TRYLATER"))
    assert open_problems(ledger) == {}


def test_beside_somebodys_filter_means_under_a_name_that_nobody_has(ledger: Ledger, run: Run) -> None:
    theirs = {"main": b"stop;", "main (old server)": b"keep;"}
    old, new = Server({"main": FILING}, "main"), Server(dict(theirs))
    run(old, new)
    assert open_problems(ledger)["main"].proposal.name == "main (old server) 2"
    decide(ledger, do=Do.PUT_BESIDE, name="main (old server)")
    assert run(old, new).problems == 0
    assert new.stored == {**theirs, "main (old server) 2": FILED}
    new.log.clear()
    assert run(old, new).problems == 0
    assert new.log == []


class Files:
    """An active file of the old server, or why that can't be known."""

    def __init__(self, found: ActiveFile | AccessError | None) -> None:
        self.found = found

    def find(self, account: str) -> ActiveFile | None:
        if isinstance(self.found, AccessError):
            raise self.found
        return self.found


def test_an_active_filter_that_is_a_plain_file_is_carried(run: Run) -> None:
    new = Server()
    old = Server({"main": b"keep;", "dovecot": b"stop;"})
    assert run(old, new, active_files=Files(ActiveFile("dovecot", "~/.dovecot.sieve", FILING))).problems == 0
    assert new.stored == {"main": b"keep;", "dovecot": b"stop;", "dovecot (active)": FILED}
    assert new.active == "dovecot (active)"


def test_a_link_that_leads_nowhere_is_asked_about_and_switches_nothing_off(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING}, "main"), Server()
    run(old, new)
    old.active = None
    dangling = Files(ActiveFile("dovecot", "~/.dovecot.sieve", None))
    assert run(old, new, active_files=dangling).problems == 1
    (problem,) = open_problems(ledger).values()
    assert (problem.kind, new.active) == (UNREADABLE, "main")
    assert "a link to a file that is not there" in problem.explanation
    decide(ledger, option=Option.LEAVE_OUT)
    assert run(old, new, active_files=dangling).problems == 0
    assert new.active is None


@pytest.mark.parametrize(("do", "active"), [(Do.LEAVE_IT_SO, "main"), (Do.AS_ON_OLD, None)])
def test_nothing_is_switched_off_while_it_is_not_known_whether_old_has_a_filter(
    ledger: Ledger, run: Run, do: Do, active: str | None
) -> None:
    old, new = Server({"main": FILING}, "main"), Server()
    run(old, new)
    old.active = None
    unknown = Files(AccessError("old: no SSH"))
    assert run(old, new, active_files=unknown).problems == 1
    (problem,) = open_problems(ledger).values()
    assert (problem.kind, new.active) == (OTHER_ACTIVE, "main")
    assert "no SSH" in problem.explanation
    decide(ledger, do=do)
    assert run(old, new, active_files=unknown).problems == 0
    assert new.active == active


def test_procmail_is_put_only_when_a_person_has_seen_both_forms(ledger: Ledger, run: Run) -> None:
    recipes = b":0\n* ^Subject:.*x\n.A/\n"
    old, new = Server({"procmailrc": recipes}, "procmailrc", procmail="procmailrc"), Server()
    assert run(old, new).problems == 1
    assert (new.stored, new.active) == ({}, None)
    problem = open_problems(ledger)["procmailrc"]
    assert problem.kind == FROM_PROCMAIL
    assert problem.details["the procmailrc on the old server"] == recipes.decode().strip()
    assert "fileinto" in problem.details["the same as Sieve"]
    html = filters_page.alone(ledger, "marie", Reader.of("en", "UTC"))
    assert html.index("<h3>Before</h3><pre>:0") < html.index("<h3>Proposed, not put yet</h3><pre># Made from")
    decide(ledger)
    assert run(old, new).problems == 0
    assert (list(new.stored), new.active) == (["procmailrc"], "procmailrc")
    new.log.clear()
    assert run(old, new).problems == 0
    assert new.log == []
    old.stored["procmailrc"] = recipes + b":0\n.B/\n"
    assert run(old, new).problems == 1
    assert new.log == []


def test_procmail_may_be_left_out(ledger: Ledger, run: Run) -> None:
    old, new = Server({"procmailrc": b":0\n.A/\n"}, "procmailrc", procmail="procmailrc"), Server()
    run(old, new)
    decide(ledger, option=Option.LEAVE_OUT)
    assert run(old, new).problems == 0
    assert (new.stored, new.active) == ({}, None)
