"""The ManageSieve client against a server that says exactly what a test wants (loopback, no TLS)."""

import base64
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest
from bascule.hosts.login import Endpoint, Login
from bascule.sieve.managesieve import ManageSieve, ManageSieveError, Refused, connected, warnings_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sieve.managesieve_server import CAPABILITIES, MARIE, ScriptedServer

FULL = os.environ.get("BASCULE_TEST_DEPTH") == "full"


@contextlib.contextmanager
def client(**says: bytes) -> Iterator[tuple[ManageSieve, ScriptedServer]]:
    with ScriptedServer(says=says).running() as server, server.connected() as opened:
        yield opened, server


def test_the_login_is_plain_for_another_identity() -> None:
    with ScriptedServer().running() as server, server.connected(Login("admin", "s3cret", "marie")):
        pass
    (sent,) = [arguments[1] for word, arguments in server.heard if word == "AUTHENTICATE"]
    assert base64.b64decode(sent) == b"marie\0admin\0s3cret"


def test_the_extensions_are_those_that_are_offered_after_the_login() -> None:
    with client(CAPABILITY=CAPABILITIES.replace(b"copy", b"reject")) as (opened, _):
        assert opened.extensions == {"fileinto", "reject"}


def test_the_ways_of_notifying_are_those_that_it_names() -> None:
    with client(CAPABILITY=CAPABILITIES) as (opened, _):
        assert opened.notify_methods is None
    with client(CAPABILITY=b'"NOTIFY" "mailto XMPP"\r\n' + CAPABILITIES) as (opened, _):
        assert opened.notify_methods == {"mailto", "xmpp"}


def test_scripts_in_every_form_of_string() -> None:
    with client(LISTSCRIPTS=b'"a b" ACTIVE\r\n{5}\r\n"q"\xc3\xa9\r\n"c\\"\\\\"\r\nOK "done"\r\n') as (opened, _):
        assert opened.scripts() == {"a b": True, '"q"é': False, 'c"\\': False}


def test_names_that_the_server_does_not_escape_are_asked_for_as_they_are() -> None:
    listed = b'"my "own" rules" ACTIVE\r\n"a\\b"\r\n"\xe9"\r\n"x" ACTIVE"\r\n"tail" "\r\nOK\r\n'
    with client(LISTSCRIPTS=listed) as (opened, server):
        names = opened.scripts()
        assert names == {'my "own" rules': True, "a\\b": False, "\\xe9": False, 'x" ACTIVE': False, 'tail" ': False}
        for name in names:
            with pytest.raises(Refused):
                opened.get(name)
    asked = [arguments[0] for word, arguments in server.heard if word == "GETSCRIPT"]
    assert asked == [b'my "own" rules', b"a\\b", b"\xe9", b'x" ACTIVE', b'tail" ']


@pytest.mark.parametrize("has_noop", [True, False])
@pytest.mark.parametrize(
    "unasked", [CAPABILITIES, CAPABILITIES * 2, b'OK "once more"\r\n', b'OK "x"\r\n' + CAPABILITIES]
)
def test_what_is_said_after_the_login_unasked_is_nobodys_answer(unasked: bytes, has_noop: bool) -> None:
    stored = ScriptedServer({b"main": b"keep;\r\n", b"IMPLEMENTATION": b"stop;"}, b"main", after_login=unasked)
    stored.has_noop = has_noop
    with stored.running() as server, server.connected() as opened:
        assert opened.scripts() == {"main": True, "IMPLEMENTATION": False}
        assert [opened.get(name) for name in ("main", "IMPLEMENTATION")] == [b"keep;\r\n", b"stop;"]
        assert opened.extensions == {"fileinto", "copy"}


@pytest.mark.parametrize("has_noop", [True, False])
@pytest.mark.parametrize("answer", [b"OK\r\nOK\r\n", b'OK\r\n"x"\r\nOK\r\n'])
def test_an_answer_too_many_is_never_taken_for_another_commands(answer: bytes, has_noop: bool) -> None:
    server = ScriptedServer({b"main": b"keep;"}, says={"CHECKSCRIPT": answer}, has_noop=has_noop)
    with (
        server.running(),
        server.connected() as opened,
        pytest.raises(ManageSieveError, match="answers to CHECKSCRIPT"),
    ):
        opened.check(b"keep;")


def test_the_connection_may_be_opened_once_more() -> None:
    server = ScriptedServer({b"main": b"keep;"}, says={"CHECKSCRIPT": b'BYE "crash"\r\n'})
    with server.running(), server.connected() as opened:
        with pytest.raises(ManageSieveError, match="crash"):
            opened.check(b"keep;")
        opened.reopen()
        assert opened.get("main") == b"keep;"


def test_a_script_is_read_to_the_byte() -> None:
    script = b'OK "not an answer"\r\nNO\nkeep;\r\r\n\xe9\0'
    with ScriptedServer({b"a": script}).running() as server, server.connected() as opened:
        assert opened.get("a") == script


