"""One account moves, and back, while its user works through the proxy and numbered mail comes; killed at every act."""

import smtplib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import ldap3
import pytest
from bascule.checks.preflight.run import preflight_of_moves
from bascule.hosts.access import Access
from bascule.hosts.postfix import queue
from bascule.ledger import Ledger, journal, moves
from bascule.ledger.moves import Server
from bascule.moves.acts import SiteActs
from bascule.moves.entry import Entry
from bascule.tasks import move
from bascule.tasks.run import Run

from tests.integration.busy_account import Found, Program, Sender, read, wait_for
from tests.integration.conftest import Lab
from tests.integration.directory_entries import administrator, dn_of, remove
from tests.integration.test_lab import trusted_by

ACCOUNT = "voyage"
ADDRESS = "Zoe.Voyage@obs.test"
ACTS = ("hold", "wait_until_quiet", "flip", "kick", "carry", "release", "prove")
OUTAGE_SECONDS, DELAY_SECONDS = 15.0, 60.0  # of one move on a busy machine; what was seen stands in docs/moves.md


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
def trusted(lab: Lab) -> ssl.SSLContext:
    return trusted_by(lab)


@pytest.fixture
def traveller(lab: Lab) -> Iterator[str]:
    """An account on old with an empty mailbox."""
    attributes = {
        "cn": "Zoé Voyage", "sn": "Voyage", "mail": ADDRESS, "mailLocalAddress": ADDRESS,
        "mailRoutingAddress": f"{ACCOUNT}@old.obs.test", "mailHost": "old.obs.test",
        "userPassword": lab.secrets.password_of(ACCOUNT),
    }  # fmt: skip
    with administrator(lab) as directory:
        clean(lab, directory)
        classes = ["inetOrgPerson", "inetLocalMailRecipient"]
        assert directory.add(dn_of(ACCOUNT), classes, attributes), directory.result
        yield ACCOUNT
        clean(lab, directory)


def clean(lab: Lab, directory: ldap3.Connection) -> None:
    remove(directory, [ACCOUNT])
    for host in ("old", "new"):
        lab.ssh(host, f"doveadm kick {ACCOUNT} || true; rm -rf /srv/mail/{ACCOUNT}")


@pytest.fixture
def run(lab: Lab, access: Access, ledger: Ledger) -> Run:
    return Run(lab.site, access, ledger, journal.Origin("move", "run-1", "account.move[0]", "anna"))


@pytest.fixture
def look(lab: Lab, trusted: ssl.SSLContext) -> Callable[[str], Found]:
    return lambda host: read(f"{host}.obs.test", ACCOUNT, lab.secrets.password_of(ACCOUNT), trusted)


@pytest.fixture
def program(lab: Lab, trusted: ssl.SSLContext) -> Program:
    return Program(ACCOUNT, lab.secrets.password_of(ACCOUNT), trusted)


def assert_nothing_lost_or_doubled(found: Found, sender: Sender, program: Program) -> None:
    told = {name for name in program.saved if name not in program.expunged} - program.uncertain
    assert {name: found.times[name] for name in [*sender.accepted, *told] if found.times[name] != 1} == {}
    assert [name for name in program.expunged if found.times[name]] == []
    assert (program.flagged & told) - found.flagged == set()
    assert [name for name in program.uncertain if found.times[name] > 1] == []


def assert_nobody_is_held(lab: Lab, run: Run) -> None:
    assert "mailHold" not in lab.ssh(
        "ldap", "ldapsearch", "-QLLL", "-Y", "EXTERNAL", "-H", "ldapi:///", "-b", dn_of(ACCOUNT)
    )
    assert moves.all_under_way(run.ledger) == []


def test_a_busy_user_moves_and_back_and_nothing_is_lost_or_doubled(
    lab: Lab, run: Run, traveller: str, program: Program, look: Callable[[str], Found]
) -> None:
    with Sender(ADDRESS) as sender, program:
        wait_for(lambda: len(program.saved) > 20 and len(sender.accepted) > 5, "the programs work")
        assert move.move(run, traveller, "new", 0) == "moved"
        at_the_flip, saved = len(sender.accepted), len(program.saved)
        wait_for(lambda: len(sender.accepted) > at_the_flip + 5 and len(program.saved) > saved + 10, "they go on")
    wait_for(lambda: not (sender.accepted.keys() - look("new").times.keys()), "all mail has arrived")
    found = look("new")
    assert_nothing_lost_or_doubled(found, sender, program)
    assert_nobody_is_held(lab, run)
    outage, delay = max(program.gaps), max(found.delays(sender.accepted))
    print(f"\nto new: outage {outage} s ({len(program.gaps)} gaps), mail delayed by {delay:.1f} s at most")
    assert outage < OUTAGE_SECONDS and delay < DELAY_SECONDS

    program = Program(program.account, program.password, program.trusted)
    with Sender(ADDRESS) as later, program:
        wait_for(lambda: len(program.saved) > 20 and len(later.accepted) > 5, "the programs work on new")
        assert move.move(run, traveller, "old", 0) == "moved"
        at_the_flip, saved = len(later.accepted), len(program.saved)
        wait_for(lambda: len(later.accepted) > at_the_flip + 5 and len(program.saved) > saved + 10, "they go on")
    wait_for(lambda: not (later.accepted.keys() - look("old").times.keys()), "all mail has arrived on old")
    found = look("old")
    kept = {name for name in program.saved if name not in program.expunged} - program.uncertain
    assert {
        name: found.times[name] for name in [*later.accepted, *sender.accepted, *kept] if found.times[name] != 1
    } == {}
    assert_nobody_is_held(lab, run)
    outage, delay = max(program.gaps), max(found.delays(later.accepted))
    print(f"back: outage {outage} s ({len(program.gaps)} gaps), mail delayed by {delay:.1f} s at most")
    assert outage < OUTAGE_SECONDS and delay < DELAY_SECONDS


