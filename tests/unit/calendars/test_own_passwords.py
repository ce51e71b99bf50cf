"""With `login: secret` each account opens its calendars with its own password, by the connection's `passwords`."""

from types import SimpleNamespace
from typing import Any

import pytest
from bascule.calendars import servers
from bascule.hosts.connections import AccessError, Connection
from bascule.site import CalendarServerPart

PART = CalendarServerPart(connection="old", url="https://dav.test/{{ account }}/", login="secret")


def open_with(extra: dict[str, Any]) -> None:
    connection = Connection("old", "dav.test", extra=extra)
    access: Any = SimpleNamespace(connections=SimpleNamespace(get=lambda _: connection))
    with servers.opened(access, PART, "zoe"):
        pass


def test_an_account_with_its_own_password_is_let_in() -> None:
    open_with({"passwords": {"zoe": "hidden"}})


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({}, "`old` has no `passwords`"),
        ({"passwords": None}, "`old` has no `passwords`"),
        ({"passwords": ["hidden"]}, "`old` has no `passwords`"),
        ({"passwords": {"ann": "hidden"}}, "`old` has no password for zoe"),
        ({"passwords": {"zoe": 12}}, "`old` has a password for zoe that is no text"),
    ],
)
def test_what_is_wrong_with_the_passwords_is_told_in_a_sentence(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(AccessError, match=words):
        open_with(extra)
