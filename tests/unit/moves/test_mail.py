"""What counts as on its way, and how what has waited is let go, over hosts in memory."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from bascule.changes import probes
from bascule.hosts import side_by_side
from bascule.hosts.connections import AccessError
from bascule.hosts.postfix import settings
from bascule.hosts.ssh import Finished
from bascule.ledger.moves import Server
from bascule.moves import mail as mail_module
from bascule.moves.entry import Values
from bascule.moves.machine import CannotMove, EntryGone
from bascule.moves.mail import Mail, NotQuiet

from tests.unit.changes.fakes import SITE, FakeAccess, FakeHost

OLD, NEW = "zoe@old.obs.test", "zoe@new.obs.test"
HELD = "mailbox is being moved"
REFUSED = "connect to old.obs.test[198.51.100.11]:25: Connection refused"


class FakeEntry:
    """The directory of one account."""

    def __init__(self, *others: str) -> None:
        self.held = False
        self.others = [*others]

    def addresses(self) -> dict[Server, str]:
        return {"old": OLD, "new": NEW}

    def hold(self) -> None:
        self.held = True

    def release(self) -> list[str]:
        self.held = False
        return self.others


class Clock:
    """Goes on while somebody sleeps by it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def access() -> FakeAccess:
    return FakeAccess()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The one of what waits for mail; everybody else has the real one."""
    clock = Clock()
    for module in (mail_module, probes):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def mail(access: FakeAccess, clock: Clock) -> Mail:
    return Mail(access, "zoe", FakeEntry())  # type: ignore[arg-type]


def put(host: FakeHost, *messages: tuple[str, str, str, str]) -> None:
    """(queue id, queue, address, reason) of what waits."""
    lines = [
        json.dumps({
            "queue_id": queue_id, "queue_name": name, "message_size": 1, "arrival_time": 0,
            "recipients": [{"address": address, "delay_reason": reason}],
        })
        for queue_id, name, address, reason in messages
    ]  # fmt: skip
    host.answers["postqueue -j"] = "\n".join(lines)


def test_mail_that_meets_the_hold_is_not_on_its_way(access: FakeAccess, mail: Mail) -> None:
    put(
        access.remote("mx"),
        ("A", "deferred", OLD, HELD),
        ("B", "hold", OLD, ""),
        ("C", "active", "eve@old.obs.test", ""),
    )
    mail.wait_until_quiet("new")


@pytest.mark.parametrize("name", ["incoming", "active"])
def test_mail_that_the_mx_delivers_now_is_on_its_way(access: FakeAccess, mail: Mail, name: str) -> None:
    put(access.remote("mx"), ("A", name, OLD.upper(), ""))
    with pytest.raises(NotQuiet, match=f"A to ZOE@OLD.OBS.TEST is {name} on mx"):
        mail.wait_until_quiet("new")


def test_mail_that_was_deferred_before_the_hold_is_tried_so_that_it_meets_it(access: FakeAccess, mail: Mail) -> None:
    put(access.remote("mx"), ("A", "deferred", OLD, REFUSED))
    with pytest.raises(NotQuiet, match="Connection refused"):
        mail.wait_until_quiet("new")
    assert access.remote("mx").did("postqueue -i A")


@pytest.mark.parametrize(("to", "leaves"), [("new", "old"), ("old", "new")])
def test_mail_in_the_queue_of_the_server_that_it_leaves_is_on_its_way(
    access: FakeAccess, mail: Mail, to: Server, leaves: str
) -> None:
    put(access.remote(leaves), ("A", "deferred", "zoe@obs.test", "over quota"))
    with pytest.raises(NotQuiet, match=f"on {leaves}, because: over quota"):
        mail.wait_until_quiet(to)
    mail.wait_until_quiet("old" if to == "new" else "new")


def test_the_server_is_looked_at_after_the_mx(access: FakeAccess, mail: Mail) -> None:
    """What goes from the one's queue into the other's between two looks would be in neither."""
    mx, old = access.remote("mx"), access.remote("old")

    def gone_on(command: Sequence[str]) -> str:
        put(old, ("B", "active", OLD, ""))
        return ""

    mx.answers["postqueue -j"] = gone_on
    with pytest.raises(NotQuiet, match=f"B to {OLD} is active on old"):
        mail.wait_until_quiet("new")


def test_a_hold_that_the_mx_does_not_know_is_told(access: FakeAccess, mail: Mail) -> None:
    access.remote("mx").answers["postconf"] = "transport_maps = proxy:ldap:/etc/postfix/hold.cf, hash:/etc/transport"
    with pytest.raises(AccessError, match=r"mx does not hold mail for zoe@old.obs.test: .* the same directory"):
        mail.hold()


def test_a_hold_is_seen_under_both_final_addresses(access: FakeAccess, mail: Mail) -> None:
    mx = access.remote("mx")
    mx.answers["postconf"] = "transport_maps = proxy:ldap:/etc/postfix/hold.cf, hash:/etc/transport"
    mx.answers["postmap -q"] = "".join(f"{address}\tretry:4.2.1 mailbox is being moved\n" for address in (OLD, NEW))
    mail.hold()
    assert [line for line in mx.commands if line.startswith("postmap")] == [
        "postmap -q - proxy:ldap:/etc/postfix/hold.cf hash:/etc/transport"
    ], "one question for both"
    assert mx.asked[0] == f"{OLD}\n{NEW}\n"
    assert mx.commands[-1].startswith("sendmail -f '<>'"), "else Postfix remembers its last route for 30 s"


def test_what_has_waited_is_looked_up_anew_by_its_queue_ids_after_the_hold_is_gone(
    access: FakeAccess, mail: Mail
) -> None:
    mx = access.remote("mx")
    put(mx, ("A", "deferred", OLD, HELD), ("B", "deferred", NEW, HELD), ("C", "deferred", NEW, REFUSED))
    mx.answers["postsuper"] = lambda command: mx.answers.update({"postqueue -j": ""}) or ""
    mail.release()
    assert "postsuper -r A -r B deferred" in mx.commands
    assert mx.did("sendmail -f '<>' double-bounce@localhost"), "else Postfix remembers its last route for 30 s"


def test_what_has_waited_for_an_account_without_an_entry_is_looked_up_anew_as_well(
    access: FakeAccess, mail: Mail
) -> None:
    class Gone(FakeEntry):
        def release(self) -> list[str]:
            raise EntryGone("the directory has no entry of the account zoe")

    mail.entry = Gone()  # type: ignore[assignment]
    mx = access.remote("mx")
    put(mx, ("A", "deferred", OLD, HELD))
    mx.answers["postsuper"] = lambda command: mx.answers.update({"postqueue -j": ""}) or ""
    with pytest.raises(EntryGone):
        mail.release()
    mail.release_without_entry()
    assert "postsuper -r A deferred" in mx.commands
    mail.entry = held = FakeEntry()  # type: ignore[assignment]
    held.hold()
    mail.release_without_entry()
    assert not held.held, "of one that counts as no account any more"


def test_what_was_held_in_the_words_of_an_earlier_site_file_is_let_go(access: FakeAccess, mail: Mail) -> None:
    mail.entry = FakeEntry("retry:4.3.0 umzug")  # type: ignore[assignment]
    mx = access.remote("mx")
    put(mx, ("A", "deferred", OLD, "umzug"), ("B", "deferred", OLD, REFUSED))
    mx.answers["postsuper"] = lambda command: mx.answers.update({"postqueue -j": ""}) or ""
    mail.release()
    assert "postsuper -r A deferred" in mx.commands


def test_mail_that_is_still_held_after_the_release_is_told(access: FakeAccess, mail: Mail) -> None:
    put(access.remote("mx"), ("A", "deferred", NEW, HELD))
    with pytest.raises(AccessError, match="mx still holds mail for zoe"):
        mail.release()
    again = access.remote("mx").commands.count("postsuper -r A deferred")
    assert again > mail_module.LET_GO_SECONDS, "it is looked up anew again and again"


def test_what_is_about_to_meet_the_hold_when_it_ends_is_waited_for(
    access: FakeAccess, mail: Mail, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deferred right after the look, it would lie there until Postfix tries it, in minutes."""
    mx = access.remote("mx")
    put(mx, ("A", "active", OLD, ""))
    monkeypatch.setattr(clock, "sleep", lambda seconds: put(mx, ("A", "deferred", OLD, HELD)))
    mx.answers["postsuper"] = lambda command: mx.answers.update({"postqueue -j": ""}) or ""
    mail.release()
    assert "postsuper -r A deferred" in mx.commands


