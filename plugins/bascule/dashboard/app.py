"""The dashboard as a FastAPI app: the overview and a page of each account's filters, rendered on the server, behind
Airflow's login."""

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, Query, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bascule.dashboard import overview
from bascule.ledger import Ledger, LedgerError
from bascule.text import harmless

log = structlog.get_logger(__name__)

PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
Words = Annotated[str, Query(max_length=255)]


def for_airflow() -> FastAPI:
    """The app as Airflow mounts it: whoever may read the task logs may read it."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return make_app(Ledger.from_environment, requires_access_dag("GET", DagAccessEntity.TASK_LOGS))


def make_app(open_ledger: Callable[[], Ledger], may_read: Callable[..., Any]) -> FastAPI:
    """The app over a ledger; `may_read` is the FastAPI dependency that every request has to pass."""
    app = FastAPI(dependencies=[Depends(may_read)], docs_url=None, redoc_url=None, openapi_url=None)
    ledger, chain, templates = cache(open_ledger), overview.ChainCheck(), _templates()

    @app.get("/")
    def show(
        state: Words = "",
        account: Words = "",
        page: PageNumber = 1,
        problems: PageNumber = 1,
        decisions: PageNumber = 1,
    ) -> Response:
        asked = {"state": state, "account": account, "page": page, "problems": problems, "decisions": decisions}
        try:
            found = _look(ledger(), chain, asked)
        except LedgerError as error:
            log.error("the dashboard can't open the ledger", reason=str(error))
            return _html(templates, "no_ledger.html", 503)
        return _html(templates, "overview.html", 200, asked=asked, **found)

    @app.get("/filters")
    def show_filters(account: Words) -> Response:
        from bascule.sieve.page import render

        nonce = secrets.token_urlsafe(16)
        try:
            text = render(ledger(), account, nonce=nonce)
        except LedgerError as error:
            log.error("the dashboard can't open the ledger", reason=str(error))
            return _html(templates, "no_ledger.html", 503)
        return Response(text, 200, _headers(nonce), media_type="text/html")

    return app


def _look(ledger: Ledger, chain: overview.ChainCheck, asked: dict[str, Any]) -> dict[str, Any]:
    with ledger.reading() as session:
        return {
            "phases": overview.phase_views(ledger),
            "totals": overview.totals(session),
            "mailboxes": overview.mailboxes(session, asked["page"], state=asked["state"], account=asked["account"]),
            "problems": overview.open_problems(session, asked["problems"]),
            "decisions": overview.decisions(session, asked["decisions"]),
            "journal": overview.journal_rows(session),
            "chain": chain.look(ledger),
        }


def _html(templates: Environment, name: str, status: int, **values: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    text = templates.get_template(name).render(nonce=nonce, **values)
    return Response(text, status, _headers(nonce), media_type="text/html")


def _headers(nonce: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'self'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "harmless": harmless,
        "number": _number,
        "size": _size,
        "moment": _moment,
        "moment_after": _moment_after,
    }
    return environment


def _number(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _size(value: int) -> str:
    """Bytes in the unit that people read best."""
    size, units = float(value), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "bytes" else f"{size:.1f} {units[0]}"


def _moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if value else ""


def _moment_after(value: datetime | None, before: datetime) -> str:
    """The moment, without its date when that is the earlier one's."""
    if value is None:
        return "…"
    return f"{value:%H:%M:%S}" if value.date() == before.date() else _moment(value)
