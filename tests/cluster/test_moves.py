"""An account moves by the cluster, and the worker at it is killed while its mail is held."""

import time
from collections import Counter

from bascule.ledger import journal, mailboxes, moves

from tests.cluster.conftest import Cluster, until

ACCOUNT = "accueil"
AGAIN_SECONDS = 90


def test_a_killed_workers_move_ends_by_itself(cluster: Cluster) -> None:
    """Old stands still from the hold on, so that the worker is surely at the last pass when it dies."""
    run_id = cluster.rest.trigger("prepare", {"accounts": ACCOUNT})
    until(lambda: cluster.rest.run_state("prepare", run_id) == "success", 900, "`prepare` has ended")
    before = messages(cluster, "old")

    run_id = cluster.rest.trigger("move", {"accounts": ACCOUNT})
    held = until(lambda: moves.holds(cluster.ledger), 600, "the mail of the account is held")
    cluster.on_host("old", "systemctl kill --signal=STOP dovecot")
    try:
        task = next(task for task in cluster.tasks("move", run_id, "account.move") if task["state"] == "running")
        cluster.kill(task["hostname"])
        began = time.monotonic()
        assert [move.account for move in moves.holds(cluster.ledger)] == [held[0].account] == [ACCOUNT]
    finally:
        cluster.on_host("old", "systemctl kill --signal=CONT dovecot")
    until(lambda: not moves.holds(cluster.ledger), 5 * AGAIN_SECONDS, "nobody is held any more")
    seconds = time.monotonic() - began
    until(lambda: cluster.rest.run_state("move", run_id) == "success", 600, "`move` has ended")

    cluster.tell(f"a killed worker's account was held for {seconds:.0f} s longer")
    assert seconds <= AGAIN_SECONDS
    assert ACCOUNT in moves.moved(cluster.ledger)
    assert moves.all_under_way(cluster.ledger) == []
    assert messages(cluster, "new") == before
    assert mailboxes.mailbox_states(cluster.ledger)[ACCOUNT].state == "verified"
    assert journal.broken_link(cluster.ledger) is None


def messages(cluster: Cluster, host: str) -> Counter[str]:
    """By their Message-ID, as the host's own Dovecot shows them, in all folders."""
    said = cluster.on_host(host, f"doveadm -f tab fetch -u {ACCOUNT} hdr.message-id ALL")
    return Counter(said.splitlines()[1:])
