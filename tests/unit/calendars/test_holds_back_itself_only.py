"""One bad thing holds back itself only: a collection, a name, an item, a home; on either server."""

from pathlib import Path
from typing import Any

import pytest
from bascule.calendars import Counts, sync_account
from bascule.calendars.dav import xml
from bascule.calendars.dav.client import Session
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.problems import questions, store
from bascule.problems.model import Option
from calendar_items import card, event
from deciding import open_problems
from test_hostile_server import session

from tests.deciding import decide

SUBSCRIBED = (
    '<mkcol xmlns="DAV:" xmlns:cs="http://calendarserver.org/ns/"><set><prop><resourcetype><collection/><cs:subscribed/>'
    "</resourcetype><displayname>Vacances</displayname><cs:source><href>https://holidays.test/fr.ics</href></cs:source>"
    "</prop></set></mkcol>"
)


@pytest.fixture
def three(servers: Any) -> Any:
    """Two calendars and an address book on old, with an item in each."""
    old, new = servers
    for path, kind in (("agenda", "calendar"), ("bureau", "calendar"), ("carnet", "addressbook")):
        old.make(f"/zoe/{path}/", kind, path.title())
    old.put("/zoe/agenda/a.ics", event("a"))
    old.put("/zoe/bureau/b.ics", event("b"))
    old.put("/zoe/carnet/c.vcf", card("c"))
    new.make("/zoe/personal/", "calendar", "Personal")
    return old, new


def refuse(path: str, status: str = "500 Broken", *methods: str) -> Any:
    def plan(method: str, asked: str, _: int) -> Any:
        meant = asked.startswith(path) and (not methods or method in methods)
        return (status, b"<p>something is broken</p>") if meant else None

    return plan


@pytest.mark.parametrize("side", ["old", "new"])
def test_a_collection_that_a_server_refuses_holds_back_no_other(
    access: Any, ledger: Ledger, three: Any, side: str
) -> None:
    old, new = three
    sync_account(access, ledger, "zoe")
    for path in ("agenda/x.ics", "bureau/y.ics"):
        old.put(f"/zoe/{path}", event(path[-5]))
    broken = old if side == "old" else new
    broken.faults.plan = refuse("/zoe/bureau/")
    for _ in range(2):
        counts = sync_account(access, ledger, "zoe")
        assert (counts.collections, counts.problems, counts.deleted) == (3, 1, 0)
    [problem] = store.problems(ledger)
    assert (problem.kind, problem.subject, problem.title) == ("collection", "/zoe/bureau/", "Bureau")
    assert "“Bureau” (/zoe/bureau/): nothing of it is carried, and nothing removed" in problem.explanation
    assert "500" in problem.explanation
    broken.faults.plan = None
    assert new.names("/zoe/personal/") == ["a.ics", "x.ics"]
    assert new.names("/zoe/bureau/") == ["b.ics"]
    assert sync_account(access, ledger, "zoe").copied == 1
    assert store.problems(ledger, states=("open", "decided")) == []


def test_a_home_that_can_not_tell_about_one_collection_still_tells_about_the_others(
    access: Any, ledger: Ledger, three: Any
) -> None:
    """So does Radicale 3.1 when one stored item is broken: no tag for one collection, and no answer for all."""
    old, new = three
    sync_account(access, ledger, "zoe")
    old.put("/zoe/agenda/x.ics", event("x"))
    kinds = old.faults

    def broken(method: str, path: str, _: int) -> Any:
        if path.startswith("/zoe/bureau/"):
            return "500 Broken", b"A server error occurred"
        return ("500 Broken", b"") if (method, path) == ("PROPFIND", "/zoe/") and len(kinds.requests) % 2 else None

    kinds.requests[:] = [("", "")] * (len(kinds.requests) + len(kinds.requests) % 2)
    old.faults.plan = broken
    counts = sync_account(access, ledger, "zoe")
    assert (counts.copied, counts.deleted) == (1, 0)
    assert [kind for kind, _ in open_problems(ledger)] == ["collection"]
    assert new.names("/zoe/bureau/") == ["b.ics"]