@pytest.mark.parametrize("answer", [b'""\r\nOK\r\n', b"{0}\r\n\r\nOK\r\n"])
def test_an_empty_script_is_read(answer: bytes) -> None:
    with client(GETSCRIPT=answer) as (opened, _):
        assert opened.get("a") == b""


@pytest.mark.parametrize("answer", [b"OK\r\n", b'"a" "b"\r\nOK\r\n', b'"a"\r\n"b"\r\nOK\r\n', b"atom\r\nOK\r\n"])
def test_an_answer_without_a_script_is_no_empty_script(answer: bytes) -> None:
    with client(GETSCRIPT=answer) as (opened, _), pytest.raises(ManageSieveError, match="gives no script"):
        opened.get("a")


def test_warnings_are_read() -> None:
    words = b"main: line 1: warning: header 'Subject:' is invalid.\r\nmain: line 2: warning: x: y.\r\n"
    with client(CHECKSCRIPT=b"OK (WARNINGS) {%d}\r\n%s\r\n" % (len(words), words)) as (opened, _):
        verdict = opened.check(b"keep;")
    assert verdict.accepted
    assert verdict.warnings == ["header 'Subject:' is invalid.", "x: y."]


def test_errors_are_a_verdict_in_the_servers_words() -> None:
    with client(PUTSCRIPT=b'NO "line 1: error: \\"x\\""\r\n') as (opened, server):
        verdict = opened.put("mé", b"bad\r\n")
    assert (verdict.accepted, verdict.words, verdict.warnings) == (False, 'line 1: error: "x"', [])
    assert "PUTSCRIPT {3+}\r\nmé {5+}\r\nbad\r\n\r\n".encode() in bytes(server.raw)


def test_other_refusals_are_raised_with_their_code() -> None:
    with (
        client(PUTSCRIPT=b'NO (QUOTA/MAXSIZE) "too long"\r\n') as (opened, _),
        pytest.raises(Refused, match="too long") as refused,
    ):
        opened.put("a", b"keep;")
    assert refused.value.code == "QUOTA/MAXSIZE"


def test_a_large_script_is_sent_only_when_the_server_has_space_for_it() -> None:
    """Cyrus does not read a literal that is too long for it, and takes its lines for commands."""
    with client(HAVESPACE=b'NO (QUOTA/MAXSIZE) "too long"\r\n') as (opened, server):
        for send in (lambda text: opened.put("a", text), opened.check):
            with pytest.raises(Refused, match="too long"):
                send(b"LOGOUT\r\n" * 5000)
    assert [word for word, _ in server.heard if word in ("PUTSCRIPT", "CHECKSCRIPT")] == []


@pytest.mark.parametrize("code", [b'(TAG "a ) b")', b"(TAG {7}\r\na ) (b\\)", b"(X (Y Z) 5)"])
def test_a_response_code_may_hold_strings(code: bytes) -> None:
    with client(SETACTIVE=b'NO %s "why"\r\n' % code) as (opened, _), pytest.raises(Refused, match="why"):
        opened.set_active("a")


def test_a_name_can_inject_no_command() -> None:
    with client() as (opened, server):
        opened.delete('a"\r\nLOGOUT')
    assert b'DELETESCRIPT {10+}\r\na"\r\nLOGOUT\r\n' in bytes(server.raw)


def test_a_refused_login_names_who_and_where_but_not_the_password() -> None:
    with pytest.raises(ManageSieveError) as refused, client(AUTHENTICATE=b'NO "bad"\r\n'):
        pass
    assert "marie*admin" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_the_login_is_never_sent_in_the_clear_where_tls_is_asked_for() -> None:
    server = ScriptedServer()
    with (
        server.running(),
        pytest.raises(ManageSieveError, match="no STARTTLS"),
        connected(server.endpoint("starttls"), MARIE),
    ):
        pass
    assert b"AUTHENTICATE" not in server.raw


@pytest.mark.parametrize(
    "answer",
    [b"", b"{100}\r\nshort", b'"a', b"BYE (TRYLATER) {2}\r\nxx\r\n", b"{99999999999}\r\n", b"(\r\n", b"OK {\r\n",
     b"x {0}\r\n" * 500, b'"a"\r\n' * 30_000, b"\xff" * 70_000],
)  # fmt: skip
def test_a_broken_server_is_an_error_at_once(answer: bytes) -> None:
    def changed(command: str, usual: bytes) -> bytes:
        return answer if command == "GETSCRIPT" else b"" if command == "NOOP" and heard_get() else usual

    def heard_get() -> bool:
        return any(word == "GETSCRIPT" for word, _ in server.heard)

    server = ScriptedServer(changes=changed)
    with server.running(), pytest.raises(ManageSieveError), server.connected() as opened:
        opened.get("a")


