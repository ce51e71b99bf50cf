"""Unusual answers about messages: one bad thing holds back itself only, and nothing is altered or lost unsaid."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from bascule.problems import questions

from tests.imap_places import Box, Places
from tests.imap_relay import Rewrite, one_after_another, relayed, replaced
from tests.mailbox_states import date, parse

SLOW_WAY = replaced(rb" (FLAGS \([^)]*\)) (INTERNALDATE \"[^\"]*\") (RFC822\.SIZE \d+)", rb" \3 \2 \1")


def put(box: Box, number: int, body: Callable[[int], bytes] = lambda i: b"Subject: %d\r\n\r\nx%d\r\n" % (i, i)) -> None:
    with box.on_old() as account:
        for i in range(1, number + 1):
            assert account.client.append("INBOX", "", date("a"), body(i))[0] == "OK"


def subjects(box: Box) -> Counter[bytes]:
    with box.on_new() as account:
        account.client.select()
        rows = account.client.fetch("1:*", "(BODY.PEEK[])")[1]
    return Counter(row[1].split(b"\r\n")[0] for row in rows if isinstance(row, tuple))


# -- I2, I9: keywords


BRACKETS: dict[str, Rewrite] = {
    "FLAGS of SELECT": replaced(rb"\* FLAGS \([^)]*\)", rb"* FLAGS (\\Seen [todo \\Draft)"),
    "PERMANENTFLAGS": replaced(rb"\[PERMANENTFLAGS \([^)]*\)\]", rb"[PERMANENTFLAGS (\\Seen \\Deleted [draft-2] \\*)]"),
    "PERMANENTFLAGS that does not end": replaced(
        rb"\[PERMANENTFLAGS \([^)]*\)\][^\r]*", b"[PERMANENTFLAGS (\\\\Seen ["
    ),
    "no code at all": replaced(rb"\* OK \[PERMANENTFLAGS[^\r]*", b"* OK [] ]["),
}


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("kind", BRACKETS)
def test_keywords_with_brackets_in_what_select_says(box: Box, kind: str, side: str) -> None:
    box.fill("INBOX: a/S b/+work c/+Seen-2")
    place = box.old if side == "old" else box.new
    with relayed(place.port, answers=BRACKETS[kind]) as port:
        box.old_port, box.new_port = (port, 0) if side == "old" else (0, port)
        assert box.sync().problems == 0
        assert box.read_new() == parse("INBOX: a/S b/+work c/+Seen-2")
        box.settled()


@pytest.mark.parametrize("keyword", ["Seen-[Gmail]/All", "[todo", "to]do", 'say"x', "a{5}", "NIL", "ev+il", "x" * 80])
@pytest.mark.parametrize("way", [None, SLOW_WAY], ids=["usual order", "another order"])
def test_an_odd_keyword_is_one_keyword_carried_or_named(box: Box, keyword: str, way: Rewrite | None) -> None:
    box.fill("INBOX: a/+K b/S")
    answers = replaced(rb"FLAGS \((\\Recent )?K( \\Recent)?\)", b"FLAGS (" + keyword.encode() + b")")
    with relayed(box.old.port, answers=one_after_another(answers, way or (lambda line: line))) as box.old_port:
        result = box.sync()
        found = box.read_new()["INBOX"]
        if result.problems:
            (problem,) = box.problems()
            assert (problem.kind, problem.facts["keyword"]) == ("keyword-refused", keyword)
            assert found == Counter({("a", ""): 1, ("b", "S"): 1})
        else:
            assert found == Counter({("a", f"+{keyword}"): 1, ("b", "S"): 1})
        again = box.sync()
        assert (again.copied, again.flags_changed, again.removed) == (0, 0, 0)


def test_keywords_are_the_same_in_whatever_letters(box: Box) -> None:
    """A beta tester's message bears `nonjunk` on new, and a relay shows every keyword of new in capitals."""
    many = " ".join(f"{name}/+NonJunk" for name in "bcdefghi")
    box.fill(f"INBOX: a/+NonJunk {many}", "INBOX: a/+nonjunk z/+nonjunk")
    capitals = replaced(
        rb"FLAGS \([^)]*\)", lambda found: found[0].replace(b"nonjunk", b"NONJUNK").replace(b"NonJ", b"NONJ")
    )
    upper = replaced(rb"(?i)nonjunk", b"NONJUNK")
    with relayed(box.new.port, answers=one_after_another(capitals, upper)) as box.new_port:
        assert box.sync().problems == 0
        box.settled()
        box.fill(f"INBOX: a/+NonJunk {many} j/+NonJunk")
        assert box.sync().problems == 0
        box.settled()
        assert not box.verify().differences


