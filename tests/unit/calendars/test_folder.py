"""Files that other programs export, taken apart and carried."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.calendars import exported_files, sync_account
from bascule.calendars.exported_files import Folder
from bascule.calendars.exported_items import Item, items
from bascule.calendars.ical.syntax import folded, read, written
from bascule.hosts.connections import AccessError
from bascule.ledger import Ledger
from bascule.problems import store
from bascule.site import CalendarServerPart
from calendar_items import card

ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:{0}\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
    "TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
)
EXPORT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Google Inc//Google Calendar 70.9054//EN\r\nX-WR-CALNAME:Réunions\r\n"
    + ZONE.format("Europe/Paris")
    + ZONE.format("Asia/Tokyo")
    + "BEGIN:VEVENT\r\nUID:weekly\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Paris:20260105T090000\r\n"
    "RRULE:FREQ=WEEKLY\r\nSUMMARY:Un titre qui est plié sur deux lignes parce qu'il est très lo\r\n ng\r\n"
    "END:VEVENT\r\n"
    "BEGIN:VEVENT\r\nUID:weekly\r\nRECURRENCE-ID;TZID=Europe/Paris:20260112T090000\r\nDTSTAMP:20260101T000000Z\r\n"
    "DTSTART;TZID=Europe/Paris:20260112T100000\r\nSUMMARY:Plus tard\r\nEND:VEVENT\r\n"
    "BEGIN:VTODO\r\nUID:todo\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Commander l'azote\r\nEND:VTODO\r\n"
    "END:VCALENDAR\r\n"
)


def exported_to(access: Any, servers: Any, folder: Path) -> Any:
    """An access whose old side is a folder of files."""
    (folder / "zoe").mkdir(parents=True)
    old = CalendarServerPart(connection="old", url=f"file://{folder}/{{{{ account }}}}/")
    site = SimpleNamespace(calendars=access.site.calendars.model_copy(update={"old": old}), timezone="Europe/Paris")
    servers[1].make("/zoe/personal/", "calendar", "Personal")
    return SimpleNamespace(site=site, connections=access.connections, folder=folder / "zoe", new=servers[1])


@pytest.fixture
def exported(access: Any, servers: Any, tmp_path: Path) -> Any:
    there = exported_to(access, servers, tmp_path / "export")
    (there.folder / "agenda.ics").write_text(EXPORT, newline="")
    (there.folder / "amis.vcf").write_text(card("c1") + card("c2", "Renée Ümit"), newline="")
    return there


def split(text: str) -> list[Item]:
    return list(items(read(text.encode()).objects))


def test_an_export_is_taken_apart_by_uid_with_exceptions_and_zones() -> None:
    found = {item.key: folded(written(item.component)) for item in split(EXPORT)}
    assert sorted(found) == ["todo", "weekly"]
    assert found["weekly"].count("BEGIN:VEVENT") == 2
    assert "TZID:Europe/Paris" in found["weekly"]
    assert "Asia/Tokyo" not in found["weekly"]
    assert "très long" in found["weekly"].replace("\r\n ", "")
    assert "VTIMEZONE" not in found["todo"]
    assert "VEVENT" not in found["todo"]


def test_a_second_event_of_the_same_uid_is_an_item_of_its_own() -> None:
    double = EXPORT.replace(
        "END:VCALENDAR\r\n", "BEGIN:VEVENT\r\nUID:todo\r\nSUMMARY:Autre\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    assert len(split(double)) == 3


def test_files_are_carried_once(exported: Any, servers: Any, ledger: Ledger) -> None:
    assert sync_account(exported, ledger, "zoe").copied == 4
    assert store.problems(ledger) == []
    _, new = servers
    assert len(new.names("/zoe/personal/")) == 2
    assert len(new.names("/zoe/amis/")) == 2
    assert sync_account(exported, ledger, "zoe").copied == 0


def test_a_newer_export_carries_what_changed(exported: Any, servers: Any, ledger: Ledger) -> None:
    sync_account(exported, ledger, "zoe")
    (exported.folder / "agenda.ics").write_text(EXPORT.replace("l'azote", "l'hélium"), newline="")
    counts = sync_account(exported, ledger, "zoe")
    assert (counts.updated, counts.copied, counts.deleted) == (1, 0, 0)


def test_a_file_that_is_not_utf8_is_read_as_windows_text(exported: Any, servers: Any, ledger: Ledger) -> None:
    (exported.folder / "amis.vcf").write_bytes(card("c1").encode("cp1252"))
    sync_account(exported, ledger, "zoe")
    _, new = servers
    name = new.names("/zoe/amis/")[0]
    assert "Zoé Lefèvre" in new.get(f"/zoe/amis/{name}")


def test_name_colour_and_description_of_an_export_are_the_calendars(exported: Any) -> None:
    head = "X-WR-CALNAME:Réunions\\, du\r\n  soir\r\nX-APPLE-CALENDAR-COLOR:#FF8800\r\nX-WR-CALDESC:Au foyer\r\n"
    text = EXPORT.replace("X-WR-CALNAME:Réunions\r\n", head)
    (exported.folder / "agenda.ics").write_text(text, newline="")
    [found] = Folder(exported.folder).collections("/zoe/", "calendar").collections
    assert set(found.properties.values()) == {"Réunions, du soir", "Au foyer", "#FF8800"}


def test_a_folder_with_calendars_and_cards_is_one_of_each(exported: Any, servers: Any, ledger: Ledger) -> None:
    both = exported.folder / "tout"
    both.mkdir()
    (both / "a.ics").write_text(EXPORT, newline="")
    (both / "b.vcf").write_text(card("c3"), newline="")
    counts = sync_account(exported, ledger, "zoe")
    assert (counts.collections, counts.copied, counts.problems) == (4, 7, 0)
    assert sync_account(exported, ledger, "zoe").copied == 0


def test_an_account_of_which_nothing_was_exported_has_nothing_to_carry(exported: Any, ledger: Ledger) -> None:
    assert sync_account(exported, ledger, "bob").collections == 0
    exported.folder.parent.rename(exported.folder.parent.with_name("elsewhere"))
    with pytest.raises(AccessError, match="there is no folder"):
        sync_account(exported, ledger, "bob")


def test_a_large_export_is_read_once(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_apart: list[Any] = []
    monkeypatch.setattr(exported_files, "items", lambda objects: taken_apart.append(objects) or iter([]))
    there = Folder(exported.folder)
    for _ in range(3):
        there.listing("/zoe/agenda.ics/")
        list(there.contents("/zoe/agenda.ics/", "calendar", ["x"]))
    assert len(taken_apart) == 1