@pytest.mark.parametrize(
    "greeting", [b"OK\r\n", b'NO "go away"\r\n', b'"SIEVE" "x"\r\nOK\r\n', b"atom\r\nOK\r\n", b"hello\r\n"]
)
def test_a_greeting_that_is_none_is_said(greeting: bytes) -> None:
    with pytest.raises(ManageSieveError), ScriptedServer(greeting=greeting).running() as server, server.connected():
        pass


def test_two_active_scripts_are_none_to_be_trusted() -> None:
    with (
        client(LISTSCRIPTS=b'"a" ACTIVE\r\n"b" ACTIVE\r\nOK\r\n') as (opened, _),
        pytest.raises(ManageSieveError, match="more than one active"),
    ):
        opened.scripts()


def test_nobody_there_is_an_error_that_says_where() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with (
        pytest.raises(ManageSieveError, match=f"127.0.0.1:{port}"),
        connected(Endpoint("127.0.0.1", port, "plain"), MARIE),
    ):
        pass


def test_warnings_lose_their_place() -> None:
    assert warnings_in("x: line 3: warning: a.\r\nline 1: warning: b: c.\nline 2: error: d.\n") == ["a.", "b: c."]


def test_a_goodbye_is_told_in_the_servers_words() -> None:
    with (
        client(LISTSCRIPTS=b'BYE (TRYLATER) "too busy"\r\n') as (opened, _),
        pytest.raises(ManageSieveError, match="too busy"),
    ):
        opened.scripts()


SCRIPTS = {b"main": b"keep;\r\n", b"other": b'require "fileinto";\nfileinto "A";\n', b"IMPLEMENTATION": b"stop;"}
PIECES = st.sampled_from(
    [b"OK\r\n", b"NO\r\n", b'NO (NONEXISTENT) "x"\r\n', b"BYE\r\n", CAPABILITIES, b'"main" ACTIVE\r\n', b'"x"\r\n',
     b'"', b"\\", b"{5}\r\n", b'(TAG "bascule-3")', b" ", b"\r\n", b"\0", b"\xff", b"ACTIVE", b"OK", b"("]
) | st.binary(max_size=6)  # fmt: skip


@st.composite
def _changes(draw: st.DrawFn) -> list[tuple[int, str, int, int, bytes]]:
    """At which answer, what is done with it, where, for how many octets, and what comes there."""
    one = st.tuples(
        st.integers(0, 14), st.sampled_from(["insert", "cut", "replace", "twice", "drop", "before", "after"]),
        st.integers(0, 60), st.integers(1, 12), PIECES,
    )  # fmt: skip
    return draw(st.lists(one, min_size=1, max_size=3))


def _changed(answer: bytes, what: str, at: int, size: int, piece: bytes) -> bytes:
    at = min(at, len(answer))
    return {
        "insert": answer[:at] + piece + answer[at:], "cut": answer[:at] + answer[at + size :],
        "replace": answer[:at] + piece + answer[at + size :], "twice": answer * 2, "drop": b"OK\r\n",
        "before": piece + answer, "after": answer + piece,
    }[what]  # fmt: skip


@pytest.mark.timeout(7200 if FULL else 300)
@settings(
    max_examples=4000 if FULL else 150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_changes(), st.booleans())
def test_any_answer_gives_the_right_result_or_a_sentence(
    changes: list[tuple[int, str, int, int, bytes]], has_noop: bool
) -> None:
    """Answers are changed on their way; no script is ever taken for another one, and no exception but ours comes out.

    Only what the server itself says of a name's or a text's octets can't be told from the truth.
    """
    count = iter(range(1000))
    touched: set[str] = set()

    def change(command: str, answer: bytes) -> bytes:
        number = next(count)
        for at, what, *where in changes:
            if at == number:
                touched.add(command)
                answer = _changed(answer, what, *where)
        return answer

    server = ScriptedServer(dict(SCRIPTS), b"main", changes=change, has_noop=has_noop)
    with server.running():
        try:
            with connected(Endpoint("127.0.0.1", server.port, "plain", timeout=0.5), MARIE) as opened:
                listed = opened.scripts()
                texts = {name: opened.get(name) for name in sorted(SCRIPTS_SHOWN & listed.keys())}
                unread = {name for name in listed.keys() - SCRIPTS_SHOWN if _is_refused(opened, name)}
                verdict = opened.check(b"keep;")
        except ManageSieveError as error:
            assert str(error)
            return
    if "LISTSCRIPTS" not in touched:  # a name that came out otherwise is one that can't be read, and is told
        assert unread or {"main": True, "other": False, "IMPLEMENTATION": False}.items() <= listed.items()
    if "GETSCRIPT" not in touched:
        assert all(texts[name] == SCRIPTS[name.encode()] for name in texts)
    assert isinstance(verdict.accepted, bool)
    assert verdict.accepted or "CHECKSCRIPT" in touched


def _is_refused(opened: ManageSieve, name: str) -> bool:
    try:
        opened.get(name)
    except Refused:
        return True
    return False


SCRIPTS_SHOWN = {name.decode() for name in SCRIPTS}
