"""The same cases with capabilities switched off, one by one and all together: slower, with the same end."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, engine, sync_mailbox

from tests.fault_relay import Faults
from tests.mail_servers import dovecot, mail_directory
from tests.mailbox_cases import CASES, Case, Pair, check, prepare
from tests.mailbox_states import Account
from tests.replacing_relay import replacing

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


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with (
        mail_directory() as home,
        dovecot(home / "old", separator=".") as old,
        dovecot(home / "new", separator="/", location="sdbox:~/sdbox") as new,
    ):
        yield Pair(old, new, old.port, new.port, Faults())


@pytest.mark.parametrize("missing", SWITCHED_OFF)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without(servers: Pair, tmp_path: Path, case: Case, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_PAUSE", 0.0)
    off = frozenset(SWITCHED_OFF[missing].split())
    pair = replace(servers, without=(off, off))
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    job = prepare(pair, case, ledger, Options())
    sync_mailbox(job, ledger)
    check(pair, case, job, ledger, f"without {missing}")


def test_literal_minus_asks_before_large_messages(tmp_path: Path) -> None:
    """RFC 7888: with LITERAL- at most 4096 bytes may be sent without being asked for."""
    with (
        mail_directory() as home,
        dovecot(home / "old") as old,
        dovecot(home / "new", capability="IMAP4rev1 LITERAL- MULTIAPPEND UIDPLUS NAMESPACE") as new,
    ):
        user = "ann"
        with Account(old.port, user, ".") as account:
            for number in range(20):
                body = b"Subject: %d\r\n\r\n" % number + b"x" * (number * 500) + b"\r\n"
                account.client.append("INBOX", "()", None, body)
        ledger, said = Ledger(f"sqlite:///{tmp_path}/ledger.db"), list[bytes]()
        with replacing(new.port, said=said) as port:
            job = MailboxJob(user, old.server(user), replace(new, port=port).server(user), Options(verify="content"))
            result = sync_mailbox(job, ledger)
    literals = re.findall(rb"\{(\d+)(\+?)\}\r\n", b"".join(said))
    unasked, asked = ([int(size) for size, plus in literals if plus == which] for which in (b"+", b""))
    assert unasked and max(unasked) <= 4096 < min(size for size in asked if size > 500)
    assert (result.copied, result.verified, result.problems) == (20, 20, 0)
