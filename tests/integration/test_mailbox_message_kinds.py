"""Each kind of message, mark and folder that can't be carried unchanged: found, named, treated by decision, settled."""

import email
import email.policy
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bascule.ledger import Ledger, journal
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.result import PassResult
from bascule.problems import record, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import Choice

from tests.imap_relay import replacing
from tests.mail_servers import Dovecot, two_dovecots
from tests.mailbox_states import Account

AUTHOR = record.Author("ann", "page", journal.Origin("problems", "test", "review", "postmaster"))
LONG_KEYWORD = "x" * 80


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Dovecot, Dovecot]]:
    with two_dovecots({"extra": "mail_max_keyword_length = 100"}) as both:
        yield both


class Mailbox:
    """One account; what is wrong with it lies on disk before anybody looks."""

    def __init__(self, old: Dovecot, new: Dovecot, ledger: Ledger) -> None:
        self.old, self.new, self.ledger = old, new, ledger
        self.user, self.options = f"u{uuid.uuid4().hex[:12]}", Options(verify="content")
        with Account(old.port, self.user, ".") as account:
            account.append("INBOX", "a")

    @property
    def maildir(self) -> Path:
        return self.old.home / "mail" / self.user / "Maildir"

    def put(self, text: bytes, *, seconds: int = 1_500_000_000) -> None:
        path = self.maildir / "new" / f"{seconds}.{uuid.uuid4().hex}.host"
        path.write_bytes(text)
        os.chown(path, self.maildir.stat().st_uid, self.maildir.stat().st_gid)
        os.utime(path, (seconds, seconds))

    def sync(self) -> PassResult:
        return sync_mailbox(
            MailboxJob(self.user, self.old.server(self.user), self.new.server(self.user), self.options), self.ledger
        )

    def one_problem(self) -> Problem:
        assert self.sync().problems == 1
        (found,) = store.problems(self.ledger)
        return found

    def settle(self, option: Option) -> None:
        """By decision; the pass after that finds nothing to do."""
        (found,) = store.problems(self.ledger)
        record.record(self.ledger, [Choice(found, option)], AUTHOR)
        assert self.sync().problems == 0
        assert [each.state for each, _ in store.all_decisions(self.ledger)] == ["settled"]
        again = self.sync()
        assert (again.copied, again.removed, again.problems) == (0, 0, 0)

    def bodies(self) -> list[bytes]:
        with Account(self.new.port, self.user, "/") as account:
            account.client.select("INBOX")
            return [row[1] for row in account.client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]

    def originals(self) -> list[bytes]:
        """What repaired messages carry."""
        found = []
        for body in self.bodies():
            message = email.message_from_bytes(body, policy=email.policy.default)
            found += [part.get_payload(decode=True) for part in message.walk() if part.get_filename() == "original.eml"]
        return found


@pytest.fixture
def box(servers: tuple[Dovecot, Dovecot], ledger: Ledger) -> Mailbox:
    return Mailbox(*servers, ledger)


def test_an_empty_message_is_refused_and_left_out(box: Mailbox) -> None:
    box.put(b"")
    problem = box.one_problem()
    assert (problem.kind, problem.proposal.stored()) == ("message-refused", {"action": "leave out"})
    assert "zero byte" in problem.server_words and problem.facts["size"] == 0
    box.settle(Option.APPLY)
    assert len(box.bodies()) == 1


def test_a_bare_line_feed_is_found_and_the_original_is_carried_in_an_attachment(box: Mailbox) -> None:
    box.put(b"Subject: lf\r\n\r\none@LF@two\r\n")
    with replacing(box.old.port, from_server=((b"@LF@", b"@\nF@"),)) as port:
        box.old = replace(box.old, port=port)
        problem = box.one_problem()
        assert (problem.kind, problem.facts["subject"]) == ("message-altered", "lf")
        assert problem.proposal.stored() == {"action": "repair"}
        box.settle(Option.APPLY)
    assert box.originals() == [b"Subject: lf\r\n\r\none@\nF@two\r\n"]


def test_a_zero_octet_is_found_and_the_original_is_carried_in_an_attachment(box: Mailbox) -> None:
    box.put(b"Subject: nul\r\n\r\none@NUL@two\r\n")
    with replacing(box.old.port, from_server=((b"@NUL@", b"@N\0L@"),)) as port:
        box.old = replace(box.old, port=port)
        assert box.one_problem().kind == "message-altered"
        box.settle(Option.APPLY)
    assert box.originals() == [b"Subject: nul\r\n\r\none@N\0L@two\r\n"]


def test_a_date_that_new_can_not_keep_is_named_and_accepted_by_decision(box: Mailbox) -> None:
    box.put(b"Subject: when\r\n\r\nx\r\n", seconds=2_300_000_000)
    problem = box.one_problem()
    assert (problem.kind, problem.proposal.stored()) == ("message-altered", {"action": "accept"})
    assert "another date" in problem.explanation and problem.facts["date"].startswith("2042-11-19")
    assert box.one_problem().id == problem.id, "another pass meets it again"
    box.settle(Option.APPLY)
    assert b"Subject: when\r\n\r\nx\r\n" in box.bodies()


