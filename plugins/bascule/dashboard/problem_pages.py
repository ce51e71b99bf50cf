"""The routes of the problems: the page, its form, and the same as a spreadsheet."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile

from bascule.dashboard import problems
from bascule.dashboard.answers import HEADERS, PageNumber, Words, shown
from bascule.dashboard.problems import Refused, Typed
from bascule.dashboard.room import Room
from bascule.problems import spreadsheet

Number = Annotated[int, Query(ge=0, le=1_000_000)]
NOTHING = {"decided": None, "same": 0, "released": 0, "untold": 0}
MOST_FIELDS = 5_000  # of one form


def add(app: APIRouter, room: Room) -> None:
    """Enter them in the app."""

    @app.get("/problems")
    def show(
        request: Request, kind: Words = "", account: Words = "", page: PageNumber = 1,
        decided: Number | None = None, same: Number = 0, released: Number = 0, untold: Number = 0,
    ) -> Response:  # fmt: skip
        told = {"decided": decided, "same": same, "released": released, "untold": untold}
        return shown(room, request, "problems", {"told": told, **problems.values(room, request, kind, account, page)})

    @app.post("/problems")
    async def decide(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
            where = [str(form.get(name, "")) for name in ("kind", "of", "page")]
            return await run_in_threadpool(_decide, room, request, form, where)

    @app.get("/problems.csv")
    def give(kind: Words = "", account: Words = "", each: bool = False) -> Response:
        found = spreadsheet.open_questions(room.ledger, [account] if account else None, each=each)
        data = spreadsheet.as_csv([one for one in found if kind in ("", one.first.key)])
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="problems.csv"', "Cache-Control": "no-store"}
        return Response(data, 200, headers, media_type="text/csv")

    @app.post("/problems.csv")
    async def take(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            data = await file.read(problems.LARGEST_FILE + 1) if isinstance(file, UploadFile) else b""
            name = (file.filename or "") if isinstance(file, UploadFile) else ""
            return await run_in_threadpool(_take, room, request, form, name, data)


def _decide(room: Room, request: Request, form: FormData, where: list[str]) -> Response:
    visitor = problems.check(room, request, form)
    outcome = problems.decide(room, request, visitor, Typed.of(form))
    return _answer(room, request, outcome, *where)


def _take(room: Room, request: Request, form: FormData, name: str, data: bytes) -> Response:
    visitor = problems.check(room, request, form)
    return _answer(room, request, problems.take_file(room, request, visitor, name, data))


def _answer(
    room: Room, request: Request, outcome: dict[str, int] | Refused, kind: str = "", account: str = "", page: str = ""
) -> Response:
    """The page again: with what was typed and why it can't be taken, or with what is left."""
    if isinstance(outcome, Refused):
        number = max(1, int(page)) if page.isdecimal() and len(page) < 7 else 1
        values = problems.values(room, request, kind, account, number, outcome)
        return shown(room, request, "problems", {"told": NOTHING, **values}, 422)
    where = {key: value for key, value in (("kind", kind), ("account", account)) if value}
    return RedirectResponse(f"problems?{urlencode({**where, **outcome})}", 303)
