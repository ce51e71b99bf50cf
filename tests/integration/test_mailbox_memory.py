"""A large folder needs no more memory than a small one, even when its first copy was killed in the middle."""

import subprocess

from benchmarks import memory
from benchmarks.tools import Bench, bascule, python_alone
from tests.mail_servers import two_dovecots

MESSAGES = 20_000
LARGEST = 40  # megabytes above Python with the engine's imports


def test_a_killed_first_copy_goes_on_within_bounded_memory() -> None:
    with two_dovecots(new={"location": "mdbox:~/mdbox"}) as (old, new):
        user = old.home / "mail" / memory.USER
        memory.write_folder(user / "Maildir", MESSAGES)
        subprocess.run(["chown", "-R", "--reference", str(old.home / "mail"), str(user)], check=True)
        bench = Bench(old.home.parent, old, new, old.port, new.port)
        memory.interrupt(bench, MESSAGES)
        half = memory.copied(f"sqlite:///{bench.home}/{memory.AGAIN}.db")
        cost = bascule(bench, memory.USER, memory.AGAIN, "--verify", "attributes")
        assert MESSAGES // 2 <= half < MESSAGES, "it was killed in the middle"
        assert memory.copied(f"sqlite:///{bench.home}/{memory.AGAIN}.db") == MESSAGES
        assert cost.memory - python_alone().memory < LARGEST
