"""New servers with quotas, access rights, or plugins that keep what is expunged: no placeholder is in the way of mail,
none stays.
"""

import imaplib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import sync
from bascule.mailbox.imap.quota import Quota
from bascule.mailbox.messages import placeholders
from bascule.mailbox.sync import sync_mailbox

from tests.integration.test_mailbox_placeholders import job
from tests.integration.test_mailbox_quota import QUOTA
from tests.kept_uids import lay_out, shown
from tests.mail_servers import PASSWORD, Dovecot, dovecot, mail_directory

GAPS = [1, 2, 4, 8, 16, 18, 27]
RIGHTS = """
mail_plugins = $mail_plugins acl
plugin {{
  acl = vfile:{home}/rights
}}
protocol imap {{
  mail_plugins = $mail_plugins {plugin}
}}
"""
KEEPS_EXPUNGED = """
namespace expunged {
  prefix = Expunged/
  separator = /
  location = sdbox:~/expunged
  hidden = yes
  list = no
}
plugin {
  lazy_expunge = Expunged/
}
"""


@pytest.fixture(scope="module")
def old(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[0]


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


@pytest.fixture
def home() -> Iterator[Path]:
    with mail_directory() as directory:
        yield directory / "new"


def left(server: Dovecot, user: str, folder: str) -> int:
    """How many placeholders are there, whatever flags they have."""
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        if client.select(f'"{folder}"', readonly=True)[0] != "OK":
            return 0
        return len(client.search(None, f"HEADER {placeholders.HEADER.decode()} for")[1][0].split())


@pytest.mark.parametrize("rule", ["messages=7", "messages=12", "storage=1k"])
@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
def test_a_quota_that_takes_the_mail_and_nothing_beside_it(
    old: Dovecot, home: Path, ledger: Ledger, user: str, rule: str, is_told: bool
) -> None:
    lay_out(old, user, "", GAPS, uidvalidity=77)
    rules = (QUOTA % rule).replace("imap_quota", "imap_quota" if is_told else "")
    with dovecot(home, separator="/", location="sdbox:~/sdbox", extra=rules) as new:
        assert sync_mailbox(job(old, new, user), ledger).problems == 0
        assert shown(new, user) == shown(old, user)


def test_none_takes_space_while_a_full_quota_waits_for_a_person(
    old: Dovecot, home: Path, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", range(2, 601, 2), uidvalidity=77)
    monkeypatch.setattr(sync, "get_quota", lambda *_: Quota())
    with dovecot(home, separator="/", location="sdbox:~/sdbox", extra=QUOTA % "messages=250") as new:
        assert sync_mailbox(job(old, new, user), ledger).problems == 1
        assert left(new, user, "INBOX") == 0
        assert len(shown(new, user).messages) == 250


@pytest.mark.parametrize("plugin", ["imap_acl", ""], ids=["rights told", "rights not told"])
@pytest.mark.parametrize(
    "rights", ["lrwstipekxa", "lrwsipekxa", "lrwstipkxa", "lrwtipekxa"],
    ids=["all", "not to mark as deleted", "not to expunge", "not to mark as seen"],
)  # fmt: skip
def test_none_where_their_owner_may_not_remove_them(
    old: Dovecot, home: Path, ledger: Ledger, user: str, rights: str, plugin: str
) -> None:
    lay_out(old, user, "Archive", GAPS, uidvalidity=77)
    (home / "rights").mkdir(parents=True)
    (home / "rights" / "Archive").write_text(f"owner {rights}\n")
    told = RIGHTS.format(home=home, plugin=plugin)
    with dovecot(home, separator="/", location="sdbox:~/sdbox", extra=told) as new:
        sync_mailbox(job(old, new, user), ledger)
        assert left(new, user, "Archive") == 0
        assert shown(new, user, "Archive") == shown(old, user, "Archive")


@pytest.mark.parametrize("whose", ["of all", "of IMAP", "of one user", "of one user by IMAP"])
def test_none_where_new_keeps_what_is_expunged(old: Dovecot, home: Path, ledger: Ledger, user: str, whose: str) -> None:
    lay_out(old, user, "", GAPS, uidvalidity=77)
    extra, logins = KEEPS_EXPUNGED, ""
    if whose == "of all":
        extra += "mail_plugins = $mail_plugins lazy_expunge\n"
    elif whose == "of IMAP":
        extra += "protocol imap {\n  mail_plugins = $mail_plugins lazy_expunge\n}\n"
    else:
        users = home / ("users" if whose == "of one user" else "imap.users")
        home.mkdir()
        users.write_text(f"{user}:::::{home}/mail/{user}::userdb_mail_plugins=lazy_expunge\n")
        name = users if whose == "of one user" else home / "%s.users"
        logins = f"userdb {{\n  driver = passwd-file\n  args = {name}\n  default_fields = uid=nobody gid=nogroup\n}}"
    with dovecot(home, separator="/", location="sdbox:~/sdbox", extra=extra, logins=logins) as new:
        sync_mailbox(job(old, new, user), ledger)
        assert shown(new, user) == shown(old, user)
        assert left(new, user, "Expunged/INBOX") == 0
        keep_one(new, user)


def keep_one(new: Dovecot, user: str) -> None:
    """What is expunged on this server is kept: the test can fail."""
    with imaplib.IMAP4("127.0.0.1", new.port) as client:
        client.login(user, PASSWORD)
        client.append("INBOX", "(\\Seen \\Deleted)", "", placeholders.TEXT)
        client.select("INBOX")
        assert client.expunge()[0] == "OK"
    assert left(new, user, "Expunged/INBOX") == 1, new.log
