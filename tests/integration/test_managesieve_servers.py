"""The ManageSieve client on Pigeonhole and on Cyrus's timsieved: names and texts that are hard to write down."""

import contextlib
import imaplib
from collections.abc import Iterator

import pytest
from bascule.sieve.managesieve import Refused

from tests.mail_servers import PASSWORD, mail_directory
from tests.sieve_servers import SieveServer, pigeonhole, timsieved
from tests.unpacked import PackagesMissing

NAMES = [
    "roundcube",
    "à côté",
    'my "own" rules',
    'x" ACTIVE',
    "a\\b",
    "OK",
    "IMPLEMENTATION",
    "{5}",
    "(TAG)",
    "NO (X)",
    "é" * 100,
]
TEXTS = [b"keep;\r\n", b'# OK "x"\nOK\n', b"# {5}\r\n# \xc3\xa9\n" + b"keep;\n" * 3_000]


@pytest.fixture(scope="module", params=["pigeonhole", "timsieved"])
def server(request: pytest.FixtureRequest) -> Iterator[SieveServer]:
    try:
        with (
            mail_directory() as home,
            {"pigeonhole": pigeonhole, "timsieved": timsieved}[request.param](home) as running,
        ):
            with imaplib.IMAP4("127.0.0.1", running.imap_port) as client:
                client.login("marie", PASSWORD)
            yield running
    except PackagesMissing as error:
        pytest.skip(str(error))


def test_every_name_and_text_comes_back_as_it_was_put(server: SieveServer) -> None:
    taken = []
    with server.connected("marie") as client:
        for number, name in enumerate(NAMES):
            text = TEXTS[number % len(TEXTS)]
            if client.put(name, text).accepted:
                taken.append((name, text))
        client.set_active(taken[1][0])
    with server.connected("marie") as client:
        listed = client.scripts()
        assert {name: listed.get(name) for name, _ in taken} == {name: name == taken[1][0] for name, _ in taken}
        assert [client.get(name) == text for name, text in taken] == [True] * len(taken)
        client.set_active("")
        assert not any(client.scripts().values())


def test_what_the_compiler_says_belongs_to_the_script_that_was_asked_about(server: SieveServer) -> None:
    with server.connected("marie") as client:
        verdicts = [client.check(script) for script in (b"keep;", b"keep", b"keep;", b"frobnicate;")]
        assert [verdict.accepted for verdict in verdicts] == [True, False, True, False]
        assert "line" in verdicts[1].words
        assert {"fileinto", "vacation"} <= client.extensions
        assert client.modified_utf7 == (server.homes is None)


def test_what_is_refused_holds_no_other_back(server: SieveServer) -> None:
    with server.connected("marie") as client:
        with pytest.raises(Refused):
            client.get("not there")
        for name, text in (("a/b", b"keep;"), ("large", b"LOGOUT\r\n" * 500_000)):
            with contextlib.suppress(Refused):
                assert not client.put(name, text).accepted
        assert client.put("c", b"keep;").accepted
        assert client.get("c") == b"keep;"
