"""How long 1,000 filters take: fetched from old, converted, checked, put, read back and activated on new, 8 at once.

`python -m benchmarks.filters` boots a practice site of its own (`bench-filters`), makes the accounts, puts one filter
of a real editor's style into each on old (not measured), and runs two passes. With `--instance` it uses a site that is
up already.
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
from pathlib import Path

import ldap3

from lab.facts import DOMAIN, PEOPLE_BASE
from lab.network import joined
from lab.paths import CHECKOUT, Instance
from lab.secrets import LDAP_ADMIN_DN, load_or_make

INSTANCE = "bench-filters"
FILTERS, AT_ONCE = 1000, 8
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
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        print(json.dumps(measure(Instance(given.instance), given.filters)))
        return 0
    instance = Instance(given.instance or INSTANCE)
    if not given.instance:
        lab(instance, "up", "--fresh")
    try:
        print(as_table(run_inside(instance, given.filters)))
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


def as_table(measured: dict[str, float]) -> str:
    """The figures as they stand in docs/performance.md."""
    return "\n".join(
        [
            f"| {measured['filters']:.0f} filters, {AT_ONCE} at once | seconds | CPU of Bascule | MB |",
            "|---|---|---|---|",
            f"| first pass: fetch, convert, check, put, read back, activate | {measured['first']:.1f} "
            f"| {measured['first_cpu']:.1f} | {measured['memory']:.0f} |",
            f"| next pass: nothing to change | {measured['second']:.1f} | {measured['second_cpu']:.1f} | |",
        ]
    )


def measure(instance: Instance, filters: int) -> dict[str, float]:
    """Two passes over as many accounts; seconds of wall clock and of this program's CPU, MB of its memory."""
    import structlog
    from bascule import site as site_file
    from bascule.access import Access, EnvironmentConnections
    from bascule.ledger import Ledger
    from bascule.sieve import servers
    from bascule.sieve.foldermap import FolderMap
    from bascule.sieve.sync import Job, run

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    known = json.loads((instance.state / "connections.json").read_text())
    environ = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in known.items()}
    access = Access(site_file.load(CHECKOUT / "lab" / "site.yaml"), EnvironmentConnections(environ))
    old, new = (servers.from_site(access, part) for part in (access.site.mailboxes.old, access.site.mailboxes.new))
    accounts = make_accounts(instance, filters)

    def put(numbered: tuple[int, str]) -> None:
        number, account = numbered
        with old.connected(account) as client:
            client.put("roundcube", (SCRIPT % {"number": number}).encode())
            client.set_active("roundcube")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(put, enumerate(accounts)))
    folders = FolderMap({"INBOX.Réunions.2018 été": "Réunions/2018"}, ".", "/", "INBOX.", "")
    measured: dict[str, float] = {"filters": filters}
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger(f"sqlite:///{Path(directory) / 'ledger.db'}")
        job = Job(old, new, ledger, lambda account: folders, parallel=AT_ONCE)
        for name in ("first", "second"):
            wall, cpu = time.monotonic(), time.process_time()
            counts = run(job, accounts)
            measured[name], measured[f"{name}_cpu"] = time.monotonic() - wall, time.process_time() - cpu
            expected = (filters, 0, 0) if name == "first" else (0, 0, 0)
            assert (counts.put, counts.problems, len(counts.failed)) == expected, counts
    measured["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return measured


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
