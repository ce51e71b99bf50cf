"""Servers that do what few do, or none should: what can be carried is carried, the rest is named."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.deciding import decide
from tests.imap_places import Box, Place, Places
from tests.imap_relay import Cut, Rewrite, answered, before, cut_at, one_after_another, relayed, replaced
from tests.mailbox_states import Account, date, parse, text

STATE = "INBOX: a/S b c/F d e; Work: f/S+$Forwarded+NonJunk g; Rest: h h"


def behind(box: Box, side: str) -> Place:
    return box.old if side == "old" else box.new


def put_behind(box: Box, side: str, port: int) -> None:
    box.old_port, box.new_port = (port, 0) if side == "old" else (0, port)


# -- announced, and not there

ANNOUNCED = ["NAMESPACE", "ENABLE", 'LIST "" "[*]" RETURN', "LSUB", "STATUS", "GETQUOTAROOT", "UNSELECT", "SUBSCRIBE"]


@pytest.mark.parametrize("answer", [b"NO not today", b"BAD what is that"])
@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("command", ANNOUNCED)
def test_what_a_server_has_only_announced_is_done_without(box: Box, command: str, side: str, answer: bytes) -> None:
    box.fill(STATE)
    with relayed(behind(box, side).port, **answered(command.encode(), answer)) as port:
        put_behind(box, side, port)
        assert box.sync().problems == 0
        assert box.read_new() == parse(STATE)
        box.settled()
        assert not box.verify("content").differences


# -- one folder

BUSY = {
    "EXAMINE on old": ("old", b'EXAMINE "Work"', b"NO [INUSE] somebody is at it"),
    "EXAMINE on new": ("new", b'(EXAMINE|SELECT) "Work"', b"NO [UNAVAILABLE] its disk is away"),
    "EXAMINE that old does not understand": ("old", b'EXAMINE "Work"', b"BAD no such name"),
    "APPEND": ("new", b'APPEND "Work"', b"NO [INUSE] somebody is at it"),
    "APPEND into what is not there": ("new", b'APPEND "Work"', b"NO [TRYCREATE] no such folder"),
    "APPEND that fails inside": ("new", b'APPEND "Work"', b"NO [SERVERBUG] look at the log"),
}


@pytest.mark.parametrize("kind", BUSY)
def test_one_folder_that_is_busy_all_the_time_holds_up_no_other(box: Box, kind: str) -> None:
    side, command, answer = BUSY[kind]
    box.fill(STATE)
    with relayed(behind(box, side).port, **answered(command, answer)) as port:
        put_behind(box, side, port)
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert problem.kind == ("folder-unreadable" if side == "old" else "folder-closed-on-new")
        assert (
            problem.subject == "Work" and answer.split(b"] ")[-1].removeprefix(b"BAD ").decode() in problem.server_words
        )
        found = box.read_new()
        assert {name: found[name] for name in ("INBOX", "Rest")} == {
            name: messages for name, messages in parse(STATE).items() if name != "Work"
        }
    put_behind(box, side, 0)
    assert box.sync().problems == 0
    assert box.read_new() == parse(STATE)
    box.settled()


BREAKS_OFF = {
    "old closes at EXAMINE": ("old", b"EXAMINE", frozenset()),
    "new closes at EXAMINE": ("new", b"(EXAMINE|SELECT)", frozenset()),
    "old closes at STATUS and EXAMINE": ("old", b"(EXAMINE|STATUS)", frozenset({"LIST-STATUS", "LIST-EXTENDED"})),
}


@pytest.mark.parametrize("kind", BREAKS_OFF)
def test_one_folder_at_which_a_server_breaks_off_holds_up_no_other(box: Box, kind: str) -> None:
    """As an imapd that dies of a folder's damaged index."""
    side, command, without = BREAKS_OFF[kind]
    at = re.compile(rb'B\d+ %s "Work"' % command)
    box.without = (without, without)
    box.fill(STATE)

    def commands(line: bytes) -> bytes:
        if at.match(line):
            raise Cut
        return line

    with relayed(behind(box, side).port, commands=commands) as port:
        put_behind(box, side, port)
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert problem.kind == ("folder-unreadable" if side == "old" else "folder-closed-on-new")
        assert (problem.subject, "is lost" in problem.server_words) == ("Work", True)
        found = box.read_new()
        assert (found["INBOX"], found["Rest"]) == (parse(STATE)["INBOX"], parse(STATE)["Rest"])
    put_behind(box, side, 0)
    assert box.sync().problems == 0
    assert box.read_new() == parse(STATE)
    box.settled()


