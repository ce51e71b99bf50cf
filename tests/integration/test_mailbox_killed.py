"""A pass whose process is killed in the middle of an APPEND of many messages: the next one goes on where it stood."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from bascule.ledger import mailboxes
from bascule.mailbox.messages.bulk_copy import BATCH_MESSAGES

from tests.imap_places import Box
from tests.imap_relay import Cut, relayed
from tests.integration.test_mailbox_odd_answers import put, subjects

MESSAGES = 250
PASS = """
import sys
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.imap.server import Server

user, url, *ports = sys.argv[1:]
old, new = (Server(Endpoint("127.0.0.1", int(port), "plain", timeout=30.0), Login(user, "secret"), side=side)
            for port, side in zip(ports, ("old", "new")))
sync_mailbox(MailboxJob(user, old, new, Options(connections=1)), Ledger(url))
"""


@pytest.mark.parametrize("at", [1, 37, BATCH_MESSAGES + 50])
def test_a_pass_that_is_killed_inside_an_append_is_taken_up(box: Box, at: int) -> None:
    put(box, MESSAGES)
    process: list[subprocess.Popen[bytes]] = []
    got = [0]

    def literals(octets: bytes) -> bytes:
        got[0] += 1
        if got[0] == at:
            wait_until_new_has(box, (at - 1) // BATCH_MESSAGES * BATCH_MESSAGES)  # all that was sent whole before
            os.kill(process[0].pid, signal.SIGKILL)
            process[0].wait()
            raise Cut  # with what was still on its way
        return octets

    with relayed(box.new.port, literals=literals) as port:
        words = [sys.executable, "-c", PASS, box.user, box.ledger.url, str(box.old.port), str(port)]
        process.append(subprocess.Popen(words, stdout=subprocess.DEVNULL))
        assert process[0].wait(120) == -signal.SIGKILL
    assert mailboxes.mailbox_states(box.ledger)[box.user].state == "copying", "nobody says that it failed"
    assert box.problems() == []
    result = box.sync()  # its lease is free at once
    assert (result.problems, result.copied) == (0, MESSAGES - (at - 1) // BATCH_MESSAGES * BATCH_MESSAGES)
    assert subjects(box) == Counter(b"Subject: %d" % i for i in range(1, MESSAGES + 1))
    box.settled()
    assert not box.verify("content").differences


def wait_until_new_has(box: Box, messages: int) -> None:
    deadline = time.monotonic() + 60
    while messages:
        with box.on_new() as account:
            if int(account.client.select()[1][0] or 0) >= messages:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
