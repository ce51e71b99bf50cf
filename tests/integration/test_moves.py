"""One account moves, and back, while its user works through the proxy and numbered mail comes; killed at every act."""

import contextlib
import smtplib
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import ldap3
import pytest
from bascule.checks.preflight.run import preflight_of_moves
from bascule.hosts.access import Access
from bascule.hosts.postfix import queue
from bascule.ledger import Ledger, journal, moves
from bascule.ledger.moves import Server
from bascule.moves.acts import SiteActs
from bascule.moves.entry import Entry, are_held
from bascule.tasks import checks, move
from bascule.tasks.run import Run
from imapclient import IMAPClient

from lab.measure.at_work import HEADER, Verdict
from tests.integration.busy_account import Busy, wait_for
from tests.integration.conftest import Lab
from tests.integration.directory_entries import administrator, dn_of, remove
from tests.integration.killed_move import done_and_then
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
    with on_old(lab, ACCOUNT, ADDRESS):
        yield ACCOUNT


@contextlib.contextmanager
def on_old(lab: Lab, account: str, address: str) -> Iterator[None]:
    attributes = {
        "cn": account, "sn": "Voyage", "mail": address, "mailLocalAddress": address,
        "mailRoutingAddress": f"{account}@old.obs.test", "mailHost": "old.obs.test",
        "userPassword": lab.secrets.password_of(account),
    }  # fmt: skip
    with administrator(lab) as directory:
        clean(lab, directory, account)
        classes = ["inetOrgPerson", "inetLocalMailRecipient"]
        assert directory.add(dn_of(account), classes, attributes), directory.result
    yield
    with administrator(lab) as directory:
        clean(lab, directory, account)


def clean(lab: Lab, directory: ldap3.Connection, account: str) -> None:
    remove(directory, [account])
    for host in ("old", "new"):
        lab.ssh(host, f"doveadm kick {account} || true; rm -rf /srv/mail/{account}")


@pytest.fixture
def run(lab: Lab, access: Access, ledger: Ledger) -> Run:
    return Run(lab.site, access, ledger, journal.Origin("move", "run-1", "account.move[0]", "anna"))


@pytest.fixture
def client(lab: Lab, trusted: ssl.SSLContext) -> Iterator[Callable[[str], IMAPClient]]:
    """The account's own login on one server, past the proxy."""
    with contextlib.ExitStack() as stack:

        def log_in(host: str) -> IMAPClient:
            found = stack.enter_context(IMAPClient(f"{host}.obs.test", ssl_context=trusted, timeout=60))
            found.login(ACCOUNT, lab.secrets.password_of(ACCOUNT))
            return found

        yield log_in


