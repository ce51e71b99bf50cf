"""A mailbox of many folders: all of them arrive, and each costs what one of few costs.

Several hundred by default; 2,000 with BASCULE_TEST_DEPTH=full.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.imap_places import Box

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
FEW, MANY = (250, 2000) if FULL else (30, 240)
PER_LEVEL = 20  # folders that have one above them in common
EVERY = 10  # a message is in every so many of them
# By how much more processor time a folder among many may take: machines are noisy; a square would be eight times.
NOISE = 3


def make(box: Box, folders: int) -> None:
    """Written as files: to ask a server for each of them would take longer than to carry them."""
    with box.on_old() as account:
        account.client.select()
    mailbox = next(path for path in (box.old.server.home / "mail").rglob(box.user) if path.is_dir()) / "Maildir"
    for number in range(folders):
        folder = mailbox / f".dir{number // PER_LEVEL}.f{number}"
        for place in (folder, folder / "cur", folder / "new", folder / "tmp"):
            place.mkdir()
            _give(place, mailbox)
        if number % EVERY == 0:
            message = folder / "cur" / f"1500000000.M{number}P1.old:2,S"
            message.write_bytes(b"Subject: %d\r\n\r\nx\r\n" % number)
            _give(message, mailbox)


def _give(path: Path, like: Path) -> None:
    os.chown(path, like.stat().st_uid, like.stat().st_gid)


def seconds_of_a_folder(box: Box, folders: int) -> float:
    """Of the processor, for a first pass over so many of them."""
    make(box, folders)
    began = time.process_time()
    result = box.sync()
    took = time.process_time() - began
    assert (result.folders, result.copied, result.problems) == (folders + 1, folders // EVERY, 0)
    with box.on_new() as account:
        assert len(set(account.folders()) - {"INBOX"}) == folders
    return took / folders


@pytest.mark.one_pass  # what is measured is one
@pytest.mark.timeout(900)
def test_each_of_many_folders_costs_what_one_of_few_costs(box: Box) -> None:
    seconds_of_a_folder(replace(box, user=f"{box.user}warm"), EVERY)  # what is loaded and asked only once
    of_few = seconds_of_a_folder(replace(box, user=f"{box.user}few"), FEW)
    of_many = seconds_of_a_folder(box, MANY)
    assert of_many < NOISE * of_few
    again = box.sync()
    assert (again.folders, again.copied, again.flags_changed, again.removed) == (MANY + 1, 0, 0, 0)
