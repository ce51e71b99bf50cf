"""Filters on the practice site's real servers: carried over, compiled, activated, and acting on mail that arrives."""

import smtplib
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.message import EmailMessage

import pytest
from bascule.hosts.access import Access
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger, filters
from bascule.problems import store
from bascule.sieve import managesieve, script_problem, servers
from bascule.sieve import plan as planning
from bascule.sieve.differential_test import Proof
from bascule.sieve.directory_source import DirectoryServer
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.global_scripts import GlobalScripts
from bascule.sieve.managesieve import ManageSieve, ManageSieveError
from bascule.sieve.questions import CHANGED_ON_NEW
from bascule.sieve.sample import Message
from bascule.sieve.script_problem import NEEDS_A_LOOK, NEVER_MATCHES, NEVER_RAN
from bascule.sieve.servers import FilterServer
from bascule.sieve.shared import SharedHost
from bascule.sieve.sync import FilterCounts, Job, run
from bascule.sieve.vacation import VacationRecord

from lab.hosts.secrets import PROBE_ACCOUNT
from tests.deciding import decide
from tests.integration.conftest import Lab
from tests.unit.sieve.reading import CONTEXT, Case, cases

ACCOUNT = PROBE_ACCOUNT
MEETINGS = """\
# rule:[Réunions]
require ["fileinto", "mailbox"];
if header :contains "Subject" "[Réunion]" { fileinto :create "INBOX.Réunions"; }
"""
INVOICES = """\
require ["fileinto", "mailbox"];
if header :contains "Subject:" "facture" { fileinto :create "INBOX.Factures"; }
"""
URGENT = b"""\
require ["imapflags", "fileinto"];
if header :contains "Subject" "urgent" { mark; addflag "\\\\Seen"; fileinto "INBOX.A"; }
"""
FOLDERS = FolderMap({"INBOX.Réunions": "Meetings"}, ".", "/", "INBOX.", "")


@dataclass(frozen=True)
class Pair:
    """The two servers, for one account whose own filters come back at the end."""

    old: FilterServer
    new: FilterServer
    access: Access

    def put(self, server: FilterServer, name: str, script: str, *, active: bool = True) -> None:
        with server.connected(ACCOUNT) as client:
            verdict = client.put(name, script.encode())
            assert verdict.accepted, verdict.words
            if active:
                client.set_active(name)

    def scripts(self, server: FilterServer) -> dict[str, str]:
        with server.connected(ACCOUNT) as client:
            return {name: client.get(name).decode() for name in client.scripts()}

    def active(self, server: FilterServer) -> str | None:
        with server.connected(ACCOUNT) as client:
            return next((name for name, is_active in client.scripts().items() if is_active), None)


def emptied(server: FilterServer) -> dict[str, bytes]:
    with server.connected(ACCOUNT) as client:
        stood = {name: client.get(name) for name in client.scripts()}
        client.set_active("")
        for name in stood:
            client.delete(name)
    return stood


@pytest.fixture
def pair(access: Access) -> Iterator[Pair]:
    old, new = (servers.from_site(access, part) for part in (access.site.mailboxes.old, access.site.mailboxes.new))
    with old.connected(ACCOUNT) as client:
        active = next((name for name, is_active in client.scripts().items() if is_active), "")
    stood = {server.sieve.host: emptied(server) for server in (old, new)}
    yield Pair(old, new, access)
    for server in (old, new):
        emptied(server)
        with server.connected(ACCOUNT) as client:
            for name, script in stood[server.sieve.host].items():
                client.put(name, script)
            if server is old:
                client.set_active(active)


@pytest.fixture
def go(pair: Pair, ledger: Ledger) -> Callable[..., FilterCounts]:
    def one_pass(**options: bool) -> FilterCounts:
        hosts = [SharedHost(pair.access.remote(name)) for name in ("old", "new")]
        job = Job(pair.old, pair.new, ledger, lambda account: FOLDERS, proof=Proof(hosts[1], pair.old),
                  vacation=VacationRecord(*hosts), old_global=GlobalScripts(hosts[0]),
                  new_global=GlobalScripts(hosts[1]))  # fmt: skip
        counts = run(job, [ACCOUNT], **options)
        assert not counts.failed
        return counts

    return one_pass