def test_killed_after_each_act_and_run_again_it_comes_to_the_same_end(
    lab: Lab, run: Run, traveller: str, look: Callable[[str], Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To new and back in turns, so that both ways are killed; one message comes while the account is in between."""
    sent: set[str] = set()
    to: Server = "new"
    for act in ACTS:
        monkeypatch.setattr(move, "SiteActs", killed_after(act))
        with pytest.raises(Killed):
            move.move(run, traveller, to, 0)
        sent.add(hand_in(ADDRESS))
        monkeypatch.setattr(move, "SiteActs", SiteActs)
        move.move(run, traveller, to, 0)
        assert Entry(run.access, traveller).is_at(to), act
        assert_nobody_is_held(lab, run)
        wait_for(lambda host=to: not (sent - look(host).times.keys()), f"all mail is on {to} after {act}")
        assert {name: look(to).times[name] for name in sent if look(to).times[name] != 1} == {}, act
        to = moves.other(to)


def test_what_was_killed_is_undone_by_whoever_finds_it(
    lab: Lab, run: Run, traveller: str, look: Callable[[str], Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "SiteActs", killed_after("flip"))
    with pytest.raises(Killed):
        move.move(run, traveller, "new", 0)
    monkeypatch.setattr(move, "SiteActs", SiteActs)
    sent = hand_in(ADDRESS)
    assert [held.account for held in move.held(run)] == [traveller]
    assert move.end_what_was_left(run, overdue_only=True) == [], "it is not overdue yet"
    assert move.end_what_was_left(run, overdue_only=False) == [traveller]
    assert Entry(run.access, traveller).is_at("old")
    assert_nobody_is_held(lab, run)
    wait_for(lambda: look("old").times[sent] == 1, "its mail is on old")


def test_mail_for_the_final_address_that_it_had_finds_its_way(
    run: Run, traveller: str, look: Callable[[str], Found]
) -> None:
    """What was expanded before the flip, aliases that somebody wrote by hand, and what old itself is given."""
    move.move(run, traveller, "new", 0)
    sent = [hand_in(f"{ACCOUNT}@old.obs.test", host) for host in ("mx", "old")] + [
        hand_in(f"{ACCOUNT}@obs.test", "old")
    ]
    wait_for(lambda: all(look("new").times[name] == 1 for name in sent), "all three are on new")
    assert queue.waiting_for(run.access.remote("old"), [f"{ACCOUNT}@old.obs.test"]) == []


def test_a_dry_run_changes_nothing(run: Run, traveller: str) -> None:
    entry = Entry(run.access, traveller)
    before = entry.state()
    assert move.move(replace(run, dry_run=True), traveller, "new", 0) == "would move"
    assert entry.state() == before
    assert journal.entries(run.ledger) == []
    assert moves.all_under_way(run.ledger) == []


def test_the_preflight_says_what_it_looked_at_and_leaves_nobody_held(run: Run) -> None:
    findings = preflight_of_moves(run.access)
    assert [each for each in findings if each.level == "failure"] == []
    assert {each.subject for each in findings} == {
        "proxy: logins", "proxy: clock", "old: logins", "mx: hold", "login through the proxy",
    }  # fmt: skip
    probe = Entry(run.access, run.site.functional_tests.account)
    assert probe.state()["mailHold"] == []


def killed_after(act: str) -> Callable[..., SiteActs]:
    def make(*arguments: Any) -> SiteActs:
        acts = SiteActs(*arguments)
        do = getattr(acts, act)

        def done_and_killed(*given: Any) -> None:
            do(*given)
            raise Killed

        setattr(acts, act, done_and_killed)
        return acts

    return make


def hand_in(address: str, host: str = "mx") -> str:
    """One message by SMTP; its Message-Id."""
    name = f"{uuid4()}@handed-in"
    with smtplib.SMTP(f"{host}.obs.test", 25, timeout=60) as session:
        session.sendmail("dehors@outside.test", [address], f"Message-ID: <{name}>\r\nSubject: x\r\n\r\nx\r\n")
    return name
