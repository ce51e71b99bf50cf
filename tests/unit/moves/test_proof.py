"""The proof of a move that covers mail: what each MX's own maps say of both final addresses, over hosts in memory."""

from collections.abc import Callable, Sequence

import pytest
from bascule.hosts.connections import AccessError
from bascule.hosts.postfix import queue, settings
from bascule.hosts.ssh import Finished
from bascule.ledger import Ledger
from bascule.ledger.moves import Server, other
from bascule.moves import mail as mail_module
from bascule.moves.acts import SiteActs
from bascule.moves.mail import PROVEN_SECONDS, Mail

from tests.unit.changes.fakes import FakeAccess, FakeHost
from tests.unit.moves.test_mail import NEW, OLD, Clock, FakeEntry

HOLD, ROUTES = "proxy:ldap:/hold.cf", "hash:/transport"
PEOPLE, MOVED = "proxy:ldap:/addresses.cf", "proxy:ldap:/moved.cf"
HELD = "retry:4.2.1 mailbox is being moved"
ADDRESS: dict[Server, str] = {"old": OLD, "new": NEW}
Tables = dict[str, dict[str, str]]


class Exchanger:
    """An MX with tables, which `postmap` asks in their order, as postmap(1) does. `asked`: how often."""

    def __init__(self, host: FakeHost) -> None:
        self.tables: Tables = {HOLD: {}, ROUTES: {}, PEOPLE: {}, MOVED: {}}
        self.host, self.asked = host, 0
        host.answers["postconf"] = f"transport_maps = {HOLD}, {ROUTES}\nvirtual_alias_maps = {PEOPLE}, {MOVED}"
        host.answers["postmap"] = self._answer

    def is_on(self, server: Server) -> None:
        """As `moved.cf` answers for who has moved, there or back: with the server where the account is."""
        self.tables[MOVED] = dict.fromkeys(ADDRESS.values(), ADDRESS[server])

    def _answer(self, command: Sequence[str]) -> str | Finished:
        self.asked += 1
        tables, keys = command[3:], self.host.asked[-1].split()
        found = {key: self._found(tables, key) for key in keys}
        lines = "".join(f"{key}\t{value}\n" for key, value in found.items() if value)
        return Finished(0 if lines else 1, lines, "", 0.0)

    def _found(self, tables: Sequence[str], key: str) -> str:
        return next((self.tables[table][key] for table in tables if key in self.tables[table]), "")


@pytest.fixture
def access() -> FakeAccess:
    return FakeAccess()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(mail_module, "time", clock)
    return clock


@pytest.fixture
def mail(access: FakeAccess, clock: Clock) -> Mail:
    return Mail(access, "zoe", FakeEntry())  # type: ignore[arg-type]


@pytest.fixture
def mx(access: FakeAccess) -> Exchanger:
    return Exchanger(access.remote("mx"))


@pytest.mark.parametrize("to", ["new", "old"])
def test_mail_that_is_led_where_the_account_is_is_proven_by_one_question(mail: Mail, mx: Exchanger, to: Server) -> None:
    mx.is_on(to)
    mail.prove(to)
    assert mx.asked == 1


@pytest.mark.parametrize("to", ["new", "old"])
def test_an_mx_that_leads_mail_to_the_server_that_was_left_proves_nothing(
    mail: Mail, mx: Exchanger, to: Server
) -> None:
    left = ADDRESS[other(to)]
    with pytest.raises(AccessError, match=rf"mx does not lead {left} on to {ADDRESS[to]} .*say ''.*`moved.cf`"):
        mail.prove(to)
    mx.is_on(other(to))
    with pytest.raises(AccessError, match=rf"mx does not lead {left} on .*say '{left}'"):
        mail.prove(to)


@pytest.mark.parametrize("held", [OLD, NEW])
def test_an_mx_that_still_holds_one_of_the_addresses_proves_nothing(mail: Mail, mx: Exchanger, held: str) -> None:
    mx.is_on("new")
    mx.tables[HOLD] = {held: HELD}
    with pytest.raises(AccessError, match=rf"mx still holds mail for {held}: .*'{HELD}'.*the same directory"):
        mail.prove("new")


def test_what_it_holds_in_the_words_of_an_earlier_site_file_is_a_hold(mail: Mail, mx: Exchanger) -> None:
    mail.entry = FakeEntry("retry:4.3.0 umzug")  # type: ignore[assignment]
    mail.release()
    mx.is_on("new")
    mx.tables[HOLD] = {NEW: "retry:4.3.0 umzug"}
    with pytest.raises(AccessError, match="still holds"):
        mail.prove("new")


