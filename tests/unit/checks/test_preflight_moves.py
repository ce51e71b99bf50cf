"""What moves need of the proxies, and who goes round them, by hosts in memory."""

import pytest
from bascule.checks.preflight import moves

from tests.unit.changes.fakes import SITE, FakeAccess

BY_PROXY = "imap-login: Login: user=<anna>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.31, mpid=7, TLS, session=<x>"
BY_UNTRUSTED_PROXY = "imap-login: Login: user=<bert>, method=PLAIN, rip=198.51.100.20, lip=198.51.100.11, mpid=7, TLS"
DIRECT = "imap-login: Login: user=<carl>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.11, mpid=8, TLS"
BY_POP3 = "pop3-login: Info: Login: user=<dora>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.32, mpid=8, TLS"
BY_TRUSTED_PROXY = [  # it hands on from where, and not where to
    f"{name}-login: Login: user=<{user}>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.11, TLS, session=<{user}/1>"
    for name, user in (("pop3", "fred"), ("managesieve", "gina"))
]
LED = [
    f"{name}-login: proxy({user},198.51.100.11:110): Started proxying to <198.51.100.11> (<old.obs.test>) (0.1 secs): "
    f"user=<{user}>, method=PLAIN, rip=203.0.113.9, lip=198.51.100.31, TLS, session=<{user}/1>"
    for name, user in (("pop3", "fred"), ("managesieve", "gina"))
]
COPY = "imap-login: Login: user=<eve>, method=PLAIN, rip=198.51.100.1, lip=198.51.100.11, mpid=9, TLS"


@pytest.fixture
def access() -> FakeAccess:
    made = FakeAccess()
    made.remote("proxy").answers["hostname"] = "198.51.100.20 198.51.100.31 \n"
    made.remote("old").answers["hostname"] = "198.51.100.11 198.51.100.32 \n"
    return made


def found_with(access: FakeAccess, *lines: str) -> tuple[str, str]:
    access.remote("old").answers["journalctl"] = "\n".join(lines)
    (found,) = moves.round_the_proxies(access)
    return found.level, found.sentence


def test_who_logs_in_on_old_past_the_proxies_is_named_by_any_protocol(access: FakeAccess) -> None:
    level, sentence = found_with(access, BY_PROXY, DIRECT, BY_POP3, COPY)
    assert level == "warning"
    assert "2 account(s) logged in past the proxies in the last 7 days: carl, dora." in sentence


def test_logins_by_the_proxies_and_of_the_copy_are_as_they_shall_be(access: FakeAccess) -> None:
    assert found_with(access, BY_PROXY, BY_UNTRUSTED_PROXY, COPY)[0] == "ok"


def test_logins_that_a_trusted_proxy_has_led_are_known_by_their_sessions(access: FakeAccess) -> None:
    level, sentence = found_with(access, *BY_TRUSTED_PROXY)
    assert level == "warning" and ": fred, gina." in sentence
    access.remote("proxy").answers["journalctl"] = "\n".join(LED)
    assert found_with(access, *BY_TRUSTED_PROXY)[0] == "ok"
    level, sentence = found_with(access, *BY_TRUSTED_PROXY, BY_POP3)
    assert level == "warning" and ": dora." in sentence


def test_a_log_without_logins_proves_nothing(access: FakeAccess) -> None:
    level, sentence = found_with(access)
    assert level == "warning" and "who goes past is unknown" in sentence


@pytest.mark.parametrize(("size", "level"), [("0\n", "ok"), ("10 M\n", "failure")])
def test_a_proxy_that_remembers_logins_is_no_proxy_for_moves(access: FakeAccess, size: str, level: str) -> None:
    access.remote("proxy").answers["doveconf"] = size
    assert [each.level for each in moves.no_cache(access)] == [level]


