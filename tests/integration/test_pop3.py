"""POP3 UIDLs on real servers: as on old after the move, with nothing else changed, and named where that can't be."""

import shlex
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from bascule.changes.probes import wait_for
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.mailbox import job_for, sync_mailbox
from bascule.pop3.carry import Carried, carry_uidls
from bascule.pop3.listing import list_by_pop3
from bascule.site import Site

from tests.integration.conftest import Lab

PORT = 995
ACCOUNTS = ("accueil", "sonde")  # no beta testers: their INBOX on new is as old as the one on old


@pytest.fixture(scope="module")
def access(lab: Lab) -> Iterator[Access]:
    raw = lab.site.model_dump()
    raw["mailboxes"]["pop3"] = {"accounts": "all"}
    opened = lab.access(Site.model_validate(raw))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def ledger(access: Access, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """After one pass over the mailboxes."""
    made = Ledger(f"sqlite:///{tmp_path_factory.mktemp('pop3') / 'ledger.db'}")
    for account in ACCOUNTS:
        sync_mailbox(job_for(access, account), made)
    return made


def uidls(access: Access, side: str, account: str) -> list[str]:
    return [item.uidl for item in list_by_pop3(getattr(job_for(access, account), side), PORT)]


def test_new_shows_the_uidls_of_old(access: Access, ledger: Ledger) -> None:
    on_old = uidls(access, "old", "accueil")
    assert on_old
    assert carry_uidls(access, ledger, ["accueil"], "test") == [Carried("accueil", len(on_old), 0)]
    assert set(on_old) <= set(uidls(access, "new", "accueil"))


def test_a_second_run_writes_nothing(lab: Lab, access: Access, ledger: Ledger) -> None:
    carry_uidls(access, ledger, ["accueil"], "test")
    directory = lab.ssh("new", "doveadm", "mailbox", "path", "-u", "accueil", "INBOX").strip()
    listing = f"find {directory} -name 'u.*' -printf '%f %i\\n' | sort"
    before = lab.ssh("new", listing)
    carry_uidls(access, ledger, ["accueil"], "test")
    assert lab.ssh("new", listing) == before


def test_the_messages_are_otherwise_as_they_were(lab: Lab, access: Access, ledger: Ledger) -> None:
    fields = ["uid", "flags", "date.received", "size.virtual", "guid", "text"]
    fetch = ["doveadm", "fetch", "-u", "sonde", " ".join(fields), "mailbox", "INBOX"]
    # Whatever session looks at the folder takes Recent away.
    everything = f"{shlex.join(fetch)} | sed 's/ *[\\\\]Recent//; s/ *$//' | sha256sum"
    before = lab.ssh("new", everything)
    carry_uidls(access, ledger, ["sonde"], "test")
    assert uidls(access, "old", "sonde")[0] in uidls(access, "new", "sonde")
    assert lab.ssh("new", everything) == before
    result = sync_mailbox(job_for(access, "sonde"), ledger)
    assert (result.copied, result.problems) == (0, 0)


def test_dovecot_finds_nothing_wrong_with_the_folder(lab: Lab, access: Access, ledger: Ledger) -> None:
    carry_uidls(access, ledger, ["accueil"], "test")
    shown = uidls(access, "new", "accueil")
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    lab.ssh("new", "doveadm", "force-resync", "-u", "accueil", "INBOX")
    assert uidls(access, "new", "accueil") == shown
    said = lab.ssh("new", "journalctl", "-u", "dovecot", "--since", since, "--output", "cat")
    assert "orrupt" not in said


def test_new_mail_has_a_uidl_of_its_own(lab: Lab, access: Access, ledger: Ledger) -> None:
    carry_uidls(access, ledger, ["accueil"], "test")
    before, token = uidls(access, "new", "accueil"), uuid4().hex
    lab.ssh("new", "sendmail", "-f", "x@outside.test", "accueil@new.obs.test", input=f"Subject: {token}\n\nNew.\n")
    try:
        assert wait_for(lambda: len(uidls(access, "new", "accueil")) == len(before) + 1, 30)
        after = uidls(access, "new", "accueil")
        assert len(set(after)) == len(after)
        assert set(before) < set(after)
    finally:
        lab.ssh("new", "doveadm", "expunge", "-u", "accueil", "mailbox", "INBOX", "subject", token)


def test_a_storage_that_is_no_sdbox_is_told_and_left_alone(
    access: Access, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = access.remote("new").run, []

    def maildir(command: list[str], **options: Any) -> Any:
        asked.append(command[0])
        done = real(command, **options)
        return type(done)(0, "/srv/mail/sonde/Maildir\n", "", 0.0) if "path" in command else done

    monkeypatch.setattr("bascule.pop3.carry._lacking", lambda *_: {1: "x"})
    monkeypatch.setattr("bascule.hosts.ssh.RemoteHost.run", lambda _, command, **options: maildir(command, **options))
    [result] = carry_uidls(access, ledger, ["sonde"], "test")
    assert "sdbox only" in result.reason
    assert "python3" not in asked


def test_a_dry_run_only_counts(lab: Lab, access: Access, ledger: Ledger) -> None:
    [result] = carry_uidls(access, ledger, ["sonde"], "test", dry_run=True)
    assert result.kept == len(uidls(access, "old", "sonde"))
