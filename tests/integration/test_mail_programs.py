"""What real mail programs with a cache do when the service's name leads to new: notice nothing, or download all anew.

The table of docs/adopt.md is what `uids: new` and `uids: keep` show here.
"""

import poplib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.checks.functional import mail_program
from bascule.checks.functional.client import CouldNotTest, Evidence
from bascule.ledger import Ledger
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.job import Uids
from bascule.remote import client

from tests.kept_uids import deliver, flag, lay_out, remove
from tests.mail_programs import Fetchmail, Mbsync, Mutt, Offlineimap, Refused, Service, service
from tests.mail_servers import PASSWORD, Dovecot, dovecot, free_port, mail_directory, two_dovecots

INBOX, ARCHIVES = list(range(3, 83, 2)), list(range(103, 123))
ACCESS: Any = SimpleNamespace(
    site=SimpleNamespace(service_addresses=SimpleNamespace(imap=SimpleNamespace(name="imap.obs.test", port=993)))
)
POP3 = """
protocols = imap pop3
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {port}
  }}
}}
service pop3 {{
  chroot =
}}
"""


class Move:
    """One user whose mail goes from old to new between two connections of each program."""

    def __init__(self, old: Dovecot, new: Dovecot, user: str, place: Path, imap: Service, pop: Service) -> None:
        self.old, self.new, self.user, self.imap, self.pop = old, new, user, imap, pop
        self.ledger = Ledger(f"sqlite:///{place}/ledger.db")
        self.found: dict[str, Counter[str]] = {}  # by subject
        self.given: dict[str, int] = {}  # messages, when it connected last
        self.refused: set[str] = set()  # that go no further
        self.programs = {
            "mbsync": Mbsync(place / "mbsync", user, imap.port),
            "offlineimap": Offlineimap(place / "offlineimap", user, imap.port),
            "mutt": Mutt(place / "mutt", user, imap.port),
            "fetchmail": Fetchmail(place / "fetchmail", user, pop.port),
        }

    def carry(self, uids: str) -> None:
        server = self.new.server(self.user)
        options = Options(uids=uids)  # type: ignore[arg-type]
        result = sync_mailbox(
            MailboxJob(self.user, self.old.server(self.user), server, options, self.new.doveadm(self.user)), self.ledger
        )
        assert result.problems == 0

    def connect(self, name: str) -> None:
        self.imap.texts = self.imap.headers = 0
        before = self.found.get(name, Counter())
        try:
            self.found[name] = self.programs[name].connect()
        except Refused as refused:
            self.found[name], self.refused = refused.found, {*self.refused, name}
        by_pop3 = (self.found[name] - before).total() if name == "fetchmail" else 0
        self.given[name] = max(self.imap.texts, self.imap.headers) or by_pop3


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Dovecot, Dovecot, int, int]]:
    ports = free_port(), free_port()
    with (
        mail_directory() as home,
        dovecot(home / "old", extra=POP3.format(port=ports[0])) as old,
        dovecot(home / "new", separator="/", location="sdbox:~/sdbox", extra=POP3.format(port=ports[1])) as new,
    ):
        yield old, new, *ports


@pytest.mark.parametrize("uids", ["keep", "new"])
def test_programs_with_a_cache(servers: tuple[Dovecot, Dovecot, int, int], tmp_path: Path, uids: str) -> None:
    old, new, old_pop, new_pop = servers
    user = f"user-{uids}"
    lay_out(old, user, "", INBOX, uidvalidity=77)
    lay_out(old, user, "Archives", ARCHIVES, uidvalidity=78)
    with service(old.port) as imap, service(old_pop) as pop:
        move = Move(old, new, user, tmp_path, imap, pop)
        move.carry(uids)  # days before
        for name in move.programs:
            move.connect(name)
            move.connect(name)  # what mutt has shown once, it has in its caches
        deliver(old, user, "on the day")
        flag(old, user, "7", "\\Flagged")
        remove(old, user, "5")
        move.carry(uids)
        imap.target, pop.target = new.port, new_pop
        seen = {}
        for name, program in move.programs.items():
            move.connect(name)
            expected = {str(uid) for uid in (INBOX if program.inbox_only else INBOX + ARCHIVES)} | {"on the day"}
            missing, doubled = expected - {*move.found[name], "5"}, move.found[name] - Counter({*move.found[name]})
            seen[name] = move.given[name] - ("on the day" in move.found[name]), len(missing), doubled.total()
        print(f"\n{uids}: {seen}, go no further: {move.refused}")  # anew, missing, doubled
    if uids == "keep":
        assert seen == dict.fromkeys(move.programs, (0, 0, 0))
    else:
        assert {name for name, (anew, _, _) in seen.items() if anew >= len(INBOX) - 1} >= {
            "mbsync",
            "mutt",
            "fetchmail",
        }
        assert move.refused == {"offlineimap"}


def uidls(port: int, user: str) -> list[bytes]:
    client = poplib.POP3("127.0.0.1", port)
    client.user(user)
    client.pass_(PASSWORD)
    listed = client.uidl()[1]
    client.quit()
    return listed


@pytest.mark.parametrize("location", ["sdbox:~/sdbox", "mdbox:~/mdbox", "maildir:~/Maildir"])
def test_uidls_of_pop3_follow_by_themselves(
    servers: tuple[Dovecot, Dovecot, int, int], ledger: Ledger, location: str
) -> None:
    old, _, old_pop, _ = servers
    user, new_pop = f"pop-{location.partition(':')[0]}", free_port()
    lay_out(old, user, "", INBOX, uidvalidity=77)
    with (
        mail_directory() as home,
        dovecot(home / "new", separator="/", location=location, extra=POP3.format(port=new_pop)) as new,
    ):
        job = MailboxJob(user, old.server(user), new.server(user), doveadm=new.doveadm(user))
        sync_mailbox(job, ledger)
        remove(old, user, "5")
        deliver(old, user, "on the day")
        sync_mailbox(job, ledger)
        assert uidls(new_pop, user) == uidls(old_pop, user)
        assert len(uidls(new_pop, user)) == len(INBOX)


@pytest.mark.parametrize("uids", ["keep", "new"])
def test_the_functional_test_of_the_day_sees_it(
    certificate: tuple[Path, Path], ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uids: Uids
) -> None:
    """`mail-program-with-a-cache`: nothing where UIDs are kept; and it fails where they are not."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with two_dovecots(certificate=certificate) as (old, new):

        def connect(server: Dovecot) -> Evidence:
            request = {"host": "localhost", "port": server.tls_port, "user": "ann", "password": PASSWORD}
            seen = client.mail_program({**request, "authority": certificate[0].read_text()})
            monkeypatch.setattr(mail_program, "ask", lambda *_, **__: seen)
            monkeypatch.setattr(mail_program, "login", lambda _: {})
            return mail_program.with_a_cache(ACCESS)

        lay_out(old, "ann", "", INBOX, uidvalidity=77)
        lay_out(old, "ann", "Archives", ARCHIVES, uidvalidity=78)
        assert "no cache" in connect(old).sentence
        job = MailboxJob("ann", old.server("ann"), new.server("ann"), Options(uids=uids), new.doveadm("ann"))
        sync_mailbox(job, ledger)
        deliver(old, "ann", "on the day")
        sync_mailbox(job, ledger)
        if uids == "keep":
            evidence = connect(new)
            assert evidence.ok, evidence.sentence
            assert "had 60 messages" in evidence.sentence and "and got 1 new" in evidence.sentence
        else:
            with pytest.raises(CouldNotTest, match="UIDVALIDITY"):
                connect(new)
