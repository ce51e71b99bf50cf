"""Whatever a server answers: the right result, or a sentence; never a Python exception, and no memory without bounds.

Short by default; BASCULE_TEST_DEPTH=full tries a hundred times as many.
"""

import os
import re
import tracemalloc
from array import array
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bascule.hosts.login import Endpoint, Login
from bascule.mailbox.imap import append, fetch, folders, internaldate, quota, responses
from bascule.mailbox.imap import listing as listing_room
from bascule.mailbox.imap import session as imap_session
from bascule.mailbox.imap.connection import Wire
from bascule.mailbox.imap.errors import MailboxFailed, ProtocolError, Refused, TransientError
from bascule.mailbox.imap.flags import Keyword, clean
from bascule.mailbox.imap.listing import FlagUpdates, Listing
from bascule.mailbox.imap.namespaces import parse_namespaces
from bascule.mailbox.imap.server import Server
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.messages.own_date import own_date
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TRIES = 20_000 if os.environ.get("BASCULE_TEST_DEPTH") == "full" else 100
fuzzed = settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck))

# Words of Python's own exceptions.
PYTHON = re.compile(r"Traceback|Error\b|invalid literal|has no attribute|out of range|expected \d+, got|object ")
SENTENCES = (TransientError, Refused, MailboxFailed)  # what is told to people as it is


class Canned(Wire):
    """Octets that a server has sent; then the connection ends."""

    def __init__(self, octets: bytes) -> None:
        self.endpoint = cast(Any, SimpleNamespace(host="old", port=143, timeout=1.0))
        self.lost, self._buffer, self._position, self._out, self._inflate = False, octets, 0, bytearray(), None
        self._deflate = None

    def _receive(self) -> bytes:
        raise TransientError("the connection to old:143 is lost")

    def flush(self) -> None:
        self._out.clear()

    def close(self) -> None:
        self.lost = True


def session(octets: bytes) -> Session:
    made = Session.__new__(Session)
    made.server = Server(Endpoint("old", 143, "plain"), Login("user", "secret"), side="old")
    made.wire = Canned(octets)
    from bascule.mailbox.imap.capabilities import Capabilities

    made.capabilities = Capabilities([b"CONDSTORE", b"QRESYNC", b"NAMESPACE", b"QUOTA", b"UIDPLUS"])
    made.selected, made.continued, made._unanswered, made._count, made._bad = None, False, [], 0, None
    return made


# What servers' answers are made of, and what they should not be made of.
ATOMS = st.sampled_from(
    [
        b"NIL",
        b"nil",
        b'""',
        b"()",
        b"(())",
        b"((",
        b"))",
        b"[",
        b"]",
        b"{3}\r\nabc",
        b"{0}\r\n",
        b"{99999999999}\r\n",
        b"~{1}\r\nx",
        b"{",
        b"}",
        b'"',
        b'"a\\"b"',
        b'"x',
        b"\\Seen",
        b"\\*",
        b"[todo",
        b"a]b",
        b"-1",
        b"0",
        b"1",
        b"7",
        b"4294967295",
        b"4294967296",
        b"99999999999999999999999",
        b"1:*",
        b"1:4294967295",
        b",",
        b":",
        b"1,,2",
        b"INBOX",
        b"Inbox",
        b"*",
        b"%",
        b"\x00",
        b"\xff\xfe",
        b"BODY[]",
        b"BODY[HEADER]",
        b"UID",
        b"FLAGS",
        b"INTERNALDATE",
        b"RFC822.SIZE",
        b"MODSEQ",
        b'"09-Feb-2026 10:00:00 +0000"',
        b'"00-Jan-0000 00:00:00 +0000"',
        b'"."',
        b'"/"',
        b"(\\Seen)",
        b"(MESSAGES 1 UIDNEXT 2)",
        b"(MESSAGES NIL)",
    ]
)
HEADS = st.sampled_from(
    [
        b"* LIST ",
        b"* LSUB ",
        b"* STATUS ",
        b"* NAMESPACE ",
        b"* FLAGS ",
        b"* 1 FETCH ",
        b"* 1 FETCH (UID 1 ",
        b"* 2 FETCH (UID 2 FLAGS (",
        b"* VANISHED ",
        b"* VANISHED (EARLIER) ",
        b"* 3 EXISTS",
        b"* SEARCH ",
        b"* QUOTA ",
        b"* ACL ",
        b"* METADATA ",
        b"* OK [",
        b"* OK ",
        b"* NO [",
        b"* BYE ",
        b"+ ",
        b"B1 OK ",
        b"B1 NO [",
        b"B2 OK",
        b"* ",
        b"",
        b"* OK [UIDVALIDITY ",
        b"* OK [HIGHESTMODSEQ ",
        b"* OK [PERMANENTFLAGS (",
        b"B1 OK [APPENDUID 5 ",
        b"* CAPABILITY ",
    ]
)
LINES = st.builds(
    lambda head, atoms, end: head + b" ".join(atoms) + end,
    HEADS,
    st.lists(st.one_of(ATOMS, st.binary(max_size=6)), max_size=8),
    st.sampled_from([b"\r\n", b")\r\n", b"]\r\n", b"\n", b"))\r\n"]),
)
ANSWERS = st.lists(LINES, max_size=6).map(b"".join)

