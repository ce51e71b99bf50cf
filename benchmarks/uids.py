"""First copies with the UIDs of old against copies with new ones, one gap in ten messages: `python -m benchmarks.uids`.

Both are the engine inside a running process; `doveadm backup`, which keeps UIDs too, is a process of its own. They take
turns. Writes a table into docs/performance.md between its markers.
"""

import argparse
import contextlib
import imaplib
import shutil
import time
from dataclasses import replace
from functools import partial

from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.job import Uids
from bascule.text.logs import NOTHING, to_standard_error

from benchmarks.corpora import BIG, SMALL, Corpus
from benchmarks.mailbox import machine, rotated, set_up, table, user_of, write_page
from benchmarks.tools import Bench, Cost, Tool, dsync
from tests.mail_servers import PASSWORD

BEGIN, END = "<!-- uids measured: begin -->", "<!-- uids measured: end -->"
GAP = 11  # of so many messages that there were, one is gone


def with_gaps(corpus: Corpus) -> Corpus:
    """A corpus of which so many are left that it has its size after `make_gaps`."""
    more = corpus.messages * GAP // (GAP - 1), corpus.megabytes * GAP // (GAP - 1)
    return replace(corpus, messages=more[0], megabytes=more[1])


def make_gaps(bench: Bench, corpus: Corpus) -> None:
    """Remove every eleventh message of each folder."""
    with imaplib.IMAP4("127.0.0.1", bench.old.port) as client:
        client.login(corpus.name, PASSWORD)
        for number in range(corpus.folders):
            count = int(client.select(f"Folder{number:02d}" if number else "INBOX")[1][0] or 0)
            client.store(",".join(map(str, range(6, count + 1, GAP))), "+FLAGS", "\\Deleted")
            client.expunge()


def bascule(uids: Uids, bench: Bench, old_user: str, new_user: str) -> Cost:
    ledger = Ledger(f"sqlite:///{bench.home}/{new_user}.db")
    old, new = bench.old.server(old_user), bench.new.server(new_user)
    options = Options(verify="none", uids=uids)
    cpu = time.process_time()
    result = sync_mailbox(MailboxJob(new_user, old, new, options, bench.new.doveadm(new_user)), ledger)
    return Cost(result.seconds, time.process_time() - cpu, 0.0)


TOOLS: dict[str, Tool] = {
    "bascule": partial(bascule, "new"),
    "bascule, UIDs kept": partial(bascule, "keep"),
    "doveadm backup": dsync,
}


def main() -> None:
    """Measure, print as it comes, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="with small; big has two less")
    parser.add_argument("--quick", action="store_true", help="the small corpus only, one round, the page untouched")
    asked = parser.parse_args()
    to_standard_error(NOTHING)
    corpora = [with_gaps(corpus) for corpus in ([SMALL] if asked.quick else [SMALL, BIG])]
    with contextlib.ExitStack() as stack:
        bench = set_up(stack, corpora)
        for corpus in corpora:
            make_gaps(bench, corpus)
            rounds = 1 if asked.quick else asked.rounds - 2 * (corpus.name == BIG.name)
            for number in range(rounds):
                for name in rotated([*TOOLS], number):
                    user = user_of(corpus, "uids", name, number)
                    bench.record(f"first copy, {corpus.name}", name, TOOLS[name](bench, corpus.name, user))
                    shutil.rmtree(bench.new.home / "mail" / user, ignore_errors=True)
        lines = table(bench.results)
    if asked.quick:
        print("\n".join(lines))
    else:
        write_page([machine(), "", *lines], BEGIN, END)


if __name__ == "__main__":
    main()
