"""How long 1,000 filters take, 8 at once: looked at and proven on the owners' mail before the day, then brought over.

`python -m benchmarks.filters` boots a practice site of its own (`bench-filters`), makes the accounts, puts one filter
of a real editor's style and 20 messages into each on old (not measured), and runs three passes: `prepare`'s, the day's,
and once more. It writes its table into docs/performance.md. With `--instance` it uses a site that is up already, and
with `--print` it leaves the page alone.
"""

import argparse
import json
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from email.header import Header
from pathlib import Path
from typing import TYPE_CHECKING

import ldap3

from benchmarks.mailbox import write_page
from lab.facts import DOMAIN, PEOPLE_BASE
from lab.hosts.network import joined
from lab.hosts.secrets import LDAP_ADMIN_DN, load_or_make
from lab.paths import CHECKOUT, Instance

if TYPE_CHECKING:
    from bascule.ledger import Ledger
    from bascule.sieve.servers import FilterServer

INSTANCE = "bench-filters"
FILTERS, AT_ONCE, MESSAGES = 1000, 8, 20
BEGIN, END = "<!-- filters: begin -->", "<!-- filters: end -->"
PASSES = {
    "prepare": "before the day: fetch, convert, check, run both forms on the owner's mail",
    "first": "the day: fetch, convert, check, put, read back, activate; what was proven stays so",
    "second": "once more: nothing to change",
}
SCRIPT = """\
require ["fileinto", "imapflags", "copy", "vacation"];
# rule:[Réunions]
if anyof (header :contains "subject" "[Réunion]", header :contains "subject" "compte rendu")
{
\taddflag "\\\\Flagged";
\tfileinto "INBOX.Réunions.2018 été";
\tstop;
}
# rule:[liste %(number)d]
if header :contains "list-id" "liste-%(number)d.obs.test"
{
\tfileinto :copy "INBOX.Listes.liste %(number)d";
}
# rule:[Vacances]
if false # true
{
\tvacation :days 7 :addresses ["bench%(number)d@obs.test"] "Je suis absent.";
}
""".replace("\n", "\r\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--instance", help="a practice site that is up; without it, one is booted and purged")
    parser.add_argument("--filters", type=int, default=FILTERS)
    parser.add_argument("--print", action="store_true", help="leave docs/performance.md alone")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        print(json.dumps(measure(Instance(given.instance), given.filters)))
        return 0
    instance = Instance(given.instance or INSTANCE)
    if not given.instance:
        lab(instance, "up", "--fresh")
    try:
        lines = as_table(run_inside(instance, given.filters))
        print("\n".join(lines))
        if not given.print:
            write_page(lines, BEGIN, END)
    finally:
        if not given.instance:
            lab(instance, "purge")
    return 0


def lab(instance: Instance, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "lab", "--instance", instance.name, *words], cwd=CHECKOUT, check=True)


