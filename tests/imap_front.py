"""A port before an imapd that takes a connection on its standard input, logged in already: this does the login."""

import contextlib
import os
import re
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator

from tests.mail_servers import PASSWORD

GREETING_SECONDS = 10.0
Start = Callable[[str], "subprocess.Popen[bytes]"]  # of a user; with pipes, and a greeting that says PREAUTH


@contextlib.contextmanager
def login_front(start: Start, greeting: bytes) -> Iterator[int]:
    """A port of loopback until the end of the block; one process for each connection."""

    class Front(_Front):
        start_imapd = staticmethod(start)
        first_words = b"* OK " + greeting + b"\r\n"

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Threads(("127.0.0.1", 0), Front) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        yield front.server_address[1]
        front.shutdown()


class _Front(socketserver.StreamRequestHandler):
    start_imapd: Start
    first_words: bytes

    def handle(self) -> None:
        user = self._log_in()
        if not user:
            return
        with self._greeted(user) as process:
            assert process.stdin is not None and process.stdout is not None
            threading.Thread(target=self._answers, args=(process.stdout.fileno(),), daemon=True).start()
            with contextlib.suppress(OSError):
                self.connection.sendall(self.tag + b" OK LOGIN Ok.\r\n")
                while data := self.connection.recv(65536):
                    os.write(process.stdin.fileno(), data)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)  # for its goodbye
            process.kill()  # imap4d may go on without anybody to talk to, and heed nothing softer

    def _greeted(self, user: str) -> "subprocess.Popen[bytes]":
        """imap4d was seen never to come to its greeting, once in thousands of starts: it is started again then."""
        for _ in range(3):
            process = self.start_imapd(user)
            assert process.stdout is not None
            late = threading.Timer(GREETING_SECONDS, process.kill)
            late.start()
            while (line := process.stdout.readline()) and b"PREAUTH" not in line:
                pass
            late.cancel()
            if line:
                return process
            process.communicate()
        raise AssertionError("imapd did not begin")

    def _log_in(self) -> str:
        self.connection.sendall(self.first_words)
        while line := self._line():
            self.tag, verb, *rest = line.split(b" ", 2)
            if verb.strip().upper() == b"CAPABILITY":
                self.connection.sendall(b"* CAPABILITY IMAP4rev1\r\n" + self.tag + b" OK done\r\n")
            elif verb.upper() == b"LOGIN":
                words = re.match(rb'"?([^" ]+)"? "?([^"\r]+)"?', rest[0])
                if words and words[2].strip() == PASSWORD.encode():
                    return words[1].decode()
                self.connection.sendall(self.tag + b" NO Login failed.\r\n")
        return ""

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            octet = self.connection.recv(1)
            if not octet:
                return b""
            line += octet
        return line

    def _answers(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(descriptor, 65536):
                self.connection.sendall(data)
            self.connection.shutdown(socket.SHUT_RDWR)