class Clocks:
    """Ours, and a proxy's that is ahead of it; each answer of it takes so long, `share` of which before it looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ahead: float, took: list[float], share: float = 0.5) -> None:
        self.now, self.ahead, self.took, self.share = 1_800_000_000.0, ahead, iter(took), share
        monkeypatch.setattr(moves.time, "time", lambda: self.now)
        monkeypatch.setattr(moves.time, "monotonic", lambda: self.now)

    def answer(self, command: object) -> str:
        took = next(self.took)
        self.now += took * self.share
        said = f"{self.now + self.ahead:.9f}\n"
        self.now += took * (1 - self.share)
        return said


@pytest.mark.parametrize(
    ("ahead", "level", "sentence"),
    [
        (0.0, "ok", "it is 0.00 s"), (0.2, "ok", "it is 0.20 s ahead of"), (0.3, "failure", "it is 0.30 s ahead of"),
        (0.6, "failure", "NTP"), (90.0, "failure", "NTP"),
        (-0.9, "failure", "it is 0.90 s behind the one of this machine, as seen within 0.01 s"),
    ],
)  # fmt: skip
def test_the_clocks_agree_within_what_logins_are_held_back_in_reserve(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch, ahead: float, level: str, sentence: str
) -> None:
    """By the quickest of several looks: slow ones say little."""
    clocks = Clocks(monkeypatch, ahead, [3.0, 0.4, 0.012, 0.4, 0.9, 0.9, 0.9], share=0.9)
    access.remote("proxy").answers["date"] = clocks.answer
    (found,) = moves.clocks(access)
    assert found.level == level and sentence in found.sentence


@pytest.mark.parametrize(("ahead", "level"), [(0.0, "warning"), (0.5, "warning"), (2.0, "failure")])
def test_a_clock_that_can_not_be_seen_well_is_neither_right_nor_wrong(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch, ahead: float, level: str
) -> None:
    clocks = Clocks(monkeypatch, ahead, [1.0] * moves.LOOKS)
    access.remote("proxy").answers["date"] = clocks.answer
    (found,) = moves.clocks(access)
    assert found.level == level


def led_by(access: FakeAccess, protocols: str, ports: dict[str, str]) -> list[tuple[str, str]]:
    access.remote("old").answers["doveconf"] = " imap pop3 lmtp sieve\n"
    proxy = access.remote("proxy")
    proxy.answers["doveconf"] = f" {protocols}\n"
    for name in ("imap", "pop3", "sieve"):
        port = f"  port      : {ports[name]}\n" if name in ports else ""
        proxy.answers[f"doveadm auth lookup -x service={name} sonde"] = f"passdb: sonde\n  proxy     : \n{port}"
    return [(each.level, each.sentence) for each in moves.protocols(access)]


def test_every_protocol_of_old_is_led_by_the_proxies(access: FakeAccess) -> None:
    assert [level for level, _ in led_by(access, "imap pop3 sieve", {})] == ["ok"]
    ports = {"imap": "993", "pop3": "995", "sieve": "4190"}
    assert [level for level, _ in led_by(access, "imap pop3 sieve", ports)] == ["ok"]


def test_where_no_protocol_is_seen_nothing_is_called_right(access: FakeAccess) -> None:
    access.remote("old").answers["doveconf"] = access.remote("proxy").answers["doveconf"] = "\n"
    assert [each.level for each in moves.protocols(access)] == ["warning"]


def test_a_protocol_that_no_proxy_leads_is_named(access: FakeAccess) -> None:
    ((level, sentence),) = led_by(access, "imap", {"imap": "993"})
    assert level == "warning" and "old serves POP3 and ManageSieve, which this proxy does not lead" in sentence


def test_a_passdb_that_leads_all_protocols_to_the_port_of_one_is_told(access: FakeAccess) -> None:
    ((level, sentence),) = led_by(access, "imap pop3 sieve", dict.fromkeys(("imap", "pop3", "sieve"), "993"))
    assert level == "failure" and "(IMAP to 993, POP3 to 993, ManageSieve to 993)" in sentence


def test_a_name_that_is_an_address_of_old_itself_leads_past_the_proxies(access: FakeAccess) -> None:
    assert [(each.level, each.subject) for each in moves.names(access)] == [
        ("ok", "imap.obs.test"), ("warning", "pop.obs.test"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("on_new", "users", "level"),
    [("%08Xu%08Xv", "", "ok"), ("%f", BY_POP3, "warning"), ("%f", DIRECT, "ok"), ("%f", "", "warning")],
)
def test_who_would_fetch_everything_once_more_is_named(access: FakeAccess, on_new: str, users: str, level: str) -> None:
    access.remote("old").answers |= {"doveconf": "%08Xu%08Xv\n", "journalctl": users}
    access.remote("new").answers["doveconf"] = f"{on_new}\n"
    (found,) = moves.uidls(access)
    assert found.level == level
    assert ("dora" in found.sentence) == (users == BY_POP3)
    assert ("is unknown" in found.sentence) == (on_new == "%f" and not users)


@pytest.mark.parametrize(
    ("led", "told"), [(False, "until the day; new's webmail shows a copy"), (True, "can't see that")]
)
def test_calendars_that_no_proxy_leads_are_told(led: bool, told: str) -> None:
    assert SITE.moves
    site = SITE.model_copy(update={"moves": SITE.moves.model_copy(update={"calendars": led})})
    (found,) = moves.calendars(FakeAccess(site))
    assert found.level == "warning" and told in found.sentence
    assert "https://web.obs.test:5232/" in found.sentence


class Probe:
    """The entry of the probe, which is on old; `waits`: whether the proxies do what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.present, self.written, self.waits, self.clock = ["1"], list[list[str]](), True, 100.0
        monkeypatch.setattr(moves.Entry, "is_at", lambda entry, server: server == "old")
        monkeypatch.setattr(moves.Entry, "addresses", lambda entry: {"old": "probe@old.test", "new": "probe@new.test"})
        monkeypatch.setattr(moves.Entry, "delays", lambda entry: [*self.present])
        monkeypatch.setattr(moves.Entry, "put_delays", lambda entry, values: self.put(values))
        monkeypatch.setattr(moves.Sessions, "prove", lambda sessions, server: self.log_in())
        monkeypatch.setattr(moves.time, "time", lambda: self.clock)
        monkeypatch.setattr(moves.time, "monotonic", lambda: self.clock)

    def put(self, values: list[str]) -> None:
        self.present = values
        self.written.append(values)

    def log_in(self) -> None:
        self.clock = max(self.clock + 0.1, float(self.present[0]) if self.waits else 0.0)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    return Probe(monkeypatch)


def test_a_final_address_that_leads_nowhere_is_told(access: FakeAccess, probe: Probe) -> None:
    for host in ("mx", "old", "new"):
        access.remote(host).answers["postconf"] = "virtual_alias_maps = proxy:ldap:/etc/postfix/moved.cf"
    for host in ("mx", "new"):
        access.remote(host).answers["postmap -q - proxy:ldap"] = "probe@new.test\tProbe@old.test\n"
    found = {each.subject: each.level for each in moves.final_addresses(access)}
    assert found == {
        "mx: final addresses": "ok", "old: final addresses": "failure", "new: final addresses": "ok"
    }  # fmt: skip
    assert probe.written == [["100"], ["1"]], "the entry is as it was"


@pytest.mark.parametrize(("waits", "level"), [(True, "ok"), (False, "failure")])
def test_proxies_that_do_not_hold_logins_back_are_told(
    access: FakeAccess, probe: Probe, waits: bool, level: str
) -> None:
    probe.waits = waits
    (found,) = moves.held_back(access)
    assert found.level == level, found.sentence
    assert probe.written == [["104"], ["1"]]
