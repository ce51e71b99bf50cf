"""The routes of the moves: the page, and its two buttons."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from bascule.dashboard import moves
from bascule.dashboard.answers import PageNumber, Words, shown
from bascule.dashboard.room import Room


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