SUBADDRESS = "ZOE+Listes@old.obs.test"


@pytest.mark.parametrize("host", ["mx", "old"])
def test_mail_for_a_subaddress_is_on_its_way_too(access: FakeAccess, mail: Mail, host: str) -> None:
    """An alias's extension goes on to the final address."""
    put(access.remote(host), ("A", "active", SUBADDRESS, ""))
    access.remote(host).answers["postconf"] = "recipient_delimiter = -+\ntransport_maps ="
    with pytest.raises(NotQuiet, match=f"A to ZOE.* is active on {host}"):
        mail.wait_until_quiet("new")


@pytest.mark.parametrize("host", ["mx", "old"])
def test_where_no_character_begins_a_subaddress_it_is_another_address(
    access: FakeAccess, mail: Mail, host: str
) -> None:
    put(access.remote(host), ("A", "active", SUBADDRESS, ""))
    mail.wait_until_quiet("new")


def test_nothing_is_asked_about_subaddresses_while_mail_is_held(access: FakeAccess, mail: Mail) -> None:
    """What a look takes says how long logins are held back."""
    mail.open()
    hosts = [access.remote(host) for host in ("mx", "old", "new")]
    assert [host.commands for host in hosts] == [[f"postconf -x {' '.join(settings.ASKED)}"]] * 3
    mail.wait_until_quiet("new")
    mail.release()
    assert hosts[0].commands[1:] == ["postqueue -j", "postqueue -j"], "one look each, where nothing waits"


