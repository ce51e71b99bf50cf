"""What people notice: nobody is invited, free/busy is as it was, and what SOGo can't hold is said."""

import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from bascule.calendars import sync_account
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.problems import store
from bascule.site import Site

from tests.integration.test_calendars import Place, calendar, make_place, people, place

__all__ = ["make_place", "people", "place"]

MAIL_HOSTS = ("new", "mx", "client")
DESCRIPTION = (
    '<propertyupdate xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><set><prop>'
    "<c:calendar-description>Les nuits au foyer</c:calendar-description></prop></set></propertyupdate>"
)


def meeting(uid: str, organiser: str, invited: str) -> str:
    return calendar(
        uid,
        f"SUMMARY:{uid}",
        f"ORGANIZER;CN=Moi:mailto:{organiser}",
        f"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{invited}",
    )


def mail_to(lab: Any, address: str) -> list[str]:
    """Every trace of mail to this address: in the logs of the mail hosts, and in their queues."""
    found = []
    for host in MAIL_HOSTS:
        found += lab.ssh(host, f"journalctl --no-pager --since -10min | grep -F {address} || true").splitlines()
        queue = lab.ssh(host, "command -v postqueue >/dev/null && postqueue -j || true")
        found += [line for line in queue.splitlines() if address in line]
    return found


def test_no_invitation_is_sent_where_an_ordinary_sogo_sends_one(
    lab: Any, access: Access, ledger: Ledger, place: Place, people: list[Any]
) -> None:
    """The last meeting is written by its owner into the ordinary SOGo, and shows that an invitation would be seen."""
    token, organiser = secrets.token_hex(4), people[-1].entry["mail"][0]
    quiet, loud = f"carried-{token}@outside.test", f"invited-{token}@outside.test"
    place.put("m.ics", meeting(f"m-{token}", organiser, quiet))
    assert sync_account(access, ledger, place.account).problems == 0
    assert f"mailto:{quiet}" in place.text("m.ics").replace("\r\n ", "")
    place.owner.put(f"{place.calendar}control.ics", "calendar", meeting(f"control-{token}", organiser, loud))
    deadline = time.monotonic() + 60
    while not any("status=sent" in line for line in mail_to(lab, loud)):
        assert time.monotonic() < deadline, "the ordinary SOGo sent no invitation, so nothing is shown"
        time.sleep(0.5)
    assert mail_to(lab, quiet) == []


@pytest.mark.parametrize(("transparency", "busy"), [("OPAQUE", True), ("TRANSPARENT", False)])
def test_free_and_busy_are_as_on_old(
    access: Access, ledger: Ledger, place: Place, transparency: str, busy: bool
) -> None:
    begins = (datetime.now(UTC) + timedelta(days=1)).replace(minute=secrets.randbelow(59), second=secrets.randbelow(59))
    start, end = f"{begins:%Y%m%dT%H%M%SZ}", f"{begins + timedelta(minutes=50):%Y%m%dT%H%M%SZ}"
    text = calendar("b", "SUMMARY:Occupé", f"TRANSP:{transparency}")
    place.put("b.ics", text.replace("20270627T060000Z", start).replace("20270627T070000Z", end))
    sync_account(access, ledger, place.account)
    told = place.owner._client.get(f"/SOGo/dav/{place.account}/freebusy.ifb").raise_for_status().text
    assert (f"{start}/{end}" in told) is busy


def test_a_description_that_sogo_cannot_hold_is_named_in_the_log(access: Access, ledger: Ledger, place: Place) -> None:
    place.old.request("PROPPATCH", f"/{place.account}/{place.name}/", content=DESCRIPTION.encode()).raise_for_status()
    with structlog.testing.capture_logs() as lines:
        sync_account(access, ledger, place.account)
    refused = [line for line in lines if line["event"] == "a property of a collection was refused"]
    assert [(line["href"], line["property"].split("}")[1]) for line in refused] == [
        (place.calendar, "calendar-description")
    ]


HOSTILE = {
    "rule": calendar("rule", "SUMMARY:Règle", "RRULE:FREQ=SOMETIMES;BYDAY=XX"),
    "unstamped": calendar("unstamped", "SUMMARY:Sans date").replace("DTSTAMP:20260101T000000Z\r\n", ""),
    "nameless": calendar("nameless", "SUMMARY:Sans UID").replace("UID:nameless\r\n", ""),
    "slashes": calendar("../../a//b?c#d", "SUMMARY:Barres"),
    "unclosed": calendar("unclosed", "SUMMARY:Ouvert").replace("END:VEVENT\r\n", ""),
    "backwards": calendar("backwards", "SUMMARY:À rebours").replace("DTEND:20270627T070000Z", "DTEND:20260627T070000Z"),
    "control": calendar("control", "SUMMARY:Un\x07deux"),
    "markup": calendar("markup", "SUMMARY:</D:prop>]]><script>alert(1)</script>"),
    "sql": calendar("sql'); DROP TABLE sogo_folder_info;--", "SUMMARY:'; DROP TABLE sogo_user_profile;--"),
    "big": calendar("big", "SUMMARY:Grand", "DESCRIPTION:" + "x" * 5_000_000),
}


def test_items_that_no_server_would_take_are_carried_or_named(
    lab: Any, ledger: Ledger, people: list[Any], tmp_path: Path, place: Place
) -> None:
    folder = tmp_path / place.account / place.name
    folder.mkdir(parents=True)
    for name, text in HOSTILE.items():
        (folder / f"{name}.ics").write_bytes(text.encode())
    raw = lab.site.model_dump(mode="json")
    raw["calendars"] |= {"rights": None}
    raw["calendars"]["old"]["url"] = f"file://{tmp_path}/{{{{ account }}}}/"
    access = lab.access(Site.model_validate(raw))
    counts = sync_account(access, ledger, place.account)
    found = store.problems(ledger, room="calendar", account=place.account)
    assert counts.items == len(HOSTILE)
    assert len(place.names()) + len([item for item in found if item.kind != "altered"]) == len(HOSTILE)
    assert {item.kind for item in found} <= {
        "file",
        "rrule",
        "uid",
        "unreadable",
        "altered",
        "refused",
        "empty",
        "too-large",
    }
    again = sync_account(access, ledger, place.account)
    assert (again.copied, again.updated, again.deleted) == (0, 0, 0)
    access.close()