def test_one_line_that_makes_no_sense_holds_back_its_message_only(box: Box) -> None:
    box.fill(STATE)
    odd = replaced(rb"(\* \d+ FETCH \(UID \d+ FLAGS \()\\Flagged\)", rb"\1((((")
    with relayed(box.old.port, answers=odd) as box.old_port:
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert (problem.kind, problem.facts["uid"]) == ("message-unreadable", 3)
        assert box.read_new() == parse(STATE.replace(" c/F", ""))
    box.old_port = 0
    assert box.sync().problems == 0
    assert box.read_new() == parse(STATE)
    box.settled()


def test_a_name_that_new_does_not_understand_is_asked_about(box: Box) -> None:
    box.fill(STATE)
    with relayed(box.new.port, **answered(b'CREATE "Work"', b"BAD no such name")) as box.new_port:
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert (problem.kind, problem.subject) == ("folder-name", "Work")
        decide(box.ledger, name="Travail")
        assert box.sync().problems == 0
        assert box.read_new() == {name.replace("Work", "Travail"): found for name, found in parse(STATE).items()}
        box.settled()


# -- wrong UIDs


def in_set(rewrite: Callable[[list[int]], list[int]]) -> Callable[["re.Match[bytes]"], bytes]:
    def rewritten(found: "re.Match[bytes]") -> bytes:
        ends = [part.split(b":") for part in found[2].split(b",")]
        uids = rewrite([uid for end in ends for uid in range(int(end[0]), int(end[-1]) + 1)])
        return b"[APPENDUID %s %s]" % (found[1], b",".join(b"%d" % uid for uid in uids))

    return rewritten


WRONG_UIDS: dict[str, bytes | Callable[["re.Match[bytes]"], bytes]] = {
    "another UIDVALIDITY": rb"[APPENDUID 7 \2]",
    "none": rb"[APPENDUID \1 0]",
    "star": rb"[APPENDUID \1 *]",
    "words": b"[APPENDUID x y]",
    "all there are": rb"[APPENDUID \1 1:4294967295]",
    "too few": in_set(lambda uids: uids[:1]),
    "backwards": in_set(lambda uids: uids[::-1]),
    "one too high": in_set(lambda uids: [uid + 1 for uid in uids]),
    "those of others": in_set(lambda uids: [uid - 2 for uid in uids]),
}


@pytest.mark.parametrize("kind", WRONG_UIDS)
def test_wrong_uids_of_what_was_appended_put_nothing_there_twice(box: Box, kind: str) -> None:
    """Flags that change later reach the right messages."""
    box.fill(STATE, "INBOX: y z; Work: x; Rest: w v")
    wrong = replaced(rb"\[APPENDUID (\d+) ([\d:,]+)\]", WRONG_UIDS[kind])
    with relayed(box.new.port, answers=wrong) as box.new_port:
        assert box.sync().problems == 0
        expected = "INBOX: a/S b c/F d e y z; Work: f/S+$Forwarded+NonJunk g x; Rest: h h w v"
        assert box.read_new() == parse(expected)
        box.settled()
        box.fill(STATE.replace(" b ", " b/A ").replace(" g;", " g/F;"))
        assert box.sync().flags_changed == 2
        assert box.read_new() == parse(expected.replace(" b ", " b/A ").replace(" g ", " g/F "))
        box.settled()


# -- stored after all


