"""Files as other programs really write them: what foreign corpora taught, made by generators."""

NAME = "(UTC-08:00) Pacific Time (US & Canada)"  # as Outlook and Exchange call a zone
PACIFIC = (
    "BEGIN:VTIMEZONE\r\nTZID:{0}\r\nBEGIN:STANDARD\r\nDTSTART:16010101T020000\r\nTZOFFSETFROM:-0700\r\n"
    "TZOFFSETTO:-0800\r\nRRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=1SU;BYMONTH=11\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\n"
    "DTSTART:16010101T020000\r\nTZOFFSETFROM:-0800\r\nTZOFFSETTO:-0700\r\n"
    "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=2SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"
)
START, END = "DTSTART:20270627T090000Z", "DTEND:20270627T100000Z"
SERIES = "RRULE:FREQ=WEEKLY;COUNT=6"


def event(uid: str, *lines: str, times: tuple[str, ...] = (START, END)) -> str:
    """One VEVENT; without a UID when that is empty."""
    named = [f"UID:{uid}"] if uid else []
    title = [] if any(line.startswith("SUMMARY") for line in lines) else ["SUMMARY:Réunion"]
    return "\r\n".join(["BEGIN:VEVENT", *named, "DTSTAMP:20260101T000000Z", *times, *title, *lines, "END:VEVENT", ""])


def calendar(*parts: str, head: str = "") -> str:
    """One VCALENDAR of these components."""
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//foreign//\r\n{head}{''.join(parts)}END:VCALENDAR\r\n"


def zoned(uid: str, zone: str, parameter: str = "", *lines: str) -> str:
    """An event in a zone; `parameter` as it is written, folds and quotation marks included."""
    written = parameter or f'"{zone}"'
    times = (f"DTSTART;TZID={written}:20270627T090000", f"DTEND;TZID={written}:20270627T100000")
    return event(uid, *lines, times=times)


def old_card(number: int) -> str:
    """A card as telephones write it: version 2.1, quoted-printable with soft line breaks, no UID."""
    return (
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:;=D0=86=D0=B3=\r\n"
        f"=D0=BE{number};;;\r\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D0=86=D0=B3=D0=BE{number}\r\n"
        f"TEL;CELL:+33 {number}\r\nNOTE;ENCODING=QUOTED-PRINTABLE:eins=0D=0A=\r\nzwei\r\nEND:VCARD\r\n"
    )


# Files that hold the same as a plain calendar would, each in a way of its own; by what is odd about them.
CALENDARS: dict[str, bytes] = {
    "zone with a colon": calendar(PACIFIC.format(NAME), zoned("a", NAME)).encode(),
    "zone folded": calendar(
        PACIFIC.format(NAME), zoned("a", NAME, '"(UTC-08:00) Pacific Time\r\n  (US & Canada)"')
    ).encode(),
    "zone with a comma": calendar(PACIFIC.format("Amsterdam\\, Berlin"), zoned("a", "Amsterdam, Berlin")).encode(),
    "zone behind its events": calendar(zoned("a", NAME), PACIFIC.format(NAME)).encode(),
    "zone of an exception only": calendar(
        PACIFIC.format(NAME),
        event("a", SERIES),
        zoned("a", NAME, "", "RECURRENCE-ID:20270704T090000Z"),
    ).encode(),
    "zone of dates left out": calendar(
        PACIFIC.format(NAME), zoned("a", NAME, "", SERIES, f'EXDATE;TZID="{NAME}":20270704T090000')
    ).encode(),
    "one name for two zones": (
        calendar(PACIFIC.format("Local"), zoned("a", "Local"))
        + calendar(PACIFIC.format("Local").replace("-0", "+0"), zoned("b", "Local"))
    ).encode(),
    "fold inside a letter": calendar(event("a", "DESCRIPTION:Réunion"), event("b"))
    .encode()
    .replace(b"DESCRIPTION:R\xc3\xa9", b"DESCRIPTION:R\xc3\r\n \xa9"),
    "fold inside an emoji": calendar(event("a", "DESCRIPTION:🎂")).encode().replace(b"\xf0\x9f", b"\xf0\r\n \x9f"),
    "exception first": calendar(
        event("a", "RECURRENCE-ID:20270704T090000Z", "SUMMARY:Moved", times=("DTSTART:20270704T110000Z",)),
        event("b"),
        event("a", SERIES),
    ).encode(),
    "several calendars": (calendar(event("a")) + calendar(event("b")) + calendar(event("c"))).encode(),
    "several calendars with marks": b"".join(b"\xef\xbb\xbf" + calendar(event(uid)).encode() for uid in "abc"),
    "exception in another calendar": (
        calendar(event("a", "RECURRENCE-ID:20270704T090000Z", "SUMMARY:Moved")) + calendar(event("a", SERIES))
    ).encode(),
    "the same twice": (calendar(event("a"), event("a")) + calendar(event("a"))).encode(),
    "UTF-16": calendar(event("a"), event("b", "DESCRIPTION:🎂")).encode("utf-16"),
    "UTF-16 without a mark": calendar(event("a")).encode("utf-16-le"),
    "line ends of the Macintosh": calendar(event("a", "DESCRIPTION:x")).replace("\r\n", "\r").encode(),
    "line ends written twice": calendar(event("a", "DESCRIPTION:very\r\n  long")).replace("\r\n", "\r\r\n").encode(),
    "small letters": calendar(event("a")).replace("BEGIN:", "begin:").replace("END:", "end:").encode(),
    "folds everywhere": "\r\n".join("\r\n ".join(line) for line in calendar(event("a")).split("\r\n")).encode(),
    "no line end at the end": calendar(event("a")).encode().rstrip(),
}
CALENDARS["dates left out in other forms"] = calendar(
    zoned("a", "Europe/Paris", "", SERIES, "EXDATE:20270704T090000,20270711T090000", "EXDATE;VALUE=DATE:20270718"),
    event("b", SERIES, "EXDATE:20270704T000000", times=("DTSTART;VALUE=DATE:20270627", "DTEND;VALUE=DATE:20270628")),
    event("c", SERIES, "EXDATE:20270704T090000", times=("DTSTART:20270627T090000", "DTEND:20270627T100000")),
    event("c", "RECURRENCE-ID:20270711T090000", times=("DTSTART:20270712T090000", "DTEND:20270712T100000")),
).encode()
