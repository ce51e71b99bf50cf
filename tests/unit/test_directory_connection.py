"""Connections to the directory: how one ends that the server has reset meanwhile."""

from types import SimpleNamespace
from typing import Any

import pytest
from bascule.hosts import directory
from bascule.hosts.directory import DirectoryError
from ldap3.core.exceptions import LDAPSocketOpenError, LDAPSocketSendError

from tests.unit.changes.fakes import FakeAccess


def reset() -> None:
    raise LDAPSocketSendError("socket sending error [Errno 104] Connection reset by peer")


def away() -> None:
    raise LDAPSocketOpenError("socket is not open")


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A connection, which the server resets before it is closed."""
    made = SimpleNamespace(unbind=reset, refresh_server_info=lambda: None, server=SimpleNamespace(schema="rfc4512"))
    monkeypatch.setattr(directory, "_bound", lambda *_: made)
    return made


@pytest.fixture
def access(bound: SimpleNamespace) -> FakeAccess:
    made = FakeAccess()
    made.connections = SimpleNamespace(get=lambda _: SimpleNamespace(host="ldap"))  # type: ignore[assignment]
    return made


def test_a_connection_that_was_reset_is_over_and_what_was_done_by_it_counts(access: FakeAccess) -> None:
    with directory.connected(access) as connection:
        assert connection


def test_what_broke_off_within_it_is_told_and_not_how_it_ended(access: FakeAccess) -> None:
    with pytest.raises(DirectoryError, match="the directory broke off"), directory.connected(access):
        raise DirectoryError("the directory broke off at 'uid=zoe'")


def test_a_schema_that_can_not_be_read_is_told_so_too(access: FakeAccess, bound: SimpleNamespace) -> None:
    bound.refresh_server_info = away
    unread = pytest.raises(DirectoryError, match="the schema of ldap can't be read: socket is not open")
    with unread, directory.connected(access):
        pass


def cut_off(user: str) -> Any:
    """A connection to OpenLDAP, which has given all entries that it gives this login."""
    paged = SimpleNamespace(paged_search=lambda *_, **__: iter(()))
    extend, server = SimpleNamespace(standard=paged), SimpleNamespace(host="ldap")
    return SimpleNamespace(extend=extend, server=server, user=user, result={"result": directory.SIZE_LIMIT})


@pytest.mark.parametrize(
    ("user", "whom", "limit"),
    [
        ("cn=b,dc=x", "gives 'cn=b,dc=x' only a part", '`limits dn.exact="cn=b,dc=x" size=unlimited`'),
        ("", "gives who does not log in only a part", "`limits anonymous size=unlimited`"),
    ],
)
def test_whose_limit_is_to_be_taken_away_is_said_in_openldap_s_own_words(user: str, whom: str, limit: str) -> None:
    with pytest.raises(DirectoryError) as told:
        list(directory.search(cut_off(user), FakeAccess().site, "(uid=*)"))
    assert whom in str(told.value)
    assert limit in str(told.value)
