"""A small CalDAV and CardDAV server in memory, whose answers a test may rewrite."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast
from xml.sax.saxutils import escape

import httpx
from bascule.calendars.account import AccountPass
from bascule.calendars.dav.client import Session
from bascule.calendars.dav.model import Kind
from bascule.calendars.dav.writers import Writers
from bascule.calendars.servers import Server, Target
from bascule.calendars.verify import Comparison, Verification
from bascule.ledger import Ledger
from bascule.ledger.calendars import calendars
from bascule.site import CalendarServerPart, CalendarsPart

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?><multistatus xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" '
    'xmlns:cr="urn:ietf:params:xml:ns:carddav">{}</multistatus>'
)
ENTRY = "<response><href>{}</href><propstat><prop>{}</prop><status>HTTP/1.1 200 OK</status></propstat></response>"


@dataclass
class FakeDav:
    """`homes` below which collections are; `rewrite` may change what is answered: (status, headers, body)."""

    collections: dict[str, str] = field(default_factory=dict)  # path -> "calendar" or "addressbook"
    items: dict[str, bytes] = field(default_factory=dict)
    rewrite: Callable[[httpx.Request, httpx.Response], httpx.Response] = lambda request, response: response
    written: list[tuple[str, str]] = field(default_factory=list)

    def session(self) -> Session:
        client = httpx.Client(base_url="http://dav.test", transport=httpx.MockTransport(self._answered))
        return Session(client, lambda _: None)

    def _answered(self, request: httpx.Request) -> httpx.Response:
        return self.rewrite(request, self._answer(request))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        act = getattr(self, f"_{request.method.lower()}", None)
        if request.method in ("PUT", "DELETE", "MKCALENDAR", "MKCOL"):
            self.written.append((request.method, path))
        return act(request, path) if act else httpx.Response(405)

    def _propfind(self, request: httpx.Request, path: str) -> httpx.Response:
        inside = [each for each in [*self.collections, *self.items] if _parent(each) == path]
        if path not in self.collections and not inside:
            return httpx.Response(404)
        shown = [path, *inside] if request.headers.get("depth") == "1" else [path]
        return httpx.Response(207, text=HEAD.format("".join(map(self._entry, shown))))

    def _entry(self, path: str) -> str:
        if path in self.items:
            return ENTRY.format(escape(path), f"<getetag>{_etag(self.items[path])}</getetag><resourcetype/>")
        kind = {"calendar": "<c:calendar/>", "addressbook": "<cr:addressbook/>"}.get(self.collections.get(path, ""), "")
        tag = hashlib.sha256(b"".join(self.items[each] for each in sorted(self.items) if _parent(each) == path))
        return ENTRY.format(
            escape(path),
            f"<resourcetype><collection/>{kind}</resourcetype><displayname>Fête</displayname>"
            f"<sync-token>{tag.hexdigest()}</sync-token>",
        )

    def _report(self, request: httpx.Request, path: str) -> httpx.Response:
        kind = "cr:address-data" if self.collections.get(path) == "addressbook" else "c:calendar-data"
        hrefs = re.findall("href>(.*?)</", request.content.decode())
        found = "".join(
            ENTRY.format(escape(each), f"<getetag>{_etag(data)}</getetag><{kind}>{escape(data.decode())}</{kind}>")
            for each in hrefs
            if (data := self.items.get(each)) is not None
        )
        return httpx.Response(207, text=HEAD.format(found))

    def _get(self, request: httpx.Request, path: str) -> httpx.Response:
        data = self.items.get(path)
        return httpx.Response(404) if data is None else httpx.Response(200, content=data, headers={"etag": _etag(data)})

    def _put(self, request: httpx.Request, path: str) -> httpx.Response:
        there = self.items.get(path)
        expected = request.headers.get("if-match")
        if (expected is None) is not (there is None) or (there is not None and expected != _etag(there)):
            return httpx.Response(412)
        self.items[path] = request.content
        return httpx.Response(201)

    def _delete(self, request: httpx.Request, path: str) -> httpx.Response:
        return httpx.Response(204 if self.items.pop(path, None) is not None else 404)

    def _mkcalendar(self, request: httpx.Request, path: str) -> httpx.Response:
        self.collections[path] = "calendar"
        return httpx.Response(201)

    def _mkcol(self, request: httpx.Request, path: str) -> httpx.Response:
        self.collections[path] = "addressbook"
        return httpx.Response(201)

    def _proppatch(self, request: httpx.Request, path: str) -> httpx.Response:
        return httpx.Response(207, text=HEAD.format(""))


def one_pass(ledger: Ledger, account: str, old: FakeDav, new: FakeDav) -> None:
    """One pass over one account, from below `/old/` to below `/new/`."""
    part, target = CalendarServerPart(connection="x", url="http://dav.test/"), new.session()
    site = SimpleNamespace(calendars=CalendarsPart(old=part, new=part), timezone="Europe/Paris")
    AccountPass(
        SimpleNamespace(site=site),  # type: ignore[arg-type]
        ledger, account, Server(old.session(), "/old/", "/old/"),
        Target(target, "/new/", "/new/", Writers(target, new.session)), dry_run=False,
    ).run()  # fmt: skip


def verified(ledger: Ledger, account: str, old: FakeDav, new: FakeDav) -> Verification:
    """What a verification of all collections says that went from one to the other."""
    done = Verification()
    for row in calendars(ledger, account):
        kind = cast(Kind, row.kind)
        done += Comparison(old.session(), new.session(), ledger, row, kind, "Europe/Paris").run()
    return done


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:12]}"'


def _parent(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[0] + "/"
