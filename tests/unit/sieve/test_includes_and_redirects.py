"""What stands outside the script: scripts for everybody, limits of redirections, folders that are left out."""

import time

import pytest
from bascule.sieve.convert import convert
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.managesieve import Verdict
from bascule.sieve.model import Context, Finding
from bascule.sieve.plan import make, page
from bascule.sieve.script_problem import problem

from tests.unit.sieve.reading import BUSY_SECONDS

INCLUDING = 'require "include";\ninclude :global "site";\n'
FOUR = "".join(f'redirect "{name}@example.org";\n' for name in "abcd")


def found(text: str, context: Context) -> list[Finding]:
    return list(convert(text, context).findings)


def accepting(_: bytes) -> Verdict:
    return Verdict(True, "")


def test_a_global_script_that_new_has_is_no_problem() -> None:
    assert found(INCLUDING, Context(global_scripts={"site": "keep;"})) == []


def test_nothing_is_said_of_global_scripts_of_a_server_that_is_not_known() -> None:
    assert found(INCLUDING, Context(old_global_scripts={"site": "keep;"})) == []


@pytest.mark.parametrize(
    ("on_old", "said"),
    [
        ({"site": "keep;"}, "install it there for everybody"),
        ({}, "and not among the old server's"),
        (None, "the old server's can't be read"),
    ],
)
def test_a_global_script_that_new_lacks_is_named(on_old: dict[str, str] | None, said: str) -> None:
    (finding,) = found(INCLUDING, Context(global_scripts={}, old_global_scripts=on_old))
    assert finding.rule == "include-missing"
    assert finding.message.startswith("includes 'site', which is not among the new server's global scripts")
    assert said in finding.message


def test_what_a_missing_global_script_includes_is_named_too() -> None:
    on_old = {
        "site": 'require "include"; include :global ["lists", "site"]; include :global :optional "x";',
        "lists": "keep;",
    }
    messages = [finding.message for finding in found(INCLUDING, Context(global_scripts={}, old_global_scripts=on_old))]
    assert [message.split(", which is not")[0] for message in messages] == [
        "includes 'site'",
        "includes 'site', which includes 'lists'",
    ]


def test_the_problem_shows_the_global_script_as_it_would_be_on_new() -> None:
    folders = FolderMap({}, ".", "/", "INBOX.", "")
    on_old = {"site": 'require "fileinto";\nfileinto "INBOX.A";\n'}
    context = Context(folders=folders, global_scripts={}, old_global_scripts=on_old)
    asked = problem(make("main", INCLUDING.encode(), context, accepting), "marie")
    assert asked is not None
    assert asked.details["global script 'site'"].startswith('require "fileinto";\nfileinto "A";')


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (FOUR, 4),
        (FOUR + FOUR, 4),  # nobody gets it twice
        (FOUR + 'redirect "e@example.org";', 5),
        (FOUR + 'if true { redirect "e@example.org"; } else { redirect "f@example.org"; }', 5),
        (FOUR + 'if true { redirect "e@example.org"; } redirect "f@example.org";', 6),
        (FOUR + 'if false { keep; } elsif true { if true { redirect "e@example.org"; } }', 5),
        ("".join(f'if size :over {n} {{ redirect "{n}@example.org"; stop; }}\n' for n in range(9)), 1),
        ("".join(f'if size :over {n} {{ redirect "{n}@example.org"; }}\n' for n in range(9)), 9),
        ("if true { stop; } else { discard; stop; }" + FOUR + 'redirect "e@example.org";', 0),
        ("stop;" + FOUR + 'redirect "e@example.org";', 0),
        (
            'require "variables"; redirect "${a}"; redirect "${a}"; redirect "${a}"; redirect "${a}"; redirect "${a}";',
            5,
        ),
        ('require "include"; include "many"; redirect "x@example.org";', 6),
        ('require "include"; include :global "all"; redirect "x@example.org";', 6),
        ('require "include"; include "itself";', 0),
    ],
)
def test_redirections_of_one_message_are_counted(text: str, most: int) -> None:
    many = FOUR + 'redirect "e@example.org";'
    itself = 'require "include"; include "itself"; include "itself";'
    context = Context(redirects=4, scripts={"many": many, "itself": itself}, global_scripts={"all": many})
    said = [finding.message for finding in found(text, context)]
    assert said == [] if most <= 4 else f"to {most} addresses, and the new server allows 4" in said[0]


