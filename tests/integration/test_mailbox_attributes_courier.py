"""Access rights from and to a server that knows RFC 2086 only (Courier), whose letters mean other things."""

import imaplib
import re
from collections.abc import Iterator

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.verify.audit import audit

from tests.courier_server import Courier, courier
from tests.integration.test_mailbox_attributes import EXTRA
from tests.mail_servers import PASSWORD, Dovecot, dovecot, mail_directory

Server = Courier | Dovecot
OPTIONS = Options(acl=True, known_accounts=set)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Courier, Dovecot]]:
    with (
        mail_directory() as home,
        courier(home / "courier", besides="ACL ACL2=UNION") as one,
        dovecot(home / "dovecot", separator="/", extra=EXTRA) as other,
    ):
        yield one, other


def job(old: Server, new: Server, user: str) -> MailboxJob:
    return MailboxJob(user, old.server(user), new.server(user), OPTIONS)


def grant(server: Server, user: str, identifier: str, letters: str) -> None:
    client = imaplib.IMAP4("127.0.0.1", server.port)
    client.login(user, PASSWORD)
    answer = client.setacl("INBOX", f'"{identifier}"', letters)
    assert answer[0] == "OK", answer
    client.logout()


def granted(server: Server, user: str, identifier: str) -> set[str]:
    """The letters as the server writes them."""
    client = imaplib.IMAP4("127.0.0.1", server.port)
    client.login(user, PASSWORD)
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', client.getacl("INBOX")[1][0].decode())]
    client.logout()
    return set(dict(zip(words[1::2], words[2::2], strict=True)).get(identifier, ""))


def test_rights_of_rfc_2086_become_those_of_rfc_4314(servers: tuple[Courier, Dovecot], ledger: Ledger) -> None:
    old, new = servers
    grant(old, "from", "bob", "lrscd")
    result = sync_mailbox(job(old, new, "from"), ledger)
    assert result.problems == 0
    assert granted(new, "from", "bob") - set("cd") == set("lrskte")
    assert granted(new, "from", "owner") == granted(new, "from", "administrators") == set()
    assert audit(job(old, new, "from"), ledger).differences == 0


def test_rights_of_rfc_4314_become_those_of_rfc_2086(servers: tuple[Courier, Dovecot], ledger: Ledger) -> None:
    new, old = servers
    grant(old, "to", "bob", "lrswite")
    grant(old, "to", "eve", "lrt")
    for _ in range(2):
        assert sync_mailbox(job(old, new, "to"), ledger).problems == 0
    assert granted(new, "to", "bob") == set("lrswid")
    assert granted(new, "to", "eve") == set("lr"), "d would let her expunge, too"
    assert audit(job(old, new, "to"), ledger).differences == 0
    grant(old, "to", "bob", "lr")
    sync_mailbox(job(old, new, "to"), ledger)
    assert granted(new, "to", "bob") == set("lr")
