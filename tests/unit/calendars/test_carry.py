"""What a pass does with the items of one account."""

from typing import Any

import pytest
from bascule.calendars import Counts, ical_compare, places, sync_account
from bascule.calendars.dav import xml
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.model import Collection, Content
from bascule.ledger import Ledger
from bascule.problems import store
from bascule.problems.model import Option
from calendar_items import card, event
from deciding import open_problems

from tests.deciding import decide


@pytest.fixture
def filled(servers: Any) -> Any:
    old, new = servers
    old.make("/zoe/agenda/", "calendar")
    old.make("/zoe/carnet/", "addressbook", "Carnet")
    for number in range(3):
        old.put(f"/zoe/agenda/e{number}.ics", event(f"e{number}"))
    old.put("/zoe/carnet/c1.vcf", card("c1"))
    new.make("/zoe/personal/", "calendar", "Personal")
    return old, new


def run(access: Any, ledger: Ledger, **options: Any) -> Counts:
    return sync_account(access, ledger, "zoe", **options)


def test_everything_is_carried_and_a_second_pass_changes_nothing(access: Any, ledger: Ledger, filled: Any) -> None:
    _, new = filled
    first = run(access, ledger)
    assert (first.collections, first.items, first.copied, first.problems) == (2, 4, 4, 0)
    assert new.names("/zoe/personal/") == ["e0.ics", "e1.ics", "e2.ics"]
    assert ical_compare.same(new.get("/zoe/personal/e1.ics"), event("e1"))
    assert new.get("/zoe/carnet/c1.vcf") is not None
    new.faults.requests.clear()
    assert run(access, ledger) == Counts(collections=2, items=4, unchanged=4)
    assert not {method for method, _ in new.faults.requests} & {"PUT", "DELETE", "PROPPATCH", "MKCOL", "MKCALENDAR"}


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(access: Any, ledger: Ledger, filled: Any) -> None:
    _, new = filled
    assert run(access, ledger, dry_run=True).copied == 4
    assert new.names("/zoe/personal/") == []
    assert run(access, ledger).copied == 4


def test_changes_and_removals_on_old_are_carried(access: Any, ledger: Ledger, filled: Any) -> None:
    old, new = filled
    run(access, ledger)
    old.put("/zoe/agenda/e0.ics", event("e0", "Reportée"))
    old.request("DELETE", "/zoe/agenda/e1.ics")
    old.put("/zoe/agenda/e9.ics", event("e9"))
    counts = run(access, ledger)
    assert (counts.copied, counts.updated, counts.deleted) == (1, 1, 1)
    assert "Reportée" in new.get("/zoe/personal/e0.ics")
    assert new.names("/zoe/personal/") == ["e0.ics", "e2.ics", "e9.ics"]


def test_what_the_user_changed_on_new_stays(access: Any, ledger: Ledger, filled: Any) -> None:
    old, new = filled
    run(access, ledger)
    new.put("/zoe/personal/e0.ics", event("e0", "Changed on new"))
    new.request("DELETE", "/zoe/personal/e1.ics")
    new.put("/zoe/personal/mine.ics", event("mine"))
    old.put("/zoe/agenda/e7.ics", event("e7"))
    assert run(access, ledger).kept == 2
    assert "Changed on new" in new.get("/zoe/personal/e0.ics")
    assert new.names("/zoe/personal/") == ["e0.ics", "e2.ics", "e7.ics", "mine.ics"]
    assert open_problems(ledger) == []


def test_a_change_on_both_sides_is_asked_and_the_new_one_stays(access: Any, ledger: Ledger, filled: Any) -> None:
    old, new = filled
    run(access, ledger)
    new.put("/zoe/personal/e0.ics", event("e0", "New's"))
    old.put("/zoe/agenda/e0.ics", event("e0", "Old's"))
    assert run(access, ledger).problems == 1
    assert "New's" in new.get("/zoe/personal/e0.ics")
    assert open_problems(ledger) == [("both-changed", "/zoe/agenda/e0.ics")]
    decide(ledger)
    run(access, ledger)
    assert "New's" in new.get("/zoe/personal/e0.ics")
    assert open_problems(ledger) == []
    assert run(access, ledger) == Counts(collections=2, items=4, unchanged=4)


