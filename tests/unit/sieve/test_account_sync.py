"""One account's pass: what is put, what is asked, what a decision does, and that a second pass changes nothing."""

from collections.abc import Callable

import pytest
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger, filters
from bascule.problems import store
from bascule.problems.kinds import kinds as all_kinds
from bascule.problems.model import Option, State
from bascule.sieve.account_sync import AccountPass, AccountResult
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.managesieve import ManageSieveError
from bascule.sieve.model import Choice
from bascule.sieve.questions import CHANGED_ON_NEW, OTHER_ACTIVE, REFUSED
from bascule.sieve.script_problem import NEEDS_A_LOOK, NEVER_MATCHES, NEVER_RAN, NOT_COMPILING, NOT_PARSABLE, WARNING
from bascule.views import filters as filters_page
from bascule.views.language import Reader

from tests.deciding import decide
from tests.unit.problems.doors import DOORS
from tests.unit.sieve.fakes import Server

FILING = b'require "fileinto";\r\nfileinto "INBOX.A";\r\n'
FILED = b'require "fileinto";\r\nfileinto "A";\r\n'
DEAD = b'require "fileinto";\r\nif header :contains "Subject:" "x" { fileinto "INBOX.A"; }\r\n'
DEAD_MAPPED = DEAD.replace(b"INBOX.A", b"A")
REPAIRED = DEAD_MAPPED.replace(b"Subject:", b"Subject")
BROKEN = b'require "fileinto";\r\nif header: :contains "Subject" "x" { fileinto "INBOX.A"; }\r\n'
MENDED = BROKEN.replace(b"header: ", b"header ").replace(b"INBOX.A", b"A")

Run = Callable[..., AccountResult]


@pytest.fixture
def run(ledger: Ledger) -> Run:
    def go(old: Server, new: Server, *, dry_run: bool = False, never_matching: Choice = "ask") -> AccountResult:
        folders = FolderMap({}, ".", "/", "INBOX.", "")
        one = AccountPass("marie", old, new, ledger, folders, never_matching=never_matching, dry_run=dry_run)  # type: ignore[arg-type]
        return one.run()

    return go


def choose(ledger: Ledger, door: str, do: str) -> None:
    """What the one open problem's field `do` shall say; what is proposed needs no edit."""
    (problem,) = store.problems(ledger)
    DOORS[door](ledger, problem, Option.APPLY, {} if problem.proposal.do == do else {"do": do})


def kinds(ledger: Ledger, state: State = "open") -> list[str]:
    return [problem.kind for problem in store.problems(ledger, states=(state,))]


def test_a_filter_is_converted_put_and_activated(ledger: Ledger, run: Run) -> None:
    new = Server()
    result = run(Server({"main": FILING}, "main"), new)
    assert (new.stored, new.active) == ({"main": FILED}, "main")
    assert (result.scripts, result.converted, result.put, result.activated, result.problems) == (1, 1, 1, 1, 0)
    (status,) = filters.filters(ledger, "marie")
    assert filters.original(ledger, "marie", "main", status.original) == FILING


def test_a_second_pass_changes_nothing(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING, "draft": b"keep;"}, "main"), Server()
    run(old, new)
    new.log.clear()
    result = run(old, new)
    assert new.log == []
    assert (result.put, result.activated, result.unchanged) == (0, 0, 2)


def test_a_dry_run_touches_nothing_and_says_what_it_would(ledger: Ledger, run: Run) -> None:
    new = Server()
    result = run(Server({"main": DEAD}, "main"), new, dry_run=True)
    assert (new.stored, new.active, new.log) == ({}, None, [])
    assert (result.activated, result.problems) == (1, 1)
    assert kinds(ledger) == [NEVER_MATCHES]


def test_no_filters_at_all(ledger: Ledger, run: Run) -> None:
    new = Server()
    assert run(Server(), new) == AccountResult("marie")
    assert new.log == []


def test_a_changed_original_is_put_again_and_both_are_kept(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING}, "main"), Server()
    run(old, new)
    first = filters.filters(ledger, "marie")[0].original
    old.stored["main"] = FILING + b"keep;\r\n"
    run(old, new)
    assert new.stored["main"] == FILED + b"keep;\r\n"
    assert filters.original(ledger, "marie", "main", first) == FILING