@pytest.mark.parametrize("late", [0.1, 0.8])
def test_what_new_stores_after_its_connection_was_lost_is_there_once(box: Box, late: float) -> None:
    """New gets a whole message, its answer is lost, and it stores it when the message has been sent once more."""
    box.without = (frozenset(), frozenset({"MULTIAPPEND"}))
    box.fill("INBOX: a/S b c d", "INBOX: y b")
    storing: list[threading.Thread] = []

    def store(octets: bytes) -> None:
        with box.on_new() as account:
            account.client.append("INBOX", "", date("c"), octets)

    def literals(octets: bytes) -> bytes:
        if octets != text("c") or storing:
            return octets
        storing.append(threading.Timer(late, store, [octets]))
        storing[0].start()
        raise Cut

    with relayed(box.new.port, literals=literals) as box.new_port:
        assert box.sync().problems == 0
    storing[0].join()
    box.new_port = 0
    assert box.read_new() == parse("INBOX: a/S b c d y")
    box.settled()
    assert not box.verify("content").differences


@pytest.mark.parametrize("copies", [2, 3])
def test_what_several_lost_connections_have_brought_is_there_once(box: Box, copies: int) -> None:
    """New takes its time with what two connections have brought: all of it is there when the third one looks."""
    box.without = (frozenset(), frozenset({"MULTIAPPEND"}))
    box.fill("INBOX: a/S b c d", "INBOX: y b")
    lost = [0]

    def literals(octets: bytes) -> bytes:
        if octets != text("c") or lost[0] == 2:
            return octets
        lost[0] += 1
        if lost[0] == 2:
            with box.on_new() as account:
                for _ in range(copies):
                    account.client.append("INBOX", "", date("c"), octets)
        raise Cut

    with relayed(box.new.port, literals=literals) as box.new_port:
        assert box.sync().problems == 0
    box.new_port = 0
    assert box.read_new() == parse("INBOX: a/S b c d y")
    box.settled()
    assert not box.verify("content").differences


# -- FETCH in other forms

_USUAL = rb'\* (\d+) FETCH \(UID (\d+) (FLAGS \([^)]*\)) (INTERNALDATE "[^"]*") (RFC822\.SIZE \d+)[^\r]*\r\n'
GHOST = b'* 77 FETCH (UID %s FLAGS () INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 5)\r\n'
CHATTER = (
    b"* 2 FETCH (FLAGS (\\Draft))\r\n* 99 EXISTS\r\n* 0 RECENT\r\n* OK [ALERT] Disk is low\r\n* NO still\r\n"
    b"* BAD boo\r\n* FLAGS (\\Seen)\r\n* STATUS Work (MESSAGES 1)\r\n"
    b'* LIST () "." Ghost\r\n* 3 EXPUNGE\r\n* CAPABILITY IMAP4rev1\r\n'
)


