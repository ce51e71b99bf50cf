"""Many threads on one SSH connection."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bascule.hosts.remembered import Remembered
from bascule.hosts.ssh import Finished
from bascule.sieve.shared import AT_ONCE, SharedHost


class Host:
    """Counts how many commands run at once; nothing may run beside the first."""

    name = "new"

    def __init__(self) -> None:
        self.lock, self.now, self.most, self.beside_first, self.done = threading.Lock(), 0, 0, 0, 0

    def run(self, command: list[str], **_: object) -> Finished:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)  # long enough for the others to come in, if they could
        with self.lock:
            self.beside_first += self.now - 1 if self.done == 0 else 0
            self.now, self.done = self.now - 1, self.done + 1
        return Finished(0, "", "", 0.0)


def test_the_first_command_is_alone_and_then_a_few_run_at_once() -> None:
    host = Host()
    shared = SharedHost(host)  # type: ignore[arg-type]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: shared.run(["true"]), range(40)))
    assert (host.beside_first, host.done) == (0, 40)
    assert 1 < host.most <= AT_ONCE


def test_what_is_known_of_a_host_is_known_to_whoever_shares_it_next() -> None:
    """Each account of a run of moves makes its own."""
    host, known = Host(), Remembered[str]()
    for _ in range(2):
        shared = SharedHost(host)  # type: ignore[arg-type]
        assert shared.lately(known, lambda to_ask=shared: to_ask.run(["doveconf"]).output) == ""
    assert host.done == 1