def test_a_rule_that_never_matches_is_carried_as_it_is_until_decided(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": DEAD}, "main"), Server()
    assert run(old, new).problems == 1
    assert (new.stored["main"], new.active) == (DEAD_MAPPED, "main")
    (problem,) = store.problems(ledger)
    assert (problem.kind, problem.proposal.stored()) == (NEVER_MATCHES, {"action": "repair", "text": REPAIRED.decode()})
    assert "line 2" in problem.explanation


def test_a_script_that_includes_one_that_is_not_carried_is_asked_until_that_is_repaired(
    ledger: Ledger, run: Run
) -> None:
    including = b'require "include";\r\ninclude "sub";\r\n'
    old, new = Server({"main": including, "sub": BROKEN}, "main"), Server()
    assert run(old, new).problems == 2
    found = {problem.subject: problem for problem in store.problems(ledger)}
    assert "includes 'sub', which is not among the account's scripts on the new server" in found["main"].explanation
    decide(ledger, found["sub"])
    assert run(old, new).problems == 0
    assert (new.stored, new.active) == ({"main": including, "sub": MENDED}, "main")
    assert kinds(ledger) == []


def test_the_repair_is_put_by_decision(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": DEAD}, "main"), Server()
    run(old, new)
    decide(ledger)
    assert run(old, new).problems == 0
    assert new.stored["main"] == REPAIRED
    assert kinds(ledger, "settled") == [NEVER_MATCHES]
    new.log.clear()
    run(old, new)
    assert new.log == []


def test_the_behaviour_is_kept_by_decision(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": DEAD}, "main"), Server()
    run(old, new)
    decide(ledger, option=Option.LEAVE_OUT)
    assert run(old, new).problems == 0
    assert new.stored["main"] == DEAD_MAPPED


def test_a_decision_ends_when_the_filter_changes(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": DEAD}, "main"), Server()
    run(old, new)
    decide(ledger)
    run(old, new)
    old.stored["main"] = DEAD + b"keep;\r\n"
    assert run(old, new).problems == 1


@pytest.mark.parametrize(("choice", "text"), [("repair", REPAIRED), ("keep", DEAD_MAPPED)])
def test_the_site_file_may_have_chosen(ledger: Ledger, run: Run, choice: Choice, text: bytes) -> None:
    new = Server()
    assert run(Server({"main": DEAD}, "main"), new, never_matching=choice).problems == 0
    assert new.stored["main"] == text


def test_a_filter_that_never_ran_is_put_and_activated_by_decision_only(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": BROKEN}, "main"), Server()
    assert run(old, new).problems == 1
    assert (new.stored, new.active, kinds(ledger)) == ({}, None, [NEVER_RAN])
    decide(ledger)
    assert run(old, new).problems == 0
    assert (new.stored, new.active) == ({"main": MENDED}, "main")


def test_a_person_may_write_another_text(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": BROKEN}, "main"), Server()
    run(old, new)
    decide(ledger, text="keep;\n")
    run(old, new)
    assert new.stored["main"] == b"keep;\r\n"


def test_what_a_person_wrote_may_be_refused_and_is_asked_again(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": BROKEN}, "main"), Server()
    run(old, new)
    decide(ledger, text="keep")
    assert run(old, new).problems == 1
    assert kinds(ledger) == [REFUSED]
    decide(ledger, text="keep;")
    assert run(old, new).problems == 0
    assert new.stored["main"] == b"keep;"
    assert run(old, new).problems == 0


def test_what_is_refused_once_more_as_it_was_is_asked_again(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": b"keep;"}, "main"), Server(refuses="QUOTA/MAXSIZE")
    assert run(old, new).problems == 1
    assert kinds(ledger) == [REFUSED]
    decide(ledger)
    assert run(old, new).problems == 1
    assert kinds(ledger) == [REFUSED]
    new.refuses = ""
    decide(ledger)
    assert run(old, new).problems == 0
    assert new.stored["main"] == b"keep;"
    assert kinds(ledger) == []


def test_what_is_no_script_is_left_out_by_decision(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": b"<html>"}, "main"), Server()
    assert run(old, new).problems == 1
    assert kinds(ledger) == [NOT_PARSABLE]
    decide(ledger, option=Option.LEAVE_OUT)
    assert run(old, new).problems == 0
    assert (new.stored, new.active) == ({}, None)
    assert kinds(ledger, "settled") == [NOT_PARSABLE]


def test_what_the_new_server_refuses_is_a_problem_with_its_words(ledger: Ledger, run: Run) -> None:
    new = Server()
    run(Server({"main": b'if header "A" "error-here" { keep; }'}, "main"), new)
    (problem,) = store.problems(ledger)
    assert (problem.kind, problem.server_words) == (NOT_COMPILING, "line 1: error: unknown Sieve capability.")
    assert new.stored == {}


def test_a_look_again_withdraws_what_was_repaired_by_hand(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": BROKEN}, "main"), Server()
    run(old, new)
    decide(ledger, option=Option.LOOK_AGAIN)
    old.stored["main"] = FILING
    assert run(old, new).problems == 0
    assert (kinds(ledger, "withdrawn"), new.stored["main"]) == ([NEVER_RAN], FILED)


def test_a_beta_testers_filter_is_not_overwritten(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING}, "main"), Server({"main": b"stop;"}, "main")
    assert run(old, new).problems == 1
    assert (new.stored, new.active, kinds(ledger)) == ({"main": b"stop;"}, "main", [CHANGED_ON_NEW])


def test_a_filter_changed_on_new_since_bascule_put_it_is_not_overwritten(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING}, "main"), Server()
    run(old, new)
    new.stored["main"] = b"stop;"
    assert run(old, new).problems == 1
    assert new.stored["main"] == b"stop;"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("action", "stored"),
    [
        ("put beside", {"main": b"stop;", "main (old server)": FILED}),
        ("overwrite", {"main": FILED}),
        ("keep new", {"main": b"stop;"}),
    ],
)
def test_a_beta_testers_filter_goes_by_decision(
    ledger: Ledger, run: Run, door: str, action: str, stored: dict[str, bytes]
) -> None:
    old, new = Server({"main": FILING}, "main"), Server({"main": b"stop;"}, "main")
    run(old, new)
    choose(ledger, door, action)
    assert run(old, new).problems == 0
    assert (new.stored, new.active) == (stored, "main")
    new.log.clear()
    assert run(old, new).problems == 0
    assert new.log == []


def test_an_untouched_copy_of_the_original_on_new_may_be_replaced(ledger: Ledger, run: Run) -> None:
    new = Server({"main": FILING}, None)
    assert run(Server({"main": FILING}, "main"), new).problems == 0
    assert (new.stored["main"], new.active) == (FILED, "main")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("action", "active"), [("leave it so", "mine"), ("as on the old server", "main")])
def test_another_active_filter_on_new_stays_until_decided(
    ledger: Ledger, run: Run, door: str, action: str, active: str
) -> None:
    old, new = Server({"main": FILING}, "main"), Server({"mine": b"stop;"}, "mine")
    assert run(old, new).problems == 1
    assert (new.active, kinds(ledger)) == ("mine", [OTHER_ACTIVE])
    choose(ledger, door, action)
    assert run(old, new).problems == 0
    assert new.active == active
    assert run(old, new).problems == 0


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("action", "active"), [("leave it so", None), ("as on the old server", "main")])
def test_a_filter_switched_off_on_new_stays_off_until_decided(
    ledger: Ledger, run: Run, door: str, action: str, active: str | None
) -> None:
    old, new = Server({"main": FILING}, "main"), Server()
    run(old, new)
    new.active = None
    assert run(old, new).problems == 1
    assert (new.active, kinds(ledger)) == (None, [OTHER_ACTIVE])
    choose(ledger, door, action)
    assert run(old, new).problems == 0
    assert new.active == active
    assert run(old, new).problems == 0


def test_a_filter_switched_off_on_old_is_switched_off_on_new(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING}, "main"), Server()
    run(old, new)
    old.active = None
    run(old, new)
    assert new.active is None


def test_another_filter_made_active_on_old_is_active_on_new(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING, "holidays": b"keep;"}, "main"), Server()
    run(old, new)
    old.active = "holidays"
    assert run(old, new).problems == 0
    assert new.active == "holidays"


def test_a_filter_deleted_on_old_is_switched_off_and_stays_on_new(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": FILING}, "main"), Server()
    run(old, new)
    old.stored, old.active = {}, None
    run(old, new)
    assert (new.stored, new.active) == ({"main": FILED}, None)


def test_a_full_server_is_a_problem(ledger: Ledger, run: Run) -> None:
    new = Server(refuses="QUOTA/MAXSCRIPTS")
    assert run(Server({"main": FILING}, "main"), new).problems == 1
    assert (kinds(ledger), new.active) == ([REFUSED], None)
    new.refuses = ""
    assert run(Server({"main": FILING}, "main"), new).problems == 0


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_interruption_at_any_change_ends_as_without(ledger: Ledger, run: Run, at: int) -> None:
    old, new = Server({"main": FILING, "draft": b"keep;"}, "main"), Server(breaks_at=at)
    with pytest.raises(ManageSieveError):
        run(old, new)
    new.breaks_at = 0
    assert run(old, new).problems == 0
    assert (new.stored, new.active) == ({"main": FILED, "draft": b"keep;"}, "main")


def test_a_new_server_built_anew_gets_everything_again(ledger: Ledger, run: Run) -> None:
    old = Server({"main": FILING}, "main")
    run(old, Server())
    anew = Server()
    assert run(old, anew).problems == 0
    assert (anew.stored, anew.active) == ({"main": FILED}, "main")


def test_octets_that_are_not_utf_8_are_kept_until_decided(ledger: Ledger, run: Run) -> None:
    latin = b"# r\xe8gle\nkeep;\n"
    new = Server()
    old = Server({"main": latin}, "main")
    run(old, new)
    assert (new.stored["main"], kinds(ledger)) == (latin, [NEEDS_A_LOOK])
    decide(ledger)
    run(old, new)
    assert new.stored["main"] == "# règle\nkeep;\n".encode()


def test_the_page_shows_everything_and_escapes_it(ledger: Ledger, run: Run) -> None:
    hostile = b"# <script>alert(1)</script>\n" + DEAD
    run(Server({"main": hostile}, "main"), Server())
    html = filters_page.alone(ledger, "marie", Reader.of("en", "UTC"))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "is &#39;A&#39; on the new server" in html
    assert all_kinds()[f"sieve/{NEVER_MATCHES}"].name in html


def test_a_repair_taken_as_proposed_follows_a_folder_renamed_later(ledger: Ledger) -> None:
    old, new = Server({"main": DEAD}, "main"), Server()

    def one_pass(**names: str) -> AccountResult:
        folders = FolderMap({f"INBOX.{old}": name for old, name in names.items()}, ".", "/", "INBOX.", "")
        return AccountPass("marie", old, new, ledger, folders).run()  # type: ignore[arg-type]

    one_pass()
    decide(ledger, text=REPAIRED.decode().replace("\r\n", "\n"))
    for _ in range(3):
        assert one_pass(A="Renamed").problems == 0
        assert new.stored["main"] == REPAIRED.replace(b'"A"', b'"Renamed"')


def test_a_form_that_loses_line_ends_does_no_harm(ledger: Ledger, run: Run) -> None:
    old, new = Server({"main": DEAD}, "main"), Server()
    run(old, new)
    decide(ledger, text=REPAIRED.decode().replace("\r\n", " "))
    run(old, new)
    assert new.stored["main"] == REPAIRED


def test_a_filter_that_cannot_be_compared_is_carried_all_the_same(ledger: Ledger) -> None:
    class NoHost:
        def compare(self, *_: object) -> None:
            raise AccessError("new: no SSH")

    new = Server()
    folders = FolderMap({}, ".", "/", "INBOX.", "")
    AccountPass("marie", Server({"main": FILING}, "main"), new, ledger, folders, proof=NoHost()).run()  # type: ignore[arg-type]
    assert new.stored == {"main": FILED}
    assert filters.filters(ledger, "marie")[0].report["not_compared"] == "new: no SSH"


@pytest.mark.parametrize("script", [b'if header "A" "odd" { keep; }', b'require "fileinto";\nfileinto "INBOX.odd";\n'])
def test_the_compilers_warnings_are_a_problem(ledger: Ledger, run: Run, script: bytes) -> None:
    new = Server(warns=b"odd")
    old = Server({"main": script}, "main")
    assert run(old, new).problems == 1
    (problem,) = store.problems(ledger)
    assert (problem.kind, problem.server_words) == (WARNING, "this is odd.")
    assert (new.stored, new.active) == ({"main": script.replace(b"INBOX.", b"")}, "main")
    decide(ledger, option=Option.LEAVE_OUT)
    assert run(old, new).problems == 0


def test_of_thousands_of_places_the_first_are_told(ledger: Ledger, run: Run) -> None:
    many = b'if exists "Subject:" { stop; }\r\n' * 1000
    run(Server({"main": many}, "main"), Server())
    (problem,) = store.problems(ledger)
    assert len(problem.explanation) < 4000
    assert "and 980 more such places" in problem.explanation