ASKED: dict[str, Callable[[Session], object]] = {
    "folders": folders.list_folders,
    "names": folders.list_names,
    "status": lambda made: folders.get_status(made, b"INBOX"),
    "select": lambda made: made.select(b"INBOX"),
    "attributes": lambda made: made.finish(fetch.begin_attributes(made, b"1:*", Listing(), FlagUpdates())),
    "flags": lambda made: made.finish(fetch.begin_flags(made, b"1:*", FlagUpdates(), since=5)),
    "bodies": lambda made: made.finish(fetch.begin_bodies(made, [1, 2], fetch._Whole())),
    "identities": lambda made: made.finish(fetch.begin_identities(made, [1, 2], {})),
    "one": lambda made: fetch.fetch_one(made, 1, fetch.HEADER),
    "quota": quota.get_quota,
    "append": lambda made: append.Append(made, b"INBOX").finish(5),
}


@pytest.mark.parametrize("what", ASKED)
@fuzzed
@given(octets=ANSWERS)
def test_any_answer_is_a_result_or_a_sentence(what: str, octets: bytes) -> None:
    try:
        ASKED[what](session(octets + b"B1 OK done\r\nB2 OK done\r\nB3 OK done\r\nB4 OK done\r\n"))
    except SENTENCES as error:
        assert str(error) and not PYTHON.search(str(error))


def test_an_answer_that_makes_no_sense_is_told_without_the_words_of_python() -> None:
    with pytest.raises(ProtocolError) as told:
        ASKED["flags"](session(b"* VANISHED (EARLIER) 4:x,*\r\nB1 OK done\r\n"))
    assert str(told.value) == "old sent an answer that can't be understood: b'* VANISHED (EARLIER) 4:x,*\\r\\n'"


@fuzzed
@given(st.binary(max_size=80))
def test_any_octets_are_a_date_or_none(octets: bytes) -> None:
    assert isinstance(internaldate.parse(octets), int)
    assert isinstance(own_date(b"Received: " + octets + b"\r\nDate: " + octets + b"\r\n\r\n"), int)
    assert internaldate.show(internaldate.parse(octets))


@fuzzed
@given(st.binary(max_size=60))
def test_any_status_is_read(octets: bytes) -> None:
    status = responses.parse_status(b"OK", octets)
    assert isinstance(status.text, str)
    assert append._told(octets) is not None


@fuzzed
@given(st.lists(st.binary(min_size=1, max_size=8)))
def test_flags_are_the_same_in_whatever_letters(words: list[bytes]) -> None:
    assert clean(words) == clean([word.swapcase() if word.isascii() else word for word in words])
    assert {bytes(flag) for flag in clean(words)} <= {*words, *(Keyword(word) for word in words), *clean(words)}


