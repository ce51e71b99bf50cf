"""What of a command over SSH stands in the log: all of it for the audit, and nothing of what is users' own."""

from typing import Any

import pytest
from bascule.hosts.connections import AccessError, Connection
from bascule.hosts.login import Login, NoPassword, login_for
from bascule.hosts.ssh import CommandFailed, RemoteHost
from bascule.site import MailServerPart
from structlog.testing import capture_logs

SAID = b'vacation "I am at the seaside with Ada"'


class Host(RemoteHost):
    """A host whose every command says the same."""

    def __init__(self, status: int = 0) -> None:
        super().__init__("old", lambda: pytest.fail("no connection is needed"))
        self.status = status

    def _execute(self, line: str, input: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        return self.status, SAID, b"warning"


def test_what_a_command_says_stands_in_the_log() -> None:
    with capture_logs() as logged:
        Host().run(["systemctl", "show", "dovecot"])
    [line] = logged
    assert (line["host"], line["command"], line["status"]) == ("old", "systemctl show dovecot", 0)
    assert (line["output"], line["error"]) == (SAID.decode(), "warning")


def test_of_users_data_the_log_has_only_how_much_it_is() -> None:
    with capture_logs() as logged:
        finished = Host().run(["sieve-test", "x"], private=True)
    assert finished.output == SAID.decode()
    [line] = logged
    assert (line["command"], line["status"], line["output_bytes"], line["error_bytes"]) == (
        "sieve-test x",
        0,
        len(SAID),
        7,
    )
    assert "seaside" not in str(logged)


def test_users_data_do_not_come_into_the_log_by_way_of_a_failure() -> None:
    with capture_logs() as logged, pytest.raises(CommandFailed) as failed:
        Host(status=1).run(["sieve-test", "x"], private=True)
    assert "warning" in str(failed.value)
    assert "seaside" not in str(failed.value) + str(failed.value.finished) + str(logged)


def test_a_failure_that_says_nothing_on_its_error_output_shows_the_other_one() -> None:
    class Silent(Host):
        def _execute(self, line: str, input: bytes, timeout: float) -> tuple[int, bytes, bytes]:
            return 1, SAID, b""

    with pytest.raises(CommandFailed, match="seaside"):
        Silent().run(["x"])
    with pytest.raises(CommandFailed, match="said nothing"):
        Silent().run(["x"], private=True)


MASTER = Connection("old", "old.test", None, "keeper", "hidden", {"passwords": {"ann": "her own"}})


@pytest.mark.parametrize(
    ("way", "login"),
    [
        ("master", Login("ann*keeper", "hidden")),
        ("authzid", Login("keeper", "hidden", authorize_as="ann")),
        ("secret", Login("ann", "her own")),
    ],
)
def test_an_account_is_entered_as_the_site_file_says(way: str, login: Login) -> None:
    assert login_for(_part(way), MASTER, "ann") == login


def test_an_account_without_a_password_of_its_own_is_named_with_the_connection() -> None:
    with pytest.raises(NoPassword, match="`old` has no password for bob in `passwords`: add it there"):
        login_for(_part("secret"), MASTER, "bob")


@pytest.mark.parametrize(
    "extra",
    [{}, *({"passwords": wrong} for wrong in (None, {}, [], ["her own"], "her own", 12))],
)
def test_a_connection_without_any_passwords_concerns_everybody_and_says_what_belongs_there(extra: Any) -> None:
    words = "the connection `old` has no `passwords`, which `login: secret` needs: write them into its extra"
    with pytest.raises(AccessError, match=words) as told:
        login_for(_part("secret"), Connection("old", "old.test", extra=extra), "ann")
    assert not isinstance(told.value, NoPassword), "it would be taken as one account's own"
    assert "her own" not in str(told.value)


@pytest.mark.parametrize("secret", [1234567, None, True, ["1234567"]])
def test_a_password_that_is_no_text_is_told_of_its_account_and_never_shown(secret: Any) -> None:
    connection = Connection("old", "old.test", extra={"passwords": {"ann": secret, "bob": "his own"}})
    with pytest.raises(NoPassword, match="`old` has a password for ann that is no text: write it in quotation") as told:
        login_for(_part("secret"), connection, "ann")
    assert "1234567" not in str(told.value)
    assert login_for(_part("secret"), connection, "bob") == Login("bob", "his own")


def _part(way: str) -> MailServerPart:
    return MailServerPart.model_validate(
        {"host": "old", "address": "old.test", "port": 993, "connection": "old", "login": way}
    )
