"""Messages of every odd shape that foreign mail taught: each arrives octet for octet, or stands by name."""

import os
import pwd
import time
from collections import Counter
from dataclasses import replace

import pytest
from bascule.problems import questions

from tests.imap_places import Box, Places
from tests.odd_messages import odd_messages

MESSAGES = dict(odd_messages())


def put_into_maildir(box: Box, *, opened: bool) -> None:
    """Courier serves what lies in its files, with CRLF for each LF.

    `opened`: somebody has opened the folder for writing; until then Courier gives it another UIDVALIDITY every time.
    """
    with box.on_old() as account:
        account.client.noop()  # the login has made the Maildir
    new = box.old.server.home / box.user / "Maildir" / "new"
    owner = pwd.getpwuid(os.geteuid())
    for number, octets in enumerate(MESSAGES.values()):
        path = new / f"{1_500_000_000 + number}.M{number}.host"
        path.write_bytes(octets.replace(b"\r\n", b"\n"))
        os.chown(path, owner.pw_uid, owner.pw_gid)
        os.utime(path, (1_500_000_000 + number, 1_500_000_000 + number))
    if opened:
        with box.on_old() as account:
            account.client.select()


@pytest.mark.parametrize("opened", [True, False], ids=["one UIDVALIDITY", "another UIDVALIDITY every time"])
@pytest.mark.parametrize("kind", ["sdbox", "maildir", "cyrus"])
def test_odd_messages_arrive_or_are_named(places: Places, box: Box, kind: str, opened: bool) -> None:
    box.old, box.new = places["courier"], places[kind]
    box.options = replace(box.options, verify="content")
    put_into_maildir(box, opened=opened)
    result = box.sync()
    named = Counter(problem.kind for problem in box.problems())
    refused, altered = named["message-refused"], named["message-altered"]
    assert result.problems == refused + altered
    with box.on_new() as account:
        account.client.select()
        rows = account.client.fetch("1:*", "(BODY.PEEK[])")[1]
    assert len([row for row in rows if isinstance(row, tuple)]) == len(MESSAGES) - refused
    found = box.verify("content")
    assert len(found.folders[0].differences) == altered, found.folders[0].differences
    assert found.messages == len(MESSAGES) - refused - altered
    assert len(questions.of_mailbox(box.problems())) <= 3
    time.sleep(1.1 - opened)
    again = box.sync()
    assert (again.copied, again.flags_changed, again.removed, again.problems) == (0, 0, 0, result.problems)