@pytest.fixture
def look(client: Callable[[str], IMAPClient]) -> Callable[[str], Counter[str]]:
    """How often each Message-Id is in INBOX."""

    def read(host: str) -> Counter[str]:
        session = client(host)
        session.select_folder("INBOX", readonly=True)
        said = session.fetch(session.search(), ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
        session.logout()
        return Counter(item[HEADER].decode().partition("<")[2].partition(">")[0] for item in said.values())

    return read


@pytest.fixture
def busy(lab: Lab, trusted: ssl.SSLContext, traveller: str) -> Busy:
    return Busy(traveller, ADDRESS, lab.secrets.password_of(traveller), trusted)


def assert_nothing_lost_or_doubled(verdict: Verdict, ledger: Ledger) -> None:
    """Who was seen inside before the last pass had ended, as on a machine that is too busy, may see what was before.

    So may who came in while the directory was away for longer than logins wait, unseen if he went again at once. What
    such a user changes there stays, beside what became of the message on the other server, and what he saves there may
    take the UID of a message that the last pass brings. That logins were put off for longer excuses nothing.
    """
    carried = [entry.after or {} for entry in journal.entries(ledger, kind="move")]
    came_in = any(after.get("came_in") or after.get("open_for") for after in carried)
    assert (verdict.lost, verdict.unfinished) == ([], [])
    assert came_in or (verdict.undone, verdict.doubled, verdict.clashes) == ([], [], [])
    print("\n".join([*verdict.undone, *verdict.doubled, *verdict.clashes]))


def assert_nobody_is_held(lab: Lab, run: Run) -> None:
    entry = lab.ssh("ldap", "ldapsearch", "-QLLL", "-Y", "EXTERNAL", "-H", "ldapi:///", "-b", dn_of(ACCOUNT))
    assert "mailHold" not in entry
    assert moves.all_under_way(run.ledger) == []


@pytest.mark.parametrize("to", ["new", "old"])
def test_a_busy_user_moves_and_nothing_is_lost_or_doubled(lab: Lab, run: Run, busy: Busy, to: Server) -> None:
    """Back as well: old then is what its user has made of it on new."""
    with busy:
        busy.works()
        if to == "old":
            move.move(run, ACCOUNT, "new", 0)
            busy.works()
        before = len(busy.outages)
        assert move.move(run, ACCOUNT, to, 0) == "moved"
        busy.works()
    verdict = busy.verdict()
    assert_nothing_lost_or_doubled(verdict, run.ledger)
    assert_nobody_is_held(lab, run)
    outages, delay = [each.seconds for each in busy.outages[before:]], max(seconds for _, _, seconds in verdict.delays)
    print(f"\nto {to}: outages {outages} s, mail delayed by {delay:.1f} s at most")
    assert max(outages) < OUTAGE_SECONDS and delay < DELAY_SECONDS


def test_killed_after_each_act_and_run_again_it_comes_to_the_same_end(
    lab: Lab, run: Run, traveller: str, look: Callable[[str], Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To new and back in turns, so that both ways are killed; one message comes while the account is in between."""
    sent: set[str] = set()
    to: Server = "new"
    for act in ACTS:
        monkeypatch.setattr(move, "SiteActs", done_and_then(act, ends))
        with pytest.raises(Killed):
            move.move(run, traveller, to, 0)
        sent.add(hand_in(ADDRESS))
        monkeypatch.setattr(move, "SiteActs", SiteActs)
        move.move(run, traveller, to, 0)
        assert Entry(run.access, traveller).is_at(to), act
        assert_nobody_is_held(lab, run)
        wait_for(lambda host=to: not (sent - look(host).keys()), f"all mail is on {to} after {act}")
        assert {name: look(to)[name] for name in sent if look(to)[name] != 1} == {}, act
        to = moves.other(to)


def test_what_was_killed_is_undone_by_whoever_finds_it(
    lab: Lab, run: Run, traveller: str, look: Callable[[str], Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "SiteActs", done_and_then("flip", ends))
    with pytest.raises(Killed):
        move.move(run, traveller, "new", 0)
    monkeypatch.setattr(move, "SiteActs", SiteActs)
    sent = hand_in(ADDRESS)
    assert [held.account for held in move.held(run)] == [traveller]
    assert move.end_what_was_left(run, overdue_only=True) == [], "it is not overdue yet"
    assert move.end_what_was_left(run, overdue_only=False) == [traveller]
    assert Entry(run.access, traveller).is_at("old")
    assert_nobody_is_held(lab, run)
    wait_for(lambda: look("old")[sent] == 1, "its mail is on old")


def test_mail_for_the_final_address_that_it_had_finds_its_way(
    run: Run, traveller: str, look: Callable[[str], Counter[str]]
) -> None:
    """What was expanded before the flip, aliases that somebody wrote by hand, and what old itself is given."""
    move.move(run, traveller, "new", 0)
    sent = [hand_in(f"{ACCOUNT}@old.obs.test", host) for host in ("mx", "old")] + [
        hand_in(f"{ACCOUNT}@obs.test", "old")
    ]
    wait_for(lambda: all(look("new")[name] == 1 for name in sent), "all three are on new")
    assert queue.waiting_for(run.access.remote("old"), [f"{ACCOUNT}@old.obs.test"], "+") == []


def test_mail_for_a_subaddress_waits_and_is_let_go_as_well(
    run: Run, traveller: str, look: Callable[[str], Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extension goes on to the final address, by which the MX has it in its queue."""
    sent: list[str] = []

    def while_it_is_held(acts: SiteActs, to: Server) -> None:
        sent.append(hand_in(ADDRESS.replace("@", "+listes@")))
        mx = run.access.remote("mx")
        wait_for(lambda: "being moved" in mx.run(["postqueue", "-p"]).output, "it waits")
        moved_on(acts, to)

    moved_on = SiteActs.kick
    monkeypatch.setattr(SiteActs, "kick", while_it_is_held)
    assert move.move(run, traveller, "new", 0) == "moved"
    assert queue.waiting_for(run.access.remote("mx"), [f"{ACCOUNT}@old.obs.test"], "+") == []
    wait_for(lambda: look("new")[sent[0]] == 1, "it is on new")


def test_a_dry_run_changes_nothing(run: Run, traveller: str) -> None:
    entry = Entry(run.access, traveller)
    before = entry.state()
    assert move.move(replace(run, dry_run=True), traveller, "new", 0) == "would move"
    assert entry.state() == before
    assert journal.entries(run.ledger) == []
    assert moves.all_under_way(run.ledger) == []


def test_the_preflight_says_what_it_looked_at_and_leaves_nobody_held(run: Run) -> None:
    probe = Entry(run.access, run.site.functional_tests.account)
    before = probe.delays()
    findings = preflight_of_moves(run.access)
    assert [each for each in findings if each.level == "failure"] == []
    assert {each.subject for each in findings} == {
        "proxy: logins", "proxy: clock", "proxy: protocols", "UIDLs", "calendars", "old: logins", "imap.obs.test",
        "pop.obs.test", "mx: hold", "login through the proxy", "logins held back",
        *(f"{host}: final addresses" for host in ("mx", "old", "new")),
    }  # fmt: skip
    assert probe.state()["mailHold"] == []
    assert probe.delays() == before


def test_what_a_preflight_that_was_killed_has_left_held_is_let_go_by_the_next_one(run: Run) -> None:
    probe = Entry(run.access, run.site.functional_tests.account)
    probe.hold()
    assert are_held(run.access) == [probe.account]
    assert checks.preflight_moves(run)["failure"] == 0
    probe.hold()
    assert move.end_what_was_left(run, overdue_only=False) == [probe.account]
    assert (probe.state()["mailHold"], are_held(run.access)) == ([], [])


def ends() -> None:
    raise Killed


def hand_in(address: str, host: str = "mx") -> str:
    """One message by SMTP; its Message-Id."""
    name = f"{uuid4()}@handed-in"
    with smtplib.SMTP(f"{host}.obs.test", 25, timeout=60) as session:
        session.sendmail("dehors@outside.test", [address], f"Message-ID: <{name}>\r\nSubject: x\r\n\r\nx\r\n")
    return name
