"""POP3 UIDLs: which message has which, what is written for it, and when nothing is."""

import os
import struct
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.ledger import Ledger, journal, leases, moves, phases
from bascule.ledger.mailboxes import FolderRow, add_runs
from bascule.ledger.moves import State
from bascule.pop3 import carry, listing
from bascule.pop3.carry import Carried, carry_uidls, wanted_uidls
from bascule.pop3.listing import ListingFailed
from bascule.pop3.usage import _is_ours
from bascule.problems.evidence import evidence_lines, pop3_lines
from bascule.remote import pop3_uidls
from bascule.site import PopPart
from bascule.tasks.pop3 import carry_uidls as task_carry_uidls
from bascule.tasks.pop3 import tell_who_fetches_anew, tell_who_fetches_anew_after_a_move
from bascule.tasks.run import Run

from tests.unit.changes.fakes import SITE, FakeAccess

MESSAGE = b"2 M1e C1\n\x01\x02N          0000000000000005\nHello\n\x01\x03\nR1\nV5\nGabc\n\n"


def ledger_with_inbox(tmp_path: Path, *, old: int, new: int) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.session() as session:
        folder = FolderRow(
            account="ada", old_name="INBOX", old_hash="x", new_name="INBOX", old_uidvalidity=old, new_uidvalidity=new
        )
        session.add(folder)
        session.flush()
        add_runs(session, folder.id, [(1, 11, 2, "copied"), (5, 13, 1, "repaired")])
    return ledger


def test_a_message_on_new_gets_the_uidl_that_it_has_on_old(tmp_path: Path) -> None:
    ledger = ledger_with_inbox(tmp_path, old=1, new=2)
    assert wanted_uidls(ledger, "ada", {1: "a", 2: "b", 3: "gone", 5: "e"}) == {11: "a", 12: "b", 13: "e"}


def test_uidls_that_new_mail_will_have_are_refused(tmp_path: Path) -> None:
    ledger = ledger_with_inbox(tmp_path, old=0x6B037B0C, new=0x6B037B0C)
    assert wanted_uidls(ledger, "ada", {1: "by-name"}) == {11: "by-name"}
    with pytest.raises(ListingFailed, match="UIDVALIDITY"):
        wanted_uidls(ledger, "ada", {1: "000000016b037b0c"})


def test_the_uidl_stands_in_the_metadata_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "u.1"
    path.write_bytes(MESSAGE)
    os.utime(path, (1, 1))
    assert pop3_uidls.mark(str(path), "0001-x")
    assert path.read_bytes() == MESSAGE[:-1] + b"P0001-x\n\n"
    assert path.stat().st_mtime == 1
    assert pop3_uidls.mark(str(path), "0001-x") is False
    assert [found.name for found in tmp_path.iterdir()] == ["u.1"]


def test_who_has_moved_alone_keeps_the_uidls_that_its_program_knows_by_now(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = SITE.model_copy(update={"mailboxes": SITE.mailboxes.model_copy(update={"pop3": PopPart(accounts="all")})})
    monkeypatch.setattr(carry, "_one", lambda access, ledger, part, account, *_: Carried(account, 1, 0))
    moves.note(ledger, moves.begin(ledger, "zoe", "new", {}, "run-1"), State.DONE)
    assert [each.account for each in carry_uidls(FakeAccess(site), ledger, ["ada", "zoe"], "task")] == ["ada"]


def test_a_mailbox_that_another_run_holds_fails_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    site = SITE.model_copy(update={"mailboxes": SITE.mailboxes.model_copy(update={"pop3": PopPart(accounts="all")})})
    monkeypatch.setattr(carry, "_carry", lambda access, ledger, part, account, dry_run: Carried(account, 1, 0))
    with leases.lease(ledger, "zoe", "another run"):
        found = carry_uidls(FakeAccess(site), ledger, ["ada", "zoe"], "task")
    assert [(each.account, each.kept, "another run" in each.reason) for each in found] == [
        ("ada", 1, False),
        ("zoe", 0, True),
    ]


@pytest.mark.parametrize("data", [b"", b"no metadata\n\n", MESSAGE[:-1], MESSAGE[:-2] + b"\nnot a key\n\n"])
def test_a_file_that_is_not_as_dovecot_writes_it_is_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "u.1"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="sdbox"):
        pop3_uidls.mark(str(path), "x")
    assert path.read_bytes() == data


def test_another_uidl_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "u.1"
    path.write_bytes(MESSAGE[:-1] + b"Pmine\n\n")
    with pytest.raises(ValueError, match="mine already"):
        pop3_uidls.mark(str(path), "x")


