"""Cards of version 2.1, which CardDAV doesn't know (RFC 6352 section 6.3.2), written in version 3.0 (RFC 2426)."""

import re
from collections.abc import Iterator

from bascule.calendars.ical.syntax import Component, Line, folded
from bascule.calendars.ical.values import FIELDS, OLD_ENCODINGS, Context, kind_of, split, unescaped, unquoted

VERSION = "2.1"
DROPPED = ("CHARSET", "QUOTED-PRINTABLE", "8BIT", "7BIT")  # a card of version 3.0 is in UTF-8


def is_old(card: Component) -> bool:
    return card.name == "VCARD" and card.value("VERSION").strip() == VERSION


def as_version_3(card: Component) -> str:
    """The card with the same meaning: character sets and encodings resolved, types by name, escapes of version 3.0."""
    return folded(list(_written(card)))


def _written(card: Component) -> Iterator[str]:
    yield f"BEGIN:{card.name}"
    for line in card.lines:
        if line.name != "AGENT" or line.value.strip():
            yield "VERSION:3.0" if line.name == "VERSION" else _rewritten(line) if line.name else line.text
    for part in card.parts:  # a card inside is a text in version 3.0 (RFC 2426 section 3.5.4)
        yield "AGENT:" + _escaped("\n".join(_written(part)))
    yield f"END:{card.name}"


def _rewritten(line: Line) -> str:
    named = [(key or _key(value), value) for key, values in line.parameters for value in values]
    encodings = {value.upper() for key, value in named if key == "ENCODING"}
    charset = next((value for key, value in named if key == "CHARSET"), "")
    value = unquoted(line.value, charset) if "QUOTED-PRINTABLE" in encodings else line.value
    if encodings & {"BASE64", "B"}:
        value = re.sub(r"\s", "", value)
    elif kind_of(line.name, line.parameter("VALUE").upper(), Context("VCARD", VERSION)) == "TEXT":
        fields = split(value, ";") if line.name in FIELDS else [value]
        value = ";".join(_escaped(unescaped(field)) for field in fields)
    group = f"{line.group}." if line.group else ""
    return f"{group}{line.name}{''.join(_parameters(named))}:{value}"


def _parameters(named: list[tuple[str, str]]) -> Iterator[str]:
    for key, value in named:
        if key == "ENCODING" and value.upper() in ("BASE64", "B"):
            yield ";ENCODING=b"
        elif value and key not in DROPPED and value.upper() not in DROPPED:
            yield f';{key}="{value}"' if re.search("[,:;]", value) else f";{key}={value}"


def _key(value: str) -> str:
    return "ENCODING" if value.upper() in OLD_ENCODINGS else "TYPE"


def _escaped(text: str) -> str:
    return re.sub(r"([\\;,])", r"\\\1", text).replace("\n", "\\n")