def send(
    lab: Lab, host: str, subject: str, sender: str = "moi@outside.test", headers: Mapping[str, str] | None = None
) -> str:
    """Send a message straight to one of the mail servers; return its Message-Id."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, f"{ACCOUNT}@obs.test", subject
    message["Message-Id"] = f"<{uuid.uuid4()}@outside.test>"
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content("Bonjour")
    context = ssl.create_default_context(cafile=str(lab.instance.ca_certificate))
    with smtplib.SMTP(f"{host}.obs.test", timeout=20) as client:
        client.starttls(context=context)
        client.send_message(message, to_addrs=[f"{ACCOUNT}@{host}.obs.test"])
    return str(message["Message-Id"])


def folder_of(server: FilterServer, message_id: str) -> str:
    """The folder in which a message has arrived; waits for it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with servers.imap(server, ACCOUNT) as client:
            for flags, _, name in client.list_folders():
                if {b"\\Noselect", b"\\NonExistent"} & set(flags):
                    continue
                client.select_folder(name, readonly=True)
                if client.search(["HEADER", "Message-Id", message_id]):
                    return str(name)
        time.sleep(0.2)
    raise AssertionError(f"{message_id} did not arrive")


def test_a_filter_is_carried_over_and_a_second_pass_changes_nothing(
    pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    script = MEETINGS.replace("\n", "\r\n")
    pair.put(pair.old, "roundcube", script)
    first = go()
    assert (first.put, first.activated, first.problems) == (1, 1, 0)
    assert pair.scripts(pair.new) == {"roundcube": script.replace("INBOX.Réunions", "Meetings")}
    assert pair.active(pair.new) == "roundcube"
    second = go()
    assert (second.put, second.activated, second.unchanged) == (0, 0, 1)
    (status,) = filters.filters(ledger, ACCOUNT)
    assert filters.original(ledger, ACCOUNT, "roundcube", status.original) == script.encode()


def test_a_dry_run_leaves_the_new_server_alone(pair: Pair, go: Callable[..., FilterCounts]) -> None:
    pair.put(pair.old, "main", 'require "fileinto";\nfileinto "INBOX.A";\n')
    assert go(dry_run=True).converted == 1
    assert pair.scripts(pair.new) == {}


def test_mail_after_the_day_lands_in_the_renamed_folder(lab: Lab, pair: Pair, go: Callable[..., FilterCounts]) -> None:
    pair.put(
        pair.old,
        "main",
        'require ["fileinto", "mailbox"];\n'
        'if header :contains "Subject" "[Réunion]" { fileinto :create "INBOX.Réunions"; }\n'
        'elsif header :contains "Subject" "astro" { fileinto :create "INBOX.Listes.astro"; }\n',
    )
    go()
    assert folder_of(pair.new, send(lab, "new", "[Réunion] lundi")) == "Meetings"
    assert folder_of(pair.new, send(lab, "new", "liste astro")) == "Listes/astro"
    assert folder_of(pair.new, send(lab, "new", "autre chose")) == "INBOX"


def test_a_colon_too_many_is_repaired_by_decision_and_then_acts(
    lab: Lab, pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    pair.put(pair.old, "main", INVOICES)
    assert go().waiting == [ACCOUNT]
    (problem,) = store.problems(ledger)
    assert problem.kind == NEVER_MATCHES
    assert "specified header field name 'Subject:' is invalid" in problem.server_words
    assert folder_of(pair.new, send(lab, "new", "facture 1")) == "INBOX"
    decide(ledger)
    assert go().problems == 0
    assert folder_of(pair.new, send(lab, "new", "facture 2")) == "Factures"


def test_a_script_that_no_server_takes_is_repaired_by_decision(
    pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    home = pair.access.remote("old").run(["doveadm", "user", "-f", "home", ACCOUNT]).output.strip()
    script = b'require "fileinto";\nif header: :contains "Subject" "x" { fileinto "INBOX.A"; }\n'
    pair.put(pair.old, "main", "keep;")
    pair.access.remote("old").write_file(f"{home}/sieve/main.sieve", script)
    assert go().problems == 1
    assert (store.problems(ledger)[0].kind, pair.scripts(pair.new)) == (NEVER_RAN, {})
    decide(ledger)
    assert go().problems == 0
    assert (
        pair.scripts(pair.new)["main"] == 'require "fileinto";\nif header :contains "Subject" "x" { fileinto "A"; }\n'
    )
    assert pair.active(pair.new) == "main"


def test_a_beta_testers_filter_stays_until_decided(pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]) -> None:
    pair.put(pair.old, "main", "keep;\n")
    pair.put(pair.new, "main", "# mine\nstop;\n")
    assert go().problems == 1
    assert store.problems(ledger)[0].kind == CHANGED_ON_NEW
    assert pair.scripts(pair.new) == {"main": "# mine\nstop;\n"}
    decide(ledger)
    assert go().problems == 0
    assert pair.scripts(pair.new) == {"main": "# mine\nstop;\n", "main (old server)": "keep;\n"}


def test_behaviour_on_own_mail_tells_what_a_repair_would_do(
    lab: Lab, pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    message_id = send(lab, "old", "facture du mois")
    folder_of(pair.old, message_id)
    pair.put(pair.old, "main", INVOICES)
    go(dry_run=True)
    (problem,) = store.problems(ledger)
    assert list(problem.details) == ["with the repair it would"]
    told = problem.details["with the repair it would"]
    assert f"store message in folder: Factures instead of store message in folder: INBOX ({message_id}" in told


def test_imapflags_acts_the_same_after_conversion(
    lab: Lab, pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    folder_of(pair.old, send(lab, "old", "urgent: imapflags"))
    home = pair.access.remote("old").run(["doveadm", "user", "-f", "home", ACCOUNT]).output.strip()
    pair.put(pair.old, "main", "keep;")
    pair.access.remote("old").write_file(f"{home}/sieve/main.sieve", URGENT)
    assert go().problems == 0
    (status,) = filters.filters(ledger, ACCOUNT)
    assert status.report["proved"]
    assert status.report["behaviour"] == []


def test_nobody_gets_a_second_vacation_answer(lab: Lab, pair: Pair, go: Callable[..., FilterCounts]) -> None:
    pair.put(
        pair.old,
        "main",
        f'require "vacation";\nvacation :days 7 :addresses "{ACCOUNT}@obs.test" "Absent {uuid.uuid4()}";\n',
    )
    sender = f"{uuid.uuid4()}@outside.test"
    folder_of(pair.old, send(lab, "old", "êtes-vous là ?", sender))
    record = VacationRecord(*(SharedHost(pair.access.remote(name)) for name in ("old", "new")))
    assert record.carry(ACCOUNT, dry_run=True) >= 1
    go()
    assert record.carry(ACCOUNT, dry_run=True) == 0
    before = answers(lab)
    folder_of(pair.new, send(lab, "new", "et maintenant ?", sender))
    folder_of(pair.new, send(lab, "new", "et moi ?", f"{uuid.uuid4()}@outside.test"))
    until = time.monotonic() + 60
    while answers(lab) == before and time.monotonic() < until:
        time.sleep(0.2)
    assert answers(lab) == before + 1


def test_scripts_are_read_by_ssh_where_there_is_no_managesieve(
    pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    host = SharedHost(pair.access.remote("old"))
    home = host.run(["doveadm", "user", "-f", "home", ACCOUNT]).output.strip()
    pair.put(pair.old, "main", 'require "fileinto";\nfileinto "INBOX.Réunions";\n')
    pair.put(pair.old, "à côté", "stop;\r\n", active=False)
    files = DirectoryServer(host, home.replace(ACCOUNT, "{account}") + "/sieve")
    by_ssh = replace(pair.old, files=files)
    counts = run(Job(by_ssh, pair.new, ledger, lambda account: FOLDERS), [ACCOUNT])
    assert (counts.put, counts.activated, counts.problems, counts.failed) == (2, 1, 0, {})
    assert pair.scripts(pair.new) == {"main": 'require "fileinto";\nfileinto "Meetings";\n', "à côté": "stop;\r\n"}
    assert pair.active(pair.new) == "main"


def test_a_global_script_that_both_have_goes_on_acting(
    lab: Lab, pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    folder_of(pair.old, send(lab, "old", "annonce de 2018", headers={"List-Id": "<annonces.obs.test>"}))
    pair.put(pair.old, "main", 'require ["include", "fileinto", "mailbox"];\ninclude :global "listes";\n')
    with servers.imap(pair.new, ACCOUNT) as client:
        if not client.folder_exists("À lire"):
            client.create_folder("À lire")
    assert go().problems == 0
    (status,) = filters.filters(ledger, ACCOUNT)
    assert (bool(status.report["proved"]), status.report["not_compared"], status.report["behaviour"]) == (True, "", [])
    assert folder_of(pair.new, send(lab, "new", "annonce", headers={"List-Id": "<annonces.obs.test>"})) == "À lire"


def test_a_global_script_that_new_lacks_is_named_before_the_day(
    pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    pair.put(pair.old, "main", 'require "include";\ninclude :global "laboratoire";\n')
    assert go(dry_run=True).waiting == [ACCOUNT]
    (problem,) = store.problems(ledger)
    assert problem.kind == NEEDS_A_LOOK
    assert "includes 'laboratoire', which is not among the new server's global scripts" in problem.explanation
    assert "includes 'laboratoire', which includes 'stagiaires'" in problem.explanation
    assert 'fileinto "Stages";' in problem.details["global script 'stagiaires'"]
    assert "included global script 'laboratoire' does not exist" in problem.server_words


def test_more_redirections_than_new_allows_are_named_before_the_day(
    pair: Pair, ledger: Ledger, go: Callable[..., FilterCounts]
) -> None:
    pair.put(pair.old, "main", "".join(f'redirect "{name}@outside.test";\n' for name in "abcde"))
    assert go(dry_run=True).waiting == [ACCOUNT]
    (problem,) = store.problems(ledger)
    assert "to 5 addresses, and the new server allows 4" in problem.explanation


def answers(lab: Lab) -> int:
    """How many vacation answers the new host has sent since it booted."""
    return int(lab.ssh("new", "journalctl -b --no-pager | grep -c 'sent vacation response' || true").strip() or 0)


@pytest.fixture(scope="module")
def compiler(access: Access) -> Iterator[ManageSieve]:
    with servers.from_site(access, access.site.mailboxes.new).connected(ACCOUNT) as client:
        yield client


@pytest.mark.parametrize("case", cases(), ids=str)
def test_what_comes_out_compiles_without_a_new_warning_or_is_a_problem(case: Case, compiler: ManageSieve) -> None:
    original = planning.write(case.text)
    plan = planning.make("main", original, replace(CONTEXT, extensions=compiler.extensions), compiler.check)
    if script_problem.problem(plan, ACCOUNT) is not None:
        return
    assert plan.faithful is not None
    verdict = compiler.check(plan.faithful)
    assert verdict.accepted
    before = compiler.check(original).warnings
    ours = [words for words in verdict.warnings if "included personal script" not in words]
    assert [words for words in ours if words not in before] == []


def test_a_wrong_certificate_is_refused(pair: Pair) -> None:
    asked = replace(pair.new.sieve, ca_file=None)
    with pytest.raises(ManageSieveError, match="certificate"), managesieve.connected(asked, pair.new.login(ACCOUNT)):
        pass


def test_a_wrong_password_is_refused(pair: Pair) -> None:
    login = Login(pair.new.login(ACCOUNT).user, "wrong")
    with pytest.raises(ManageSieveError, match="refuses the login"), managesieve.connected(pair.new.sieve, login):
        pass


def test_nobody_listening_is_said(pair: Pair) -> None:
    asked = Endpoint(pair.new.sieve.host, 4199, "starttls", pair.new.sieve.ca_file, timeout=5.0)
    with (
        pytest.raises(ManageSieveError, match="can't be reached"),
        managesieve.connected(asked, pair.new.login(ACCOUNT)),
    ):
        pass


SAMPLE = [
    Message(f"From: {sender}\r\nTo: moi@obs.test\r\nSubject: {subject}\r\n{more}\r\nBonjour\r\n".encode(), subject)
    for sender, subject, more in (
        ("chef@obs.test", "[astro] astro x", "List-Id: <astro.obs.test>\r\n"),
        ("a@example.org", "[Réunion] compte rendu", "X-Spam-Flag: YES\r\nX-Spam-score: 12\r\n"),
        ("robot@obs.test", "une panne", "Date: Mon, 1 Jul 2019 10:00:00 +0200\r\n"),
    )
]


EDITED = [case for case in cases("rules", "editors", "dialects") if case.kind == "edits"]
# Pigeonhole 0.5.19 has nothing of Sun's, no name for a `duplicate`, and by `ihave`
# neither imapflags nor notify.
NOT_RUN_BY_PIGEONHOLE = {"sun flags", "duplicate of the vendor with a name",
                         "ihave of imapflags", "ihave of notify"}  # fmt: skip


@pytest.mark.parametrize("case", EDITED, ids=str)
def test_what_is_edited_without_asking_acts_the_same(
    case: Case, pair: Pair, compiler: ManageSieve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.sieve.differential_test.recent_messages", lambda *_: SAMPLE)
    context = replace(CONTEXT, extensions=compiler.extensions)
    plan = planning.make("main", planning.write(case.text), context, compiler.check)
    if plan.faithful is None:
        pytest.skip("the new server lacks an extension of this filter")
    Proof(SharedHost(pair.access.remote("new")), pair.old).compare(ACCOUNT, plan, {}, context)
    assert bool(plan.not_compared) == (case.name in NOT_RUN_BY_PIGEONHOLE)
    assert plan.behaviour == []
