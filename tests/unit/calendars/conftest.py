"""Two Radicales on loopback as old and new: real CalDAV and CardDAV without a lab."""

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
import pytest
import radicale
import vobject
from bascule.hosts.connections import Connection
from bascule.site import CalendarServerPart, CalendarsPart
from radicale import config

NO_AUTHORITY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MAKE = (
    b'<mkcol xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:%s"><set><prop><resourcetype><collection/><c:%s/>'
    b"</resourcetype><displayname>%s</displayname></prop></set></mkcol>"
)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class Faults:
    """What the server does instead of answering: `plan` is asked before each request, `after` behind it."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    plan: Any = None


@dataclass
class Dav:
    """One Radicale and a client to prepare it and look into it."""

    url: str
    faults: Faults

    def request(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        plan, self.faults.plan = self.faults.plan, None
        login = ("bascule", "x")  # no TLS here: to load the authorities for each request would take longer than it
        response = httpx.request(
            method, self.url + path, content=content, headers=headers, auth=login, verify=False, trust_env=False
        )
        self.faults.plan = plan
        return response

    def make(self, path: str, kind: str, name: str = "Réunions") -> None:
        space, element = ("caldav", "calendar") if kind == "calendar" else ("carddav", "addressbook")
        self.request("MKCOL", path.rstrip("/").rsplit("/", 1)[0] + "/")
        self.request("MKCOL", path, MAKE % (space.encode(), element.encode(), name.encode())).raise_for_status()

    def put(self, path: str, text: str) -> None:
        kind = "text/vcard" if "VCARD" in text else "text/calendar"
        self.request("PUT", path, text.encode(), **{"Content-Type": kind}).raise_for_status()

    def get(self, path: str) -> str | None:
        response = self.request("GET", path)
        return response.content.decode() if response.status_code == 200 else None

    def names(self, path: str) -> list[str]:
        body = b'<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>'
        text = self.request("PROPFIND", path, body, Depth="1").text
        hrefs = [part.split("</href>")[0] for part in text.split("<href>")[1:]]
        return sorted(href.rsplit("/", 1)[1] for href in hrefs if not href.endswith("/"))


def _application(folder: Path, faults: Faults) -> Any:
    settings = config.load()
    settings.update(
        {
            "storage": {
                "filesystem_folder": str(folder),
                "_filesystem_fsync": "False",
                "skip_broken_item": "False",  # as Radicale 3.1, which knows no other way
            },
            "auth": {"type": "none"},
            "rights": {"type": "authenticated"},
            "logging": {"level": "critical"},
        },
        "test",
        privileged=True,
    )
    inner = radicale.Application(settings)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        faults.requests.append((method, path))
        fault = faults.plan(method, path, len(faults.requests)) if faults.plan else None
        if fault == "cut after":
            list(inner(environ, lambda *_: lambda _: None))
        if fault in ("cut", "cut after"):
            raise ConnectionAbortedError("cut by the test")
        if isinstance(fault, tuple):
            start_response(fault[0], [("Content-Type", "text/html"), ("Content-Length", str(len(fault[1])))])
            return [fault[1]]
        return inner(environ, start_response)

    return application


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Dav, Dav]]:
    """(old, new)"""
    # Radicale's library keeps the first description of a zone that it meets, for all users and as long as it runs.
    monkeypatch.setattr("vobject.icalendar.__tzidMap", {"UTC": vobject.icalendar.utc})
    running: list[tuple[WSGIServer, Dav]] = []
    for name in ("old", "new"):
        faults = Faults()
        server = make_server("127.0.0.1", 0, _application(tmp_path / name, faults), handler_class=_Quiet)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append((server, Dav(f"http://127.0.0.1:{server.server_port}", faults)))
    yield running[0][1], running[1][1]
    for server, _ in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def access(servers: tuple[Dav, Dav], monkeypatch: pytest.MonkeyPatch) -> Any:
    """As much of an Access as this room uses."""
    monkeypatch.setattr("bascule.calendars.dav.http.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("bascule.calendars.servers.trust", lambda _: NO_AUTHORITY)  # no TLS here
    old, new = servers
    part = CalendarsPart(
        old=CalendarServerPart(connection="old", url=old.url + "/{{ account }}/"),
        new=CalendarServerPart(connection="new", url=new.url + "/{{ account }}/"),
    )
    connections = SimpleNamespace(get=lambda name: Connection(name, "127.0.0.1", login="bascule", password="x"))
    return SimpleNamespace(site=SimpleNamespace(calendars=part, timezone="Europe/Paris"), connections=connections)
