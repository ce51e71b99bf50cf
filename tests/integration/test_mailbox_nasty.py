"""Hostile and broken mail and folder names: everything ends on the new side or among the problems, by name."""

import email
import email.policy
import re

import pytest
from bascule.ledger import Ledger, journal, mailboxes
from bascule.mailbox import MailboxJob, Options, sync_mailbox
from bascule.mailbox.folder_sync import end
from bascule.mailbox.messages import refused
from bascule.problems import store
from bascule.problems.evidence import evidence_lines
from bascule.problems.model import Option, Problem

from tests.deciding import decide
from tests.mail_servers import Dovecot, dovecot, mail_directory
from tests.mailbox_states import Account

ORIGIN = journal.Origin("problems", "test", "settle", "postmaster")


@pytest.fixture(scope="module")
def old(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    """The one with sdboxes, which takes what new, with Maildirs, does not."""
    return servers[1]


@pytest.fixture(scope="module")
def new(servers: tuple[Dovecot, Dovecot]) -> Dovecot:
    return servers[0]


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^a-z0-9]", "", request.node.name.lower())[:40]


def job(old: Dovecot, new: Dovecot, user: str) -> MailboxJob:
    return MailboxJob(user, old.server(user), new.server(user), Options(verify="content"))


def append(account: Account, body: bytes, folder: str = '"INBOX"', flags: str = "()", when: str | None = None) -> None:
    answer = account.client.append(folder, flags, when, body)  # imaplib turns bare LF into CRLF here
    assert answer[0] == "OK", answer


def open_problems(ledger: Ledger, user: str) -> list[Problem]:
    return store.problems(ledger, account=user, room="mailbox")


NASTY_MESSAGES = {
    "no headers": b"just text\r\n",
    "eight-bit headers": b"Subject: \xe9\xe8\xff\r\n\r\nx\r\n",
    "long line": b"Subject: long\r\n\r\n" + b"y" * 2_000_000 + b"\r\n",
    "many headers": b"".join(b"X-%d: v\r\n" % i for i in range(5000)) + b"\r\nbody\r\n",
    "looks like IMAP": b"z1 CREATE injected\r\nz2 LOGOUT\r\n\r\n) {5+}\r\n* BYE\r\n",
    "only a line end": b"\r\n",
}


@pytest.mark.parametrize("kind", NASTY_MESSAGES)
def test_message_arrives_unchanged(old: Dovecot, new: Dovecot, ledger: Ledger, user: str, kind: str) -> None:
    with Account(old.port, user, "/") as account:
        append(account, NASTY_MESSAGES[kind])
        append(account, b"Subject: clean\r\n\r\nclean\r\n")
    result = sync_mailbox(job(old, new, user), ledger)
    assert (result.copied, result.problems, result.verified) == (2, 0, 2)
    with Account(new.port, user, ".") as account:
        assert account.folders() == ["INBOX"]
        account.client.select("INBOX")
        bodies = [row[1] for row in account.client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]
    assert NASTY_MESSAGES[kind] in bodies


