"""Nobody is let in before the last pass has ended, and not for ever kept out either."""

import time

import pytest
from bascule.hosts.connections import AccessError
from bascule.moves import kept_out
from bascule.moves.kept_out import KeptOut


class Proxy:
    def __init__(self) -> None:
        self.instants: list[int] = []
        self.sent_out = 0

    def put_off(self, until: int) -> None:
        self.instants.append(until)

    def send_out(self) -> None:
        self.sent_out += 1


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    monkeypatch.setattr(kept_out, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(kept_out, "SEND_OUT_EVERY", 0.0)
    return Proxy()


def test_a_pass_that_ends_in_time_puts_nothing_off(proxy: Proxy) -> None:
    with KeptOut(time.time() + 60, 60, proxy.put_off, proxy.send_out) as kept:
        time.sleep(0.05)
    assert (proxy.instants, proxy.sent_out, kept.longer) == ([], 0, 0)


def test_it_is_put_off_before_the_instant_comes_and_nobody_is_sent_out_before_it(proxy: Proxy) -> None:
    with KeptOut(time.time() + 0.4, 60, proxy.put_off, proxy.send_out) as kept:
        while not proxy.instants:
            time.sleep(0.01)
        began = time.time()
    assert proxy.sent_out == 0
    assert proxy.instants[0] > began + 0.9
    assert kept.longer > 0


def test_who_comes_in_while_the_pass_goes_on_is_sent_out_again(proxy: Proxy) -> None:
    with KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy.send_out):
        while proxy.sent_out < 3:
            time.sleep(0.01)
    assert proxy.instants


def test_they_are_let_in_when_the_pass_takes_too_long(proxy: Proxy) -> None:
    with KeptOut(time.time() - 5, 2, proxy.put_off, proxy.send_out):
        time.sleep(0.05)
    assert (proxy.instants, proxy.sent_out) == ([], 0)


def test_a_directory_that_is_away_for_a_while_breaks_nothing(proxy: Proxy) -> None:
    tries = []

    def away_at_first(until: int) -> None:
        tries.append(until)
        if len(tries) < 3:
            raise AccessError("the directory can't be reached")
        proxy.put_off(until)

    with KeptOut(time.time() - 0.5, 60, away_at_first, proxy.send_out):
        while not proxy.instants:
            time.sleep(0.01)
    assert len(tries) == 3


def test_where_sending_out_takes_long_it_is_put_off_by_more_so_that_no_instant_comes_meanwhile(proxy: Proxy) -> None:
    ended = []

    def send_out_slowly() -> None:
        time.sleep(2.6)  # longer than what it is put off by at least, a whole second upwards
        ended.append(time.time())

    with KeptOut(time.time() - 0.5, 60, proxy.put_off, send_out_slowly):
        while len(ended) < 2:
            time.sleep(0.01)
    assert proxy.instants[1] > ended[1]


def test_a_directory_that_is_away_keeps_nobody_from_being_sent_out(proxy: Proxy) -> None:
    def away(until: int) -> None:
        raise AccessError("the directory can't be reached")

    with KeptOut(time.time() - 0.5, 60, away, proxy.send_out):
        while not proxy.sent_out:
            time.sleep(0.01)
    assert not proxy.instants


def test_nobody_is_told_to_wait_for_longer_than_a_proxy_lets_them(proxy: Proxy) -> None:
    kept = KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy.send_out)
    kept._round_seconds = 60
    now = time.time()
    kept._put_off_in_time(now)
    assert proxy.instants[0] <= now + kept_out.LONGEST_DELAY + 1
