"""HTTP requests of one session: tried again when the trouble may pass, limited in time and size, refusals in words."""

import time
from collections.abc import Callable, Mapping
from urllib.parse import urljoin

import httpx

from bascule.calendars.dav import limits, xml
from bascule.hosts.connections import AccessError
from bascule.text.reason import reason

TRIES = 4
FIRST_PAUSE = 0.5  # seconds, doubled at each further try
WORDS = 20_000  # bytes of a refusal that are read for words
PASSING = {429, 502, 503, 504}  # statuses that pass by themselves


class DavError(AccessError):
    """Raised when the server can't be reached or answers what makes no sense; trying later may help."""


class DavNonsense(DavError):
    """Raised when an answer is not what was asked for: no XML, half a listing, a redirect to a login page."""


class DavRefused(AccessError):
    """Raised when the server refuses a request for good; `status` is HTTP's, `words` are the server's."""

    def __init__(self, method: str, url: str, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(f"{method} {url} was refused with {status}" + (f": {words}" if words else ""))

    @property
    def is_login(self) -> bool:
        """Whether it is the login that is refused, and so whatever else would be asked."""
        return self.status in (401, 407)


class Requests:
    """Requests to one server as one user, one at a time. Transient trouble is tried again, four times in all."""

    def __init__(self, client: httpx.Client, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._pause = pause
        self._watch = limits.Watch()

    def close(self) -> None:
        self._client.close()

    def request(
        self, method: str, url: str, *, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request; raises DavRefused on a status of 400 and more.

        Raises DavError when the server stays away, takes longer than limits.SECONDS in all, or answers more than
        limits.BYTES.
        """
        where, cause = f"{method} {urljoin(str(self._client.base_url), url)}", ""
        with self._watch.limited(limits.SECONDS):
            for attempt in range(TRIES):
                if attempt:
                    self._pause(FIRST_PAUSE * 2 ** (attempt - 1))
                try:
                    response = self._answer(method, url, content, headers or {})
                except httpx.RequestError as error:  # DecodingError is no TransportError
                    cause = _cause(error)
                except limits.TooLarge as error:
                    raise DavNonsense(f"{where} was answered with {error}: look what stands there") from None
                except httpx.InvalidURL as error:
                    raise DavNonsense(f"{where} can't be asked: {reason(error)}") from None
                else:
                    cause = f"status {response.status_code}"
                    if response.status_code not in PASSING and not self._watch.over:
                        return _checked(method, url, response)
                if self._watch.over:
                    raise DavError(
                        f"{where} was broken off, since it wasn't answered to the end within {limits.SECONDS:g} "
                        f"seconds (try {attempt + 1}, {cause}): see in the server's log and load why it is so slow"
                    )
        raise DavError(f"{where} failed {TRIES} times: {cause}")

    def _answer(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """What one try is answered, whole. Raises httpx.RequestError and limits.TooLarge."""
        traced = {"trace": self._watch.trace}
        raw = [(name.encode(), value.encode("utf-8", "replace")) for name, value in headers.items()]  # etags: anything
        with self._client.stream(method, url, content=content, headers=raw, extensions=traced) as response:
            return limits.whole(response)


def _cause(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return reason(error)


def _checked(method: str, url: str, response: httpx.Response) -> httpx.Response:
    if response.is_redirect:  # a login page is no answer, and what was to be written is not written
        raise DavNonsense(
            f"{method} {url} is redirected to {response.headers.get('location', 'nowhere')}: write the address of the "
            "calendars themselves into `url`"
        )
    if response.status_code < 400:
        return response
    if response.status_code in (401, 407):
        raise DavRefused(method, url, response.status_code, "the server refuses the login")
    words = xml.readable(response.content[:WORDS].decode("utf-8", "replace"))
    raise DavRefused(method, url, response.status_code, words)