# -- I5: listed, and not given


def without_body(uid: int, by: bytes) -> Rewrite:
    """The whole message is given as `by` says."""

    def rewrite(response: bytes) -> bytes:
        head = re.match(rb"(\* \d+ FETCH \(UID %d )BODY\[\] \{\d+\}\r\n" % uid, response)
        return (head[1] + by + b")\r\n" if by else b"") if head else response

    return rewrite


class NoAfter:
    """The server answers NO to a FETCH of whole messages when it comes to this one, and gives none from there on."""

    def __init__(self, uid: int) -> None:
        self._uid, self._failing = uid, False

    def __call__(self, response: bytes) -> bytes:
        body = re.match(rb"\* \d+ FETCH \(UID (\d+) BODY\[\] ", response)
        self._failing = self._failing or bool(body and int(body[1]) == self._uid)
        if not self._failing:
            return response
        if tagged := re.match(rb"(B\d+) OK ", response):
            self._failing = False
            return tagged[1] + b" NO Message 7 has been eaten\r\n"
        return b"" if body else response


NOT_GIVEN: dict[str, Callable[[], Rewrite]] = {
    "BODY[] NIL": lambda: without_body(7, b"BODY[] NIL"),
    'BODY[] ""': lambda: without_body(7, b'BODY[] ""'),
    "an empty literal": lambda: without_body(7, b"BODY[] {0}\r\n"),
    "nothing": lambda: without_body(7, b""),
    "NO after those before it": lambda: NoAfter(7),
}


@pytest.mark.parametrize("kind", NOT_GIVEN)
@pytest.mark.parametrize("verify", ["attributes", "content"])
def test_one_message_that_old_lists_and_does_not_give(box: Box, kind: str, verify: str) -> None:
    box.options = replace(box.options, verify=verify)  # type: ignore[arg-type]
    put(box, 10)
    with relayed(box.old.port, whole=NOT_GIVEN[kind]()) as box.old_port:
        result = box.sync()
        assert (result.copied, result.problems) == (9, 1)
        (problem,) = box.problems()
        assert (problem.kind, problem.facts["uid"], problem.facts["subject"]) == ("message-unreadable", 7, "7")
        assert problem.server_words and ("eaten" in problem.server_words) == ("NO" in kind)
        assert len(subjects(box)) == 9
        again = box.sync()
        assert (again.copied, again.problems) == (0, 1)
    box.old_port = 0
    assert box.sync().problems == 0, "repaired on old"
    assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, 11))


def test_a_file_that_is_gone_from_cyrus(places: Places, box: Box) -> None:
    box.old = places["cyrus"]
    mark = box.user.encode()
    put(box, 10, lambda i: b"Subject: %d\r\n\r\n%s %d.\r\n" % (i, mark, i))
    box.old.server.file_with(mark + b" 7.").unlink()
    assert (box.sync().copied, len(box.problems())) == (9, 1)
    assert box.problems()[0].kind == "message-unreadable" and box.problems()[0].server_words
    assert len(subjects(box)) == 9


@pytest.mark.parametrize("size", [b"NIL", b"()", b"many", b"99999999999999999999"])
def test_a_size_that_is_none(box: Box, size: bytes) -> None:
    box.fill("INBOX: a b c d")
    with relayed(
        box.old.port, answers=replaced(rb"(UID 3 .*)RFC822\.SIZE \d+", rb"\1RFC822.SIZE " + size)
    ) as box.old_port:
        assert box.sync().problems == 0
        assert box.read_new() == parse("INBOX: a b c d")
        box.settled()


# -- I7: dates

WRITTEN = "09-Feb-2026 10:00:00 +0000"
READABLE = {
    "with a day": b"Mon, 09 Feb 2026 10:00:00 +0000",
    "in capitals": b"09-FEB-2026 10:00:00 +0000",
    "GMT": b"09-Feb-2026 10:00:00 GMT",
    "two digits": b"09-Feb-26 10:00:00 +0000",
    "ISO": b"2026-02-09T10:00:00Z",
    "without a leading zero": b"9-Feb-2026 10:00:00 +0000",
}
UNREADABLE = {
    "zeros": b' INTERNALDATE "00-Jan-0000 00:00:00 +0000"',
    "none": b"",
    "NIL": b" INTERNALDATE NIL",
    "empty": b' INTERNALDATE ""',
    "no time": b' INTERNALDATE "09-Feb-2026"',
    "an hour too many": b' INTERNALDATE "09-Feb-2026 25:00:00 +0000"',
}


