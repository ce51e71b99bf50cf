"""Whether people can be told: the ways of the site file's `notify`, tried without sending anything."""

from collections.abc import Callable, Iterator

from bascule.checks.preflight.finding import Finding, failure, ok
from bascule.hosts import notices
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError


def ways(access: Access) -> Iterator[Finding]:
    """The mail server takes the envelope; Apprise knows each chat's URL."""
    part, get = access.site.notify, access.connections.get
    if part.mail:
        yield _tried(part.smtp, lambda: notices.may_send_mail(get(part.smtp), part.mail))
    for conn_id in part.chats:
        yield _tried(conn_id, lambda id=conn_id: notices.may_send_chat(get(id)))  # type: ignore[misc]


def _tried(conn_id: str, attempt: Callable[[], None]) -> Finding:
    try:
        attempt()
    except AccessError as error:
        return failure("notices", str(error))
    return ok("notices", f"people can be told through the connection `{conn_id}`")
