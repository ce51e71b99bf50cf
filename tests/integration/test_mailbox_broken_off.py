"""New breaks off at a message, and sizes that no message has: all arrives once, and what does not is named."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from bascule.mailbox import sync
from bascule.mailbox.verify.folder import SIZES
from bascule.problems import questions

from tests.imap_places import Box
from tests.imap_relay import Cut, Rewrite, cut_at, relayed, replaced
from tests.integration.test_mailbox_odd_answers import put, subjects

# -- I6: new breaks off


POISON: dict[str, tuple[Rewrite, frozenset[str]]] = {
    "closes": (cut_at(b"poison"), frozenset()),
    "says good-bye": (cut_at(b"poison", last=b"* BYE internal error\r\n"), frozenset()),
    "without MULTIAPPEND": (cut_at(b"poison"), frozenset({"MULTIAPPEND"})),
    "without LITERAL+": (cut_at(b"poison"), frozenset({"LITERAL+"})),
    "without UIDPLUS": (cut_at(b"poison"), frozenset({"UIDPLUS"})),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_message_at_which_new_breaks_off(box: Box, kind: str) -> None:
    rewrite, without = POISON[kind]
    killed = [0]

    def counted(octets: bytes) -> bytes:
        try:
            return rewrite(octets)
        except Cut:
            killed[0] += 1
            raise

    put(box, 200, lambda i: b"Subject: %d\r\n\r\n%s\r\n" % (i, b"poison" if i == 77 else b"mail"))
    box.without = (frozenset(), without)
    with relayed(box.new.port, literals=counted) as box.new_port:
        result = box.sync()
        assert (result.verified, result.problems) == (199, 1)
        assert killed[0] <= 14
        (problem,) = box.problems()
        assert (problem.kind, problem.facts["subject"]) == ("message-refused", "77")
        assert "breaks off" in problem.explanation
        assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, 201) if i != 77)
        killed[0] = 0
        again = box.sync()
        assert (again.copied, again.problems, killed[0]) == (0, 1, 0)


class OnlyTogether:
    """New breaks off at an APPEND of several messages with `poison` in one of them; alone it takes each."""

    def __init__(self) -> None:
        self.killed, self._messages, self._poisoned = 0, 0, False

    def commands(self, line: bytes) -> bytes:
        if re.match(rb"B\d+ APPEND ", line):
            self._messages, self._poisoned = 0, False
        return line

    def literals(self, octets: bytes) -> bytes:
        self._messages += 1
        self._poisoned = self._poisoned or b"poison" in octets
        if self._poisoned and self._messages > 1:
            self.killed += 1
            raise Cut
        return octets


@pytest.mark.parametrize("first", [1, 77, 200])
def test_a_message_that_new_takes_only_alone(box: Box, first: int) -> None:
    put(box, 200, lambda i: b"Subject: %d\r\n\r\n%s\r\n" % (i, b"poison" if i == first else b"mail"))
    box.options = replace(box.options, connections=1)
    new = OnlyTogether()
    with relayed(box.new.port, commands=new.commands, literals=new.literals) as box.new_port:
        assert (box.sync().problems, box.problems()) == (0, [])
        assert 0 < new.killed <= 14
        assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, 201))
        new.killed = 0
        box.settled()
        assert new.killed == 0


def test_several_messages_at_which_new_breaks_off_are_found_with_so_many_connections_at_most(box: Box) -> None:
    bad, killed = (3, 50, 77, 78, 190), [0]

    def counted(octets: bytes) -> bytes:
        if b"poison" in octets:
            killed[0] += 1
            raise Cut
        return octets

    put(box, 200, lambda i: b"Subject: %d\r\n\r\n%s\r\n" % (i, b"poison" if i in bad else b"mail"))
    with relayed(box.new.port, literals=counted) as box.new_port:
        assert box.sync().problems == len(bad)
        assert killed[0] <= sync.MOST_BROKEN
        assert {problem.facts["subject"] for problem in box.problems()} == {str(i) for i in bad}
        assert len(questions.of_mailbox(box.problems())) == 1
        assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, 201) if i not in bad)
        killed[0] = 0
        assert (box.sync().problems, killed[0]) == (len(bad), 0)


def test_a_server_that_breaks_off_now_and_then_gets_everything_once(box: Box) -> None:
    put(box, 120)
    with relayed(box.new.port, literals=cut_at(b"x60", times=2)) as box.new_port:
        assert box.sync().problems == 0
    assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, 121))
    box.new_port = 0
    box.settled()


# -- I8: sizes


@pytest.mark.parametrize("wrong", ["+ 29", "* 3", "* 0 + 7"])
@pytest.mark.parametrize("side", ["old", "new"])
def test_sizes_that_are_not_those_of_the_messages(box: Box, wrong: str, side: str) -> None:
    """Both connections are cut in the middle; what has arrived is found again though no size agrees."""

    def other(found: "re.Match[bytes]") -> bytes:
        return b"RFC822.SIZE %d" % eval(f"{int(found[1])} {wrong}")

    put(box, 300, lambda i: b"Subject: %d\r\n\r\n%s\r\n" % (i, b"x" * (i % 50)))
    place = box.old if side == "old" else box.new
    rewrite = replaced(rb"RFC822\.SIZE (\d+)", other)
    box.options = replace(box.options, connections=1)
    with (
        relayed(place.port, answers=rewrite) as port,
        relayed(port if side == "old" else box.old.port, whole=cut_at(b"Subject: 120\r", times=1)) as box.old_port,
    ):
        box.new_port = port if side == "new" else 0
        result = box.sync()
        assert (result.problems, sum(subjects(box).values())) == (0, 300)
        assert set(subjects(box).values()) == {1}
        box.settled()
        assert not box.verify("content").differences


OTHER_SIZES = "the servers tell other sizes than messages have"


@pytest.mark.one_pass  # what is logged of one
@pytest.mark.parametrize("wrong", ["+ 29", "* 3"])
def test_wrong_sizes_of_old_are_one_sentence_and_no_question_though_both_servers_break_off(
    box: Box, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each server's connection is cut when it comes to the message 120: another pass has nothing to do."""
    put(box, 300, lambda i: b"Subject: %d\r\n\r\n%s\r\n" % (i, b"x" * (i % 50)))
    other = replaced(rb"RFC822\.SIZE (\d+)", lambda found: b"RFC822.SIZE %d" % eval(f"{int(found[1])} {wrong}"))
    left = {"old": [1], "new": [1]}

    def cut(side: str) -> Rewrite:
        def rewrite(octets: bytes) -> bytes:
            if left[side] and b"Subject: 120\r" in octets:
                left[side].pop()
                raise Cut
            return octets

        return rewrite

    with (
        relayed(box.old.port, answers=other) as sizes,
        relayed(sizes, whole=cut("old")) as box.old_port,
        relayed(box.new.port, literals=cut("new")) as box.new_port,
    ):
        result = box.sync()
        assert left == {"old": [], "new": []}
        assert (result.problems, result.verified) == (0, 300)
        assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, 301))
        (sentence,) = (line for line in capsys.readouterr().out.splitlines() if OTHER_SIZES in line)
        assert re.search(r"messages=(\d+)", sentence)[1] == "300"
        again = box.sync()
        assert (again.copied, again.flags_changed, again.removed, again.problems) == (0, 0, 0, 0)
        verified = box.verify()
        assert (verified.messages, verified.differences) == (300, 0)
        counted = [line for folder in verified.folders for line in folder.counted if SIZES in line]
        assert counted == [f"300 {SIZES}"]


def test_a_maildir_whose_names_tell_wrong_sizes(box: Box) -> None:
    """Dovecot believes `,W=` of a file's name until it has read the file, and then breaks off."""
    put(box, 20)
    home = next(path for path in (box.old.server.home / "mail").rglob(box.user) if path.is_dir())
    for path in sorted((home / "Maildir" / "new").iterdir()) + sorted((home / "Maildir" / "cur").iterdir()):
        path.rename(path.with_name(re.sub(r",W=\d+", ",W=999", path.name)))
    for path in (home / "Maildir").glob("dovecot.index*"):
        path.unlink()
    with box.on_old() as account:
        account.client.select()
        assert all(b"RFC822.SIZE 999" in row for row in account.client.fetch("1:20", "(RFC822.SIZE)")[1])
    assert box.sync().problems == 0
    assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, 21))
    box.settled()
    assert not box.verify("content").differences