def test_what_is_due_is_read_from_an_honest_answer() -> None:
    """The oracle's other half: among odd lines, the good ones count."""
    octets = (
        b'* NAMESPACE (("" "/")) (("Other/" "/")) NIL\r\nB1 OK x\r\n* LIST\r\n* LIST () "/" NIL\r\n'
        b'* LIST (\\HasNoChildren) "/" ""\r\n* LIST NIL NIL Sent\r\n* LIST () "/" Other/ann\r\nB2 OK x\r\n'
        b'* LSUB () "/" Sent\r\n* STATUS NIL (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5 HIGHESTMODSEQ 6)\r\n'
        b"* STATUS Sent (MESSAGES NIL)\r\nB3 OK x\r\n"
    )
    found = folders.list_folders(session(octets))
    assert set(found.folders) == {b"NIL", b"Sent"} and found.others == [b"Other/ann"] and found.nameless == 1
    assert found.folders[b"Sent"].subscribed
    assert found.folders[b"NIL"].status == folders.FolderStatus(3, 4, 5, 6)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            b'(("INBOX." ".")) (("user." ".")) (("" "."))',
            {b"INBOX": "main", b"INBOX.a": "main", b"pub.x": "shared", b"user.bob": "others"},
        ),
        (
            b'(("" "/") ("virtual/" "/")) NIL (("Shared/" "/"))',
            {
                b"a": "main",
                b"virtual": "personal",
                b"virtual/All": "personal",
                b"Shared": "shared",
                b"Shared/x": "shared",
            },
        ),
        (b'(("virtual/" "/") ("" "/")) NIL NIL', {b"a": "main", b"virtual/x": "personal"}),
        (
            b'(("" ".")) (("Other Users." ".")) (("Shared Folders." "."))',
            {b"Other Users": "others", b"Shared Folders.x": "shared", b"Others": "main"},
        ),
        (b'(("INBOX." ".")) NIL NIL', {b"Inbox.x": "main", b"loose": "main"}),
    ],
)
def test_each_folder_belongs_to_the_namespace_with_the_longest_prefix(told: bytes, expected: dict[bytes, str]) -> None:
    response = responses.read_response(Canned(b""), b"* NAMESPACE " + told + b"\r\n")
    namespaces = parse_namespaces(Pending(b"B1", "", None, responses=[response]))
    assert namespaces is not None
    assert {name: namespaces.owner(name)[0] for name in expected} == expected


FLOODS = {
    "OK without a code": (b"* OK still here, and wishing you a nice day\r\n", "folders", None),
    "OK with a code": (b"* OK [ALERT] still here, and wishing you a nice day\r\n", "folders", ProtocolError),
    "LIST": (b'* LIST (\\HasNoChildren) "/" "a folder of some name"\r\n', "folders", ProtocolError),
    "FETCH": (
        b'* 1 FETCH (UID 7 FLAGS (\\Seen) INTERNALDATE "09-Feb-2026 10:00:00 +0000" RFC822.SIZE 12)\r\n',
        "attributes",
        None,
    ),
    "VANISHED": (b"* VANISHED 1,3,5,7,9,11,13,15,17,19\r\n", "flags", ProtocolError),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_memory_does_not_grow_with_the_number_of_answers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_session, "MOST_HELD", 100_000)
    monkeypatch.setattr(listing_room, "MOST_RANGES", 10_000)
    line, what, ends = FLOODS[kind]
    made = session(line * (3_000_000 // len(line)) + b"B1 OK x\r\nB2 OK x\r\nB3 OK x\r\n")
    tracemalloc.start()
    try:
        if ends is None:
            ASKED[what](made)
        else:
            with pytest.raises(ends, match="more than"):
                ASKED[what](made)
        assert tracemalloc.get_traced_memory()[1] < 2_500_000
    finally:
        tracemalloc.stop()


def test_columns_take_what_servers_tell() -> None:
    listing = Listing()
    listing.add(1, 0, internaldate.UNKNOWN, 2**63)
    listing.add(2, 0, 5, 1)
    listing.set_dates({1: 7})
    assert (listing.at(0).date, listing.at(0).size, listing.at(1).date) == (7, 2**63, 5)
    assert listing.uids == array("I", [1, 2])
