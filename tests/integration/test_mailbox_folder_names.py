"""Folder names that are mistaken for one another, that are badly written, or that hold the new server's separator."""

import dataclasses
import uuid

import pytest
from bascule.ledger import Ledger, journal, mailboxes
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.result import PassResult
from bascule.problems import forms, page, record, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import AnswerRefused, Choice

from tests.imap_relay import replacing
from tests.mail_servers import Dovecot
from tests.mailbox_states import Account

AUTHOR = record.Author("ann", "page", journal.Origin("problems", "test", "review", "postmaster"))
NFC, NFD = "R\N{LATIN SMALL LETTER E WITH ACUTE}unions", "Re\N{COMBINING ACUTE ACCENT}unions"


@pytest.fixture(scope="module")
def old(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    """The one with sdboxes, which takes what new, with Maildirs, does not."""
    return servers[1]


@pytest.fixture(scope="module")
def new(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[0]


class Mailbox:
    """One account on both servers."""

    def __init__(self, old: Dovecot, new: Dovecot, user: str, ledger: Ledger) -> None:
        self.old, self.new, self.user, self.ledger = old, new, user, ledger
        self.options = Options(verify="content")

    def sync(self) -> PassResult:
        return sync_mailbox(
            MailboxJob(self.user, self.old.server(self.user), self.new.server(self.user), self.options), self.ledger
        )

    def add(self, *folders: str) -> None:
        """A folder with one message each, on old."""
        fill(self.old.port, self.user, "/", *folders)

    def add_on_new(self, *folders: str) -> None:
        fill(self.new.port, self.user, ".", *folders)

    @property
    def problems(self) -> dict[str, Problem]:
        return {each.subject: each for each in store.problems(self.ledger, account=self.user)}

    def decide(self, subject: str, option: Option = Option.APPLY, **given: str) -> None:
        record.record(self.ledger, [Choice(self.problems[subject], option, given)], AUTHOR)

    @property
    def map(self) -> dict[str, str]:
        return mailboxes.folder_map(self.ledger, self.user)

    @property
    def on_new(self) -> dict[str, int]:
        """The folders that hold messages on new, with levels written with `/`."""
        with Account(self.new.port, self.user, ".") as account:
            return {folder: sum(found.values()) for folder, found in account.read().items() if found}


def fill(port: int, user: str, separator: str, *folders: str) -> None:
    with Account(port, user, separator) as account:
        for folder in folders:
            account.client.create(account.wire_name(folder))
            account.append(folder, "a")


@pytest.fixture
def box(old: Dovecot, new: Dovecot, ledger: Ledger) -> Mailbox:
    return Mailbox(old, new, f"u{uuid.uuid4().hex[:12]}", ledger)


@pytest.mark.parametrize(
    ("first", "second", "words", "proposal"),
    [
        ("Case", "case", "capital letters", "case (2)"),
        (NFC, NFD, "the way in which accents are stored", None),
        ("Notes", "Notes ", "spaces at its beginning or end", "Notes (2)"),
        (NFC, f"{NFD.upper()} ", "capital letters, spaces", None),
    ],
    ids=["case", "normal form", "space", "all"],
)
def test_of_two_that_are_mistaken_for_one_the_second_is_asked_about(
    box: Mailbox, first: str, second: str, words: str, proposal: str | None
) -> None:
    box.add(first, second)
    assert box.sync().copied == 1
    ((subject, problem),) = box.problems.items()
    assert problem.kind == "folder-name-alike" and words in problem.explanation
    assert {subject, problem.facts["like"]} == {first, second}
    if proposal:
        assert (subject, problem.proposal.name) == (second, proposal)
    box.decide(subject)
    assert (box.sync().problems, box.sync().copied) == (0, 0)
    assert box.map[subject] == problem.proposal.name
    assert sorted(box.on_new.values()) == [1, 1]


def test_who_has_a_name_keeps_it_whatever_comes_later(box: Mailbox) -> None:
    box.add("case")
    box.sync()
    box.add("Case", "CASE")
    box.sync()
    names = {subject: problem.proposal.name for subject, problem in box.problems.items()}
    assert names == {"CASE": "CASE (2)", "Case": "Case (3)"}
    box.sync()
    assert {subject: problem.proposal.name for subject, problem in box.problems.items()} == names
    box.decide("CASE")
    box.decide("Case")
    box.sync()
    box.add("CASe")
    box.sync()
    assert box.map == {"INBOX": "INBOX", "case": "case", "CASE": "CASE (2)", "Case": "Case (3)"}
    assert set(box.problems) == {"CASe"}


def test_names_that_are_too_long_for_new_are_cut_and_keep_a_mark_of_their_own_in_every_pass(box: Mailbox) -> None:
    above = "a" * 60
    first, second = (f"{above}/{'b' * 60}/{'é' * 60}{end}" for end in "12")
    box.add(first, second)
    box.sync()
    proposed = {subject: problem.proposal.name for subject, problem in box.problems.items()}
    assert proposed.keys() == {first, second} and len({*proposed.values()}) == 2
    assert all(name.startswith(f"{above}.{'b' * 60}.ééé") for name in proposed.values())
    box.sync()
    assert {subject: problem.proposal.name for subject, problem in box.problems.items()} == proposed
    box.decide(first)
    box.decide(second)
    assert (box.sync().problems, box.sync().copied) == (0, 0)
    assert {subject: box.map[subject] for subject in proposed} == proposed
    assert box.on_new == {name.replace(".", "/"): 1 for name in proposed.values()}


@pytest.mark.parametrize("above", [NFD, "b" * 90])
def test_a_proposal_leaves_a_folder_below_the_one_above_it(box: Mailbox, above: str) -> None:
    box.add(above, f"{above}/v1.2")
    box.sync()
    box.decide(f"{above}/v1.2")
    assert (box.sync().problems, box.sync().copied) == (0, 0)
    assert box.on_new == {above: 1, f"{above}/v1_2": 1}


def test_a_subscription_follows_the_new_name(box: Mailbox) -> None:
    box.add("Case", "case")
    with Account(box.old.port, box.user, "/") as account:
        account.client.subscribe("case")
    box.sync()
    box.decide("case")
    box.sync()
    with Account(box.new.port, box.user, ".") as account:
        subscribed = b" ".join(row for row in account.client.lsub()[1] if isinstance(row, bytes))
    assert b'"case (2)"' in subscribed


def test_what_lies_below_waits_and_goes_along(box: Mailbox) -> None:
    box.add("Case", "Case/x", "case", "case/y", "case/y/z")
    assert box.sync().copied == 2
    ((subject, problem),) = box.problems.items()
    waiting = {key: problem.details[key] for key in ("folders below it that wait", "messages that wait")}
    assert (subject, waiting) == ("case", {"folders below it that wait": 2, "messages that wait": 3})
    box.decide("case", name="Other")
    assert (box.sync().problems, box.sync().problems) == (0, 0)
    assert box.on_new == {"Case": 1, "Case/x": 1, "Other": 1, "Other/y": 1, "Other/y/z": 1}


def test_what_lies_below_a_folder_that_is_left_out_is_asked_about_by_name(box: Mailbox) -> None:
    box.add("v1.2", "v1.2/notes")
    box.sync()
    assert set(box.problems) == {"v1.2"}
    box.decide("v1.2", Option.LEAVE_OUT)
    box.sync()
    assert set(box.problems) == {"v1.2/notes"}
    assert box.problems["v1.2/notes"].proposal.name == "v1_2.notes"


def test_a_parent_that_holds_no_messages_counts_too(box: Mailbox) -> None:
    with Account(box.old.port, box.user, "/") as account:
        for name in ("Case/x", "case/y"):
            account.client.create(account.wire_name(name))
            account.append(name, "a")
    box.sync()
    ((subject, problem),) = box.problems.items()
    assert (subject, problem.proposal.name) == ("case/y", "case (2).y")


def test_a_folder_of_the_users_on_new_is_proposed_for_the_like_one(box: Mailbox) -> None:
    box.add_on_new("archives")
    box.add("Archives")
    box.sync()
    ((subject, problem),) = box.problems.items()
    assert (subject, problem.proposal.name, problem.facts["like"]) == ("Archives", "archives", "archives")
    box.decide(subject)
    assert (box.sync().problems, box.sync().copied) == (0, 0)
    assert box.on_new == {"archives": 1}  # the same message was there already


def test_a_name_can_be_carried_as_it_is_all_the_same(box: Mailbox) -> None:
    box.add("Case", "case")
    box.sync()
    assert box.problems["case"].details["as it is"] == "case"
    box.decide("case", name="case")
    assert (box.sync().problems, box.sync().problems) == (0, 0)
    assert box.on_new == {"Case": 1, "case": 1}


def test_names_that_the_sites_rules_make_equal_get_different_ones(box: Mailbox) -> None:
    box.options = Options(replace={".": "-"}, rename={"Old": "Good"})
    box.add("v1.2", "v1-2", "Good", "Old")
    box.sync()
    names = {subject: (problem.kind, problem.proposal.name) for subject, problem in box.problems.items()}
    assert names == {"v1.2": ("folder-name", "v1-2 (2)"), "Old": ("folder-name-alike", "Good (2)")}


def test_the_separator_of_new_inside_a_name_is_named_and_two_levels_can_be_chosen(box: Mailbox) -> None:
    box.add("v1.2", "a.b/c.d")
    box.sync()
    problem = box.problems["v1.2"]
    assert problem.details["separator"] == "."
    assert "the folder `v1` and in it `2`" in problem.explanation
    shown = page.text(box.ledger, box.user, [problem], None, 0)
    assert "separated by: ." in shown.replace("\\", "")
    (field,) = page.fields([problem], {}).values()
    assert "`.` separates levels" in field.description
    assert "separates the levels" in forms.refusal(problem, Option.APPLY, {"name": "v1.3"}, [])
    box.decide("v1.2", name="v1.2")
    box.decide("a.b/c.d", name="a-b.c-d")
    assert (box.sync().problems, box.sync().problems) == (0, 0)
    assert box.on_new == {"v1/2": 1, "a-b/c-d": 1}


def test_a_decided_name_is_looked_at_again_before_it_is_used(box: Mailbox) -> None:
    box.add("v1.2")
    box.sync()
    box.decide("v1.2", name="Plan")
    box.add("PLAN")
    box.options = Options(rename={"PLAN": "plan"})
    box.add_on_new("plan")
    assert box.sync().problems == 1
    problem = box.problems["v1.2"]
    assert "the name 'Plan' that was decided can't be used" in problem.explanation
    box.decide("v1.2", name="Plan 2")
    assert (box.sync().problems, box.sync().problems) == (0, 0)
    assert box.on_new == {"Plan 2": 1, "plan": 1}


def test_the_form_refuses_a_name_that_another_folder_has(box: Mailbox) -> None:
    box.add("Case", "case")
    box.sync()
    with pytest.raises(AnswerRefused, match="has this name already"):
        box.decide("case", name="CASE")


@pytest.mark.parametrize(
    ("listed", "meant", "shown", "proposal"),
    [
        (b"R&D", b"R&-D", "R\\x26D", "R&D"),
        (b"A&AOk-B&C", b"A&AOk-B&-C", "A\\x26AOk-B\\x26C", "AéB&C"),
    ],
)
def test_a_badly_written_name_is_shown_as_it_came_and_carried_under_the_one_that_was_meant(
    box: Mailbox, listed: bytes, meant: bytes, shown: str, proposal: str
) -> None:
    box.add(proposal, "ok")
    with replacing(box.old.port, from_server=((meant, listed),), to_server=((listed, meant),)) as port:
        box.old = dataclasses.replace(box.old, port=port)
        assert box.sync().copied == 1
        (problem,) = box.problems.values()
        assert (problem.kind, problem.subject) == ("folder-name-broken", shown)
        assert listed.decode() in problem.explanation
        assert problem.proposal.name == proposal
        box.decide(shown)
        assert (box.sync().problems, box.sync().copied) == (0, 0)
        assert box.map[shown] == proposal
    assert box.on_new == {"ok": 1, proposal: 1}


def test_a_server_that_makes_another_name_of_it_is_a_problem(box: Mailbox) -> None:
    box.add("NAME")
    with replacing(box.new.port, to_server=((b'"NAME"', b'"name"'),)) as port:
        box.new = dataclasses.replace(box.new, port=port)
        box.sync()
    (problem,) = box.problems.values()
    assert "it makes 'name' of it" in problem.explanation
    assert (problem.kind, problem.proposal.name) == ("folder-name", "NAME (2)")
