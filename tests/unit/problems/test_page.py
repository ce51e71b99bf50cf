"""The page as somebody reads it who has to decide: how far the mailbox is, what is proposed, what the buttons do."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from bascule.ledger import Ledger, mailboxes
from bascule.problems import page
from bascule.problems.model import AS_IT_IS, Do, Option, Problem

Report = Callable[..., Problem]


def read(ledger: Ledger, *found: Problem) -> str:
    """The page's text as it is shown."""
    return page.text(ledger, "anna", found, None, 0).replace("\\", "")


@pytest.mark.parametrize(
    ("room", "kind", "words"),
    [
        ("mailbox", "folder-name", "Everything else of **anna** has been copied"),
        ("sieve", "filter never ran", "Everything else of **anna** has been copied"),
        ("mailbox", "quota", "waits for space on the new server: the rest is not copied"),
        ("account", "login-refused", "can't be reached: nothing of it was copied now"),
    ],
)
def test_it_begins_with_how_far_the_mailbox_is(
    ledger: Ledger, report: Report, room: str, kind: str, words: str
) -> None:
    with ledger.session() as session:
        mailboxes.set_mailbox(session, "anna", "problems", folders=3, messages=40)
    assert words in read(ledger, report(room=room, kind=kind, proposal={"action": "look again"})).splitlines()[0]


def test_it_says_what_each_button_does(ledger: Ledger, report: Report) -> None:
    buttons = read(ledger, report()).partition("What the buttons do")[2]
    assert all(f"- **{option.value}**: " in buttons for option in Option)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("repair", "as an attachment, untouched"),
        ("accept", "leave it on the new server as it is there"),
        ("drop", "without this mark"),
        ("leave out", "leave it out"),
        ("look again", "mend it by hand, then let Bascule look again"),
        ("raise the quota", "raise the quota on the new server (bytes: 17)"),
    ],
)
def test_a_proposal_is_a_sentence(ledger: Ledger, report: Report, action: str, words: str) -> None:
    values = {"bytes": 17} if action == "raise the quota" else {}
    shown = read(ledger, report(kind="message-refused", proposal={"action": action, **values}))
    assert words in shown.partition("Proposal: ")[2].splitlines()[0]


def test_a_message_is_named_by_what_people_know_of_it(ledger: Ledger, report: Report) -> None:
    facts = {"folder": "INBOX.Été", "message_id": "<1@x>", "from": "eve@x", "subject": "Budget", "sent": "1 May 2019"}
    shown = read(ledger, report("INBOX.Été/7", kind="message-refused", facts={**facts, "size": 12}))
    assert "Message-Id: &lt;1@x&gt;; from: eve@x; subject: Budget; sent: 1 May 2019; bytes: 12" in shown
    assert "folder: INBOX.Été" in shown


def test_what_to_write_to_carry_a_folder_as_it_is_stands_beside_it(ledger: Ledger, report: Report) -> None:
    shown = read(ledger, report("v1.2", details={"separator": ".", AS_IT_IS: "v1.2", "messages that wait": 9}))
    assert "to carry it as it is, write: v1.2" in shown and "messages that wait: 9" in shown


CAUSE = {"kind": "message-refused", "proposal": {"action": "repair"}, "cause": "NUL"}
BESIDE = {"kind": "filter changed on new", "room": "sieve", "proposal": {"action": "keep both", "do": "put beside"}}


def test_one_cause_is_one_question(ledger: Ledger, report: Report) -> None:
    found = [report(f"INBOX/{uid}", facts={"subject": f"Budget {uid}"}, **CAUSE) for uid in range(1, 15)]
    report("INBOX/1", account="bert", **CAUSE)
    other = report("INBOX/15", **{**CAUSE, "cause": "8-bit"})
    shown = read(ledger, *found, other)
    assert (
        "1. **Message that the new server refuses**: 14 of one cause: INBOX/1 (Budget 1), INBOX/2 (Budget 2)," in shown
    )
    assert "and 4 more\n" in shown and "2. **Message that the new server refuses**: INBOX/15\n" in shown
    assert shown.count("The same cause stands in 1 other mailbox(es): `make decide` takes one answer") == 1


def test_one_answer_is_for_all_of_one_cause_and_for_nothing_else(report: Report) -> None:
    found = [report(name, cause="same rules", **BESIDE) for name in ("main", "work")]
    found.append(report("other", **BESIDE))
    assert list(page.fields(found, {})) == ["1.do", "3.do"]
    answers = {"1.do": "overwrite", "3.do": "put beside"}
    chosen = [each.chosen.do for each in page.choices(found, Option.APPLY, answers)]
    assert chosen == [Do.OVERWRITE, Do.OVERWRITE, Do.PUT_BESIDE]


def test_what_was_decided_meanwhile_takes_no_part_in_the_answer_of_its_question(report: Report) -> None:
    first, second = (report(name, cause="same rules", **BESIDE) for name in ("main", "work"))
    found = [replace(first, state="decided"), second]
    (choice,) = page.choices(found, Option.APPLY, {"1.do": "overwrite"})
    assert (choice.problem, choice.chosen.do) == (second, Do.OVERWRITE)


def test_a_page_takes_as_many_questions_however_many_problems_they_are(report: Report) -> None:
    many = [report(f"INBOX/{uid}", **CAUSE) for uid in range(page.SHOWN_AT_ONCE + 1)]
    assert page.shown(many) == many


def test_new_names_are_never_one_question(report: Report) -> None:
    found = [report(name, cause="the separator", proposal={"action": "rename", "name": "x"}) for name in ("~a", "~b")]
    assert len(page.fields(found, {})) == 2


def test_a_thing_is_called_as_its_owner_calls_it(ledger: Ledger, report: Report) -> None:
    event = report("/dav/anna/1f3a.ics", title="Conseil", place="calendar Agenda, work.ics line 812", **CAUSE)
    assert "Conseil (calendar Agenda, work.ics line 812)" in read(ledger, event)
