"""What SOGo can't give back of a calendar's name is left out on new; the log names it, and says how it is there."""

import re
from typing import Any

import pytest
from bascule.calendars import places, sync_account
from bascule.calendars.dav import xml
from bascule.ledger import Ledger
from calendar_items import event
from structlog.testing import capture_logs

NAME = xml.NAME
ASK = b'<propfind xmlns="DAV:"><prop><displayname/></prop></propfind>'
SET = '<propertyupdate xmlns="DAV:"><set><prop><displayname>%s</displayname></prop></set></propertyupdate>'


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Fête 🎉", "Fête"),
        ("🎉 Fête 🎂 au labo", "Fête au labo"),
        ("Cœur ❤️", "Cœur ❤"),
        ("𝔐ath", "ath"),
        ("🎉🎂", "fetes"),
        ("a\x07b \ud83c", "ab"),
    ],
)
def test_what_is_left_out_of_a_name_is_told(name: str, kept: str) -> None:
    properties, told = places.for_sogo({NAME: name, "colour": "#00ff00"}, "/SOGo/dav/zoe/Calendar/fetes/")
    assert properties == {NAME: kept, "colour": "#00ff00"}
    assert told == f"SOGo can't keep the name “{name}” as it is, so it is called “{kept}” there"


@pytest.mark.parametrize("name", ["Réunions", "日本語 ☀", "A & <b>", ""])
def test_a_name_that_sogo_keeps_stays_and_nothing_is_told(name: str) -> None:
    assert places.for_sogo({NAME: name}, "/SOGo/dav/zoe/Calendar/a/") == ({NAME: name}, "")


def test_a_calendar_without_a_name_gets_none() -> None:
    assert places.for_sogo({}, "/SOGo/dav/zoe/Calendar/a/") == ({}, "")


def test_a_pass_tells_of_each_name_once_when_it_is_set(access: Any, ledger: Ledger, servers: tuple[Any, Any]) -> None:
    old, new = servers
    for path, name in (("fetes", "Fête 🎉"), ("bureau", "Bureau")):
        old.make(f"/zoe/{path}/", "calendar", name)
        old.put(f"/zoe/{path}/a.ics", event(path))
    new.request("MKCOL", "/zoe/")

    def told_by_a_pass() -> list[tuple[str, str]]:
        with capture_logs() as lines:
            counts = sync_account(access, ledger, "zoe")
        assert (counts.collections, counts.problems) == (2, 0)
        return [(line["collection"], line["why"]) for line in lines if line["event"] == "a name can't be kept"]

    words = "SOGo can't keep the name “{}” as it is, so it is called “{}” there"
    assert told_by_a_pass() == [("/zoe/fetes/", words.format("Fête 🎉", "Fête"))]
    assert names(new) >= {"Fête", "Bureau"}
    assert told_by_a_pass() == []
    old.request("PROPPATCH", "/zoe/bureau/", (SET % "🏢 Labo").encode()).raise_for_status()
    assert told_by_a_pass() == [("/zoe/bureau/", words.format("🏢 Labo", "Labo"))]
    assert names(new) >= {"Fête", "Labo"}
    assert told_by_a_pass() == []


def names(server: Any) -> set[str]:
    return set(
        re.findall(r"<displayname>(.*?)</displayname>", server.request("PROPFIND", "/zoe/", ASK, Depth="1").text)
    )
