"""LDIF (RFC 2849): entries with one attribute's values as text, as the journal keeps them."""

import base64
from collections.abc import Mapping, Sequence

Values = dict[str, list[str]]  # DN -> the attribute's values


def dump(attribute: str, entries: Mapping[str, Sequence[str]]) -> str:
    """The entries as LDIF content records, sorted by DN, values sorted: the same values give the same text."""
    records = [
        "\n".join([_line("dn", dn), *(_line(attribute, value) for value in sorted(values))])
        for dn, values in sorted(entries.items())
    ]
    return "version: 1\n\n" + "\n\n".join(records) + "\n"


def load(text: str) -> Values:
    """The entries of what `dump` wrote: DN -> values. Raises ValueError when it is no such text."""
    entries: Values = {}
    for record in text.removeprefix("version: 1").strip().split("\n\n"):
        if not record:
            continue
        (_, dn), *attributes = (_value(line) for line in record.splitlines())
        entries[dn] = [value for _, value in attributes]
    return entries


def _line(name: str, value: str) -> str:
    safe = value.isascii() and value.isprintable() and value.strip() == value and not value.startswith((":", "<"))
    return f"{name}: {value}" if safe else f"{name}:: {base64.b64encode(value.encode()).decode()}"


def _value(line: str) -> tuple[str, str]:
    name, separator, rest = line.partition(":")
    if not separator:
        raise ValueError(f"no LDIF: {line!r}")
    return (name, base64.b64decode(rest[1:].strip()).decode()) if rest.startswith(":") else (name, rest.strip())