@pytest.mark.parametrize("option", [Option.APPLY, Option.LEAVE_OUT])
def test_what_its_owner_removed_on_new_comes_again_by_another_decision_only(
    access: Any, ledger: Ledger, filled: Any, option: Option
) -> None:
    old, new = filled
    run(access, ledger)
    new.request("DELETE", "/zoe/personal/e0.ics")
    old.put("/zoe/agenda/e0.ics", event("e0", "Old's"))
    run(access, ledger)
    decide(ledger, option=option)
    run(access, ledger)
    assert open_problems(ledger) == []
    old.put("/zoe/agenda/e0.ics", event("e0", "Old's once more"))
    run(access, ledger)
    assert new.names("/zoe/personal/") == ["e1.ics", "e2.ics"]
    assert open_problems(ledger) == [("both-changed", "/zoe/agenda/e0.ics")]


def test_the_old_version_is_taken_when_a_person_wants_it(access: Any, ledger: Ledger, filled: Any) -> None:
    old, new = filled
    run(access, ledger)
    new.put("/zoe/personal/e0.ics", event("e0", "New's"))
    old.put("/zoe/agenda/e0.ics", event("e0", "Old's"))
    run(access, ledger)
    decide(ledger, action="take_old")
    run(access, ledger)
    assert "Old's" in new.get("/zoe/personal/e0.ics")
    assert store.problems(ledger, states=("open", "decided")) == []


def test_a_refused_item_is_isolated_and_repaired_by_decision(access: Any, ledger: Ledger, filled: Any) -> None:
    old, new = filled
    old.put("/zoe/agenda/bad.ics", event("bad", extra="ATTACH:https://example.org/x"))

    def too_large(method: str, path: str, _: int) -> Any:
        return ("413 Too Large", b"<p>too large</p>") if method == "PUT" and path.endswith("/bad.ics") else None

    new.faults.plan = too_large
    counts = run(access, ledger)
    assert (counts.copied, counts.problems) == (4, 1)
    assert open_problems(ledger) == [("too-large", "/zoe/agenda/bad.ics")]
    found = store.problems(ledger)[0]
    assert found.proposal.stored() == {"action": "drop", "properties": ["ATTACH"]}
    assert "too large" in found.server_words
    new.faults.plan = None
    decide(ledger)
    assert run(access, ledger).copied == 1
    assert "ATTACH" not in new.get("/zoe/personal/bad.ics")
    assert store.problems(ledger, states=("open", "decided")) == []


def test_what_is_known_to_be_refused_is_sent_again_when_a_person_says_so_or_it_has_changed(
    access: Any, ledger: Ledger, filled: Any
) -> None:
    old, new = filled
    new.faults.plan = lambda method, path, _: (
        ("400 Bad", b"no") if method == "PUT" and path.endswith(("/e0.ics", "/e1.ics")) else None
    )
    assert run(access, ledger).problems == 2
    new.faults.requests.clear()
    for _ in range(2):
        assert run(access, ledger).problems == 2
    assert "PUT" not in {method for method, _ in new.faults.requests}
    decide(ledger, option=Option.LOOK_AGAIN)
    run(access, ledger)
    assert len(open_problems(ledger)) == 2
    new.faults.requests.clear()
    run(access, ledger)
    assert "PUT" not in {method for method, _ in new.faults.requests}
    new.faults.plan = None
    old.put("/zoe/agenda/e1.ics", event("e1", "Changed"))
    assert run(access, ledger).copied == 1
    assert open_problems(ledger) == [("refused", "/zoe/agenda/e0.ics")]
    decide(ledger, option=Option.LOOK_AGAIN)
    assert run(access, ledger).copied == 1
    assert store.problems(ledger, states=("open", "decided")) == []


