"""The control room as a FastAPI app, rendered on the server, behind Airflow's login."""

from collections.abc import Callable
from itertools import chain
from typing import Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.exceptions import HTTPException as Refusal  # what Starlette itself raises, of which FastAPI's is one

from bascule.dashboard import links, mailboxes, metrics, move_pages, problem_pages, record, today
from bascule.dashboard.answers import FILES, HEADERS, PageNumber, Words, shown
from bascule.dashboard.room import Room
from bascule.dashboard.visitor import Door, check_program
from bascule.ledger import Ledger, LedgerError, journal
from bascule.site import Site, SiteError
from bascule.text.logs import get_logger
from bascule.views import filters, language, pages
from bascule.views.language import Reader
from bascule.views.words import WORDS

log = get_logger(__name__)


SELF_CONTAINED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


def for_airflow() -> FastAPI:
    """The app as Airflow mounts it."""
    from bascule import site
    from bascule.dashboard.airflow import AirflowDoor

    return make_app(Ledger.from_environment, site.from_environment, AirflowDoor())


def make_app(open_ledger: Callable[[], Ledger], read_site: Callable[[], Site], door: Door) -> FastAPI:
    """The app over a ledger and a site file, behind a door."""
    whole = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app = APIRouter(dependencies=[Depends(door.may_read)])
    room = Room(open_ledger, read_site, door)
    whole.add_exception_handler(LedgerError, _out_of_order)
    whole.add_exception_handler(SiteError, _out_of_order)
    for refusal in (Refusal, RequestValidationError):
        whole.add_exception_handler(refusal, _refused)

    @whole.get("/metrics")
    def give_metrics(request: Request) -> Response:
        check_program(door, request)
        return Response(metrics.text(room), headers=HEADERS, media_type="text/plain; version=0.0.4")

    @app.get("/")
    def show_today(request: Request, scene: Literal["before", "day"] | None = None) -> Response:
        return shown(room, request, "today", today.values(room, room.reader(request), scene))

    @app.get("/mailboxes")
    def show_mailboxes(request: Request, state: Words = "", account: Words = "", page: PageNumber = 1) -> Response:
        return shown(room, request, "mailboxes", mailboxes.values(room, state, account, page))

    @app.get("/account")
    def show_account(request: Request, name: Words) -> Response:
        return shown(room, request, "account", mailboxes.of_account(room, name))

    @app.get("/filters")
    def show_filters(request: Request, account: Words) -> Response:
        return shown(room, request, "filters", filters.values(room.ledger, account))

    @app.get("/log")
    def lead_to_log(request: Request, account: Words) -> Response:
        address = links.answered(room, request, lambda airflow: links.log_of(airflow, account))
        return RedirectResponse(address or f"account?name={quote(account)}", 303)

    @app.get("/task")
    def lead_to_account(request: Request, phase: Words, run: Words, task: Words, index: int) -> Response:
        account = links.answered(room, request, lambda airflow: airflow.account_of(phase, run, task, index))
        return RedirectResponse(f"account?name={quote(account)}" if account else "./", 303)

    @app.get("/record")
    def show_record(request: Request, page: PageNumber = 1) -> Response:
        return shown(room, request, "record", record.values(room, page))

    @app.get("/journal.jsonl")
    def give_journal() -> Response:
        lines = (f"{line}\n" for line in journal.export(room.ledger))
        first = next(lines, "")  # a ledger that can't be read is said in a sentence, not by an empty file
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="journal.jsonl"'}
        return StreamingResponse(chain([first], lines), 200, headers, media_type="application/jsonl")

    @app.get("/evidence")
    def show_evidence(request: Request) -> Response:
        return shown(room, request, "evidence", record.evidence_of(room))

    @app.get("/report.html")
    def show_report() -> Response:
        headers = {**HEADERS, "Content-Security-Policy": SELF_CONTAINED, "Cache-Control": "no-store"}
        return Response(record.report_of(room)[0], 200, headers, media_type="text/html")

    @app.get("/report.json")
    def give_report() -> Response:
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="report.json"', "Cache-Control": "no-store"}
        return Response(record.report_of(room)[1], 200, headers, media_type="application/json")

    problem_pages.add(app, room)
    move_pages.add(app, room)

    @app.get("/static/{name}")
    def show_file(name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404)
        file, kind = FILES[name]
        headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(file.read_bytes(), 200, headers, media_type=kind)

    whole.include_router(app)
    return whole


# Why there is no page, where nothing better is known than the status.
REFUSED = {
    400: "what was sent can't be read: load the page anew, or take less at once",
    401: "log in to Airflow, then load this page anew",
    403: "Airflow's rights do not let you see this",
    404: "there is no such page",
    405: "there is no such page",
    422: "this address asks for something that no page knows",
}


def _refused(request: Request, error: Exception) -> Response:
    """A sentence for the person who is refused, as a page."""
    status = error.status_code if isinstance(error, Refusal) else 422
    own = str(getattr(error, "detail", ""))
    sentence = own if own in WORDS else REFUSED.get(status, own)
    headers = {**HEADERS, **(getattr(error, "headers", None) or {}), "Cache-Control": "no-store"}
    return Response(pages.refused(sentence, _reader(request)), status, headers, media_type="text/html")


def _out_of_order(request: Request, error: Exception) -> Response:
    """Neither ledger nor site file say anything: a page without them."""
    what = "ledger" if isinstance(error, LedgerError) else "site file"
    log.error(f"the control room can't use the {what}", reason=str(error))
    body = pages.out_of_order(what, str(error) if what == "site file" else "", _reader(request))
    return Response(body, 503, {**HEADERS, "Cache-Control": "no-store"}, media_type="text/html")


def _reader(request: Request) -> Reader:
    """Whoever reads what is said without the site file."""
    return Reader.of(language.chosen(request.headers.get("accept-language", ""), ["en"]), "UTC")
