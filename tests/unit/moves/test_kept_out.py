"""Nobody is let in before the last pass has ended, and not for ever kept out either."""

import threading
import time

import pytest
from bascule.hosts.connections import AccessError
from bascule.moves import kept_out
from bascule.moves.kept_out import KeptOut


class Proxy:
    """`inside`: the sessions of the account, which are gone when they are sent out."""

    def __init__(self) -> None:
        self.instants: list[int] = []
        self.sent_out = self.inside = 0

    def led(self) -> int:
        return self.inside

    def put_off(self, until: int) -> None:
        self.instants.append(until)

    def send_out(self) -> None:
        self.sent_out += 1
        self.inside = 0


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    monkeypatch.setattr(kept_out, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(kept_out, "SEND_OUT_EVERY", 0.0)
    return Proxy()


def test_a_pass_that_ends_in_time_puts_nothing_off(proxy: Proxy) -> None:
    with KeptOut(time.time() + 60, 60, proxy.put_off, proxy) as kept:
        time.sleep(0.05)
    assert (proxy.instants, proxy.sent_out, kept.longer) == ([], 0, 0)


def test_it_is_put_off_before_the_instant_comes_and_nobody_is_sent_out_before_it(proxy: Proxy) -> None:
    with KeptOut(time.time() + 0.4, 60, proxy.put_off, proxy) as kept:
        while not proxy.instants:
            time.sleep(0.01)
        began = time.time()
    assert proxy.sent_out == 0
    assert proxy.instants[0] > began + 0.9
    assert (kept.longer > 0, kept.open_for) == (True, 0.0)


def test_who_comes_in_while_the_pass_goes_on_is_sent_out_again(proxy: Proxy) -> None:
    with KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy):
        while proxy.sent_out < 3:
            time.sleep(0.01)
    assert proxy.instants


def test_they_are_let_in_when_the_pass_takes_too_long(proxy: Proxy) -> None:
    with KeptOut(time.time() - 5, 2, proxy.put_off, proxy):
        time.sleep(0.05)
    assert (proxy.instants, proxy.sent_out) == ([], 0)


def test_a_directory_that_is_away_for_a_while_breaks_nothing(proxy: Proxy) -> None:
    tries = []

    def away_at_first(until: int) -> None:
        tries.append(until)
        if len(tries) < 3:
            raise AccessError("the directory can't be reached")
        proxy.put_off(until)

    began = time.time()
    with KeptOut(began - 0.5, 60, away_at_first, proxy) as kept:
        while not proxy.instants:
            time.sleep(0.01)
    assert len(tries) == 3
    assert 0.5 <= kept.open_for < time.time() - began + 0.5


def test_what_goes_on_at_the_proxies_when_the_pass_ends_lets_nobody_in_before(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def send_out_slowly() -> None:
        began.set()
        time.sleep(3)

    monkeypatch.setattr(proxy, "send_out", send_out_slowly)
    with KeptOut(time.time() - 0.1, 60, proxy.put_off, proxy) as kept:
        assert began.wait(10)
        open_before = kept.open_for  # it came late, so that the first instant was over
    assert time.time() > kept.until
    assert kept.open_for == open_before


def test_where_sending_out_takes_long_it_is_put_off_by_more_so_that_no_instant_comes_meanwhile(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    def send_out_slowly() -> None:
        time.sleep(2.6)  # longer than what it is put off by at least, a whole second upwards
        ended.append(time.time())

    monkeypatch.setattr(proxy, "send_out", send_out_slowly)
    with KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy):
        while len(ended) < 2:
            time.sleep(0.01)
    assert proxy.instants[1] > ended[1]


def test_where_a_modify_takes_long_it_is_begun_earlier(proxy: Proxy) -> None:
    """The flip was one: the first time that it is put off is late otherwise."""
    began = time.time()
    with KeptOut(began + 1.5, 60, proxy.put_off, proxy, modify_seconds=1.3):
        while not proxy.instants:
            time.sleep(0.01)
    assert time.time() - began < 0.9


def test_a_directory_that_is_away_keeps_nobody_from_being_sent_out(proxy: Proxy) -> None:
    def away(until: int) -> None:
        raise AccessError("the directory can't be reached")

    with KeptOut(time.time() - 0.5, 60, away, proxy):
        while not proxy.sent_out:
            time.sleep(0.01)
    assert not proxy.instants


def test_nobody_is_told_to_wait_for_longer_than_a_proxy_lets_them(proxy: Proxy) -> None:
    kept = KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy)
    kept._round_seconds = 60
    now = time.time()
    kept._put_off_in_time(now)
    assert proxy.instants[0] <= now + kept_out.LONGEST_DELAY + 1


@pytest.mark.parametrize("breaks", ["put_off", "led", "send_out"])
def test_a_mistake_in_one_act_is_logged_and_does_not_end_it(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], breaks: str
) -> None:
    """Else users would come into half a mailbox without a word."""
    tries = list[object]()

    def broken(*given: object) -> int:
        tries.append(given)
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(proxy, breaks, broken)
    with KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy):
        deadline = time.monotonic() + 10
        while len(tries) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(tries) >= 3
    assert breaks == "send_out" or proxy.sent_out
    assert breaks == "put_off" or proxy.instants
    said = capsys.readouterr().out
    assert "the user is perhaps not kept out" in said and "oops" in said


def test_with_mistakes_it_ends_in_time_as_well(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(until: int) -> None:
        raise ZeroDivisionError("oops")

    kept = KeptOut(time.time() - 0.5, 0.6, broken, proxy)
    with kept:
        kept._thread.join(10)
        assert not kept._thread.is_alive()


def test_who_comes_in_before_the_end_is_counted(proxy: Proxy) -> None:
    with KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy) as kept:
        proxy.inside = 2
        while proxy.inside:
            time.sleep(0.01)
        assert kept.came_in == 2


def test_who_is_in_when_the_pass_ends_is_counted_and_left_alone(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_out, "SEND_OUT_EVERY", 60.0)
    with KeptOut(time.time() - 0.5, 60, proxy.put_off, proxy) as kept:
        while not proxy.sent_out:
            time.sleep(0.01)
        proxy.inside = 1
    assert (kept.came_in, proxy.sent_out, proxy.inside) == (1, 1, 1)


def test_nobody_is_asked_about_when_the_pass_ends_in_time(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    monkeypatch.setattr(proxy, "led", lambda: asked.append(1) or 0)
    with KeptOut(time.time() + 60, 60, proxy.put_off, proxy) as kept:
        time.sleep(0.05)
    assert (asked, kept.came_in) == ([], 0)