def test_an_item_left_out_by_decision_is_not_tried_again(access: Any, ledger: Ledger, filled: Any) -> None:
    _, new = filled
    new.faults.plan = lambda method, path, _: (
        ("400 Bad", b"no") if method == "PUT" and path.endswith("/personal/e0.ics") else None
    )
    run(access, ledger)
    decide(ledger, option=Option.LEAVE_OUT)
    new.faults.plan = None
    run(access, ledger)
    assert new.names("/zoe/personal/") == ["e1.ics", "e2.ics"]
    assert run(access, ledger) == Counts(collections=2, items=4, unchanged=4)
    assert store.problems(ledger, states=("settled",))[0].subject == "/zoe/agenda/e0.ics"


def test_what_new_has_already_in_the_same_words_is_adopted(access: Any, ledger: Ledger, filled: Any) -> None:
    _, new = filled
    new.put("/zoe/personal/e0.ics", event("e0"))
    counts = run(access, ledger)
    assert (counts.copied, counts.problems) == (4, 0)


def test_an_item_of_the_user_under_the_same_name_is_not_overwritten(access: Any, ledger: Ledger, filled: Any) -> None:
    _, new = filled
    new.put("/zoe/personal/e0.ics", event("e0", "The user's own"))
    assert run(access, ledger).problems == 1
    assert "The user's own" in new.get("/zoe/personal/e0.ics")
    assert open_problems(ledger) == [("both-changed", "/zoe/agenda/e0.ics")]