def test_accepted_names_arrive_as_they_are(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> None:
    names = [
        " leading", "trailing ", "per%cent", "as*terisk", 'quo"te', "back\\slash", "été", "e\N{COMBINING ACUTE ACCENT}",
        "\N{PILE OF POO}", "Case", "R&D", "-dash", "$(touch pwned)", "'; DROP TABLE folder; --", "a/b/c",
    ]  # fmt: skip
    with Account(old.port, user, "/") as account:
        for name in names:
            assert account.client.create(account.wire_name(name))[0] == "OK"
            append(account, f"Subject: {name}\r\n\r\nx\r\n".encode(), account.wire_name(name))
    result = sync_mailbox(job(old, new, user), ledger)
    assert (result.problems, result.copied) == (0, len(names))
    with Account(new.port, user, ".") as account:
        assert set(names) <= set(account.folders())


def test_refused_names_are_problems_and_renamed_by_decision(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str
) -> None:
    refused = ["v1.2", "a.b/c.d", "dovecot.index"]
    with Account(old.port, user, "/") as account:
        for name in [*refused, "Good"]:
            account.client.create(account.wire_name(name))
            append(account, f"Subject: {name}\r\n\r\nx\r\n".encode(), account.wire_name(name))
    result = sync_mailbox(job(old, new, user), ledger)
    found = {problem.subject: problem for problem in open_problems(ledger, user)}
    assert set(found) == set(refused), "one bad folder never holds back the others"
    assert (result.copied, result.problems) == (1, len(refused))
    assert all(problem.kind == "folder-name" and problem.proposal.name for problem in found.values())
    decide(ledger, found["v1.2"], name="v1_2")
    decide(ledger, found["a.b/c.d"])
    decide(ledger, found["dovecot.index"], option=Option.LEAVE_OUT)
    result = sync_mailbox(job(old, new, user), ledger)
    assert (result.copied, result.problems) == (2, 0)
    names = mailboxes.folder_map(ledger, user)
    assert names["v1.2"] == "v1_2" and "dovecot.index" not in names
    states = {p.subject: p.state for p in store.problems(ledger, account=user, states=("settled",))}
    assert set(states) == set(refused)
    again = sync_mailbox(job(old, new, user), ledger)
    assert (again.copied, again.problems) == (0, 0)


def test_nul_is_found_named_and_repaired_by_decision(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> None:
    with Account(old.port, user, "/") as account:
        append(account, b"Message-Id: <nul@x>\r\nSubject: nul\r\n\r\nNUL-HERE\r\n")
        append(account, b"Subject: clean\r\n\r\nclean\r\n")
    stored = next((old.home / "mail" / user).rglob("u.1"))
    stored.write_bytes(stored.read_bytes().replace(b"NUL-HERE", b"NUL-\0ERE"))
    result = sync_mailbox(job(old, new, user), ledger)
    found = open_problems(ledger, user)
    if b"\x80" in b"".join(_bodies(new, user)):
        assert [problem.kind for problem in found] == ["message-altered"]
        assert found[0].facts["message_id"] == "<nul@x>" and found[0].facts["subject"] == "nul"
        decide(ledger, found[0])
        result = sync_mailbox(job(old, new, user), ledger)
        assert result.problems == 0
        assert any(b"original.eml" in body for body in _bodies(new, user))
        again = sync_mailbox(job(old, new, user), ledger)
        assert (again.copied, again.removed, again.problems) == (0, 0, 0)
    assert len(_bodies(new, user)) == 2


def test_a_repaired_message_is_from_the_sites_postmaster_and_comes_once(
    old: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the APPEND of the repaired message and the ledger's knowing of it."""
    with Account(old.port, user, "/") as account:
        append(account, b"Subject: large\r\n\r\n" + b"x" * 9000 + b"\r\n")
    small = "protocol imap {\n mail_plugins = $mail_plugins quota\n}\nplugin {\n quota_max_mail_size = 8k\n}\n"
    options = Options(verify="content", postmaster="Postmaster <postmaster@obs.test>")
    with mail_directory() as home:
        with dovecot(
            home / "new", extra=f"{small}plugin {{\n quota = count:User quota\n quota_vsizes = yes\n}}\n"
        ) as new:
            work = MailboxJob(user, old.server(user), new.server(user), options)
            assert sync_mailbox(work, ledger).problems == 1
            (found,) = open_problems(ledger, user)
            assert (found.kind, found.proposal.stored()) == ("message-refused", {"action": "repair"})
        decide(ledger, found)
        with dovecot(home / "new") as new:
            work = MailboxJob(user, old.server(user), new.server(user), options)
            with monkeypatch.context() as patched:
                patched.setattr(refused.MessagesAside, "_replace", killed)
                with pytest.raises(KeyboardInterrupt):
                    sync_mailbox(work, ledger)
            assert sync_mailbox(work, ledger).problems == 0
            (body,) = _bodies(new, user)
    repaired = email.message_from_bytes(body, policy=email.policy.default)
    assert repaired["From"] == "Postmaster <postmaster@obs.test>"
    assert found.server_words and found.server_words in repaired.get_body().get_content()  # type: ignore[union-attr]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def _bodies(server: Dovecot, user: str) -> list[bytes]:
    with Account(server.port, user, ".") as account:
        account.client.select("INBOX")
        return [row[1] for row in account.client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]


def test_truncated_message_on_old_is_a_problem_and_the_rest_arrives(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Account(old.port, user, "/") as account:
        for number in range(5):
            append(account, f"Subject: {number}\r\n\r\n".encode() + b"x" * 3000 + b"\r\n")
    stored = next((old.home / "mail" / user).rglob("u.3"))
    stored.write_bytes(stored.read_bytes()[:1500])
    result = sync_mailbox(job(old, new, user), ledger)
    found = open_problems(ledger, user)
    assert [problem.kind for problem in found] == ["message-unreadable"]
    assert (found[0].facts["uid"], found[0].facts["subject"]) == (3, "2")
    assert "says good-bye: FETCH failed" in found[0].details["how it ended"], "the server's own words"
    assert len(_bodies(new, user)) == 4
    decide(ledger, found[0], option=Option.LEAVE_OUT)
    result = sync_mailbox(job(old, new, user), ledger)
    assert (result.copied, result.problems) == (0, 0)


def test_odd_keywords_are_carried_or_named(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> None:
    with Account(old.port, user, "/") as account:
        append(account, b"Subject: a\r\n\r\nx\r\n", flags="($Forwarded odd:keyword plain)")
        append(account, b"Subject: b\r\n\r\nx\r\n", flags="(it's#odd &ok;)")
    result = sync_mailbox(job(old, new, user), ledger)
    assert (result.copied, result.problems) == (2, 0)
    with Account(new.port, user, ".") as account:
        account.client.select("INBOX")
        flags = b" ".join(row for row in account.client.fetch("1:*", "(FLAGS)")[1] if row)
    for keyword in (b"$Forwarded", b"odd:keyword", b"plain", b"it's#odd", b"&ok;"):
        assert keyword in flags


def test_dates_at_the_edge_are_carried(old: Dovecot, new: Dovecot, ledger: Ledger, user: str) -> None:
    with Account(old.port, user, "/") as account:
        append(account, b"Subject: future\r\n\r\nx\r\n", when='"01-Jan-2037 10:00:00 +0000"')
        append(account, b"Subject: first\r\n\r\nx\r\n", when='"01-Jan-1970 10:00:00 +0000"')
    result = sync_mailbox(job(old, new, user), ledger)
    assert (result.copied, result.problems, result.verified) == (2, 0, 2)


def test_a_full_quota_is_a_problem_and_no_loss(old: Dovecot, ledger: Ledger, user: str) -> None:
    quota = """
mail_plugins = $mail_plugins quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=%s
}
"""
    with Account(old.port, user, "/") as account:
        for number in range(30):
            append(account, f"Subject: {number}\r\n\r\n".encode() + b"x" * 5000 + b"\r\n")
    with mail_directory() as home:
        with dovecot(home / "new", location="maildir:~/Maildir", extra=quota % "20K") as small:
            result = sync_mailbox(job(old, small, user), ledger)
            assert result.problems == 1
            assert [problem.kind for problem in open_problems(ledger, user)] == ["quota"]
        with dovecot(home / "new", location="maildir:~/Maildir", extra=quota % "1G") as large:
            result = sync_mailbox(job(old, large, user), ledger)
            assert result.problems == 0
            assert len(_bodies(large, user)) == 30
            assert sync_mailbox(job(old, large, user), ledger).copied == 0


@pytest.mark.parametrize(("option", "kept"), [(None, 3), (Option.APPLY, 3), (Option.LEAVE_OUT, 2)])
def test_what_new_loses_is_copied_again_or_left_out(
    old: Dovecot, new: Dovecot, ledger: Ledger, user: str, monkeypatch: pytest.MonkeyPatch, option: Option, kept: int
) -> None:
    with Account(old.port, user, "/") as account:
        for number in range(3):
            append(account, f"Subject: {number}\r\n\r\nx\r\n".encode())
    check = end.verify_after_copy

    def lose_one_first(*arguments: object) -> object:
        monkeypatch.setattr(end, "verify_after_copy", check)
        with Account(new.port, user, ".") as account:
            account.client.select("INBOX")
            account.client.store("2", "+FLAGS", "(\\Deleted)")
            account.client.expunge()
        return check(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(end, "verify_after_copy", lose_one_first)
    assert sync_mailbox(job(old, new, user), ledger).problems == 1
    assert [problem.kind for problem in open_problems(ledger, user)] == ["message-missing"]
    if option:
        decide(ledger, *open_problems(ledger, user), option=option)
    for _ in range(2):
        assert sync_mailbox(job(old, new, user), ledger).problems == 0
        assert len(_bodies(new, user)) == kept
    named = [line for line in evidence_lines(ledger) if line.startswith(f"left out for {user}: message-missing")]
    assert len(named) == 3 - kept
