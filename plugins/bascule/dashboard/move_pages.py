"""The routes of the moves: the page, its two buttons, and the plan as a spreadsheet."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile

from bascule.dashboard import moves
from bascule.dashboard.answers import HEADERS, PageNumber, Words, shown
from bascule.dashboard.room import Room
from bascule.tasks import waves


def add(app: APIRouter, room: Room) -> None:
    """Enter them in the app."""

    @app.get("/moves")
    def show(request: Request, wave: Words | None = None, page: PageNumber = 1) -> Response:
        return shown(room, request, "moves", moves.values(room, request, wave, page))

    @app.post("/moves")
    async def tell(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=5) as form:
            await run_in_threadpool(moves.tell, room, request, form)
        return RedirectResponse("moves", 303)

    @app.get("/moves.csv")
    def give() -> Response:
        data = waves.write(room.ledger, room.site.timezone)
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="moves.csv"', "Cache-Control": "no-store"}
        return Response(data, 200, headers, media_type="text/csv")

    @app.post("/moves.csv")
    async def take(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=5) as form:
            file = form.get("file")
            data = await file.read(moves.LARGEST_FILE + 1) if isinstance(file, UploadFile) else b""
            name = (file.filename or "") if isinstance(file, UploadFile) else ""
            return await run_in_threadpool(_take, room, request, form, name, data)


def _take(room: Room, request: Request, form: FormData, name: str, data: bytes) -> Response:
    """The page again, with what was changed, or why nothing was."""
    taken = moves.take(room, request, form, name, data)
    return shown(room, request, "moves", moves.values(room, request, None, 1, taken), 200 if taken.change else 422)