def test_a_decision_that_does_not_help_is_asked_again(access: Any, ledger: Ledger, filled: Any) -> None:
    old, new = filled
    for number in range(3):
        old.put(f"/zoe/agenda/b{number}.ics", event(f"a/b {number}"))
    new.faults.plan = lambda method, path, _: ("400 Bad", b"no") if method == "PUT" and "carnet" not in path else None
    run(access, ledger)
    decide(ledger, *[problem for problem in store.problems(ledger) if problem.kind == "uid"])
    assert len(open_problems(ledger)) == 3
    run(access, ledger)
    assert len(open_problems(ledger)) == 6
    new.faults.plan = None
    decide(ledger, option=Option.LOOK_AGAIN)
    run(access, ledger)
    assert len(new.names("/zoe/personal/")) == 6
    assert store.problems(ledger, states=("open", "decided")) == []


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference in the event e0."""
    look, found = ical_compare.differences, [ical_compare.Difference("property", "X", "X is lost")]
    monkeypatch.setattr(
        ical_compare, "differences", lambda one, *rest: found if ical_compare.uid(one) == "e0" else look(one, *rest)
    )


def test_what_new_altered_is_accepted_or_taken_back(
    access: Any, ledger: Ledger, filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, new = filled
    plant(monkeypatch)
    assert run(access, ledger).problems == 1
    assert open_problems(ledger) == [("altered", "/zoe/agenda/e0.ics")]
    assert run(access, ledger) == Counts(collections=2, items=4, unchanged=4, problems=1)
    assert open_problems(ledger) == [("altered", "/zoe/agenda/e0.ics")]
    decide(ledger, option=Option.LEAVE_OUT)
    run(access, ledger)
    assert new.names("/zoe/personal/") == ["e1.ics", "e2.ics"]
    assert store.problems(ledger, states=("open", "decided")) == []
    assert run(access, ledger).copied == 0


@pytest.mark.parametrize("option", [Option.APPLY, Option.KEEP_ON_OLD])
def test_what_new_altered_stays_when_it_is_accepted_or_the_mail_stays_on_old(
    access: Any, ledger: Ledger, filled: Any, monkeypatch: pytest.MonkeyPatch, option: Option
) -> None:
    _, new = filled
    plant(monkeypatch)
    run(access, ledger)
    decide(ledger, option=option)
    run(access, ledger)
    assert "e0.ics" in new.names("/zoe/personal/")
    assert store.problems(ledger, states=("open", "decided")) == []


@pytest.mark.parametrize(("answer", "times"), [("500 Broken", 1), ("412 Precondition Failed", 1), ("500 Broken", 9)])
def test_a_refusal_that_changed_nothing_is_no_conflict(
    servers: Any, access: Any, ledger: Ledger, answer: str, times: int
) -> None:
    old, new = servers
    old.make("/zoe/agenda/", "calendar")
    new.make("/zoe/personal/", "calendar")
    old.put("/zoe/agenda/e.ics", event("e"))
    sync_account(access, ledger, "zoe")
    old.put("/zoe/agenda/e.ics", event("e", "Reportée"))
    left = times

    def refuse(method: str, path: str, count: int) -> tuple[str, bytes] | None:
        nonlocal left
        left -= method == "PUT"
        return (answer, b"") if method == "PUT" and left >= 0 else None

    new.faults.plan = refuse
    sync_account(access, ledger, "zoe")
    new.faults.plan = None
    assert [item.kind for item in store.problems(ledger)] == (["refused"] if times > 2 else [])
    sync_account(access, ledger, "zoe")
    assert "Reportée" in new.get("/zoe/personal/e.ics")
    assert store.problems(ledger) == []


def rename(server: Any, path: str, name: str) -> None:
    body = f'<propertyupdate xmlns="DAV:"><set><prop><displayname>{name}</displayname></prop></set></propertyupdate>'
    server.request("PROPPATCH", path, body.encode()).raise_for_status()


def names_on_new(new: Any) -> str:
    body = b'<propfind xmlns="DAV:"><prop><displayname/></prop></propfind>'
    return str(new.request("PROPFIND", "/zoe/personal/", body, Depth="0").text)


def test_a_new_name_on_old_is_carried_and_one_that_the_user_gave_on_new_stays(
    access: Any, ledger: Ledger, filled: Any
) -> None:
    old, new = filled
    run(access, ledger)
    rename(old, "/zoe/agenda/", "Travail")
    run(access, ledger)
    assert ">Travail<" in names_on_new(new)
    rename(new, "/zoe/personal/", "Le mien")
    rename(old, "/zoe/agenda/", "Bureau")
    run(access, ledger)
    run(access, ledger)
    assert ">Le mien<" in names_on_new(new)


@pytest.mark.parametrize(
    ("on_new", "sent"), [("#FF8800FF", True), ("#ff8800", True), (None, True), ("#00FF00FF", False)]
)
def test_a_colour_is_carried_unless_its_owner_has_chosen_another_on_new(on_new: str | None, sent: bool) -> None:
    present = Collection("/new/", "calendar", {xml.COLOUR: on_new} if on_new else {})
    changed = places.changed({xml.COLOUR: "#FF8800"}, {xml.COLOUR: "#0000FF"}, present)
    assert changed == ({xml.COLOUR: "#0000FF"} if sent else {})


@pytest.mark.parametrize("odd", ["a\x00b", "a\rb", "a\x07b", "a\x85b"])
def test_an_item_with_control_characters_is_carried_or_named(
    access: Any, ledger: Ledger, filled: Any, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = filled
    text, href = event("odd", odd), "/zoe/agenda/odd.ics"
    old.put(href, event("odd"))
    get = Session.get

    def as_it_is(self: Session, asked: str) -> Content | None:
        found = get(self, asked)
        return Content(found.href, found.etag, text) if found and asked == href else found

    monkeypatch.setattr(Session, "get", as_it_is)
    monkeypatch.setattr(Session, "contents", lambda self, _, __, hrefs: filter(None, map(self.get, hrefs)))
    counts = run(access, ledger)
    there = new.get("/zoe/personal/odd.ics")
    assert there is not None or [subject for _, subject in open_problems(ledger)] == [href]
    assert counts.copied == 5 - (there is None)
    assert new.names("/zoe/personal/")[:3] == ["e0.ics", "e1.ics", "e2.ics"]
