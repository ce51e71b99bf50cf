"""A ManageSieve server on loopback that keeps scripts as it should, or says exactly what a test wants."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from bascule.hosts.login import Endpoint, Login
from bascule.sieve.managesieve import ManageSieve, connected

CAPABILITIES = b'"IMPLEMENTATION" "x"\r\n"VERSION" "1.0"\r\n"SASL" "PLAIN"\r\n"SIEVE" "fileinto copy"\r\nOK "ready"\r\n'
MARIE = Login("marie*admin", "s3cret")
LITERAL = re.compile(rb"\{(\d+)\+\}\r\n$")


@dataclass
class ScriptedServer:
    """`says`: the raw answer to a command, once or each time. `changes`: what becomes of any answer on its way."""

    scripts: dict[bytes, bytes] = field(default_factory=dict)
    active: bytes = b""
    says: dict[str, bytes] = field(default_factory=dict)
    greeting: bytes = CAPABILITIES
    after_login: bytes = b""
    has_noop: bool = True
    changes: Callable[[str, bytes], bytes] = lambda command, answer: answer
    heard: list[tuple[str, list[bytes]]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    port: int = 0

    def endpoint(self, security: str = "plain") -> Endpoint:
        return Endpoint("127.0.0.1", self.port, security, timeout=5.0)  # type: ignore[arg-type]

    def connected(self, login: Login = MARIE) -> contextlib.AbstractContextManager[ManageSieve]:
        return connected(self.endpoint(), login)

    @contextlib.contextmanager
    def running(self) -> Iterator["ScriptedServer"]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
            yield self
            listening.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(listening.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader, contextlib.suppress(OSError, ValueError):
            connection.sendall(self.changes("GREETING", self.greeting))
            while (command := self._command(reader)) is not None:
                word, arguments = command
                self.heard.append(command)
                answer = self.changes(word, self.says.get(word) or self._answer(word, arguments))
                connection.sendall(answer)
                if word == "LOGOUT" or b"BYE" in answer[:4] or answer == b"":
                    return

    def _command(self, reader: BinaryIO) -> tuple[str, list[bytes]] | None:
        line = reader.readline()
        self.raw += line
        words = line
        while found := LITERAL.search(words):
            data = reader.read(int(found[1]))
            more = reader.readline()
            self.raw += data + more
            words = words[: found.start()] + b'"' + re.sub(rb'(["\\])', rb"\\\1", data) + b'"' + more
        if not line:
            return None
        strings = [
            re.sub(rb"\\(.)", rb"\1", one, flags=re.S) for one in re.findall(rb'"((?:[^"\\]|\\.)*)"', words, re.S)
        ]
        return words.split(b" ")[0].strip().decode().upper(), strings

    def _answer(self, word: str, arguments: list[bytes]) -> bytes:
        name = arguments[0] if arguments else b""
        match word:
            case "AUTHENTICATE":
                return b'OK "in"\r\n' + self.after_login
            case "NOOP" if self.has_noop:
                return b'OK (TAG "%s") "done"\r\n' % name
            case "CAPABILITY":
                return CAPABILITIES
            case "LISTSCRIPTS":
                lines = (b'"%s"%s\r\n' % (each, b" ACTIVE" * (each == self.active)) for each in self.scripts)
                return b"".join(lines) + b"OK\r\n"
            case "GETSCRIPT" if name in self.scripts:
                return b"{%d}\r\n%s\r\nOK\r\n" % (len(self.scripts[name]), self.scripts[name])
            case "PUTSCRIPT":
                self.scripts[name] = arguments[1]
                return b"OK\r\n"
            case "SETACTIVE":
                self.active = name
                return b"OK\r\n"
            case "CHECKSCRIPT" | "HAVESPACE" | "LOGOUT" | "DELETESCRIPT":
                return b"OK\r\n"
        return b'NO (NONEXISTENT) "no"\r\n'
