"""The same cases with capabilities switched off, one by one and all together: slower, with the same end."""

import re
from dataclasses import replace

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync, sync_mailbox

from tests.imap_relay import replacing
from tests.mail_servers import two_dovecots
from tests.mailbox_cases import CASES, Case, Pair, check, prepare
from tests.mailbox_states import Account

MODSEQ = "CONDSTORE QRESYNC"
EVERYTHING = f"{MODSEQ} LITERAL+ LITERAL- MULTIAPPEND UIDPLUS LIST-STATUS LIST-EXTENDED NAMESPACE SPECIAL-USE SASL-IR"

SWITCHED_OFF = {
    "LITERAL+": "LITERAL+",
    "MULTIAPPEND": "MULTIAPPEND",
    "both ways of bulk": "LITERAL+ MULTIAPPEND",
    "UIDPLUS": "UIDPLUS",
    "QRESYNC": "QRESYNC",
    "CONDSTORE": MODSEQ,
    "LIST-STATUS": "LIST-STATUS",
    "NAMESPACE": "NAMESPACE",
    "everything": EVERYTHING,
}


@pytest.mark.parametrize("missing", SWITCHED_OFF)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without(pair: Pair, ledger: Ledger, case: Case, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "FIRST_PAUSE", 0.0)
    off = frozenset(SWITCHED_OFF[missing].split())
    pair = replace(pair, without=(off, off))
    job = prepare(pair, case, ledger, Options())
    sync_mailbox(job, ledger)
    check(pair, case, job, ledger, f"without {missing}")


def test_literal_minus_asks_before_large_messages(ledger: Ledger) -> None:
    """RFC 7888: with LITERAL- at most 4096 bytes may be sent without being asked for."""
    announced = "IMAP4rev1 LITERAL- MULTIAPPEND UIDPLUS NAMESPACE"
    with two_dovecots(new={"capability": announced}) as (old, new):
        user = "ann"
        with Account(old.port, user, ".") as account:
            for number in range(20):
                body = b"Subject: %d\r\n\r\n" % number + b"x" * (number * 500) + b"\r\n"
                account.client.append("INBOX", "()", None, body)
        said = list[bytes]()
        with replacing(new.port, said=said) as port:
            job = MailboxJob(user, old.server(user), replace(new, port=port).server(user), Options(verify="content"))
            result = sync_mailbox(job, ledger)
    literals = re.findall(rb"\{(\d+)(\+?)\}\r\n", b"".join(said))
    unasked, asked = ([int(size) for size, plus in literals if plus == which] for which in (b"+", b""))
    assert unasked and max(unasked) <= 4096 < min(size for size in asked if size > 500)
    assert (result.copied, result.verified, result.problems) == (20, 20, 0)
