"""Folder names between servers of different hierarchies."""

import pytest
from bascule.mailbox.imap import syntax
from bascule.text import folder_names, mutf7, name_map
from bascule.text.name_map import NameMap, NameProblem, Namespace
from hypothesis import example, given
from hypothesis import strategies as st

DOTS = Namespace(b"", b".")
SLASHES = Namespace(b"", b"/")
BELOW_INBOX = Namespace(b"INBOX.", b".")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_modified_utf7_there_and_back(text: str) -> None:
    raw = mutf7.encode(text)
    assert mutf7.decode(raw) == text
    assert all(0x20 <= octet <= 0x7E for octet in raw)


@given(st.binary())
def test_any_octets_can_be_shown(raw: bytes) -> None:
    assert isinstance(mutf7.display(raw), str)


@pytest.mark.parametrize(
    ("old", "new", "raw", "expected"),
    [
        (DOTS, SLASHES, b"A.B.C", b"A/B/C"),
        (BELOW_INBOX, SLASHES, b"INBOX.Sent", b"Sent"),
        (BELOW_INBOX, SLASHES, b"inbox", b"INBOX"),
        (SLASHES, BELOW_INBOX, b"Sent/2020", b"INBOX.Sent.2020"),
        (SLASHES, BELOW_INBOX, b"INBOX", b"INBOX"),
        (SLASHES, SLASHES, b"Inbox/Status", b"INBOX/Status"),
        (SLASHES, SLASHES, b"INBOX/Compta", b"INBOX/Compta"),
        (SLASHES, BELOW_INBOX, b"Inbox/Status", b"INBOX.Status"),
        (SLASHES, BELOW_INBOX, b"INBOX/Compta", b"INBOX.Compta"),
        (BELOW_INBOX, SLASHES, b"Inbox.Sent", b"Sent"),
        (BELOW_INBOX, BELOW_INBOX, b"INBOX.INBOX", b"INBOX.INBOX"),
        (BELOW_INBOX, SLASHES, b"INBOX.INBOX.Compta", b"INBOX/Compta"),
        (DOTS, SLASHES, b"R&AOk-unions.2018 &AOk-t&AOk-", b"R&AOk-unions/2018 &AOk-t&AOk-"),
    ],
)
def test_hierarchies_are_mapped(old: Namespace, new: Namespace, raw: bytes, expected: bytes) -> None:
    assert NameMap(old, new).to_new(raw) == expected


@pytest.mark.parametrize("raw", [b"INBOX.INBOX", b"INBOX.inbox", b"INBOX.Inbox"])
def test_a_folder_that_would_become_the_inbox_itself_is_asked_about(raw: bytes) -> None:
    assert isinstance(NameMap(BELOW_INBOX, SLASHES).to_new(raw), NameProblem)


def test_a_separator_of_new_in_a_name_is_a_problem_with_a_proposal() -> None:
    problem = NameMap(SLASHES, DOTS).to_new(b"v1.2/notes")
    assert isinstance(problem, NameProblem)
    assert problem.proposal == "v1_2.notes"


def test_the_site_file_says_what_replaces_a_separator() -> None:
    problem = NameMap(SLASHES, DOTS, replace={".": "-"}).to_new(b"v1.2")
    assert isinstance(problem, NameProblem)
    assert problem.proposal == "v1-2"


def test_a_rename_of_the_site_file_holds_for_the_whole_name() -> None:
    assert NameMap(DOTS, SLASHES, rename={"Sent Items": "Sent"}).to_new(b"Sent Items") == b"Sent"


@given(st.text(min_size=1).map(mutf7.encode))
@example(b"~ x")
@example(b"/")
@example(mutf7.encode("\N{IDEOGRAPHIC SPACE}x\N{LINE SEPARATOR}"))
@example(mutf7.encode(f"{'a' * 72} {'b' * 20}"))
@example(mutf7.encode("📎" * 100))
@example(b"/".join(b"%d" % number * 70 for number in range(9)))
def test_every_proposal_can_be_said_to_any_server_and_passes_the_forms_check(raw: bytes) -> None:
    proposal = NameMap(SLASHES, DOTS).propose(raw)
    assert syntax.quoted(mutf7.encode(proposal)) is not None
    assert folder_names.wrong(f"x.{proposal}", ".") == ""
    assert len(mutf7.encode(proposal)) <= name_map.MOST_TOGETHER


@pytest.mark.parametrize("letter", ["a", "é", "📎"])
def test_a_long_name_is_cut_and_keeps_a_mark_of_its_own_in_every_pass(letter: str) -> None:
    long = [mutf7.encode(f"{letter * 120}{end}") for end in ("1", "2")]
    first, second = (NameMap(SLASHES, DOTS).propose(name) for name in long)
    assert first != second and first.startswith(letter * 20)
    assert [NameMap(SLASHES, DOTS).propose(name) for name in reversed(long)] == [second, first]


@pytest.mark.parametrize(
    ("raw", "shown", "meant"),
    [
        (b"R&D", "R\\x26D", "R&D"),
        (b"bad&AOk", "bad\\x26AOk", "bad&AOk"),
        (b"A&AOk-B&C", "A\\x26AOk-B\\x26C", "A\u00e9B&C"),
        ("caf\u00e9".encode(), "caf\\xc3\\xa9", "caf\u00e9"),
        (b"caf\xe9", "caf\\xe9", "caf\u00e9"),
        (b"&2D0-", "\\x262D0-", "&2D0-"),
        (b"a\r\nb&", "a\\x0d\\x0ab\\x26", "a__b&"),
    ],
)
def test_a_badly_written_name_is_shown_escaped_and_proposed_as_it_was_meant(raw: bytes, shown: str, meant: str) -> None:
    assert mutf7.display(raw) == shown
    problem = NameMap(SLASHES, DOTS).to_new(raw)
    assert isinstance(problem, NameProblem)
    assert (problem.kind, problem.proposal) == ("folder-name-broken", meant)


@given(st.binary())
def test_what_was_meant_can_always_be_written(raw: bytes) -> None:
    assert mutf7.is_well_written(mutf7.encode(mutf7.readable(raw)))


@pytest.mark.parametrize("raw", [b'a"b', b"a\\b", b"a b", b"*", b"%"])
def test_quoting_keeps_every_octet(raw: bytes) -> None:
    quoted = syntax.quoted(raw)
    assert quoted is not None
    assert quoted[1:-1].replace(b'\\"', b'"').replace(b"\\\\", b"\\") == raw


@pytest.mark.parametrize("raw", [b"a\r\nz1 LOGOUT", b"\xff", b"a\0b"])
def test_what_quotes_can_not_carry_goes_as_a_literal(raw: bytes) -> None:
    assert isinstance(syntax.string(raw), syntax.Literal)