@pytest.mark.parametrize("late", ["hold", "way"])
def test_an_mx_that_sees_the_directory_late_is_waited_for(
    mail: Mail, mx: Exchanger, clock: Clock, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    mx.is_on("new" if late == "hold" else "old")
    mx.tables[HOLD] = {OLD: HELD} if late == "hold" else {}

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now > PROVEN_SECONDS / 2:
            mx.is_on("new")
            mx.tables[HOLD] = {}

    monkeypatch.setattr(clock, "sleep", sleep)
    mail.prove("new")
    assert PROVEN_SECONDS / 2 < clock.now < PROVEN_SECONDS


def test_an_account_that_the_transport_maps_know_by_its_address_is_looked_for_among_the_aliases(
    mail: Mail, mx: Exchanger
) -> None:
    mx.tables[ROUTES] = {OLD: "smtp:[old.obs.test]", NEW: "smtp:[new.obs.test]"}
    mx.is_on("new")
    mail.prove("new")
    mx.is_on("old")
    with pytest.raises(AccessError, match="does not lead"):
        mail.prove("new")


@pytest.mark.parametrize("said", ["annazoe@new.obs.test", "zoe@new.obs.test.example"])
def test_an_address_in_which_the_right_one_is_a_part_is_another_one(mail: Mail, mx: Exchanger, said: str) -> None:
    mx.tables[MOVED] = {OLD: said}
    with pytest.raises(AccessError, match="does not lead"):
        mail.prove("new")
    mx.tables[MOVED] = {OLD: f"{said}, Zoe@New.obs.test"}
    mail.prove("new")


def test_a_map_that_can_not_be_asked_proves_nothing(mail: Mail, mx: Exchanger) -> None:
    """Else who is still held would not be seen."""
    mx.host.answers["postmap"] = Finished(1, "", f"postmap: fatal: table {HOLD}: query error: Success", 0.0)
    with pytest.raises(AccessError, match=r"virtual_alias_maps of mx can't be asked, `postmap` says: table .*hold.cf"):
        mail.prove("new")


def test_each_of_several_exchangers_is_asked(access: FakeAccess, mail: Mail, mx: Exchanger) -> None:
    second = Exchanger(access.remote("web"))
    mail.exchangers = [access.remote("mx"), access.remote("web")]
    mx.is_on("new")
    with pytest.raises(AccessError, match="web does not lead"):
        mail.prove("new")
    second.is_on("new")
    mail.prove("new")


def test_a_move_is_proven_by_the_login_and_then_by_the_mail(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    acts, proven = SiteActs(FakeAccess(), ledger, "zoe", "task"), list[tuple[str, Server]]()

    def proving(what: str) -> Callable[[Server], None]:
        return lambda to: proven.append((what, to))

    for what in ("sessions", "mail"):
        monkeypatch.setattr(getattr(acts, what), "prove", proving(what))
    acts.prove("new")
    assert proven == [("sessions", "new"), ("mail", "new")]


def test_all_tables_of_a_parameter_are_asked_by_one_command() -> None:
    """`postmap` itself goes on to the next table where one says nothing of a key."""
    mx = FakeHost("mx")
    mx.answers["postconf"] = "transport_maps = proxy:ldap:/one hash:/two\nvirtual_alias_maps ="
    mx.answers["postmap"] = "other\tsmtp:[here]\nkey\tsmtp:[there]\n"
    assert queue.looked_up(mx, ["transport_maps"], ["key", "other", "third"]) == {
        "other": "smtp:[here]", "key": "smtp:[there]",
    }  # fmt: skip
    assert queue.looked_up(mx, ["virtual_alias_maps"], ["key"]) == {}, "no table, no question"
    assert mx.commands[1:] == ["postmap -q - proxy:ldap:/one hash:/two"]
    assert mx.asked == ["key\nother\nthird\n"]


def test_what_a_map_warns_of_is_no_failure() -> None:
    mx = FakeHost("mx")
    mx.answers["postconf"] = "transport_maps = hash:/two"
    warning = "postmap: warning: /etc/postfix/main.cf, line 3: overriding earlier entry: a=b"
    mx.answers["postmap"] = Finished(1, "", warning, 0.0)
    assert queue.looked_up(mx, ["transport_maps"], ["key"]) == {}


def test_tables_are_told_apart_as_postfix_does_it() -> None:
    maps = "hash:/one, inline:{a=b, c=d}\n unionmap:{ldap:/two.cf, static:{x y}},, proxy:ldap:/three.cf"
    assert settings.tables(maps) == [
        "hash:/one", "inline:{a=b, c=d}", "unionmap:{ldap:/two.cf, static:{x y}}", "proxy:ldap:/three.cf",
    ]  # fmt: skip
    assert settings.tables("") == []
