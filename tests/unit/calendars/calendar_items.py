"""Items to carry."""


def event(uid: str, summary: str = "Réunion", extra: str = "") -> str:
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//", "BEGIN:VEVENT", f"UID:{uid}",
        "DTSTAMP:20260101T000000Z", "DTSTART:20260627T060000Z", "DTEND:20260627T070000Z", f"SUMMARY:{summary}",
        *extra.split(), "END:VEVENT", "END:VCALENDAR", "",
    ]  # fmt: skip
    return "\r\n".join(lines)


def card(uid: str, name: str = "Zoé Lefèvre") -> str:
    return f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:Lefèvre;Zoé;;;\r\nEND:VCARD\r\n"