def run_inside(instance: Instance, filters: int) -> dict[str, float]:
    """Measure in the site's network; returns what `measure` does."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.filters",
        "--inside",
        "--instance",
        instance.name,
        "--filters",
        str(filters),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'plugins'}:{CHECKOUT}"}
    done = subprocess.run(joined(instance, command), cwd=CHECKOUT, env=environment, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def as_table(measured: dict[str, float]) -> list[str]:
    """The figures as they stand in docs/performance.md."""
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    rows = [
        f"| {what} | {measured[name]:.1f} | {measured[f'{name}_cpu']:.1f} | {measured[f'{name}_load']:.1f} |"
        for name, what in PASSES.items()
    ]
    return [
        f"Measured on {day} UTC with {os.cpu_count()} cores: {measured['filters']:.0f} filters, {AT_ONCE} at once, "
        f"{MESSAGES} messages each, at most {measured['memory']:.0f} MB.",
        "",
        "| pass | seconds | CPU s of Bascule | load of the machine at the end |",
        "|---|---|---|---|",
        *rows,
    ]


def measure(instance: Instance, filters: int) -> dict[str, float]:
    """The passes over as many accounts; seconds of wall clock and of this program's CPU, MB of its memory."""
    from bascule import site as site_file
    from bascule.hosts.access import Access
    from bascule.hosts.connections import EnvironmentConnections
    from bascule.ledger import Ledger
    from bascule.sieve import servers
    from bascule.sieve.differential_test import Proof
    from bascule.sieve.foldermap import FolderMap
    from bascule.sieve.global_scripts import GlobalScripts
    from bascule.sieve.shared import SharedHost
    from bascule.sieve.sync import Job, run
    from bascule.text.logs import WARNING, to_standard_error

    to_standard_error(WARNING)
    known = json.loads((instance.state / "connections.json").read_text())
    environ = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in known.items()}
    access = Access(site_file.load(CHECKOUT / "lab" / "site.yaml"), EnvironmentConnections(environ))
    old, new = (servers.from_site(access, part) for part in (access.site.mailboxes.old, access.site.mailboxes.new))
    old_host, new_host = (SharedHost(access.remote(name)) for name in ("old", "new"))
    accounts = make_accounts(instance, filters)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda numbered: fill(old, *numbered), enumerate(accounts)))
    folders = FolderMap({"INBOX.Réunions.2018 été": "Réunions/2018"}, ".", "/", "INBOX.", "")
    measured: dict[str, float] = {"filters": filters}
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger(f"sqlite:///{Path(directory) / 'ledger.db'}")
        job = Job(old, new, ledger, lambda account: folders, parallel=AT_ONCE, proof=Proof(new_host, old),
                  old_global=GlobalScripts(old_host), new_global=GlobalScripts(new_host))  # fmt: skip
        for name in PASSES:
            wall, cpu = time.monotonic(), time.process_time()
            counts = run(job, accounts, dry_run=name == "prepare")
            measured[name], measured[f"{name}_cpu"] = time.monotonic() - wall, time.process_time() - cpu
            measured[f"{name}_load"] = os.getloadavg()[0]
            expected = (filters if name == "first" else 0, 0, 0)
            assert (counts.put, counts.problems, len(counts.failed)) == expected, counts
        see_that_all_were_proven(ledger, filters)
    measured["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return measured


def fill(old: "FilterServer", number: int, account: str) -> None:
    """One account's filter and mail on old; a second time its mail stays as it is."""
    from bascule.sieve import servers

    with old.connected(account) as client:
        client.put("roundcube", (SCRIPT % {"number": number}).encode())
        client.set_active("roundcube")
    with servers.imap(old, account) as mail:
        if not mail.select_folder("INBOX")[b"EXISTS"]:
            for folder in ("INBOX.Réunions.2018 été", f"INBOX.Listes.liste {number}"):
                mail.create_folder(folder)
            mail.multiappend("INBOX", [message(number, subject) for subject in range(MESSAGES)])


def message(number: int, which: int) -> bytes:
    """A message that the filter files by its subject, by its list, or not at all."""
    subject = ("[Réunion] lundi", "compte rendu", "bonjour", "autre chose")[which % 4]
    title = Header(subject, "utf-8").encode()
    listed = f"List-Id: <liste-{number}.obs.test>\r\n" if which % 3 == 0 else ""
    head = f"From: a{which}@obs.test\r\nTo: bench{number}@obs.test\r\nSubject: {title}\r\n"
    return f"{head}Message-Id: <{number}.{which}@obs.test>\r\n{listed}\r\n{'Bonjour. ' * 200}\r\n".encode()


def see_that_all_were_proven(ledger: "Ledger", count: int) -> None:
    """A comparison that was not made would be fast."""
    from bascule.ledger import filters

    reports = [status.report for status in filters.filters(ledger)]
    proven = [report for report in reports if report["proved"] and not report["not_compared"]]
    assert len(proven) == count, f"only {len(proven)} of {count} filters were run on mail"


def make_accounts(instance: Instance, count: int) -> list[str]:
    """Accounts `bench0`... in the directory; those that are there already stay."""
    secrets = load_or_make(instance.secrets)
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(instance.ca_certificate))
    server = ldap3.Server(f"ldap.{DOMAIN}", port=636, use_ssl=True, tls=tls)
    accounts = [f"bench{number}" for number in range(count)]
    with ldap3.Connection(server, LDAP_ADMIN_DN, secrets.ldap_admin, auto_bind=ldap3.AUTO_BIND_NO_TLS) as directory:
        for account in accounts:
            attributes = {
                "uid": account,
                "cn": account,
                "sn": account,
                "mail": f"{account}@{DOMAIN}",
                "mailLocalAddress": f"{account}@{DOMAIN}",
                "mailRoutingAddress": f"{account}@old.{DOMAIN}",
                "userPassword": secrets.password_of(account),
            }
            directory.add(f"uid={account},{PEOPLE_BASE}", ["inetOrgPerson", "inetLocalMailRecipient"], attributes)
    return accounts


if __name__ == "__main__":
    sys.exit(main())