def test_the_index_is_told_in_records_that_end_where_they_say(tmp_path: Path) -> None:
    log = tmp_path / "dovecot.index.log"
    header = struct.pack("<BBHI", 1, 3, 40, 7) + b"\0" * 32
    log.write_bytes(header)
    pop3_uidls.tell_index(str(tmp_path), 300)
    records, kinds = log.read_bytes()[len(header) :], []
    while records:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(records[:4], (21, 14, 7, 0), strict=True)) << 2
        kinds.append(struct.unpack("<I", records[4:8])[0] & 0xFFF)
        records = records[size:]
    assert kinds == [pop3_uidls.INTRO, pop3_uidls.HEADER_UPDATE] * 2


@pytest.mark.parametrize("header", [struct.pack("<BBHI", 2, 0, 40, 7), struct.pack("<BBHI", 1, 3, 40, 0)])
def test_a_log_of_another_version_or_a_broken_one_is_left_alone(tmp_path: Path, header: bytes) -> None:
    log = tmp_path / "dovecot.index.log"
    log.write_bytes(header + b"\0" * 32)
    with pytest.raises(ValueError, match="version"):
        pop3_uidls.tell_index(str(tmp_path), 1)
    assert log.read_bytes() == header + b"\0" * 32


def test_logins_from_where_the_copy_runs_are_our_own() -> None:
    import ipaddress

    ours = [ipaddress.ip_network("198.51.100.1/32")]
    assert _is_ours(", method=PLAIN, rip=198.51.100.1, lip=198.51.100.11", list(ours))
    assert not _is_ours(", method=PLAIN, rip=198.51.100.19, lip=198.51.100.11", list(ours))
    assert not _is_ours(", method=PLAIN", list(ours))