def test_the_old_servers_limit_is_told() -> None:
    (finding,) = found(FOUR, Context(redirects=2, old_redirects=10))
    assert (finding.rule, finding.offset) == ("too-many-redirects", 0)
    assert "the old server allows 10" in finding.message


def test_a_server_that_says_no_limit_has_none() -> None:
    assert found(FOUR * 9 + 'redirect "x@y.z";', Context()) == []


def test_no_redirection_at_all_is_a_limit_too() -> None:
    assert [finding.rule for finding in found('redirect "a@b.example";', Context(redirects=0))] == [
        "too-many-redirects"
    ]


def test_includes_in_circles_and_chains_end() -> None:
    chain = {f"s{n}": f'require "include"; include "s{n + 1}"; include "s{n}";' for n in range(3000)}
    assert found('require "include"; include "s0";', Context(redirects=4, scripts=chain | {"s3000": "keep;"})) == []


CHAINED, INCLUDED = 200, 2000


@pytest.mark.parametrize("where", ["all chained", "some chained"])
@pytest.mark.parametrize("on_new", ["lacking", "there", "personal"])
def test_thousands_of_includes_of_chained_scripts_take_no_time(where: str, on_new: str) -> None:
    """2,000 includes, of one chain of 200 scripts or of 2,000 scripts of which 200 are a chain; each is told once."""
    names = [f"s{n % CHAINED if where == 'all chained' else n}" for n in range(INCLUDED)]
    kind = "" if on_new == "personal" else ":global "
    link = 'require "include";\ninclude {}"s{}";\nredirect "{}@example.org";\n'
    last = {f"s{n}": "keep;\n" for n in range(CHAINED, INCLUDED)} | {f"s{CHAINED}": "keep;\n"}
    scripts = {f"s{n}": link.format(kind, n + 1, n) for n in range(CHAINED)} | last
    text = 'require "include";\n' + "".join(f'include {kind}"{name}";\n' for name in names)
    context = {
        "lacking": Context(global_scripts={}, old_global_scripts=scripts),
        "there": Context(global_scripts=scripts, old_global_scripts=scripts, redirects=10**6),
        "personal": Context(scripts=scripts, redirects=10**6),
    }[on_new]
    began = time.process_time()
    plan = make("main", text.encode(), context, accepting)
    asked = problem(plan, "marie")
    page(plan, text.encode())
    assert time.process_time() - began < BUSY_SECONDS
    if on_new != "lacking":
        assert asked is None
        return
    assert asked is not None and plan.conversion is not None
    messages = [finding.message for finding in plan.conversion.findings]
    assert len({*messages}) == len(messages) == (CHAINED + 1 if where == "all chained" else INCLUDED)


LEFT_OUT = Context(
    folders=FolderMap({"INBOX.A": "A"}, ".", "/", "INBOX.", "", modified_utf7=True),
    left_out=frozenset({"INBOX.Été", "INBOX.B"}),
)


@pytest.mark.parametrize(
    ("before", "kept", "proposed"),
    [
        ('require "fileinto";\nfileinto "INBOX.B";', 'fileinto "B";', 'fileinto "INBOX";'),
        ('require "fileinto";\nfileinto "INBOX.&AMk-t&AOk-";', 'fileinto "Été";', 'fileinto "INBOX";'),
        (
            'require ["fileinto", "variables"];\nset "f" "INBOX.B"; fileinto "${f}";',
            'set "f" "B"; fileinto "${f}";',
            'set "f" "INBOX"; fileinto "${f}";',
        ),
    ],
)
def test_filing_into_a_folder_that_is_left_out_is_asked(before: str, kept: str, proposed: str) -> None:
    conversion = convert(before, LEFT_OUT)
    assert [finding.rule for finding in conversion.findings] == ["folder-left-out"]
    assert conversion.text.split("\n")[1] == kept
    assert conversion.proposed.split("\n")[1] == proposed


def test_asking_for_a_folder_that_is_left_out_is_told() -> None:
    text = 'require ["fileinto", "mailbox"];\nif mailboxexists "INBOX.B" { fileinto "INBOX.A"; }'
    conversion = convert(text, LEFT_OUT)
    assert [(finding.rule, finding.repair) for finding in conversion.findings] == [("folder-left-out", ())]
    assert conversion.proposed == conversion.text


def test_a_folder_that_is_carried_is_not_asked() -> None:
    assert found('require "fileinto";\nfileinto "INBOX.A";', LEFT_OUT) == []
