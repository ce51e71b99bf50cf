"""Programs that are sent to other hosts: they run on a plain Python, and say in a sentence what they can't do."""

import subprocess
import sys
from typing import Any

import pytest
from bascule.hosts.ssh import Finished, RemoteHost
from bascule.remote import client
from bascule.remote.send import ProgramFailed, send


class ThisMachine(RemoteHost):
    """A host with Python's standard library and no more, in a locale that knows ASCII only."""

    def __init__(self, instead: str = "") -> None:
        super().__init__("client", lambda: pytest.fail("no connection is needed"))
        self.instead, self.commands = instead, []

    def run(self, command: Any, *, input: bytes = b"", **_: Any) -> Finished:
        self.commands.append(command)
        if self.instead:
            return Finished(0, self.instead, "", 0.0)
        environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-"], input=input, env=environment, capture_output=True, check=True, timeout=60
        )
        return Finished(0, done.stdout.decode("ascii"), done.stderr.decode("ascii"), 0.0)


@pytest.mark.parametrize("program", ["client", "pop3_uidls"])
def test_what_a_program_could_not_do_is_a_sentence_with_a_place_and_without_a_name_of_python_s(program: Any) -> None:
    request = {"function": "send", "host": "127.0.0.1", "port": 1, "directory": "/nowhere/été", "uidls": {}}
    host = ThisMachine()
    with pytest.raises(ProgramFailed) as failed:
        send(host, program, request)
    assert host.commands == [["python3", "-"]]  # the request is in no list of processes
    assert str(failed.value) in (
        "from client: 127.0.0.1:1: Connection refused",
        "from client: /nowhere/été: No such file or directory",
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (client.smtplib.SMTPAuthenticationError(535, b"5.7.8 wrong"), "535 5.7.8 wrong"),
        (client.imaplib.IMAP4.error(b"[AUTHENTICATIONFAILED] wrong"), "[AUTHENTICATIONFAILED] wrong"),
        (client.poplib.error_proto(b"-ERR wrong"), "-ERR wrong"),
        (client.urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (TimeoutError("timed out"), "no answer in 20 s"),
        (client.smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "Connection unexpectedly closed"),
        (EOFError(), "the connection ended without an answer"),
    ],
)
def test_a_reason_is_in_the_server_s_words(error: Exception, words: str) -> None:
    assert client.reason(error) == words


@pytest.mark.parametrize("output", ["", "Segmentation fault", "[1]", "{'x': 1}"])
def test_a_host_that_answers_something_else_is_told(output: str) -> None:
    with pytest.raises(ProgramFailed, match="client answered with what is no answer"):
        send(ThisMachine(output or " "), "client", {})
