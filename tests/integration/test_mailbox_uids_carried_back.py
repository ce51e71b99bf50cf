"""After a rollback no UID means another message on old than programs have seen under it on new."""

import contextlib
import os
import uuid

import pytest
from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import CHANGED, KEPT
from bascule.mailbox import MailboxJob, Options, TransientError, sync_mailbox
from bascule.mailbox.carry_back import GAVE_OTHERS, carry_back

from tests.imap_relay import Faults, relay
from tests.kept_uids import deliver, lay_out, remove, shown
from tests.mail_servers import Dovecot
from tests.mailbox_cases import CutDoveadm, Pair

STEP = 1 if os.environ.get("BASCULE_TEST_DEPTH") == "full" else 3


@pytest.fixture(scope="module")
def old(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[0]


@pytest.fixture(scope="module")
def new(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[1]


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


def gone_over(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> MailboxJob:
    """3 and 4 are on both sides, under old's UIDs."""
    lay_out(old, user, "", [3, 4], uidvalidity=77)
    job = MailboxJob(user, old.server(user), new.server(user), doveadm=new.doveadm(user))
    sync_mailbox(job, ledger)
    return job


def came_to_new(new: Dovecot, user: str, subjects: str, gone: str = "") -> None:
    for subject in subjects.split():
        deliver(new, user, subject)
    if gone:
        remove(new, user, gone)


def uids(ledger: Ledger, user: str) -> str:
    with ledger.reading() as session:
        return mailboxes.folders_of(session, user)[0].uids


@pytest.mark.parametrize(
    ("subjects", "gone", "on_old", "uidnext"),
    [
        ("A B", "5", {6: "B"}, 7),
        ("A B C D E", "5,7,9", {6: "B", 8: "D"}, 10),
        ("A B C", "6", {5: "A", 7: "C"}, 8),
        ("A B", "5,6", {}, 7),
    ],
    ids=["the first is gone", "gaps and the last", "one between", "all are gone"],
)
def test_what_is_carried_back_has_its_uid_from_new_and_no_other_uid_of_new_is_given(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str,
    subjects: str, gone: str, on_old: dict[int, str], uidnext: int,
) -> None:  # fmt: skip
    job = gone_over(old, new, ledger, user)
    came_to_new(new, user, subjects, gone)
    done = carry_back(job, ledger, old.doveadm(user))
    assert (done.copied, done.mixed_up) == (len(on_old), {})
    after = shown(old, user)
    assert (after.uidvalidity, after.messages) == (77, {3: "3", 4: "4", **on_old})
    assert after.uidnext == uidnext
    deliver(old, user, "later")
    assert shown(old, user).messages[uidnext] == "later"
    sync_mailbox(job, ledger)
    assert uids(ledger, user) == KEPT
    assert shown(new, user) == shown(old, user)


def test_a_message_whose_uid_old_gives_no_more_gets_one_that_new_has_never_given(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str
) -> None:
    job = gone_over(old, new, ledger, user)
    old.doveadm(user)().update(b"INBOX", uidnext=6)
    came_to_new(new, user, "A B C", gone="7")
    done = carry_back(job, ledger, old.doveadm(user))
    assert (done.copied, done.mixed_up) == (2, {})
    assert shown(old, user).messages == {3: "3", 4: "4", 6: "B", 8: "A"}
    sync_mailbox(job, ledger)
    assert uids(ledger, user) == CHANGED, "programs download it anew from new, and mix nothing up"


def test_a_folder_is_named_in_which_old_has_given_the_same_uid_to_another_message(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str
) -> None:
    job = gone_over(old, new, ledger, user)
    deliver(old, user, "own")
    came_to_new(new, user, "A B")
    assert carry_back(job, ledger, old.doveadm(user)).mixed_up == {"INBOX": GAVE_OTHERS}
    assert shown(old, user).messages == {3: "3", 4: "4", 5: "own", 6: "B", 7: "A"}


def test_a_dry_run_raises_nothing(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> None:
    job = gone_over(old, new, ledger, user)
    came_to_new(new, user, "A B", gone="5")
    before = shown(old, user)
    assert carry_back(job, ledger, None, dry_run=True).copied == 1
    assert shown(old, user) == before


@pytest.mark.parametrize(
    ("gone", "mixed"), [("5", True), ("7", True), ("", False)], ids=["another's UID", "the next one's", "the same"]
)
def test_where_old_takes_no_commands_the_folders_are_named_in_which_uids_mean_other_messages(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, gone: str, mixed: bool
) -> None:
    job = gone_over(old, new, ledger, user)
    came_to_new(new, user, "A B C", gone)
    done = carry_back(job, ledger, None)
    assert done.copied == 3 - mixed
    assert done.mixed_up == ({"INBOX": "Bascule knows no way to command it"} if mixed else {})


def test_interrupted_after_every_command_it_ends_the_same(old: Dovecot, new: Dovecot, ledger: Ledger) -> None:
    faults = Faults()
    with relay(old.port, faults) as old_port, relay(new.port, faults) as new_port:
        pair = Pair(old, new, old_port, new_port, faults)
        commands = one_run(pair, ledger, None)
        for at in range(1, commands + 1, STEP):
            one_run(pair, ledger, at)


def one_run(pair: Pair, ledger: Ledger, at: int | None) -> int:
    """How many commands it takes."""
    user = f"u{uuid.uuid4().hex[:12]}"
    gone_over(pair.old, pair.new, ledger, user)
    came_to_new(pair.new, user, "A B C D E", gone="5,7,9")
    job, opened = pair.job(user, Options()), pair.old.doveadm(user)
    pair.faults.arm(at)
    with contextlib.suppress(TransientError):
        carry_back(job, ledger, lambda: CutDoveadm(opened(), pair.faults))  # type: ignore[arg-type,return-value]
    count = pair.faults.count
    pair.faults.arm(None)
    assert carry_back(job, ledger, opened).mixed_up == {}
    after = shown(pair.old, user)
    assert (after.uidnext, after.messages) == (10, {3: "3", 4: "4", 6: "B", 8: "D"}), f"cut after command {at}"
    return count