def test_an_item_that_is_broken_in_the_storage_of_old_holds_back_its_collection_only_and_removes_nothing(
    access: Any, ledger: Ledger, three: Any, tmp_path: Path
) -> None:
    """A real Radicale then refuses all of this calendar."""
    old, new = three
    sync_account(access, ledger, "zoe")
    for path in ("agenda/x.ics", "bureau/y.ics"):
        old.put(f"/zoe/{path}", event(path[-5]))
    old.make("/amy/agenda/", "calendar", "Agenda")
    old.put("/amy/agenda/z.ics", event("z"))
    new.request("MKCOL", "/amy/")
    stored = tmp_path / "old" / "collection-root" / "zoe" / "bureau" / "b.ics"
    whole = stored.read_bytes()
    stored.write_bytes(whole[: len(whole) // 2])
    counts = sync_account(access, ledger, "zoe")
    assert (counts.collections, counts.copied, counts.deleted, counts.problems) == (3, 1, 0, 1)
    assert sync_account(access, ledger, "amy").copied == 1
    [problem] = store.problems(ledger)
    assert (problem.kind, problem.subject, problem.title) == ("collection", "/zoe/bureau/", "Bureau")
    assert "“Bureau” (/zoe/bureau/): nothing of it is carried, and nothing removed: PROPFIND" in problem.explanation
    assert "500: A server error occurred." in problem.explanation
    assert (new.names("/zoe/personal/"), new.names("/zoe/bureau/")) == (["a.ics", "x.ics"], ["b.ics"])
    stored.write_bytes(whole)
    assert sync_account(access, ledger, "zoe").copied == 1
    assert new.names("/zoe/bureau/") == ["b.ics", "y.ics"]
    assert store.problems(ledger, states=("open", "decided")) == []


def test_calendars_that_stay_away_do_not_hold_back_address_books(access: Any, ledger: Ledger, three: Any) -> None:
    old, new = three
    listed: list[str] = []

    def away(method: str, path: str, _: int) -> Any:
        if (method, path) == ("PROPFIND", "/zoe/"):
            listed.append(path)
            return ("403 No", b"calendars are closed") if len(listed) == 1 else None
        return None

    old.faults.plan = away
    with pytest.raises(AccessError, match="calendars are closed"):
        sync_account(access, ledger, "zoe")
    assert new.names("/zoe/carnet/") == ["c.vcf"]


def test_a_collection_that_stays_away_fails_the_pass_and_holds_back_no_other(
    access: Any, ledger: Ledger, three: Any
) -> None:
    old, new = three
    old.faults.plan = refuse("/zoe/agenda/", "503 Busy")
    with pytest.raises(AccessError, match=r"“Agenda” .*status 503"):
        sync_account(access, ledger, "zoe")
    assert new.names("/zoe/bureau/") == ["b.ics"]
    assert new.names("/zoe/carnet/") == ["c.vcf"]
    assert open_problems(ledger) == []


def test_a_mistake_of_ours_in_one_collection_holds_back_no_other_and_is_no_name_of_python(
    access: Any, ledger: Ledger, three: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, new = three
    listing = Session.listing

    def wrong(self: Session, collection: str) -> Any:
        return {}["a mistake"] if "agenda" in collection else listing(self, collection)

    monkeypatch.setattr(Session, "listing", wrong)
    with pytest.raises(AccessError, match=r"“Agenda” .*: Bascule made a mistake") as raised:
        sync_account(access, ledger, "zoe")
    assert "KeyError" not in str(raised.value)
    assert new.names("/zoe/bureau/") == ["b.ics"]


def test_a_collection_left_out_is_asked_about_again_when_it_breaks_again(
    access: Any, ledger: Ledger, three: Any
) -> None:
    old, _ = three
    for number in range(2):
        old.put(f"/zoe/bureau/e{number}.ics", event(f"e{number}"))
        old.faults.plan = refuse("/zoe/bureau/")
        sync_account(access, ledger, "zoe")
        decide(ledger, option=Option.LEAVE_OUT)
        sync_account(access, ledger, "zoe")
        assert store.problems(ledger, states=("open", "decided")) == []
        old.faults.plan = None
        assert sync_account(access, ledger, "zoe").collections == 3


def test_what_new_refuses_to_remove_holds_back_no_other(access: Any, ledger: Ledger, three: Any) -> None:
    old, new = three
    for number in range(4):
        old.put(f"/zoe/agenda/e{number}.ics", event(f"e{number}"))
    sync_account(access, ledger, "zoe")
    for name in ("e0", "e1"):
        old.request("DELETE", f"/zoe/agenda/{name}.ics")
    old.put("/zoe/agenda/later.ics", event("later"))
    new.faults.plan = refuse("/zoe/personal/e0.ics", "403 No", "DELETE")
    counts = sync_account(access, ledger, "zoe")
    assert (counts.deleted, counts.copied, counts.problems) == (1, 1, 1)
    assert open_problems(ledger) == [("refused", "/zoe/agenda/e0.ics")]
    new.faults.plan = None
    assert sync_account(access, ledger, "zoe").deleted == 1
    assert open_problems(ledger) == []


def test_a_subscribed_calendar_is_named(access: Any, ledger: Ledger, three: Any) -> None:
    old, _ = three
    old.request("MKCOL", "/zoe/vacances/", SUBSCRIBED.encode()).raise_for_status()
    assert sync_account(access, ledger, "zoe").collections == 3
    [problem] = store.problems(ledger)
    assert problem.kind == "subscription"
    assert problem.explanation.startswith("Vacances: it only shows another calendar, and is not carried")
    decide(ledger)
    assert sync_account(access, ledger, "zoe").problems == 1
    assert store.problems(ledger, states=("open", "decided")) == []


def test_where_a_subscription_leads_is_said() -> None:
    source = "<source xmlns='http://calendarserver.org/ns/'>{}</source>"
    kind = "<resourcetype><subscribed xmlns='http://calendarserver.org/ns/'/></resourcetype>"
    for address in ("webcal://x.test/a.ics", "<href xmlns='DAV:'>webcal://x.test/a.ics</href>"):
        body = NAMES.format("v", "Vacances").replace("</prop>", f"{kind}{source.format(address)}</prop>")
        [named] = session(207, body).collections("/c/", "calendar").others
        assert (named.name, named.why) == ("Vacances", "it is a subscription of webcal://x.test/a.ics")


def test_one_cause_is_one_question(access: Any, ledger: Ledger, three: Any) -> None:
    old, new = three
    for number in range(30):
        old.put(f"/zoe/{'agenda' if number % 2 else 'bureau'}/e{number}.ics", event(f"e{number}"))
    new.faults.plan = lambda method, path, _: ("400 Bad", b"no") if method == "PUT" and "/e" in path else None
    sync_account(access, ledger, "zoe")
    [question] = questions.of_mailbox(store.problems(ledger))
    assert len(question.problems) == 30
    assert "Réunion (2026-06-27 06:00 UTC) (the calendar “" in question.what


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("there", "it is new on the old server, and the new one has another version of it"),
        ("changed", "it changed on the old server, and its owner has another version of it on the new one"),
        ("removed", "it changed on the old server, and its owner has removed it on the new one"),
    ],
)
def test_a_conflict_says_what_has_happened(access: Any, ledger: Ledger, three: Any, how: str, words: str) -> None:
    old, new = three
    if how == "there":
        new.put("/zoe/personal/a.ics", event("a", "Mine"))
    sync_account(access, ledger, "zoe")
    if how != "there":
        old.put("/zoe/agenda/a.ics", event("a", "Old's"))
        new.put("/zoe/personal/a.ics", event("a", "Mine"))
    if how == "removed":
        new.request("DELETE", "/zoe/personal/a.ics")
    sync_account(access, ledger, "zoe")
    [problem] = store.problems(ledger)
    assert words in problem.explanation
    assert "in the calendar “Agenda” (/zoe/agenda/a.ics)" in problem.explanation


NAMES = (
    "<multistatus xmlns='DAV:'><response><href>/c/{}/</href><propstat><prop><displayname>{}</displayname></prop>"
    "<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>"
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("F&#234;te &#55356;&#57225;", "Fête 🎉"),
        ("x &#xD83C;&#xdf89;", "x 🎉"),
        ("half &#55356; of it", "half \ufffd of it"),
        ("&#57225;&#55356;", "\ufffd\ufffd"),
        ("a&#7;b&#0;", "a\ufffdb\ufffd"),
        ("a\x07b", "a\ufffdb"),
        ("\ud83c".encode("utf-16", "surrogatepass").decode("utf-16", "replace"), "\ufffd"),
        ("&#99999999;&#xd8zz;", None),
    ],
)
def test_names_that_no_xml_parser_takes_are_read(written: str, read: str | None) -> None:
    body = NAMES.format("a", written).encode()
    if read is None:
        with pytest.raises(xml.NoAnswer):
            xml.answers(body, lenient=True)
        return
    [answer] = xml.answers(body, lenient=True)
    assert answer.text(xml.NAME) == read


def test_an_item_is_never_read_with_characters_that_it_does_not_have() -> None:
    """It is read again by itself, octet for octet."""
    with pytest.raises(xml.NoAnswer):
        xml.answers(NAMES.format("a", "a&#7;b").encode())


@pytest.mark.parametrize("href", ["http://[/x", "//", "%ff%fe/é", "\x00", "a" * 70_000, "?x", "http://h:99999999/"])
def test_an_address_that_is_none_is_an_answer_that_makes_no_sense(href: str) -> None:
    body = NAMES.format("a", "x")
    body = body.replace("/c/a/", href.replace("\x00", ""))
    assert session(207, body).collections("/c/", "calendar").collections == []


def test_counts_are_what_was_before(access: Any, ledger: Ledger, three: Any) -> None:
    assert sync_account(access, ledger, "zoe") == Counts(collections=3, items=3, copied=3)