def test_a_keyword_that_new_does_not_take_is_named_and_dropped_by_decision(box: Mailbox) -> None:
    with Account(box.old.port, box.user, ".") as account:
        assert account.client.append("INBOX", f"({LONG_KEYWORD} work)", None, b"Subject: k\r\n\r\nx\r\n")[0] == "OK"
    problem = box.one_problem()
    assert (problem.kind, problem.facts["keyword"]) == ("keyword-refused", LONG_KEYWORD)
    assert problem.details == {"messages": 1} and "too long" in problem.server_words
    box.settle(Option.APPLY)
    with Account(box.new.port, box.user, "/") as account:
        account.client.select("INBOX")
        flags = b" ".join(row for row in account.client.fetch("1:*", "(FLAGS)")[1] if row)
    assert b"work" in flags and LONG_KEYWORD.encode() not in flags


def test_a_message_larger_than_the_site_allows_is_named_and_left_out_by_decision(box: Mailbox) -> None:
    box.options = replace(box.options, largest_message=2000)
    box.put(b"Subject: large\r\n\r\n" + b"x" * 3000 + b"\r\n")
    problem = box.one_problem()
    assert (problem.kind, problem.facts["subject"]) == ("message-too-large", "large")
    box.settle(Option.LEAVE_OUT)
    assert len(box.bodies()) == 1


def test_a_folder_that_old_lists_and_does_not_open_is_named_and_left_out_by_decision(box: Mailbox) -> None:
    with Account(box.old.port, box.user, ".") as account:
        account.client.create("ok")
    subprocess.run(["cp", "-a", box.maildir / ".ok", box.maildir / ".R&D"], check=True)
    problem = box.one_problem()
    assert (problem.kind, problem.subject) == ("folder-unreadable", "R&D")
    assert "doesn't exist" in problem.server_words
    box.settle(Option.LEAVE_OUT)


def test_a_folder_that_new_does_not_open_is_no_fault_of_old(box: Mailbox) -> None:
    with Account(box.old.port, box.user, ".") as account:
        account.client.create("plans")
        account.append("plans", "a")
    with Account(box.new.port, box.user, "/") as account:
        account.client.create("plans")
    index = box.new.home / "mail" / box.user / "sdbox" / "mailboxes" / "plans" / "dbox-Mails"
    index.chmod(0)
    problem = box.one_problem()
    assert (problem.kind, problem.subject) == ("folder-closed-on-new", "plans")
    assert problem.proposal.stored() == {"action": "look again"} and "new server" in problem.explanation
    index.chmod(0o700)
    result = box.sync()
    assert (result.problems, result.copied) == (0, 1)


def test_a_folder_that_is_busy_for_a_moment_is_opened_a_moment_later(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Account(box.old.port, box.user, ".") as account:
        account.client.create("plans")
        account.append("plans", "a")
    asks, answers = [(b'EXAMINE "plans"', b'EXAMINE "plano"')], [(b"NO Mailbox doesn't exist", b"NO [INUSE] It")]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        asks.clear()

    monkeypatch.setattr("bascule.mailbox.sync.time.sleep", pause)
    with replacing(box.old.port, to_server=asks, from_server=answers) as port:
        box.old = replace(box.old, port=port)
        result = box.sync()
    assert len(pauses) == 1, "the server was busy once"
    assert (result.problems, result.copied) == (0, 2)


def test_what_is_repaired_on_old_by_hand_is_asked_about_no_more(box: Mailbox) -> None:
    box.put(b"")
    box.one_problem()
    record.record(box.ledger, [Choice(store.problems(box.ledger)[0], Option.LOOK_AGAIN)], AUTHOR)
    empty = next(path for path in box.maildir.glob("*/*") if path.is_file() and not path.stat().st_size)
    empty.unlink()
    assert box.sync().problems == 0
    assert store.problems(box.ledger, states=("open", "decided", "settled")) == []


def test_a_decision_holds_in_every_pass_and_is_asked_again_when_its_facts_change(box: Mailbox) -> None:
    """The same UID in a folder that was made anew is another message: what was decided says nothing of it."""
    with Account(box.old.port, box.user, ".") as account:
        account.client.create("F")
    folder = box.maildir / ".F" / "new" / "1500000000.one.host"
    folder.write_bytes(b"")
    os.chown(folder, box.maildir.stat().st_uid, box.maildir.stat().st_gid)
    assert box.one_problem().subject == "F/1"
    box.settle(Option.APPLY)
    assert store.problems(box.ledger) == []
    with Account(box.old.port, box.user, ".") as account:
        account.client.delete("F")
        account.client.create("F")
    other = box.maildir / ".F" / "new" / "1600000000.other.host"
    other.write_bytes(b"")
    os.chown(other, box.maildir.stat().st_uid, box.maildir.stat().st_gid)
    os.utime(other, (1_600_000_000, 1_600_000_000))
    problem = box.one_problem()
    assert (problem.subject, problem.facts["date"][:10]) == ("F/1", "2020-09-13")
