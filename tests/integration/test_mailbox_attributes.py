"""Access rights and annotations between real servers: carried, merged, left out by decision, or named."""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bascule.ledger import Ledger, carried, journal
from bascule.mailbox import MailboxJob, Options, sync, sync_mailbox
from bascule.mailbox.look import look_at
from bascule.mailbox.verify.audit import audit
from bascule.problems import store
from bascule.problems.model import Option, Problem
from structlog.testing import capture_logs

from tests.deciding import decide
from tests.ledgers import empty_ledger
from tests.mail_servers import Dovecot, two_dovecots
from tests.mailbox_cases import Pair, relayed_pair
from tests.mailbox_states import Account

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
STEP = 1 if FULL else 4
ORIGIN = journal.Origin("problems", "test", "settle", "postmaster")
EXTRA = """
mail_plugins = $mail_plugins acl
mail_attribute_dict = file:%h/dovecot-attributes
plugin {
  acl = vfile
}
protocol imap {
  mail_plugins = $mail_plugins imap_acl
  imap_metadata = yes
}
"""
KNOWN = {"bob", "eve", "zoe"}


def known(names: Collection[str]) -> set[str]:
    return set(names) & KNOWN


OPTIONS = Options(
    acl=True, metadata=True, connections=1,
    identifiers={"group:staff": "$staff"}, domain="obs.test", known_accounts=known,
)  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with two_dovecots(extra=EXTRA) as (old, new), relayed_pair(old, new) as pair:
        yield pair


@pytest.fixture
def job(pair: Pair, request: pytest.FixtureRequest) -> MailboxJob:
    pair.faults.arm(None)
    return pair.job(re.sub(r"[^a-z0-9]", "", request.node.name.lower())[-40:], OPTIONS)


def grant(server: Dovecot, user: str, folder: str, rights: dict[str, str]) -> None:
    """Set (or with "" take away) rights; the folder is made if need be."""
    with Account(server.port, user, ".") as account:
        account.client.create(folder)
        for identifier, letters in rights.items():
            answer = account.client.setacl(folder, f'"{identifier}"', letters or '""')
            assert answer[0] == "OK", answer


def granted(server: Dovecot, user: str, folder: str = "INBOX") -> dict[str, str]:
    """The rights of everybody else."""
    with Account(server.port, user, ".") as account:
        told = account.client.getacl(folder)[1][0].decode().split(" ")[1:]
    found = dict(zip(told[::2], told[1::2], strict=True))
    return {who: "".join(sorted(set(rights) - set("cd"))) for who, rights in found.items() if who != user}


def note(server: Dovecot, user: str, folder: str, entry: str, value: bytes | None) -> None:
    """Set one annotation; None takes it away."""
    with Account(server.port, user, ".") as account:
        account.client.create(folder)
        told = b"NIL" if value is None else b"{%d+}\r\n" % len(value) + value
        account.client.send(b"t1 SETMETADATA %s (%s %s)\r\n" % (folder.encode(), entry.encode(), told))
        while not (line := account.client.readline()).startswith(b"t1 "):
            pass
    assert line.split()[1] == b"OK", line


def noted(server: Dovecot, user: str, entry: str, folder: str = "INBOX") -> bytes | None:
    with Account(server.port, user, ".") as account:
        client = account.client
        client.send(b"t1 GETMETADATA %s %s\r\n" % (folder.encode(), entry.encode()))
        said = b""
        while not (line := client.readline()).startswith(b"t1 "):
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            said += line + (client.read(int(literal[1])) if literal else b"")
    found = re.search(rb"\{(\d+)\}\r\n", said)
    return said[found.end() : found.end() + int(found[1])] if found else None


def open_problems(ledger: Ledger, job: MailboxJob) -> list[Problem]:
    return store.problems(ledger, account=job.account, room="mailbox")


# -- rights