def test_the_report_says_whose_programs_fetch_everything_once_more(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert pop3_lines(ledger) == []
    after = {"accounts": 3, "messages": 70, "anew": 2, "fetch_anew": {"bert": "why", "a<b": "why"}}
    journal.append(ledger, journal.Entry("note", "pop3", "UIDLs carried", journal.Origin("transfer"), after=after))
    assert pop3_lines(ledger) == [
        "POP3: 70 messages have the UIDLs that they had on old (3 account(s) looked at)",
        "POP3: 2 account(s) fetch their whole INBOX once more (a<b, bert)",
    ]
    assert set(pop3_lines(ledger)) < set(evidence_lines(ledger))


def transferred(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *found: Carried) -> None:
    """A transfer for these accounts, which found this."""
    site = SITE.model_copy(update={"mailboxes": SITE.mailboxes.model_copy(update={"pop3": PopPart(accounts="all")})})
    monkeypatch.setattr("bascule.tasks.accounts.names", lambda run: [each.account for each in found])
    monkeypatch.setattr("bascule.tasks.pop3.carry_all", lambda *_, **__: [*found])
    task_carry_uidls(Run(site, FakeAccess(site), ledger, journal.Origin("transfer")))


ALL_THREE = (Carried("ada", 30, 0), Carried("bert", 40, 2, "why"), Carried("zoe", 50, 0))


def told_by(ledger: Ledger) -> tuple[str, str]:
    kept, anew = pop3_lines(ledger)
    return kept.removeprefix("POP3: "), anew.removeprefix("POP3: ")


def test_a_second_transfer_for_one_account_adds_to_what_the_first_one_found(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "account(s) fetch their whole INBOX once more"
    phases.mark(ledger, "freeze", "started", journal.Origin("freeze"))
    transferred(ledger, monkeypatch, *ALL_THREE)
    transferred(ledger, monkeypatch, Carried("zoe", 51, 0))
    assert told_by(ledger) == (
        "121 messages have the UIDLs that they had on old (3 account(s) looked at)",
        f"1 {words} (bert)",
    )
    transferred(ledger, monkeypatch, Carried("bert", 42, 0))
    assert told_by(ledger)[1] == f"0 {words}"
    phases.mark(ledger, "freeze", "started", journal.Origin("freeze"))
    transferred(ledger, monkeypatch, Carried("ada", 0, 30, "why"))
    assert told_by(ledger) == (
        "93 messages have the UIDLs that they had on old (3 account(s) looked at)",
        f"1 {words} (ada)",
    )


def test_who_stays_on_old_by_decision_since_is_no_longer_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    transferred(ledger, monkeypatch, *ALL_THREE)
    monkeypatch.setattr("bascule.problems.store.kept_on_old", lambda ledger: {"bert": "a decision"})
    assert told_by(ledger) == (
        "80 messages have the UIDLs that they had on old (2 account(s) looked at)",
        "0 account(s) fetch their whole INBOX once more",
    )


def test_a_day_that_was_rolled_back_tells_nothing_of_the_next_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    transferred(ledger, monkeypatch, *ALL_THREE)
    phases.mark(ledger, "rollback", "finished", journal.Origin("rollback"))
    assert pop3_lines(ledger) == []
    transferred(ledger, monkeypatch, Carried("ada", 31, 0))
    kept, anew = told_by(ledger)
    assert (kept.partition(" ")[0], anew.partition(" ")[0]) == ("31", "0")


def test_notes_of_an_older_bascule_name_only_who_fetches_anew_and_are_read_all_the_same(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in (
        {"accounts": 3, "messages": 120, "anew": 2, "fetch_anew": {"bert": "why", "cleo": "why"}},
        {"accounts": 1, "messages": 9, "anew": 0, "fetch_anew": {}},
    ):
        journal.append(ledger, journal.Entry("note", "pop3", "UIDLs carried", journal.Origin("transfer"), after=after))
    assert told_by(ledger) == (
        "9 messages have the UIDLs that they had on old (1 account(s) looked at)",
        "2 account(s) fetch their whole INBOX once more (bert, cleo)",
    )
    transferred(ledger, monkeypatch, Carried("bert", 42, 0), Carried("dora", 8, 1, "why"))
    assert told_by(ledger) == (
        "50 messages have the UIDLs that they had on old (2 account(s) looked at)",
        "2 account(s) fetch their whole INBOX once more (cleo, dora)",
    )


@pytest.mark.parametrize(("formats", "told"), [(("%08Xu%08Xv", "%08Xu%08Xv"), []), (("%08Xu%08Xv", "%g"), ["ada"])])
def test_who_fetches_anew_after_a_move_is_named_where_the_formats_differ(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, formats: tuple[str, str], told: list[str]
) -> None:
    access = FakeAccess()
    for host, format in zip(("old", "new"), formats, strict=True):
        access.remote(host).answers["doveconf"] = format + "\n"
    monkeypatch.setattr("bascule.pop3.usage.recent_users", lambda _: ["ada", "who does not move"])
    run = Run(access.site, access, ledger, journal.Origin("move"))
    assert tell_who_fetches_anew_after_a_move(replace(run, dry_run=True), ["ada", "bert"]) == told
    assert journal.entries(ledger) == []
    assert tell_who_fetches_anew_after_a_move(run, ["ada", "bert"]) == told
    assert pop3_lines(ledger) == [], "it has not moved yet"
    moves.note(ledger, moves.begin(ledger, "ada", "new", {}, "run"), moves.State.DONE)
    line = "POP3: 1 account(s) that moved on their own fetch their whole INBOX once more (ada)"
    assert pop3_lines(ledger) == [line] * len(told)
    after = {"accounts": 3, "messages": 70, "anew": 0, "fetch_anew": {}}
    journal.append(ledger, journal.Entry("note", "pop3", "UIDLs carried", journal.Origin("transfer"), after=after))
    assert pop3_lines(ledger)[2:] == [line] * len(told), "beside those of the night"


def test_without_the_section_who_uses_pop3_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setattr("bascule.pop3.usage.recent_users", lambda _: ["ada"])
    run = Run(None, None, ledger, journal.Origin("transfer"), dry_run=False, selection="all")  # type: ignore[arg-type]
    assert tell_who_fetches_anew(run)["anew"] == 1
    assert "1 account(s) fetch their whole INBOX once more (ada)" in pop3_lines(ledger)[1]


@pytest.mark.parametrize(
    ("listed", "uidls", "found"),
    [
        ([b"1 10", b"2 20 more"], [b"1 a", b"2 b"], [("a", 10), ("b", 20)]),
        ([b"1 10", b"2 20"], [b"2 b", b"1 a"], [("a", 10), ("b", 20)]),
        ([b"1 10", b"2 20"], [b"1 a", b"3 b"], None),
        ([b"1 many"], [b"1 a"], None),
        ([b"1"], [b"1 a"], None),
        ([b"1 10"], [b"1"], None),
        ([b""], [b"1 a"], None),
    ],
)
def test_each_size_goes_with_the_uidl_of_its_message(
    listed: list[bytes], uidls: list[bytes], found: list[tuple[str, int]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = SimpleNamespace(list=lambda: (b"+OK", listed, 0), uidl=lambda: (b"+OK", uidls, 0))
    monkeypatch.setattr(listing, "_pop3", lambda *_: nullcontext(said))
    server: Any = SimpleNamespace(endpoint=SimpleNamespace(host="old"))
    if found is not None:
        assert [(each.uidl, each.size) for each in listing.list_by_pop3(server, 110)] == found
        return
    with pytest.raises(ListingFailed, match="POP3 at old:110: the answers to LIST and UIDL are not as RFC 1939 wants"):
        listing.list_by_pop3(server, 110)
