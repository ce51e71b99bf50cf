"""A look sees everything that a pass would have something to do about, on real servers. It changes nothing."""

from collections.abc import Callable, Iterator

import pytest
from bascule.mailbox.look import look_at
from bascule.problems import store
from bascule.problems.model import Problem

from tests.imap_places import Box
from tests.mailbox_states import Account, parse

STATE = "INBOX: a b/S; Sent: c; Sent/2020: d; Old:"
Act = Callable[[Account], None]


def state(notation: str) -> Act:
    return lambda account: account.make(parse(notation))


def command(name: str, *folders: str) -> Act:
    def act(account: Account) -> None:
        account._ok(getattr(account.client, name)(*(account.wire_name(folder) for folder in folders)))

    return act


CHANGES: dict[str, Act] = {
    "a message came": state("INBOX: a b/S e; Sent: c; Sent/2020: d; Old:"),
    "a message is gone": state("INBOX: a; Sent: c; Sent/2020: d; Old:"),
    "a flag was set": state("INBOX: a/F b/S; Sent: c; Sent/2020: d; Old:"),
    "a flag was taken away": state("INBOX: a b; Sent: c; Sent/2020: d; Old:"),
    "a keyword was set": state("INBOX: a b/S+work; Sent: c; Sent/2020: d; Old:"),
    "one came and one is gone": state("INBOX: e b/S; Sent: c; Sent/2020: d; Old:"),
    "a folder was removed": command("delete", "Old"),
}
ON_OLD_ALONE: dict[str, Act] = {
    "a folder was made": command("create", "New"),
    "a folder was renamed": command("rename", "Old", "Ancient"),
    "a folder was subscribed": command("subscribe", "Old"),
}


@pytest.fixture
def carried(box: Box) -> Iterator[Box]:
    """A mailbox that a pass has verified, and that a look has found unchanged."""
    box.fill(STATE)
    box.sync()
    assert look_at(box.job(), box.ledger).reason == ""
    yield box


def see_it(box: Box) -> None:
    """The look sees it and changes nothing; after the next pass nothing is left to be seen."""
    before = box.read_new()
    assert look_at(box.job(), box.ledger).reason
    assert box.read_new() == before
    assert box.sync().problems == 0
    assert look_at(box.job(), box.ledger).reason == ""


@pytest.mark.parametrize("change", CHANGES | ON_OLD_ALONE)
def test_it_sees_what_was_done_on_old(carried: Box, change: str) -> None:
    with carried.on_old() as account:
        (CHANGES | ON_OLD_ALONE)[change](account)
    see_it(carried)


@pytest.mark.parametrize("change", CHANGES)
def test_it_sees_what_was_done_on_new(carried: Box, change: str) -> None:
    with carried.on_new() as account:
        CHANGES[change](account)
    see_it(carried)


def test_a_mailbox_without_a_finished_pass_needs_one(box: Box) -> None:
    box.fill(STATE)
    assert look_at(box.job(), box.ledger).reason == "no pass has ended yet"


def test_a_mailbox_about_which_a_person_is_asked_needs_one(carried: Box) -> None:
    with carried.ledger.session() as session:
        store.report(session, Problem(carried.user, "mailbox", "folder-name", "~x", "", facts={"folder": "~x"}))
    assert "a person is asked" in look_at(carried.job(), carried.ledger).reason


def test_servers_that_count_no_changes_are_never_believed(carried: Box) -> None:
    carried.without = frozenset({"CONDSTORE", "QRESYNC"}), frozenset()
    assert "something has changed" in look_at(carried.job(), carried.ledger).reason


def test_a_server_that_lets_nobody_in_is_a_reason(carried: Box) -> None:
    carried.old_port = 1
    assert look_at(carried.job(), carried.ledger).reason.startswith("it can't be looked at: ")


def test_a_subscription_taken_back_on_new_stays_so(carried: Box) -> None:
    with carried.on_old() as account:
        ON_OLD_ALONE["a folder was subscribed"](account)
    carried.sync()
    with carried.on_new() as account:
        command("unsubscribe", "Old")(account)
    carried.sync()
    with carried.on_new() as account:
        assert not [line for line in account.client.lsub()[1] if line and b"Old" in line]