def test_rights_are_carried_to_the_same_people(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    grant(pair.old, job.account, "INBOX", {"bob": "lrs", "-zoe": "w", "group:staff": "lr", "eve@obs.test": "lrswite"})
    grant(pair.old, job.account, "Projet.2020", {"bob": "lrswipkxte"})
    assert sync_mailbox(job, ledger).problems == 0
    assert granted(pair.new, job.account) == {"bob": "lrs", "-zoe": "w", "$staff": "lr", "eve": "eilrstw"}
    assert granted(pair.new, job.account, "Projet/2020") == {"bob": "eiklprstwx"}
    assert audit(job, ledger).differences == 0


def test_a_look_sees_what_changes_on_old(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    for step in (
        lambda: grant(pair.old, job.account, "INBOX", {"bob": "lrs"}),
        lambda: grant(pair.old, job.account, "INBOX", {"bob": ""}),
        lambda: note(pair.old, job.account, "INBOX", "/private/comment", b"mine"),
        lambda: note(pair.old, job.account, "INBOX", "/private/comment", b"other"),
    ):
        step()
        assert look_at(job, ledger).reason
        assert sync_mailbox(job, ledger).problems == 0
        assert look_at(job, ledger).reason == ""


def test_what_changes_on_old_is_carried_by_the_next_pass(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    grant(pair.old, job.account, "INBOX", {"bob": "lrs", "eve": "lr"})
    sync_mailbox(job, ledger)
    grant(pair.old, job.account, "INBOX", {"bob": "lr", "eve": "", "zoe": "lrs"})
    sync_mailbox(job, ledger)
    assert granted(pair.new, job.account) == {"bob": "lr", "zoe": "lrs"}


def test_what_people_set_on_new_stays(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    grant(pair.old, job.account, "INBOX", {"bob": "lr", "eve": "lrs"})
    grant(pair.new, job.account, "INBOX", {"bob": "lw", "zoe": "l"})
    sync_mailbox(job, ledger)
    assert granted(pair.new, job.account) == {"bob": "lrw", "eve": "lrs", "zoe": "l"}
    grant(pair.new, job.account, "INBOX", {"eve": "l"})
    grant(pair.old, job.account, "INBOX", {"bob": "", "eve": ""})
    sync_mailbox(job, ledger)
    assert granted(pair.new, job.account) == {"bob": "lrw", "eve": "l", "zoe": "l"}


def test_a_folder_that_is_made_anew_on_new_gets_its_rights_again(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    grant(pair.old, job.account, "Projet", {"bob": "lr"})
    sync_mailbox(job, ledger)
    with Account(pair.new.port, job.account, "/") as account:
        account.client.delete("Projet")
    sync_mailbox(job, ledger)
    assert granted(pair.new, job.account, "Projet") == {"bob": "lr"}


def test_a_folder_that_is_gone_from_old_is_forgotten(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    grant(pair.old, job.account, "Projet", {"bob": "lr"})
    sync_mailbox(job, ledger)
    assert len(carried.known_folders(ledger, job.account)) == 1
    with Account(pair.old.port, job.account, ".") as account:
        account.client.delete("Projet")
    sync_mailbox(job, ledger)
    assert carried.known_folders(ledger, job.account) == set()


def test_a_dry_run_changes_nothing(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    grant(pair.old, job.account, "INBOX", {"bob": "lr"})
    note(pair.old, job.account, "INBOX", "/private/comment", b"x")
    with capture_logs() as said:
        sync_mailbox(job, ledger, dry_run=True)
    assert [line["name"] for line in said if line["event"].startswith("dry run")] == ["bob", "/private/comment"]
    assert granted(pair.new, job.account) == {}
    assert carried.known_folders(ledger, job.account) == set()


def test_rights_of_unknown_people_are_asked_about_once(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    grant(pair.old, job.account, "INBOX", {"gone": "lr", "bob": "lr"})
    grant(pair.old, job.account, "Autre", {"gone": "lrs"})
    assert sync_mailbox(job, ledger).problems == 1
    (problem,) = open_problems(ledger, job)
    assert (problem.kind, problem.subject) == ("acl-unknown", "gone")
    assert problem.facts["rights"] == {"INBOX": "lr", "Autre": "lrs"}
    assert granted(pair.new, job.account) == {"bob": "lr"}
    decide(ledger, problem)
    for _ in range(2):
        assert sync_mailbox(job, ledger).problems == 0
    assert granted(pair.new, job.account) == {"bob": "lr"}
    assert audit(job, ledger).differences == 0
    grant(pair.old, job.account, "INBOX", {"gone": "lrswite"})
    assert sync_mailbox(job, ledger).problems == 1, "other rights than were decided about are asked again"


def test_rights_that_new_refuses_are_asked_about_and_hold_nothing_back(
    pair: Pair, ledger: Ledger, job: MailboxJob
) -> None:
    allowing = replace(job, options=replace(OPTIONS, identifiers={"bob": "anyone"}))  # Dovecot says BAD to `anyone`
    grant(pair.old, job.account, "INBOX", {"bob": "lr", "eve": "lr", "aaa": "lr", "zoe": "lr"})
    with Account(pair.old.port, job.account, ".") as account:
        account.append("INBOX", "a")
    result = sync_mailbox(replace(allowing, options=replace(allowing.options, known_accounts=None)), ledger)
    assert (result.copied, result.problems) == (1, 1)
    (problem,) = open_problems(ledger, job)
    assert problem.subject == "anyone"
    assert "disallowed" in problem.server_words
    assert granted(pair.new, job.account) == {"aaa": "lr", "eve": "lr", "zoe": "lr"}


@pytest.mark.one_pass(because="every pass says so in its log")
@pytest.mark.parametrize("side", ["old", "new", "neither"])
def test_a_server_without_rights_is_named_and_nothing_is_lost(
    pair: Pair, ledger: Ledger, job: MailboxJob, side: str
) -> None:
    grant(pair.old, job.account, "INBOX", {"bob": "lr"})
    with Account(pair.old.port, job.account, ".") as account:
        account.append("INBOX", "a")
    off = frozenset({"ACL", "METADATA"})
    old = replace(job.old, without=off) if side != "new" else job.old
    new = replace(job.new, without=off) if side != "old" else job.new
    with capture_logs() as said:
        result = sync_mailbox(replace(job, old=old, new=new), ledger)
    assert (result.copied, result.problems) == (1, 0)
    who = "neither server has them" if side == "neither" else f"the {side} server does not have them"
    assert [line["event"] for line in said if line["log_level"] == "warning"] == [
        f"access rights (ACL, RFC 4314) are not carried: {who}",
        f"annotations (METADATA, RFC 5464) are not carried: {who}",
    ]
    assert sync_mailbox(job, ledger).problems == 0, "once both have them they are carried"
    assert granted(pair.new, job.account) == {"bob": "lr"}


def test_the_verification_names_rights_that_differ(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    sync_mailbox(job, ledger)
    grant(pair.old, job.account, "INBOX", {"bob": "lrs"})
    note(pair.old, job.account, "INBOX", "/private/comment", b"x")
    (folder,) = audit(job, ledger).folders
    assert folder.differences == [
        "access rights (ACL, RFC 4314): bob has lrs on old and nothing on new",
        "annotations (METADATA, RFC 5464): /private/comment is not on new",
    ]


# -- annotations

VALUES = {
    "text": b"a comment",
    "empty": b"",
    "lines": b"one\r\ntwo",
    "eight bit": "été".encode(),
    "like IMAP": b'") (/private/x "y")\r\nz1 DELETE INBOX\r\n',
    "long": b"x" * 60_000,
}


@pytest.mark.parametrize("value", VALUES)
def test_annotations_are_carried_octet_for_octet(pair: Pair, ledger: Ledger, job: MailboxJob, value: str) -> None:
    note(pair.old, job.account, "INBOX", "/private/comment", VALUES[value])
    note(pair.old, job.account, "INBOX", "/shared/vendor/kolab/color", VALUES[value])
    assert sync_mailbox(job, ledger).problems == 0
    for entry in ("/private/comment", "/shared/vendor/kolab/color"):
        assert noted(pair.new, job.account, entry) == VALUES[value]
    assert audit(job, ledger).differences == 0


def test_annotations_are_merged_like_flags(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    for entry in ("a", "b", "c", "d"):
        note(pair.old, job.account, "INBOX", f"/private/{entry}", b"old")
    note(pair.new, job.account, "INBOX", "/private/d", b"mine")
    sync_mailbox(job, ledger)
    assert noted(pair.new, job.account, "/private/d") == b"mine"
    note(pair.old, job.account, "INBOX", "/private/a", b"changed")
    note(pair.old, job.account, "INBOX", "/private/b", None)
    note(pair.old, job.account, "INBOX", "/private/c", None)
    note(pair.new, job.account, "INBOX", "/private/c", b"mine")
    sync_mailbox(job, ledger)
    assert noted(pair.new, job.account, "/private/a") == b"changed"
    assert noted(pair.new, job.account, "/private/b") is None
    assert noted(pair.new, job.account, "/private/c") == b"mine"


def test_an_annotation_that_is_too_large_is_named(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    note(pair.old, job.account, "INBOX", "/private/comment", b"x" * 70_000)
    note(pair.old, job.account, "INBOX", "/private/small", b"x")
    assert sync_mailbox(job, ledger).problems == 1
    (problem,) = open_problems(ledger, job)
    assert (problem.kind, problem.subject) == ("metadata-refused", "INBOX: *")
    assert "70000 bytes" in problem.server_words
    assert noted(pair.new, job.account, "/private/small") == b"x"
    decide(ledger, problem, option=Option.LEAVE_OUT)
    for _ in range(2):
        assert sync_mailbox(job, ledger).problems == 0


def test_a_server_that_stores_no_annotation_holds_no_mail_back(pair: Pair, ledger: Ledger, job: MailboxJob) -> None:
    note(pair.old, job.account, "INBOX", "/private/comment", b"x")
    with Account(pair.old.port, job.account, ".") as account:
        account.append("INBOX", "a")
    with Account(pair.new.port, job.account, "/") as account:
        account.client.select("INBOX")  # the server makes the mailbox
    dictionary = pair.new.home / "mail" / job.account / "dovecot-attributes"
    dictionary.symlink_to(dictionary)  # it leads to itself: every access is an internal error
    result = sync_mailbox(job, ledger)
    assert (result.copied, result.problems) == (1, 1)
    (problem,) = open_problems(ledger, job)
    assert problem.kind == "metadata-refused"
    assert "SERVERBUG" in problem.server_words
    dictionary.unlink()
    assert sync_mailbox(job, ledger).problems == 0
    assert noted(pair.new, job.account, "/private/comment") == b"x"


# -- interrupted


@pytest.mark.parametrize("killed", [False, True], ids=["connection lost", "task killed"])
@pytest.mark.parametrize("cut_pass", [1, 2])
def test_interrupted_after_every_command(
    pair: Pair, tmp_path: Path, cut_pass: int, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Bascule had put there is known after any interruption: it goes from new when it goes from old."""
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(sync, "ATTEMPTS", 1 if killed else 6)
    commands, at = 1, 0
    while at <= commands:  # by default every fourth command is cut, beginning with another one in each case
        ledger = Ledger(empty_ledger(tmp_path / f"{at}.db"))
        job = pair.job(f"cut{cut_pass}{killed:d}{at}", OPTIONS)
        grant(pair.old, job.account, "INBOX", {"bob": "lr", "eve": "lrs"})
        grant(pair.new, job.account, "INBOX", {"zoe": "l"})
        note(pair.old, job.account, "INBOX", "/private/comment", b"one\r\n")
        seen = sync_cut(pair, job, ledger, at if cut_pass == 1 else 0)
        assert granted(pair.new, job.account) == {"bob": "lr", "eve": "lrs", "zoe": "l"}, f"cut after {at}"
        assert noted(pair.new, job.account, "/private/comment") == b"one\r\n", f"cut after {at}"
        grant(pair.old, job.account, "INBOX", {"bob": "", "eve": "l"})
        note(pair.old, job.account, "INBOX", "/private/comment", None)
        seen_then = sync_cut(pair, job, ledger, at if cut_pass == 2 else 0)
        assert granted(pair.new, job.account) == {"eve": "l", "zoe": "l"}, f"cut after {at}, then changed on old"
        assert noted(pair.new, job.account, "/private/comment") is None, f"cut after {at}, then changed on old"
        commands = commands if at else (seen, seen_then)[cut_pass - 1]
        at += 2 * killed + cut_pass if not at and not FULL else STEP


def sync_cut(pair: Pair, job: MailboxJob, ledger: Ledger, at: int) -> int:
    """A pass that is cut after a command (0: never), and another one if it ended with that; returns all commands."""
    pair.faults.arm(at or None)
    try:
        sync_mailbox(job, ledger)
    except sync.TransientError:
        sync_mailbox(job, ledger)
    commands = pair.faults.count
    pair.faults.arm(None)
    return commands
