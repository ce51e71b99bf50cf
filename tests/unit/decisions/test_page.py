"""The page as somebody reads it who has to decide: how far the mailbox is, what is proposed, what the buttons do."""

from collections.abc import Callable

import pytest
from bascule.decisions import page
from bascule.ledger import Ledger, mailboxes
from bascule.ledger.problems import AS_IT_IS, Option, Problem

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
