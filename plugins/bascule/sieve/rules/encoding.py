"""Scripts that are not UTF-8 (RFC 5228 section 2.1)."""

import re

from bascule.sieve.model import Edit, Report

RULE = "not-utf-8"
OTHER_OCTETS = re.compile("[\udc80-\udcff]+")  # what `surrogateescape` makes of octets that are not UTF-8


def not_utf8(report: Report) -> None:
    """Octets that are not UTF-8 are Windows-1252 in all likelihood (or ISO 8859-1, which it contains)."""
    found = list(OTHER_OCTETS.finditer(report.script.text))
    if not found:
        return
    edits = [Edit(run.start(), run.end(), windows_1252(run[0]), RULE, "written as UTF-8") for run in found]
    message = f"{len(found)} place(s) are not UTF-8; read as Windows-1252 they say: " + ", ".join(
        e.text for e in edits[:5]
    )
    report.ask(found[0].start(), RULE, message, *edits)


def windows_1252(run: str) -> str:
    """What these octets most likely mean."""
    octets = run.encode("utf-8", errors="surrogateescape")
    return "".join(
        chr(octet) if octet in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([octet]).decode("cp1252") for octet in octets
    )
