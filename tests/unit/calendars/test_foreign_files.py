"""Files that other programs wrote: what is in them arrives as they say it, and whatever gives nothing is named."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import vobject
from bascule.calendars import Counts, sync_account
from bascule.calendars.dav.client import Session
from bascule.calendars.verify import Verification, verify_account
from bascule.ledger import Ledger
from bascule.problems import store
from bascule.problems.model import Option
from calendar_items import card
from deciding import open_problems
from test_folder import exported_to

from tests import calendar_oracle as oracle
from tests.calendar_shapes import CALENDARS, PACIFIC, SERIES, calendar, event, old_card, zoned
from tests.deciding import decide

UNTIL = datetime(2028, 1, 1)


@pytest.fixture
def there(access: Any, servers: Any, tmp_path: Path) -> Any:
    """A folder of one account that is still empty."""
    return exported_to(access, servers, tmp_path / "export")


def run(there: Any, ledger: Ledger) -> Counts:
    """A pass, and a second one that changes nothing."""
    first, new = sync_account(there, ledger, "zoe"), there.new
    new.faults.requests.clear()
    again = sync_account(there, ledger, "zoe")
    assert (again.copied, again.updated, again.deleted) == (0, 0, 0)
    assert not {method for method, _ in new.faults.requests} & {"PUT", "DELETE", "PROPPATCH", "MKCOL", "MKCALENDAR"}
    return first


def items(there: Any, collection: str) -> list[str]:
    """The texts of all items of a collection on new."""
    return [there.new.get(f"/zoe/{collection}/{name}") for name in there.new.names(f"/zoe/{collection}/")]


@pytest.mark.parametrize("odd", CALENDARS)
def test_what_a_file_says_arrives(there: Any, ledger: Ledger, odd: str) -> None:
    octets = CALENDARS[odd]
    (there.folder / "work.ics").write_bytes(octets)
    run(there, ledger)
    assert open_problems(ledger) == []
    found = [text.encode() for text in items(there, "work")]
    said = octets.decode("utf-16-le" if b"\0" in octets[:2] else "utf-16").encode() if b"\0" in octets else octets
    said = re.sub(rb"\r\n[ \t]", b"", re.sub(rb"\r{0,2}\n|\r", b"\r\n", said)).replace(b"\xef\xbb\xbf", b"")
    assert {key for each in found for key in oracle.events(each)} == oracle.events(said).keys()
    assert len(found) == len({key[1] for key in oracle.events(said)})
    there_now = {each for text in found for each in oracle.occurrences(text, UNTIL)}
    assert there_now == oracle.occurrences(said, UNTIL)


def test_no_mention_of_a_zone_is_left_without_its_description(there: Any, ledger: Ledger) -> None:
    for number, octets in enumerate(CALENDARS.values()):
        (there.folder / f"{number}.ics").write_bytes(octets)
    run(there, ledger)
    texts = [text.replace("\r\n ", "") for number in range(len(CALENDARS)) for text in items(there, str(number))]
    for text in texts:
        used = {a or b for a, b in re.findall(r'TZID=(?:"([^"]*)"|([^":;]*))', text)} - {"Europe/Paris"}
        described = {name.replace("\\,", ",") for name in re.findall(r"(?m)^TZID:(.*?)\r?$", text)}
        assert used <= described


def test_a_zone_that_is_named_in_other_letters_keeps_its_description(there: Any, ledger: Ledger) -> None:
    (there.folder / "work.ics").write_text(calendar(PACIFIC.format("PACIFIC"), zoned("a", "Pacific")), newline="")
    run(there, ledger)
    [found] = items(there, "work")
    assert "TZID:PACIFIC" in found and "TZOFFSETTO:-0800" in found


def test_old_cards_arrive_as_they_are_meant_and_are_no_questions(there: Any, ledger: Ledger) -> None:
    text = "".join(map(old_card, range(30)))
    (there.folder / "phone.vcf").write_text(text, newline="")
    assert run(there, ledger).copied == 30
    assert open_problems(ledger) == []
    found = items(there, "phone")
    assert oracle.cards("".join(found)) == oracle.cards(text)
    assert all("VERSION:3.0" in each and "QUOTED-PRINTABLE" not in each for each in found)


@pytest.mark.parametrize("charset", ["windows-1251", "koi8-r", "utf-8"])
def test_a_character_set_that_the_card_names_is_no_guess(there: Any, ledger: Ledger, charset: str) -> None:
    text = (
        f"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET={charset}:Иванов;Иван\r\nFN;CHARSET={charset}:Иван\r\nEND:VCARD\r\n"
    )
    (there.folder / "phone.vcf").write_bytes(text.encode(charset))
    run(there, ledger)
    assert "Иванов;Иван" in items(there, "phone")[0]
    assert open_problems(ledger) == []


def test_a_card_inside_a_card_comes_along(there: Any, ledger: Ledger) -> None:
    """vCard 2.1 section 2.4.3 writes it as it is, version 3.0 as a text (RFC 2426 section 3.5.4)."""
    agent = "BEGIN:VCARD\r\nVERSION:2.1\r\nN:Sec;Ret\r\nFN:Sec, R\r\nTEL;CELL:+5\r\nEND:VCARD"
    text = f"BEGIN:VCARD\r\nVERSION:2.1\r\nN:Chef;A\r\nFN:Chef\r\nTEL:+4\r\nAGENT:\r\n{agent}\r\nEND:VCARD\r\n"
    (there.folder / "phone.vcf").write_text(text, newline="")
    run(there, ledger)
    assert open_problems(ledger) == []
    [found] = [vobject.readOne(each) for each in items(there, "phone")]
    [inside] = vobject.readComponents(found.agent.value)
    assert (found.tel.value, inside.tel.value, inside.fn.value) == ("+4", "+5", "Sec, R")


def test_a_letter_in_two_halves_as_java_writes_it_is_no_guess(there: Any, ledger: Ledger) -> None:
    halves = "\ud83c\udf82".encode(errors="surrogatepass")
    (there.folder / "work.ics").write_bytes(
        calendar(event("a", "DESCRIPTION:🎂")).encode().replace("🎂".encode(), halves)
    )
    run(there, ledger)
    assert "DESCRIPTION:🎂" in items(there, "work")[0]
    assert open_problems(ledger) == []


def test_a_guess_is_made_for_a_line_and_said(there: Any, ledger: Ledger) -> None:
    text = calendar(event("a"), event("b", "LOCATION:Orléans", "DESCRIPTION:Café"), event("c")).encode()
    (there.folder / "work.ics").write_bytes(text.replace("Café".encode(), "Café".encode("cp1252")))
    run(there, ledger)
    assert {key for each in items(there, "work") for key in oracle.events(each.encode())} == oracle.events(text).keys()
    [problem] = store.problems(ledger)
    assert problem.kind == "charset"
    assert re.search(r"“work” \(work\.ics, line 11\): .* line 18: DESCRIPTION:Café", problem.explanation)
    decide(ledger)
    run(there, ledger)
    assert store.problems(ledger, states=("open", "decided")) == []


QUOTED = "BEGIN:VCARD\r\nVERSION:2.1\r\nN:A;B\r\nFN:A\r\nNOTE;{}ENCODING=QUOTED-PRINTABLE:{}\r\nEND:VCARD\r\n"
GUESSES = {
    "half a letter in UTF-16": (
        "work.ics",
        calendar(event("a", "COMMENT:x\ud83cy")).encode("utf-16", "surrogatepass"),
        "",
    ),
    "quoted without a character set": ("amis.vcf", QUOTED.format("", "Caf=E9").encode(), "NOTE:Café"),
    "quoted in one that there is not": ("amis.vcf", QUOTED.format("CHARSET=X-NONE;", "Caf=E9").encode(), "NOTE:Café"),
}


@pytest.mark.parametrize("kind", GUESSES)
def test_what_had_to_be_guessed_is_said(there: Any, ledger: Ledger, kind: str) -> None:
    name, octets, found = GUESSES[kind]
    (there.folder / name).write_bytes(octets)
    run(there, ledger)
    assert found in items(there, name.partition(".")[0])[0]
    assert [problem.kind for problem in store.problems(ledger)] == ["charset"]


@pytest.mark.parametrize("charset", ["X-NONE", "US-ASCII"])
def test_what_is_utf8_is_read_so_whatever_is_said_of_it(there: Any, ledger: Ledger, charset: str) -> None:
    (there.folder / "amis.vcf").write_text(QUOTED.format(f"CHARSET={charset};", "Caf=C3=A9"), newline="")
    run(there, ledger)
    assert "NOTE:Café" in items(there, "amis")[0]
    assert open_problems(ledger) == []


def test_an_event_without_a_uid_gets_one_of_its_own_that_stays(there: Any, ledger: Ledger) -> None:
    text = calendar(event("", "SUMMARY:Un"), event("", "SUMMARY:Deux"), event("", "SUMMARY:Un"))
    (there.folder / "work.ics").write_text(text, newline="")
    (there.folder / "amis.vcf").write_text(card("").replace("UID:\r\n", ""), newline="")
    assert run(there, ledger).copied == 3
    uids = {
        re.search(r"(?m)^UID:(bascule-\w+)\r?$", text)[1] for name in ("work", "amis") for text in items(there, name)
    }
    assert len(uids) == 3
    later = text.replace("DTSTAMP:2026", "DTSTAMP:2027").replace("-//foreign//", "-//foreign 2//")
    (there.folder / "work.ics").write_text(later, newline="")
    run(there, ledger)
    assert open_problems(ledger) == []


NOT_READ = {
    "deep/er/x.ics": calendar(event("a")).encode(),
    "x.zip": b"PK\x03\x04",
    "page.ics": b"<!DOCTYPE html><html>Login</html>",
    "x.txt": calendar(event("a")).encode(),
    "notes.md": b"hello",
    "empty.ics": b"",
    "amis.vcf": b"\0\5\x16\7Mac OS X",
    ".hidden.ics": calendar(event("a")).encode(),
}


def test_every_file_that_gives_nothing_is_named(there: Any, ledger: Ledger) -> None:
    (there.folder / "work.ics").write_text(calendar(event("a")), newline="")
    (there.folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (there.folder / "gone.ics").symlink_to("nowhere")
    for name, octets in NOT_READ.items():
        (there.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (there.folder / name).write_bytes(octets)
    assert run(there, ledger).copied == 1
    assert sorted(open_problems(ledger)) == sorted(("file", name) for name in [*NOT_READ, "gone.ics"])
    assert {problem.subject: problem.explanation for problem in store.problems(ledger)}["x.zip"].endswith(
        "nothing is carried from it: it is an archive: unpack it into this folder."
    )
    made = {path for method, path in there.new.faults.requests if method.startswith("MK")}
    assert not [path for path in made if "page" in path or "empty" in path]
    decide(ledger)
    run(there, ledger)
    assert store.problems(ledger, states=("open", "decided")) == []
    (there.folder / "x.txt").unlink()
    run(there, ledger)
    (there.folder / "x.txt").write_bytes(NOT_READ["x.txt"])
    run(there, ledger)
    assert open_problems(ledger) == [("file", "x.txt")]


@pytest.mark.parametrize("name", ["work.ical", "work.icalendar", "WORK.ICS", "amis.vcard"])
def test_other_endings_are_read_too(there: Any, ledger: Ledger, name: str) -> None:
    text = card("a") if "vcard" in name else calendar(event("a"))
    (there.folder / name).write_text(text, newline="")
    assert run(there, ledger).copied == 1
    assert len(items(there, name.split(".", maxsplit=1)[0])) == 1


BROKEN = {
    "login page": "<html>Login</html>",
    "nothing": "",
    "no END": calendar(event("a"))[:-40],
    "no BEGIN": calendar(event("a"))[60:],
    "half of a line": calendar(event("a"))[:100],
    "an event outside": event("a"),
    "another kind": card("x"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("inside", ["", "folder/"])
def test_a_file_that_is_broken_removes_nothing_and_says_where(
    there: Any, ledger: Ledger, broken: str, count: int, inside: str
) -> None:
    path = there.folder / f"{inside}work.ics"
    path.parent.mkdir(exist_ok=True)
    path.write_text(calendar(*(event(f"e{number}") for number in range(count))), newline="")
    (path.parent / "other.ics").write_text(calendar(event("other")), newline="")
    run(there, ledger)
    path.write_text(BROKEN[broken], newline="")
    (path.parent / "other.ics").write_text(calendar(event("other", "LOCATION:Salle")), newline="")
    assert sync_account(there, ledger, "zoe").deleted == 0
    place = "folder" if inside else "work"
    assert len(items(there, place)) == count + bool(inside)
    assert any("LOCATION:Salle" in text for text in items(there, "folder" if inside else "other"))
    assert open_problems(ledger) == [("file", f"{inside}work.ics")]
    path.write_text(calendar(*(event(f"e{number}") for number in range(count - 1))), newline="")
    sync_account(there, ledger, "zoe")
    assert len(items(there, place)) == count - 1 + bool(inside)
    assert open_problems(ledger) == []


def test_one_broken_item_holds_back_no_other_of_its_file(there: Any, ledger: Ledger) -> None:
    broken = event("broken", "SUMMARY:Cassé").replace("END:VEVENT\r\n", "")
    (there.folder / "work.ics").write_text(calendar(event("a"), broken, event("b")), newline="")
    (there.folder / "amis.vcf").write_text(
        card("c1") + card("c2").replace("END:VCARD\r\n", "") + card("c3"), newline=""
    )
    assert run(there, ledger).copied == 4
    explanations = [problem.explanation for problem in store.problems(ledger)]
    assert "line 11: BEGIN:VEVENT is not closed before BEGIN:VEVENT in line 17 (“Cassé”)" in explanations[0]
    assert "line 7: BEGIN:VCARD is not closed before BEGIN:VCARD in line 12 (“Zoé Lefèvre”)" in explanations[1]


def test_a_line_that_is_no_property_is_named_when_new_loses_it(there: Any, ledger: Ledger) -> None:
    """Radicale refuses such an item; SOGo leaves the line out."""
    (there.folder / "work.ics").write_text(calendar(event("a"), event("b", "DESCRIPTION:x", "and more")), newline="")
    assert run(there, ledger).copied == 1
    assert [kind for kind, _ in open_problems(ledger)] == ["refused"]


def test_a_second_event_of_one_uid_is_asked_about_and_the_first_keeps_its_exceptions(
    there: Any, ledger: Ledger
) -> None:
    moved = event("a", "RECURRENCE-ID:20270704T090000Z", "SUMMARY:Moved")
    (there.folder / "work.ics").write_text(calendar(event("a", "SUMMARY:Autre"), moved, event("a", SERIES)), newline="")
    run(there, ledger)
    [text] = items(there, "work")
    assert text.count("BEGIN:VEVENT") == 2
    assert [kind for kind, _ in open_problems(ledger)] == ["duplicate-uid"]
    decide(ledger, option=Option.APPLY)
    run(there, ledger)
    assert len(items(there, "work")) == 2
    assert open_problems(ledger) == []


def test_names_that_no_server_takes_are_left_out_of_what_is_written(there: Any, ledger: Ledger) -> None:
    for name, title in (("a", "Fête\x07 \ufffe🎉"), ("b", "🎉🎉"), ("c", "Été 🇫🇷 <b>&amp;]]>")):
        text = calendar(event(name), head=f"X-WR-CALNAME:{title}\r\nX-APPLE-CALENDAR-COLOR:blue\r\n")
        (there.folder / f"{name}.ics").write_text(text, newline="")
    (there.folder / "\udcff\x01.ics").write_text(calendar(event("d")), newline="")
    assert run(there, ledger).copied == 4
    body = b'<propfind xmlns="DAV:"><prop><displayname/></prop></propfind>'
    listing = there.new.request("PROPFIND", "/zoe/", body, Depth="1").text
    assert set(re.findall(r"<displayname>(.*?)</displayname>", listing)) >= {
        "Fête",
        "b",
        "Été &lt;b&gt;&amp;amp;]]&gt;",
    }


def test_a_character_set_stays_on_no_line_that_has_been_read(there: Any, ledger: Ledger) -> None:
    text = calendar(
        event("a", "SUMMARY:x", "DESCRIPTION;CHARSET=ISO-8859-1;LANGUAGE=fr:Café", 'COMMENT;CHARSET="utf-8":x')
    )
    (there.folder / "work.ics").write_bytes(text.encode("iso-8859-1"))
    run(there, ledger)
    [found] = items(there, "work")
    assert "DESCRIPTION;LANGUAGE=fr:Café" in found
    assert "CHARSET" not in found
    assert open_problems(ledger) == []


def test_all_that_was_guessed_is_said(there: Any, ledger: Ledger) -> None:
    lines = [f"COMMENT:é{number}" for number in range(6)]
    text = calendar(event("a", "SUMMARY:Été", "ATTENDEE;CN=René:mailto:r@x.test", *lines))
    (there.folder / "work.ics").write_bytes(text.encode("cp1252"))
    run(there, ledger)
    [problem] = store.problems(ledger)
    assert all(f"line {line}" in problem.explanation for line in ("9: SUMMARY:Été", "10: ATTENDEE;CN=René", "11: "))
    assert "and 2 more" in problem.explanation


def test_what_was_guessed_is_said_beside_what_new_alters(
    there: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Session.put
    monkeypatch.setattr(
        Session, "put", lambda self, href, kind, text, **more: put(self, href, kind, text.replace("x", "y"), **more)
    )
    text = calendar(event("a", "SUMMARY:Été", "LOCATION:x", "CONTACT:é"))
    (there.folder / "work.ics").write_bytes(text.encode("cp1252"))
    run(there, ledger)
    [problem] = store.problems(ledger)
    assert problem.kind == "altered"
    assert "LOCATION is “y”, and was “x”; guessed were line 9: SUMMARY:Été; line 11: CONTACT:é" in problem.explanation


def test_a_series_and_its_exceptions_without_a_uid_are_one_item(there: Any, ledger: Ledger) -> None:
    moved = event("", "RECURRENCE-ID:20270704T090000Z", "SUMMARY:Cours")
    other = event("", "RECURRENCE-ID:20270711T090000Z", "SUMMARY:Examen")
    alone = [event("", "SUMMARY:Cours"), event("", "SUMMARY:Autre")]
    text = calendar(moved, other, event("", SERIES, "SUMMARY:Cours"), *alone)
    (there.folder / "work.ics").write_text(text, newline="")
    assert run(there, ledger).copied == 3
    assert sorted(each.count("BEGIN:VEVENT") for each in items(there, "work")) == [1, 1, 3]
    assert open_problems(ledger) == []
    assert verify_account(there, ledger, "zoe") == Verification(compared=3, same=3)


def test_an_exception_that_may_belong_to_two_series_is_named(there: Any, ledger: Ledger) -> None:
    moved = event("", "RECURRENCE-ID:20270704T090000Z", "SUMMARY:Examen")
    series = [event("", SERIES, f"SUMMARY:{name}") for name in ("Cours", "Stage")]
    (there.folder / "work.ics").write_text(calendar(*series, moved), newline="")
    assert run(there, ledger).copied == 2
    [problem] = store.problems(ledger)
    assert (problem.kind, problem.subject) == ("file", "work.ics")
    assert "line 18: it has no UID, and changes a day of one of several series" in problem.explanation