def test_mail_for_a_subaddress_is_let_go(access: FakeAccess, mail: Mail) -> None:
    mx = access.remote("mx")
    mx.answers["postconf"] = "recipient_delimiter = +\n"
    put(mx, ("A", "deferred", SUBADDRESS, HELD), ("B", "deferred", "zoe2+x@old.obs.test", HELD))
    mx.answers["postsuper"] = lambda command: mx.answers.update({"postqueue -j": ""}) or ""
    mail.release()
    assert "postsuper -r A deferred" in mx.commands


@pytest.fixture
def at_two(access: FakeAccess, mail: Mail) -> Mail:
    """With `mx`, and `web` as a second one."""
    mail.exchangers = [access.remote("mx"), access.remote("web")]
    for host in mail.exchangers:
        host.answers["postconf"] = "transport_maps = proxy:ldap:/etc/postfix/hold.cf"
        host.answers["postmap -q"] = "".join(f"{each}\tretry:4.2.1 mailbox is being moved\n" for each in (OLD, NEW))
    return mail


def test_a_hold_that_one_of_several_exchangers_does_not_know_is_told(access: FakeAccess, at_two: Mail) -> None:
    at_two.hold()
    assert all(access.remote(host).did("sendmail -f '<>' double-bounce@localhost") for host in ("mx", "web"))
    access.remote("web").answers["postmap -q"] = ""
    with pytest.raises(AccessError, match=f"web does not hold mail for {OLD}"):
        at_two.hold()


def test_mail_in_the_queue_of_any_exchanger_is_on_its_way_and_is_let_go_there(access: FakeAccess, at_two: Mail) -> None:
    second = access.remote("web")
    put(second, ("A", "active", OLD, ""))
    with pytest.raises(NotQuiet, match=f"A to {OLD} is active on web"):
        at_two.wait_until_quiet("new")
    put(second, ("A", "deferred", OLD, HELD))
    at_two.wait_until_quiet("new")
    second.answers["postsuper"] = lambda command: second.answers.update({"postqueue -j": ""}) or ""
    at_two.release()
    assert second.did("postsuper -r A") and not access.remote("mx").did("postsuper")


@pytest.mark.parametrize("act", [lambda mail: mail.wait_until_quiet("new"), Mail.release])
def test_a_thread_for_one_exchanger_asks_no_other_host(
    at_two: Mail, monkeypatch: pytest.MonkeyPatch, act: Callable[[Mail], object]
) -> None:
    """Nor does it before any other act has opened the connections, which are used by one thread at a time."""
    asking = []

    def on_each(*given: Any) -> dict[str, Any]:
        asking.append(threading.current_thread())
        return side_by_side.on_each(*given)

    monkeypatch.setattr(mail_module, "on_each", on_each)
    act(at_two)
    assert {*asking} == {threading.main_thread()}


def test_a_server_that_is_away_keeps_nothing_held_and_nothing_waiting_at_the_exchangers(
    access: FakeAccess, mail: Mail
) -> None:
    access.remote("old").answers["postconf"] = Finished(255, "", "away", 0.0)
    mail.entry.hold()
    mx = access.remote("mx")
    put(mx, ("A", "deferred", OLD, HELD))
    mx.answers["postsuper"] = lambda command: mx.answers.update({"postqueue -j": ""}) or ""
    mail.release()
    assert not mail.entry.held  # type: ignore[attr-defined]
    assert mx.did("postsuper -r A")


def test_the_exchangers_are_those_of_the_site_file(access: FakeAccess, mail: Mail) -> None:
    assert [mx.name for mx in mail.exchangers] == ["mx"]
    assert SITE.moves
    several = SITE.model_copy(update={"moves": SITE.moves.model_copy(update={"exchangers": ["mx", "web"]})})
    found = Mail(FakeAccess(several), "zoe", FakeEntry())  # type: ignore[arg-type]
    assert [mx.name for mx in found.exchangers] == ["mx", "web"]


def values(*present: str) -> Values:
    return Values("mailRoutingAddress", [*present], {"old": OLD, "new": NEW})


def test_one_value_is_exchanged_and_all_others_stay() -> None:
    assert values(OLD, "list@obs.test").steps("new") == [("MODIFY_DELETE", [OLD]), ("MODIFY_ADD", [NEW])]
    assert values(NEW).steps("new") == []
    assert values(NEW).steps("old") == [("MODIFY_DELETE", [NEW]), ("MODIFY_ADD", [OLD])]


def test_an_entry_with_neither_value_is_not_moved() -> None:
    with pytest.raises(CannotMove, match=r"has 'zoe@elsewhere.test', neither 'zoe@old.*mend the entry"):
        values("zoe@elsewhere.test").steps("new")


def test_an_account_with_both_destinations_is_on_neither() -> None:
    assert not values(OLD, NEW).is_at("new") and not values(OLD, NEW).is_at("old")
    assert values(NEW).is_at("new")