def dates_on_new(box: Box) -> list[bytes]:
    with box.on_new() as account:
        account.client.select()
        rows = b" ".join(row for row in account.client.fetch("1:*", "(INTERNALDATE)")[1] if isinstance(row, bytes))
    return re.findall(rb'INTERNALDATE "([^"]*)"', rows)


@pytest.mark.parametrize("kind", READABLE)
def test_a_date_that_can_be_understood_is_used(box: Box, kind: str) -> None:
    with box.on_old() as account:
        for body in (b"Subject: 1\r\n\r\nx\r\n", b"Subject: 2\r\n\r\ny\r\n"):
            account.client.append("INBOX", "", f'"{WRITTEN}"', body)
    written = replaced(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "' + READABLE[kind] + b'"')
    with relayed(box.old.port, answers=written) as box.old_port:
        assert box.sync().problems == 0
        assert dates_on_new(box) == [WRITTEN.encode()] * 2
        box.settled()
        assert not box.verify("content").differences


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_date_that_can_not_be_read_never_becomes_today_unsaid(box: Box, kind: str) -> None:
    bodies = (
        b"Received: from a by b; Mon, 09 Feb 2026 11:00:00 +0100\r\nDate: Sun, 08 Feb 2026 01:00:00 +0000\r\n\r\nx\r\n",
        b"Subject: only written\r\nDate: Mon, 09 Feb 2026 10:00:00 +0000\r\n\r\ny\r\n",
    )
    with box.on_old() as account:
        for body in bodies:
            account.client.append("INBOX", "", f'"{WRITTEN}"', body)
    with relayed(box.old.port, answers=replaced(rb' INTERNALDATE "[^"]*"', UNREADABLE[kind])) as box.old_port:
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert (problem.kind, problem.details["messages"]) == ("date-unreadable", 2)
        assert dates_on_new(box) == [WRITTEN.encode()] * 2
        again = box.sync()
        assert (again.copied, again.problems) == (0, 1), "it stays until somebody has decided"
        assert not box.verify().differences
        with box.on_new() as account:
            account.client.select()
            account.client.store("1", "+FLAGS", "(\\Deleted)")
            account.client.expunge()
            account.client.append("INBOX", "", None, bodies[0])
        assert box.verify().differences, "mail of today"


# -- I0g: one cause


def test_one_cause_is_one_question_and_nothing_refused_is_sent_again(box: Box) -> None:
    sent: list[bytes] = []

    def refused(line: bytes) -> bytes:
        return replaced(rb"(B\d+) OK \[APPENDUID.*", rb"\1 NO [CANNOT] No numbers")(line)

    put(box, 30, lambda i: b"Subject: %d\r\n\r\n%s\r\n" % (i, b"\xe9" * i))

    def literal(octets: bytes) -> bytes:
        sent.append(octets)
        return octets

    with relayed(box.new.port, answers=refused, literals=literal) as box.new_port:
        assert box.sync().problems == 30
        assert len(questions.of_mailbox(box.problems())) == 1
        sent.clear()
        assert (box.sync().problems, sent) == (30, [])
        assert len(questions.of_mailbox(box.problems())) == 1


FUTURE = '"01-Jan-2090 10:00:00 +0000"'


def test_dates_that_new_does_not_take_hold_back_no_message_and_are_one_question(box: Box) -> None:
    """It refuses the APPEND of a message that is of a day to come."""
    with box.on_old() as account:
        for i in range(12):
            account.client.append("INBOX", "(\\Seen)", None, b"Subject: %d\r\n\r\nx\r\n" % i)
    future = replaced(rb'INTERNALDATE "[^"]*"', b"INTERNALDATE " + FUTURE.encode())

    refusing = replaced(rb"(B\d+ APPEND )\"INBOX\"( .*01-Jan-2090)", rb'\1"no such folder"\2')
    answers = replaced(rb"NO \[TRYCREATE\].*", b"NO [CANNOT] Not of tomorrow")
    with (
        relayed(box.old.port, answers=future) as box.old_port,
        relayed(box.new.port, commands=refusing, answers=answers) as box.new_port,
    ):
        result = box.sync()
        assert result.copied == 12
        assert {problem.kind for problem in box.problems()} == {"message-altered"}
        assert len(questions.of_mailbox(box.problems())) == 1
        again = box.sync()
        assert (again.copied, again.problems) == (0, 12)
