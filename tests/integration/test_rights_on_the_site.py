"""Rights and annotations on the practice site, where the directory says who is known; both logins are the master's."""

import imaplib
import uuid
from collections.abc import Iterator

import pytest
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.mailbox import job_for, sync_mailbox
from bascule.mailbox.verify.audit import audit
from bascule.moves.ties import ties
from bascule.problems import store
from imapclient import IMAPClient

from lab.corpus.store import Stores
from tests.integration.conftest import Lab
from tests.integration.directory_entries import add, administrator, remove


@pytest.fixture
def accounts(lab: Lab) -> Iterator[tuple[str, str]]:
    """An owner and another person, both in the directory."""
    mark = uuid.uuid4().hex[:8]
    names = (f"rights-owner-{mark}", f"rights-other-{mark}")
    with administrator(lab) as admin:
        for name in names:
            add(admin, name)
        yield names
        remove(admin, names)


def rights(client: IMAPClient, folder: str) -> dict[str, str]:
    return {entry[0].decode(): entry[1].decode() for entry in _acl(client, folder)}


def _acl(client: IMAPClient, folder: str) -> list[tuple[bytes, bytes]]:
    imap: imaplib.IMAP4 = client._imap
    words = imap.getacl(folder)[1][0].split(b" ")[1:]
    return list(zip(words[::2], words[1::2], strict=True))


def test_people_of_the_directory_get_their_rights_and_others_are_named(
    lab: Lab, access: Access, ledger_url: str, accounts: tuple[str, str]
) -> None:
    owner, other = accounts
    stores, ledger = Stores(lab.instance), Ledger(ledger_url)
    with stores.reader("old", owner) as client:
        for identifier in (other, f"{other}@obs.test", "departed"):
            client._imap.setacl("INBOX", identifier, "lrs")
        client.create_folder("INBOX.Équipe")
        assert client._imap.xatom("SETMETADATA", "INBOX", '(/private/comment "the team")')[0] == "OK"
    job = job_for(access, owner)
    assert sync_mailbox(job, ledger).problems == 1
    assert ties(ledger, accounts) == {tuple(sorted(accounts))}, "they move in one wave"
    (problem,) = store.problems(ledger, account=owner)
    assert (problem.kind, problem.subject, problem.facts["rights"]) == ("acl-unknown", "departed", {"INBOX": "lrs"})
    with stores.reader("new", owner) as client:
        assert rights(client, "INBOX").keys() == {owner, other}
        assert rights(client, "INBOX")[other] == "lrs"
        assert b"the team" in b"".join(_flat(client._imap.xatom("GETMETADATA", "INBOX", "/private/comment"), client))
    assert [words for folder in audit(job, ledger).folders for words in folder.differences] == [
        "access rights (ACL, RFC 4314): departed has lrs on old and nothing on new"
    ]


def _flat(_: object, client: IMAPClient) -> list[bytes]:
    told = client._imap.response("METADATA")[1]
    return [part for item in told for part in (item if isinstance(item, tuple) else (item,)) if part]
