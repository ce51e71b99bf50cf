"""Notices as a mail server and a webhook get them: by real connections on the loopback, once each."""

import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from bascule.checks.preflight import notices as preflight
from bascule.hosts import notices
from bascule.hosts.connections import Connection
from bascule.ledger.journal import Origin
from bascule.ledger.task_log import Try
from bascule.tasks import phase
from bascule.tasks.run import NeedsPerson, Run, noted

from tests.unit.test_notify import run  # noqa: F401 - the fixture

HOSTILE = "<img src=x>\u202e\nBcc: all@obs.test"
LOGIN, PASSWORD = "bascule", "secret"


class Sink:
    """A mail server that keeps what it gets; it refuses `nobody@obs.test`, and says no farewell when told so."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], EmailMessage]] = []
        self.farewell = "221 Bye"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address == "nobody@obs.test":
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.got.append((envelope.rcpt_tos, message))  # type: ignore[arg-type]
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        return self.farewell


class AnyPort(Controller):
    """aiosmtpd knocks at the port that it was given, which is 0 here."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def sink(tmp_path: Path, authority: trustme.CA) -> Iterator[Callable[[str], tuple[Sink, Connection]]]:
    """Starts a mail server and gives the connection to it; `how`: `tls`, `starttls` with a login, or `plain`."""
    started: list[Controller] = []
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def start(how: str) -> tuple[Sink, Connection]:
        secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(secure)
        more: dict[str, Any] = {"plain": {}, "tls": {"ssl_context": secure}, "starttls": {
            "tls_context": secure, "require_starttls": True, "auth_required": True, "authenticator": _authenticate,
        }}[how]  # fmt: skip
        kept = Sink()
        controller = AnyPort(kept, "127.0.0.1", 0, **more)
        controller.start()
        started.append(controller)
        extra = {"ca_file": str(tmp_path / "ca.pem"), "from_email": "bascule@obs.test",
                 "disable_ssl": how != "tls", "disable_tls": how == "plain"}  # fmt: skip
        login = (LOGIN, PASSWORD) if how == "starttls" else ("", "")
        return kept, Connection("smtp_default", "127.0.0.1", controller.port, *login, extra)

    yield start
    for controller in started:
        controller.stop()


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (LOGIN.encode(), PASSWORD.encode()))


class Hook(ThreadingHTTPServer):
    """A webhook that keeps what it gets. `answers`: the statuses of the next requests; then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keeps)
        self.got: list[dict[str, Any]] = []
        self.answers: list[int] = []


class _Keeps(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *given: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def connect(run: Run, mail: Connection | None = None, hook: Hook | None = None, query: str = "") -> None:  # noqa: F811
    """The run's connections lead there; without one nobody listens."""
    url = f"json://127.0.0.1:{hook.server_port if hook else 1}/bascule{query}"
    found = {"smtp_default": mail or Connection("smtp_default", "127.0.0.1", 1),
             "chat_ops": Connection("chat_ops", "", password=url)}  # fmt: skip
    run.access.connections.get = found.__getitem__  # type: ignore[method-assign]


@pytest.mark.parametrize("how", ["tls", "starttls", "plain"])
def test_a_mail_server_gets_each_notice_once(run: Run, sink: Any, hook: Hook, how: str) -> None:  # noqa: F811
    kept, connection = sink(how)
    connect(run, connection, hook)
    for _ in range(2):
        phase.begin(run)
        with pytest.raises(NeedsPerson), noted(run, Try(run.origin, 1), last_try=True):
            raise NeedsPerson(f"mx can't be reached: {HOSTILE}")

    begun, failed = (message for _, message in kept.got)
    assert [people for people, _ in kept.got] == [["postmaster@obs.test"]] * 2
    assert (begun["from"], begun["to"]) == ("bascule@obs.test", "postmaster@obs.test")
    assert begun["subject"] == f"[{run.site.name}] Transfer begins"
    assert begun["auto-submitted"] == "auto-generated" and begun["date"] and begun["message-id"]
    assert begun.get_content().strip() == "https://flow.example/bascule/"
    assert failed["bcc"] is None and "mx can't be reached: <img src=x>" in failed.get_content()
    assert "\u202e" not in failed.get_content()
    assert [each["title"] for each in hook.got] == [begun["subject"], failed["subject"]]


def test_a_webhook_that_was_down_is_told_at_the_next_occasion_and_the_mail_not_again(
    run: Run, sink: Any, hook: Hook  # noqa: F811
) -> None:  # fmt: skip
    kept, connection = sink("plain")
    connect(run, connection, hook)
    hook.answers = [500]
    for _ in range(3):
        phase.begin(run)

    assert (len(kept.got), len(hook.got)) == (1, 2)
    assert hook.got[-1]["message"] == "https://flow.example/bascule/"


