"""First copies with the UIDs of old against copies with new ones: `python -m benchmarks.uids`.

One gap in ten messages; and one folder with 50,000 gaps, one behind each message. Both are the engine inside a running
process; `doveadm backup`, which keeps UIDs too, is a process of its own. They take turns. Writes a table into
docs/performance.md between its markers, with the machine's load beside each case.
"""

import argparse
import contextlib
import imaplib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from bascule.ledger import Ledger, mailboxes
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.job import Uids
from bascule.text.logs import NOTHING, to_standard_error

from benchmarks.corpora import BIG, SMALL, Corpus
from benchmarks.mailbox import machine, rotated, set_up, table, write_page
from benchmarks.tools import Bench, Cost, Tool, dsync
from tests.kept_uids import lay_out
from tests.mail_servers import PASSWORD

BEGIN, END = "<!-- uids measured: begin -->", "<!-- uids measured: end -->"
GAP = 11  # of so many messages that there were, one is gone
GAPS = 50_000  # in one folder


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
    expected = mailboxes.KEPT if uids == "keep" else mailboxes.CHANGED
    if {state for _, _, state, _, _ in mailboxes.uids_of_folders(ledger)} != {expected}:
        raise RuntimeError(f"UIDs were not {expected} in each folder: what was measured says nothing")
    return Cost(result.seconds, time.process_time() - cpu, 0.0)


NEW, KEPT = "bascule", "bascule, UIDs kept"
TOOLS: dict[str, Tool] = {
    NEW: partial(bascule, "new"),
    KEPT: partial(bascule, "keep"),
    "doveadm backup": dsync,
}


def measure(bench: Bench, corpus: str, user: str, rounds: int) -> str:
    """All tools in turn; the load of the machine meanwhile, and the pairs, as one sentence."""
    loads, pairs = [], []
    for number in range(rounds):
        walls = {}
        for name in rotated([*TOOLS], number):
            into = f"{user}-uids-{[*TOOLS].index(name)}-{number}"
            cost = TOOLS[name](bench, user, into)
            loads.append(os.getloadavg()[0])
            bench.record(f"first copy, {corpus}", name, cost)
            walls[name] = cost.wall
            shutil.rmtree(bench.new.home / "mail" / into, ignore_errors=True)
        pairs.append(walls[KEPT] / walls[NEW])
    times = ", ".join(f"{pair:.2f}" for pair in sorted(pairs))
    return f"*{corpus}*: load {min(loads):.0f} to {max(loads):.0f}; kept by new UIDs, round by round: {times}."


def cases(bench: Bench, corpora: list[Corpus], rounds: int) -> Iterator[tuple[str, str, int]]:
    """What is measured, whose mail on old, and how often."""
    for corpus in corpora:
        make_gaps(bench, corpus)
        yield corpus.name, corpus.name, rounds - 2 * (corpus.name == BIG.name)
    if len(corpora) > 1:
        lay_out(bench.old, "gaps", "", range(2, 2 * GAPS + 1, 2), uidvalidity=77)
        yield f"{GAPS:,} gaps in one folder", "gaps", 1


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
        rounds = 1 if asked.quick else asked.rounds
        sentences = [measure(bench, *case) for case in cases(bench, corpora, rounds)]
        lines = [*table(bench.results), "", *sentences]
    if asked.quick:
        print("\n".join(lines))
    else:
        write_page([machine(), "", *lines], BEGIN, END)


if __name__ == "__main__":
    main()