class Backwards:
    """What is fetched comes in the other order."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def __call__(self, response: bytes) -> bytes:
        if re.match(rb"\* \d+ FETCH ", response):
            self._held.insert(0, response)
            return b""
        held, self._held = b"".join(self._held), []
        return held + response


FORMS: dict[str, Callable[[], dict[str, Rewrite]]] = {
    "each item in a response of its own": lambda: {
        "answers": replaced(_USUAL, rb"* \1 FETCH (UID \2 \3)\r\n* \1 FETCH (UID \2 \4)\r\n* \1 FETCH (UID \2 \5)\r\n")
    },
    "a wrong size and no flags first": lambda: {
        "answers": replaced(_USUAL, rb"* \1 FETCH (FLAGS () UID \2 RFC822.SIZE 1)\r\n* \1 FETCH (UID \2 \4 \5 \3)\r\n")
    },
    "twice": lambda: {"answers": replaced(_USUAL, rb"* \1 FETCH (UID \2 FLAGS (\\Draft) \4 \5)\r\n\g<0>")},
    "in small letters": lambda: {"answers": replaced(rb"FETCH \(UID (\d+) (FLAGS|BODY)", rb"fetch (uid \1 \2")},
    "backwards": lambda: {"whole": Backwards()},
    "a UID that is 0": lambda: {"answers": before(rb"\* 3 FETCH", GHOST % b"0")},
    "a UID of 33 bits": lambda: {"answers": before(rb"\* 3 FETCH", GHOST % b"8589934592")},
    "other responses between": lambda: {"answers": before(rb"\* 4 FETCH", CHATTER)},
    "no UIDNEXT": lambda: {"answers": replaced(rb"\* OK \[UIDNEXT[^\r]*\r\n| UIDNEXT \d+", b"")},
    "UIDVALIDITY 0": lambda: {"answers": replaced(rb"UIDVALIDITY \d+", b"UIDVALIDITY 0")},
    "the highest MODSEQ there is": lambda: {
        "answers": replaced(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ %d" % (2**64 - 1))
    },
}


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_fetched_comes_in_another_form(box: Box, form: str, side: str) -> None:
    box.fill(STATE)
    with relayed(behind(box, side).port, **FORMS[form]()) as port:  # type: ignore[arg-type]
        put_behind(box, side, port)
        assert box.sync().problems == 0
        assert box.read_new() == parse(STATE)
        box.settled()
        box.fill(STATE.replace(" b ", " b/A ") + "; More: k")
        assert box.sync().problems == 0
        assert box.read_new() == parse(STATE.replace(" b ", " b/A ") + "; More: k")
        assert not box.verify("content").differences


# -- counted, and not listed

HIDDEN = replaced(rb"\* 3 FETCH \(UID 3 [^\r]*\r\n", b"")


def test_what_old_counts_and_does_not_list_is_named_and_removes_nothing(box: Box) -> None:
    box.without = (frozenset({"CONDSTORE", "QRESYNC"}), frozenset())
    box.fill("INBOX: a b c d")
    assert box.sync().problems == 0
    hiding = one_after_another(HIDDEN, replaced(rb"UIDVALIDITY \d+", b"UIDVALIDITY 5"))
    with relayed(box.old.port, answers=hiding) as box.old_port:
        for _ in range(2):
            assert (box.sync().removed, len(box.problems())) == (0, 1)
            assert box.problems()[0].kind == "folder-incomplete"
        assert box.read_new() == parse("INBOX: a b c d")
        assert any("more than it lists" in each for folder in box.verify().folders for each in folder.differences)
        decide(box.ledger)
        assert box.sync().problems == 0
    box.old_port = 0
    box.sync()
    box.settled()
    assert box.read_new() == parse("INBOX: a b c d")


def test_new_that_does_not_list_what_it_has_gets_nothing_twice(box: Box) -> None:
    box.fill("INBOX: a b c; Work: d")
    hidden = replaced(rb"\* \d+ FETCH \(UID \d+ FLAGS[^\r]*\r\n", b"")
    with relayed(box.new.port, answers=hidden) as box.new_port:
        assert {problem.kind for problem in box.problems()} == set()
        assert box.sync().problems == 2
        assert {problem.kind for problem in box.problems()} == {"folder-closed-on-new"}
        assert box.read_new() == parse("INBOX: a b c; Work: d")
    box.new_port = 0
    assert box.sync().problems == 0
    assert box.read_new() == parse("INBOX: a b c; Work: d")
    box.settled()


# -- silently altered


@pytest.mark.parametrize(
    "date", ["31-Dec-1969 23:00:00 +0000", "20-Jan-2038 10:00:00 +0000", "31-Dec-9999 23:59:59 -1200"]
)
def test_a_date_that_new_can_not_keep_is_named_in_the_same_pass(box: Box, date: str) -> None:
    """Dovecot shows it once as it was told, and another one from then on."""
    box.fill("INBOX: a b")
    odd = replaced(rb'(UID 2 .*)INTERNALDATE "[^"]*"', rb'\1INTERNALDATE "' + date.encode() + b'"')
    with relayed(box.old.port, answers=odd) as box.old_port:
        assert box.sync().problems == 1
        assert box.problems()[0].kind in ("message-altered", "date-unreadable")
        again = box.sync()
        assert (again.copied, again.problems) == (0, 1)


def test_keywords_that_new_does_not_keep_are_named_in_the_same_pass(box: Box) -> None:
    box.fill(STATE)
    forgotten = replaced(rb" ?(?:\$Forwarded|NonJunk)", b"")
    with relayed(box.new.port, answers=forgotten) as box.new_port:
        assert box.sync().problems == 2
        assert {problem.facts["keyword"] for problem in box.problems()} == {"$Forwarded", "NonJunk"}
        again = box.sync()
        assert (again.copied, again.removed, again.problems) == (0, 0, 2)


@pytest.mark.parametrize("flag", ["A", "+NonJunk"])
@pytest.mark.parametrize("when", ["at first", "later"])
def test_the_only_flag_of_a_message_that_new_does_not_keep_stays_named(box: Box, flag: str, when: str) -> None:
    box.fill("INBOX: a/S b c/F")
    with relayed(box.new.port, answers=replaced(rb" ?(?:\\Answered|NonJunk)", b"")) as box.new_port:
        if when == "later":
            assert box.sync().problems == 0
        box.fill(f"INBOX: a/S b/{flag} c/F")
        for _ in range(3):
            assert box.sync().problems == 1
            assert [problem.kind for problem in box.problems()] == ["keyword-refused"]
        assert box.verify().differences == 1, "its owner has changed nothing"
        decide(box.ledger)
        assert box.sync().problems == 0
        box.settled()


def test_more_keywords_than_cyrus_has_room_for(places: Places, box: Box) -> None:
    box.new = places["cyrus"]
    many = [f"k{number:03}" for number in range(140)]
    with box.on_old() as account:
        for first in range(0, 140, 7):
            keywords = " ".join(many[first : first + 7])
            account.client.append("INBOX", f"({keywords})", None, text(f"m{first}"))
    result = box.sync()
    assert (result.copied, result.verified) == (20, 20)
    assert {problem.kind for problem in box.problems()} == {"keyword-refused"}
    assert result.problems >= 12, "Cyrus keeps 128 of them in a folder"
    again = box.sync()
    assert (again.copied, again.removed) == (0, 0)


# -- verification


def test_verification_goes_on_where_a_connection_was_lost(box: Box) -> None:
    box.fill(STATE)
    box.sync()
    for side in ("old", "new"):
        with relayed(behind(box, side).port, whole=cut_at(b"BODY[HEADER.FIELDS", times=2)) as port:
            put_behind(box, side, port)
            found = box.verify()
            assert (found.messages, found.differences) == (9, 0)


def test_a_change_that_no_number_tells_is_seen_by_verification(box: Box) -> None:
    box.fill("INBOX: a b c")
    with relayed(box.old.port, answers=replaced(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ 5")) as box.old_port:
        box.sync()
        box.fill("INBOX: a b/F c")
        assert box.sync().flags_changed == 0
        assert box.verify().differences == 1


def test_verification_reads_a_long_folder_in_pieces(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the map has is compared piece by piece; what lies elsewhere is paired in the end."""
    monkeypatch.setattr("bascule.mailbox.verify.identity.WINDOW", 3)
    monkeypatch.setattr("bascule.mailbox.verify.folder.WINDOW", 3)
    box.options = replace(box.options, verify="none")
    box.fill("INBOX: a b c d e f g h i", "INBOX: h e a")
    box.sync()
    with box.on_new() as account:
        move_to_the_end(account, "1")
    found = box.verify("content")
    assert (found.messages, found.differences) == (9, 0)
    with box.on_new() as account:
        account.client.select()
        account.client.store("2:3", "+FLAGS", "(\\Deleted)")
        account.client.expunge()
    found = box.verify("attributes")
    assert (found.messages, found.differences) == (7, 2)


def move_to_the_end(account: Account, number: str) -> None:
    account.client.select()
    account.client.copy(number, "INBOX")
    account.client.store(number, "+FLAGS", "(\\Deleted)")
    account.client.expunge()
