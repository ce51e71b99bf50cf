"""A folder of many messages: all of them arrive, and each costs what one of few costs.

Ten thousand by default; 200,000 with BASCULE_TEST_DEPTH=full.
"""

import os
import time
from dataclasses import replace

import pytest

from benchmarks.memory import write_folder
from tests.imap_places import Box

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"
FEW, MANY = (20_000, 200_000) if FULL else (1_000, 10_000)
WARM = 50  # messages: what is loaded and asked only once
# By how much more processor time a message among many may take: machines are noisy; a square would be ten times.
NOISE = 3


def make(box: Box, messages: int) -> None:
    """Written as files: to hand each of them to a server would take longer than to carry them."""
    with box.on_old() as account:
        account.client.select()
    mailbox = next(path for path in (box.old.server.home / "mail").rglob(box.user) if path.is_dir()) / "Maildir"
    write_folder(mailbox, messages)
    owner = mailbox.stat()
    for path in (mailbox / "cur").iterdir():
        os.chown(path, owner.st_uid, owner.st_gid)


def seconds_of_a_message(box: Box, messages: int) -> tuple[float, float]:
    """Of the processor: for a first pass over so many of them, and for one more."""
    make(box, messages)
    times = []
    for copied in (messages, 0):
        began = time.process_time()
        result = box.sync()
        times.append((time.process_time() - began) / messages)
        assert (result.copied, result.flags_changed, result.removed, result.problems) == (copied, 0, 0, 0)
    return times[0], times[1]


@pytest.mark.one_pass  # what is measured is one
@pytest.mark.timeout(1800)
def test_each_of_many_messages_costs_what_one_of_few_costs(box: Box) -> None:
    seconds_of_a_message(replace(box, user=f"{box.user}warm"), WARM)
    first_of_few, again_of_few = seconds_of_a_message(replace(box, user=f"{box.user}few"), FEW)
    first_of_many, again_of_many = seconds_of_a_message(box, MANY)
    assert first_of_many < NOISE * first_of_few
    assert again_of_many < NOISE * again_of_few
