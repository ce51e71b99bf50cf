"""Small gaps between UIDs are left out by messages that are appended with the others and expunged at once."""

import imaplib
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from bascule.ledger import Ledger, mailboxes
from bascule.ledger.mailboxes import CHANGED, KEPT, FolderRow
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.back import sync_back
from bascule.mailbox.carry_back import carry_back
from bascule.mailbox.doveadm import Doveadm
from bascule.mailbox.imap.append import Append
from bascule.mailbox.imap.login import log_in
from bascule.mailbox.messages.placeholders import MOST, TEXT, Placeholders, remove_left
from bascule.mailbox.state.turn import turn

from tests.imap_relay import relayed
from tests.integration.test_mailbox_odd_answers import without_body
from tests.kept_uids import deliver, lay_out, remove, shown
from tests.mail_servers import PASSWORD, Dovecot, dovecot, mail_directory

FORMATS = ["sdbox:~/sdbox", "mdbox:~/mdbox", "maildir:~/Maildir"]
GAPS = [1, 2, 4, 8, 16, 18, 18 + MOST + 1]  # each as large as placeholders fill it
WIDE = [*GAPS, 100, 101, 300]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def old(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[0]


@pytest.fixture(scope="module")
def sdbox(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[1]


@pytest.fixture(scope="module", params=FORMATS)
def new(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    with mail_directory() as home, dovecot(home / "new", separator="/", location=request.param) as server:
        yield server


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The UIDs that new was told to give next."""
    told: list[int] = []
    update = Doveadm.update

    def noted(self: Doveadm, folder: bytes, *, uidvalidity: int = 0, uidnext: int = 0, modseq: int = 0) -> None:
        told.append(uidnext)
        update(self, folder, uidvalidity=uidvalidity, uidnext=uidnext, modseq=modseq)

    monkeypatch.setattr(Doveadm, "update", noted)
    return told


def job(old: Dovecot, new: Dovecot, user: str) -> MailboxJob:
    return MailboxJob(user, old.server(user), new.server(user), Options(), new.doveadm(user))


def inbox(ledger: Ledger, user: str) -> FolderRow:
    with ledger.reading() as session:
        (row,) = (row for row in mailboxes.folders_of(session, user) if row.old_name == "INBOX")
        session.expunge_all()
    return row


def texts(server: Dovecot, user: str) -> list[bytes]:
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        client.select("INBOX", readonly=True)
        return [row[1] for row in client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]


def killed_before_they_are_removed(work: MailboxJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Placeholders, "remove", kill)
        sync_mailbox(work, ledger)


def test_small_gaps_need_no_command(old: Dovecot, new: Dovecot, ledger: Ledger, user: str, commands: list[int]) -> None:
    lay_out(old, user, "", WIDE, uidvalidity=77)
    assert sync_mailbox(job(old, new, user), ledger).problems == 0
    assert shown(new, user) == shown(old, user)
    assert [uid for uid in commands if uid] == [1, 100, 300]  # the first one with UIDVALIDITY
    assert sync_mailbox(job(old, new, user), ledger).copied == 0


def test_there_is_nothing_of_them_while_the_next_piece_is_copied(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", range(2, 4001, 2), uidvalidity=77)
    most, run = [0], Placeholders.put

    def put(self: Placeholders, append: Append, number: int) -> None:
        run(self, append, number)
        most.append(self._folder.placeholders)

    monkeypatch.setattr(Placeholders, "put", put)
    sync_mailbox(job(old, sdbox, user), ledger)
    assert shown(sdbox, user) == shown(old, user)
    assert 0 < max(most) <= 800


def test_those_of_a_killed_task_go_before_anything_else_is_done(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", WIDE, uidvalidity=77)
    work = job(old, new, user)
    killed_before_they_are_removed(work, ledger, monkeypatch)
    assert any(text.startswith(TEXT[:20]) for text in texts(new, user))
    assert sync_mailbox(work, ledger).problems == 0
    assert shown(new, user) == shown(old, user)
    assert inbox(ledger, user).uids == KEPT


def test_mail_that_comes_between_them_ends_the_uids_and_is_kept(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", range(2, 801, 2), uidvalidity=77)
    put, delivered = Placeholders.put, []

    def deliver_once(self: Placeholders, append: Append, number: int) -> None:
        if self._first and not delivered:
            delivered.append(deliver(sdbox, user, "between"))
        put(self, append, number)

    monkeypatch.setattr(Placeholders, "put", deliver_once)
    assert sync_mailbox(job(old, sdbox, user), ledger).problems == 0
    assert delivered
    assert sorted(shown(sdbox, user).messages.values()) == sorted([*map(str, range(2, 801, 2)), "between"])
    assert (inbox(ledger, user).uids, shown(sdbox, user).uidvalidity == 77) == (CHANGED, False)


@pytest.mark.parametrize("place", [3, 5, 400], ids=["in a row", "behind a small gap", "behind a large gap"])
def test_a_message_that_old_does_not_give_leaves_its_place_empty(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, place: int
) -> None:
    lay_out(old, user, "", [1, 2, place, place + 1, place + 2], uidvalidity=77)
    with relayed(old.port, whole=without_body(place, b"BODY[] {0}\r\n")) as port:
        assert sync_mailbox(job(replace(old, port=port), sdbox, user), ledger).problems == 1
    assert shown(sdbox, user).messages == {uid: str(uid) for uid in (1, 2, place + 1, place + 2)}
    assert inbox(ledger, user).uids == KEPT


def test_a_server_that_tells_wrong_uids_loses_no_message(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", range(2, 101, 2), uidvalidity=77)
    finish = Append.finish

    def backwards(self: Append, uidvalidity: int) -> list[int]:
        uids = finish(self, uidvalidity)
        return [uids[0] + 1, *(uid - 1 for uid in uids[2:]), uids[-1]] if len(uids) > 2 else uids

    with monkeypatch.context() as patched:
        patched.setattr(Append, "finish", backwards)
        sync_mailbox(job(old, sdbox, user), ledger)
    sync_mailbox(job(old, sdbox, user), ledger)
    assert sorted(map(str, range(2, 101, 2))) == sorted(shown(sdbox, user).messages.values())
    assert not any(text.startswith(TEXT[:20]) for text in texts(sdbox, user))


@pytest.mark.parametrize("plugin", ["quota lazy_expunge", "imap_sieve", None])
def test_none_where_new_keeps_what_is_expunged_or_runs_scripts(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, commands: list[int], monkeypatch: pytest.MonkeyPatch,
    plugin: str | None,
) -> None:  # fmt: skip
    lay_out(old, user, "", GAPS, uidvalidity=77)
    made = Doveadm.__init__
    monkeypatch.setattr(Doveadm, "__init__", lambda self, *words: made(self, *words[:3], plugin))
    sync_mailbox(job(old, sdbox, user), ledger)
    assert shown(sdbox, user) == shown(old, user)
    assert [uid for uid in commands if uid] == [1, 4, 8, 16, 18, GAPS[-1]]


def test_new_is_asked_for_the_plugins_of_imap(user: str) -> None:
    with mail_directory() as home:
        users = home / "users"
        users.write_text(f"watched:::::{home}/new/mail/watched::userdb_mail_plugins=lazy_expunge\n")
        logins = f"userdb {{\n  driver = passwd-file\n  args = {users}\n  default_fields = uid=nobody gid=nogroup\n}}"
        with dovecot(home / "new", separator="/", location="sdbox:~/sdbox", logins=logins) as server:
            _assert_plugins_are_seen(server, user)


def _assert_plugins_are_seen(server: Dovecot, user: str) -> None:
    opened = server.doveadm(user)
    assert [opened().takes_placeholders, opened().takes_placeholders] == [True, True]
    assert not server.doveadm("watched")().takes_placeholders
    with (server.home / "dovecot.conf").open("a") as file:
        file.write("protocol imap {\n  mail_plugins = $mail_plugins quota lazy_expunge\n}\n")
    assert not server.doveadm(user)().takes_placeholders


def test_they_are_not_carried_back(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", [1, 2], uidvalidity=77)
    work = job(old, sdbox, user)
    sync_mailbox(work, ledger)
    lay_out(old, user, "", [1, 2, 5, 7], uidvalidity=77)
    killed_before_they_are_removed(work, ledger, monkeypatch)
    before = shown(old, user)
    carry_back(work, ledger, old.doveadm(user))
    assert shown(old, user) == before


def test_they_do_not_go_along_when_a_moved_account_comes_back(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", [1, 2], uidvalidity=77)
    work = job(old, sdbox, user)
    sync_mailbox(work, ledger)
    lay_out(old, user, "", [1, 2, 5, 7], uidvalidity=77)
    killed_before_they_are_removed(work, ledger, monkeypatch)
    turn(ledger, user, "new")
    sync_back(
        MailboxJob(user, sdbox.server(user), old.server(user), Options(), old.doveadm(user), source="new"), ledger
    )
    assert sorted(shown(old, user).messages.values()) == ["1", "2", "5", "7"]
    assert sorted(shown(sdbox, user).messages.values()) == ["1", "2", "5", "7"]


def test_those_of_a_way_back_that_was_given_up_do_not_go_to_new(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", [1], uidvalidity=77)
    work = job(old, sdbox, user)
    sync_mailbox(work, ledger)
    turn(ledger, user, "new")
    for subject in "2345":
        deliver(sdbox, user, subject)
    remove(sdbox, user, "3,4")
    way_back = MailboxJob(user, sdbox.server(user), old.server(user), Options(), old.doveadm(user), source="new")
    killed_before_they_are_removed(way_back, ledger, monkeypatch)
    assert any(text.startswith(TEXT[:20]) for text in texts(old, user))
    sync_mailbox(work, ledger)
    assert sorted(shown(old, user).messages.values()) == ["1", "2", "5"]
    assert shown(sdbox, user).messages == shown(old, user).messages


def test_a_folder_that_was_removed_on_old_meanwhile_goes_with_them(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "Box", GAPS, uidvalidity=77)
    work = job(old, sdbox, user)
    killed_before_they_are_removed(work, ledger, monkeypatch)
    with imaplib.IMAP4("127.0.0.1", old.port) as client:
        client.login(user, PASSWORD)
        client.delete("Box")
    assert sync_mailbox(work, ledger).problems == 0
    with imaplib.IMAP4("127.0.0.1", sdbox.port) as client:
        client.login(user, PASSWORD)
        assert client.select("Box")[0] == "NO"


def test_a_folder_that_was_renamed_on_old_meanwhile_is_without_them(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "Box", GAPS, uidvalidity=77)
    work = job(old, sdbox, user)
    killed_before_they_are_removed(work, ledger, monkeypatch)
    with imaplib.IMAP4("127.0.0.1", old.port) as client:
        client.login(user, PASSWORD)
        client.rename("Box", "Chest")
    assert sync_mailbox(work, ledger).problems == 0
    assert shown(sdbox, user, "Chest") == shown(old, user, "Chest")


def test_they_are_not_carried_back_from_a_folder_that_passes_do_not_know(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str
) -> None:
    lay_out(old, user, "", [1], uidvalidity=77)
    with imaplib.IMAP4("127.0.0.1", sdbox.port) as client:
        client.login(user, PASSWORD)
        client.append("INBOX", "(\\Seen \\Deleted)", "", TEXT)
    deliver(sdbox, user, "on new")
    assert carry_back(job(old, sdbox, user), ledger, old.doveadm(user)).copied == 1
    assert sorted(shown(old, user).messages.values()) == ["1", "on new"]


def test_nothing_is_doubled_where_new_does_not_tell_the_uids(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(old, user, "", GAPS, uidvalidity=77)
    finish = Append.finish
    monkeypatch.setattr(Append, "finish", lambda self, uidvalidity: finish(self, uidvalidity)[:0])
    assert sync_mailbox(job(old, sdbox, user), ledger).problems == 0
    assert sorted(shown(sdbox, user).messages.values()) == sorted(map(str, GAPS))
    assert (inbox(ledger, user).uids, shown(sdbox, user).uidvalidity == 77) == (CHANGED, False)


@pytest.mark.parametrize("uids", [[1, 2, 3, 4], [1, 2, 4, 6, 7], [1, 4, 5], [1, 30, 31]])
def test_a_message_that_old_gives_without_its_text_leaves_its_uid_free(
    old: Dovecot, sdbox: Dovecot, ledger: Ledger, user: str, uids: list[int]
) -> None:
    lay_out(old, user, "", uids, uidvalidity=77)
    bare = uids[-2]

    def without_text(response: bytes) -> bytes:
        return re.sub(rb"(UID %d .*BODY\[\]) \{\d+\}\r\n.*(\)\r\n)" % bare, rb'\1 ""\2', response, flags=re.DOTALL)

    with relayed(old.port, whole=without_text) as port:
        sync_mailbox(replace(job(old, sdbox, user), old=replace(old, port=port).server(user)), ledger)
    assert inbox(ledger, user).uids == KEPT
    kept = {uid: str(uid) for uid in uids if uid != bare}
    assert kept.items() <= shown(sdbox, user).messages.items()


def test_only_they_are_removed(sdbox: Dovecot, user: str) -> None:
    near = [
        (TEXT, "(\\Seen)"),
        (TEXT, "(\\Deleted)"),
        (TEXT + b"more", "(\\Seen \\Deleted)"),
        (TEXT.replace(b"Placeholder", b"Placehalter"), "(\\Seen \\Deleted)"),
    ]
    with imaplib.IMAP4("127.0.0.1", sdbox.port) as client:
        client.login(user, PASSWORD)
        for text, flags in [*near, (TEXT, "(\\Seen \\Deleted)")]:
            client.append("INBOX", flags, "", text)
    session = log_in(sdbox.server(user))
    assert remove_left(session, b"INBOX") == 1
    assert len(texts(sdbox, user)) == len(near)
    session.close()
