"""The record: the journal with its chain, page by page; all evidence; the report as it would be written now."""

from typing import Any

from bascule.dashboard.mailboxes import Pages
from bascule.dashboard.room import Room
from bascule.ledger import journal
from bascule.problems import evidence
from bascule.views import report

EVIDENCE_SECONDS = 15.0


def values(room: Room, wanted: int) -> dict[str, Any]:
    """What the page shows: the newest rows first."""
    chain = room.chain()
    pages = Pages.of(wanted, journal.head(room.ledger).number)
    return {"chain": chain, "pages": pages, "entries": journal.newest(room.ledger, pages.rows)}


def evidence_of(room: Room) -> dict[str, Any]:
    """Everything that the gate's page counts, by name."""
    return {"parts": room.fresh.get("evidence", lambda: evidence.evidence(room.ledger), EVIDENCE_SECONDS)}


def report_of(room: Room) -> tuple[bytes, bytes]:
    """(HTML, JSON) of the report."""
    return room.fresh.get("report", lambda: _report(room), EVIDENCE_SECONDS)


def _report(room: Room) -> tuple[bytes, bytes]:
    found = report.gather(room.ledger, room.site)
    html, data = report.as_html(found), report.as_json(found)
    return html.encode(errors="backslashreplace"), data.encode(errors="backslashreplace")
