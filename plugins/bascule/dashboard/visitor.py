"""Who looks at the page, and what they may: Airflow's login and rights, and the site file's gates."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from itsdangerous import BadSignature, URLSafeSerializer

from bascule.problems.rest import Airflow

DAYS = 2  # for which a form that was opened may be sent


@dataclass(frozen=True)
class Visitor:
    """One person. `may_edit`: Airflow lets them answer questions; `is_named` says whether they are among some names."""

    name: str
    may_edit: bool
    is_named: Callable[[Sequence[str]], bool]

    def may_decide(self, reviewers: Sequence[str]) -> bool:
        """Whether they may decide about problems: the same people as on Airflow's page."""
        return self.may_edit and (not reviewers or self.is_named(reviewers))


class Door(Protocol):
    """What the app needs of the place that it is mounted in."""

    secret: str

    @property
    def may_read(self) -> Callable[..., Any]: ...  # the FastAPI dependency that every request has to pass

    @property
    def metrics_token(self) -> str: ...  # with which a program reads the metrics; empty: none may

    def visitor(self, request: Request) -> Visitor: ...

    def airflow(self, request: Request) -> Airflow: ...


def token(door: Door, visitor: Visitor, day: date | None = None) -> str:
    """What a form of this visitor carries, so that no other site's form can be sent in their name."""
    return str(_signer(door).dumps([visitor.name, str(day or _today())]))


def check_form(door: Door, visitor: Visitor, request: Request, given: str) -> None:
    """Raises HTTPException (403) when the form does not come from this visitor's own page."""
    if not _is_here(request):
        raise HTTPException(403, "this form was sent from another site")
    try:
        name, day = _signer(door).loads(given)
        opened = date.fromisoformat(day)
    except (BadSignature, ValueError, TypeError):
        raise HTTPException(403, "this form is not one of this page: load the page anew") from None
    if name != visitor.name or opened <= _today() - timedelta(days=DAYS):
        raise HTTPException(403, "this form is too old, or was opened by somebody else: load the page anew")


def _is_here(request: Request) -> bool:
    """Whether it comes from this site, as far as the browser says so: the token is what proves it."""
    origin = request.headers.get("origin", "")
    try:
        return origin in ("", "null") or urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:  # it is no address
        return False


def check_program(door: Door, request: Request) -> None:
    """Raises HTTPException (401) for whoever does not have the token of the metrics."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not door.metrics_token or not hmac.compare_digest(given.encode(), door.metrics_token.encode()):
        raise HTTPException(401, "the metrics are read with a token, which stands in secrets/metrics_token")


def _signer(door: Door) -> URLSafeSerializer:
    return URLSafeSerializer(door.secret, salt="bascule-form")


def _today() -> date:
    return datetime.now(UTC).date()
