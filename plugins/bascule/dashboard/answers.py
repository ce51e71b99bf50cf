"""How pages go to a browser: what it may load, and nothing but a mark (ETag) when it has the page already."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request, Response

from bascule.dashboard.room import Room
from bascule.views import pages

STATIC = Path(__file__).parent / "static"
FILES = {
    "control.js": (STATIC / "control.js", "text/javascript"),
    "idiomorph.min.js": (STATIC / "idiomorph.min.js", "text/javascript"),
    "style.css": (pages.TEMPLATES / "style.css", "text/css"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Language, Cookie",
}

PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
Words = Annotated[str, Query(max_length=255, pattern=r"^[^\x00]*$")]  # no database compares anything with a NUL


def shown(room: Room, request: Request, name: str, values: dict[str, Any], status: int = 200) -> Response:
    """The page of this name as this visitor reads it."""
    here = "./" if name == "today" else name
    shared = {"here": here, "site": room.site, "static": _version()}
    body = pages.render(f"{name}.html.j2", room.reader(request), shared | values).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {**HEADERS, "Cache-Control": "private, no-cache", "ETag": etag}
    if status == 200 and request.headers.get("if-none-match") == etag:
        return Response(None, 304, headers)
    return Response(body, status, headers, media_type="text/html")


@cache
def _version() -> str:
    """Changes with the files that browsers keep."""
    return hashlib.sha256(b"".join(file.read_bytes() for file, _ in FILES.values())).hexdigest()[:12]
