"""A server's limits hold for all tasks together: two processes at once are not faster than one may be."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bascule.mailbox.throttle import AHEAD

from tests.mail_servers import two_dovecots
from tests.mailbox_states import Account, parse

ROOT = Path(__file__).parents[2]
MESSAGES = 60  # in each of two mailboxes

PASS = """
import json, sys
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, Server, sync_mailbox
asked = json.loads(sys.argv[1])
login = Login(asked["user"], "secret")
old = Server(Endpoint("127.0.0.1", asked["old"], "plain"), login)
new = Server(Endpoint("127.0.0.1", asked["new"], "plain"), login, **asked["limits"])
result = sync_mailbox(MailboxJob(asked["user"], old, new, Options(verify="none")), Ledger(asked["ledger"]))
print(result.copied, result.bytes)
"""


@pytest.mark.parametrize(
    "limit", [{"messages_per_second": 40}, {"bytes_per_second": 15_000}], ids=lambda x: next(iter(x))
)
def test_two_processes_share_the_limit_of_a_server(limit: dict[str, int], tmp_path: Path) -> None:
    with two_dovecots() as (old, new):
        users = ["ann", "bob"]
        for user in users:
            with Account(old.port, user, ".") as account:
                account.make(parse("INBOX: " + " ".join(f"m{number}" for number in range(MESSAGES))))
        asked = {"old": old.port, "new": new.port, "ledger": f"sqlite:///{tmp_path}/ledger.db", "limits": limit}
        began = time.monotonic()
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PASS, json.dumps({**asked, "user": user})], stdout=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
            )
            for user in users
        ]  # fmt: skip
        copied = [
            tuple(map(int, process.communicate(timeout=250)[0].splitlines()[-1].split())) for process in processes
        ]
        seconds = time.monotonic() - began
    assert [messages for messages, _ in copied] == [MESSAGES, MESSAGES]
    amount = 2 * MESSAGES if "messages_per_second" in limit else sum(octets for _, octets in copied)
    allowed = amount / next(iter(limit.values()))
    assert seconds >= allowed - 2 * AHEAD
    assert allowed > 2.5  # else nothing was shown
