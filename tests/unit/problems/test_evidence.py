"""What the final report names, however many they are, and what the gate says when it names fewer."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from bascule.ledger import Ledger, calendars, filters, journal, phases
from bascule.ledger.calendars import ShareRow
from bascule.ledger.mailboxes import CHANGED, KEPT, FolderRow
from bascule.mailbox.folders.uids import BOTH_GAVE, OWN_MAIL
from bascule.problems import evidence, record
from bascule.problems.evidence import AT_THE_GATE, evidence_lines
from bascule.problems.model import Option, Problem
from bascule.problems.record import Choice

from tests.unit.problems.conftest import AUTHOR, ORIGIN

Report = Callable[..., Problem]
MANY = AT_THE_GATE + 2
NAMES = [f"a{number:03}" for number in range(MANY)]


@pytest.fixture
def much(ledger: Ledger, report: Report) -> Ledger:
    """More of everything that a person may look for by name than the gate shows."""
    refused = {"kind": "message-refused", "proposal": {"action": "leave out"}, "cause": "empty"}
    event = {"room": "calendar", "kind": "unreadable", "proposal": {"action": "leave_out"}}
    for name in NAMES:
        left_out = report(f"INBOX/{name}", account=name, **refused)
        broken = report(f"/dav/{name}.ics", account=name, title=f"Conseil {name}", place=f"work.ics, {name}", **event)
        record.record(ledger, [Choice(each, Option.APPLY) for each in (left_out, broken)], AUTHOR)
        record.record(ledger, [Choice(report(account=f"kept-{name}"), Option.KEEP_ON_OLD)], AUTHOR)
        report(account=f"open-{name}")
        with ledger.session() as session:
            filters.keep_original(session, name, "main", b"keep;", active=True)
            page = {"not_compared": "no mail", "answers_again": True, "vacation": "no record"}
            filters.set_report(session, name, "main", page)
        words = f"give {name} by hand"
        calendars.save_share(
            ledger, ShareRow(account=name, old_href="/x", who="p", roles=[], state="by_hand", words=words)
        )
        folder(ledger, name, "INBOX", uids=CHANGED, uids_reason=OWN_MAIL)
    after = {"accounts": MANY, "messages": 1, "fetch_anew": NAMES}
    journal.append(ledger, journal.Entry("note", "pop3", "uidls", ORIGIN, after=after))
    return ledger


def folder(ledger: Ledger, account: str, name: str, **given: object) -> None:
    with ledger.session() as session:
        session.add(FolderRow(account=account, old_name=name, old_hash=name, new_name=name, **given))


NAMED = [
    "downloaded anew: {}: INBOX",
    "left out for {}: message-refused: INBOX/{}:",
    "left out for {}: unreadable: Conseil {} (/dav/{}.ics, work.ics, {}):",
    "kept on old: kept-{}, by postmaster",
    "filters that could not be compared on own mail: {}: main: no mail",
    "vacation answers that may come a second time: {}: no record",
    "by hand: give {} by hand",
]


def test_the_final_report_names_everything(much: Ledger) -> None:
    lines = evidence_lines(much)
    for name in NAMES:
        for words in NAMED:
            assert [line for line in lines if line.startswith(words.format(*[name] * 4))], words
    assert [line for line in lines if line.startswith("open problems: ") and all(f"open-{n}" in line for n in NAMES)]
    assert [line for line in lines if line.startswith("POP3: ") and all(name in line for name in NAMES)]
    assert not [line for line in lines if evidence.REST in line]


def test_the_gate_says_how_many_it_does_not_name_and_where_all_of_them_stand(much: Ledger) -> None:
    lines = evidence_lines(much, AT_THE_GATE)
    for words in NAMED:
        assert len([line for line in lines if line.startswith(words.partition("{")[0])]) <= 2 * AT_THE_GATE + 1
    cut = [line for line in lines if evidence.REST in line]
    left_out = f"and {2 * MANY - AT_THE_GATE} more; all {2 * MANY} stand in this task's log, and in the final report"
    assert left_out in cut
    assert cut.count(f"and 2 more; all {MANY} stand in this task's log, and in the final report") == 5
    assert [line for line in cut if line.startswith("open problems: ") and "and 2 more" in line]
    assert [line for line in cut if line.startswith("POP3: ") and "and 2 more" in line]


def test_problems_of_one_cause_are_one_line(ledger: Ledger, report: Report) -> None:
    for uid in range(3):
        report(f"INBOX/{uid}", kind="message-refused", proposal={"action": "repair"}, cause="NUL", facts={"uid": uid})
    (line,) = evidence.problem_lines(ledger)
    assert "3 of one cause: INBOX/0, INBOX/1, INBOX/2" in line


def test_whose_mail_programs_download_what_anew_why_and_since_when(ledger: Ledger) -> None:
    ended = datetime(2026, 6, 27, 4, 30, tzinfo=UTC)
    for name in ("INBOX", "Sent", "Work"):
        folder(ledger, "anna", name, uids=KEPT)
    folder(ledger, "bert", "INBOX", uids=CHANGED, uids_reason=OWN_MAIL)
    folder(ledger, "bert", "Réunions", uids=CHANGED, uids_reason=OWN_MAIL)
    folder(ledger, "cleo", "INBOX", uids=CHANGED, uids_reason=BOTH_GAVE, uids_ended_at=ended)
    folder(ledger, "cleo", "not looked at yet", uids="")
    assert evidence.uids_lines(ledger) == [
        "UIDs: mail programs notice nothing of the move in 3 of 6 folders",
        f"UIDs: mail programs download 2 folder(s) of 1 account(s) anew: {OWN_MAIL}",
        "downloaded anew: bert: INBOX, Réunions",
        f"UIDs: mail programs download 1 folder(s) of 1 account(s) anew: {BOTH_GAVE}",
        "downloaded anew: cleo: INBOX (since 2026-06-27 04:30 UTC)",
    ]


def test_where_no_pass_has_looked_nothing_is_told_of_uids(ledger: Ledger) -> None:
    folder(ledger, "anna", "INBOX", uids="")
    assert evidence.uids_lines(ledger) == []


def accounted_for(ledger: Ledger, accepted: int) -> None:
    known = {"counts": {"accepted": accepted, "delivered": accepted}, "unaccounted": [], "gaps": []}
    journal.append(ledger, journal.Entry("note", "mail", "accounted for", ORIGIN, after=known))


def test_mail_of_a_night_that_was_rolled_back_is_not_told_as_the_next_one_s(ledger: Ledger) -> None:
    told = "mail accepted at the MX since the freeze: {0} ({0} delivered)"
    phases.mark(ledger, "freeze", "started", ORIGIN)
    accounted_for(ledger, 512)
    phases.mark(ledger, "rollback", "finished", ORIGIN)
    assert evidence.mail_lines(ledger) == [told.format(512)]
    phases.mark(ledger, "freeze", "started", ORIGIN)
    assert evidence.mail_lines(ledger) == ["mail accepted at the MX was not accounted for"]
    accounted_for(ledger, 7)
    assert evidence.mail_lines(ledger) == [told.format(7)]