def test_a_mail_that_was_taken_is_not_sent_again_whatever_the_farewell(run: Run, sink: Any) -> None:  # noqa: F811
    kept, connection = sink("plain")
    kept.farewell = "421 4.4.2 too slow"
    connect(run, connection)
    for _ in range(2):
        phase.begin(run)

    assert len(kept.got) == 1


def test_one_address_that_is_refused_keeps_no_other_from_being_told_once(
    run: Run, sink: Any, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    kept, connection = sink("plain")
    part = run.site.notify.model_copy(update={"mail": ["nobody@obs.test", "postmaster@obs.test"]})
    both = Run(run.site.model_copy(update={"notify": part}), run.access, run.ledger, run.origin)
    both.access.site = both.site
    connect(both, connection)
    for _ in range(2):
        phase.begin(both)

    assert [people for people, _ in kept.got] == [["postmaster@obs.test"]]
    assert "nobody@obs.test" in capsys.readouterr().out
    (found, _) = preflight.ways(both.access)
    assert found.level == "failure" and "no such user" in found.sentence


@pytest.fixture
def hanging() -> Iterator[Callable[[bytes], Connection]]:
    """Starts a server that says this again and again, octet by octet and slowly, and never anything whole."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip(octets: bytes) -> None:
        accepted, _ = listening.accept()
        with accepted, contextlib.suppress(OSError):
            while not over.wait(0.02):
                accepted.sendall(octets)

    def start(octets: bytes) -> Connection:
        threading.Thread(target=drip, args=(octets,), daemon=True).start()
        extra = {"disable_ssl": True, "disable_tls": True}
        return Connection("smtp_default", "127.0.0.1", listening.getsockname()[1], "", "", extra)

    yield start
    over.set()
    listening.close()


@pytest.mark.parametrize("says", [b"", b"2"])
def test_who_hangs_holds_up_no_phase(
    run: Run, hook: Hook, hanging: Any, says: bytes, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(notices, "SECONDS", 0.5)
    connect(run, hanging(says), hook)
    began = time.monotonic()
    phase.begin(run)

    assert time.monotonic() - began < notices.ANSWER_SECONDS
    assert "`smtp_default` does not answer within 0.5 seconds" in capsys.readouterr().out
    assert [each["message"] for each in hook.got] == ["https://flow.example/bascule/"]


@pytest.mark.parametrize(("login", "host", "told"), [
    ("bascule", "127.0.0.1", "is not all ASCII"),
    ("", "a" * 64 + ".test", "label too long|label empty or too long"),
])  # fmt: skip
def test_what_no_protocol_can_take_stops_nothing(
    run: Run, sink: Any, hook: Hook, login: str, host: str, told: str,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    _, connection = sink("plain")
    connect(run, replace(connection, login=login, password="été", host=host), hook)
    phase.begin(run)

    assert re.search(told, capsys.readouterr().out)
    assert len(hook.got) == 1
    assert re.search(told, next(each.sentence for each in preflight.ways(run.access)))


def test_an_airflow_that_gives_no_connection_stops_nothing(run: Run) -> None:  # noqa: F811
    def gone(conn_id: str) -> Connection:
        raise RuntimeError("API_SERVER_ERROR")

    run.access.connections.get = gone  # type: ignore[method-assign]
    phase.begin(run)


def test_a_chat_that_speaks_html_gets_hostile_names_as_text(run: Run, hook: Hook) -> None:  # noqa: F811
    connect(run, hook=hook, query="?format=html")
    with pytest.raises(NeedsPerson), noted(run, Try(Origin("freeze", "run-1", "x"), 1), last_try=True):
        raise NeedsPerson(HOSTILE)

    assert hook.got[0]["message"].startswith("&lt;img")


@pytest.mark.parametrize("how", ["tls", "starttls", "plain"])
def test_the_preflight_tries_the_way_and_sends_nothing(run: Run, sink: Any, hook: Hook, how: str) -> None:  # noqa: F811
    kept, connection = sink(how)
    connect(run, connection, hook)

    assert [each.level for each in preflight.ways(run.access)] == ["ok", "ok"]
    assert (kept.got, hook.got) == ([], [])


def test_a_mail_server_that_nobody_vouches_for_gets_nothing(run: Run, sink: Any) -> None:  # noqa: F811
    kept, connection = sink("tls")
    del connection.extra["ca_file"]
    connect(run, connection)
    phase.begin(run)

    assert kept.got == []
    assert next(each.level for each in preflight.ways(run.access)) == "failure"
