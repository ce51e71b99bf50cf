"""A ManageSieve client (RFC 5804): what `sync` needs of it, with errors and warnings as the server words them.

Written here because the two clients on PyPI can't do it: managesieve 0.8.1 has no CHECKSCRIPT and no authorization
identity; sievelib 1.6.0 drops the text of an OK answer (where the warnings stand), rewrites line ends, and takes a
script's line that begins with "OK" for the server's answer.
"""

import base64
import contextlib
import functools
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from bascule.access import AccessError, Endpoint, Login

LARGEST_LITERAL = 64 << 20  # bytes; more is a broken or hostile server
LONGEST_LINE = 64 << 10


class ManageSieveError(AccessError):
    """Raised when the server can't be reached, breaks the protocol, or refuses the connection or the login."""


class Refused(ManageSieveError):
    """Raised when the server answers NO to a command; `code` is its response code, such as QUOTA or NONEXISTENT."""

    def __init__(self, command: str, answer: "Answer") -> None:
        self.code, self.words = answer.code, answer.words
        super().__init__(f"the server refuses {command}: {answer.words or answer.code or 'no reason given'}")


@dataclass(frozen=True)
class Answer:
    """One answer: `ok` or not, the response code's first word, the server's words, and the data lines before it."""

    ok: bool
    code: str
    words: str
    data: list[list[bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """What the server's compiler says of a script: accepted or not, its errors or its warnings, in its own words."""

    accepted: bool
    words: str

    @property
    def warnings(self) -> list[str]:
        """The compiler's warnings without the line's number and the script's name: what is compared between two
        scripts."""
        return warnings_in(self.words) if self.accepted else []


_PLACE = re.compile(r"^.*?: line \d+: warning: |^line \d+: warning: ")


def warnings_in(words: str) -> list[str]:
    """The sentences of the compiler's warnings, without where they stand."""
    lines = [line.strip() for line in words.splitlines()]
    return [_PLACE.sub("", line) for line in lines if "warning: " in line]


class ManageSieve:
    """One authenticated connection. Use it through `connected`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.capabilities: dict[str, str] = {}
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None
        self._asked = False  # the capabilities, after the login

    def open(self, login: Login) -> None:
        """Connect, secure the connection as the endpoint says (certificates are checked), and log in."""
        try:
            self._use(socket.create_connection((self.endpoint.host, self.endpoint.port), self.endpoint.timeout))
            if self.endpoint.security == "tls":
                self._secure()
            self._read_capabilities(self._answer())
            if self.endpoint.security == "starttls":
                self._start_tls()
            self._authenticate(login)
        except (OSError, ManageSieveError) as error:
            self.close()
            if isinstance(error, ManageSieveError):
                raise
            raise ManageSieveError(f"{self._where()} can't be reached by ManageSieve: {error}") from error

    def close(self) -> None:
        """Say goodbye and close; never raises."""
        with contextlib.suppress(OSError, ManageSieveError):
            if self._reader is not None:
                self._send(b"LOGOUT")
                self._answer()
        self._drop()

    def _drop(self) -> None:
        for thing in (self._reader, self._socket):
            with contextlib.suppress(OSError):
                if thing is not None:
                    thing.close()
        self._reader = self._socket = None

    @property
    def extensions(self) -> frozenset[str]:
        """The Sieve extensions that the server offers to this account."""
        return frozenset(self._offered().get("SIEVE", "").split())

    @property
    def redirects(self) -> int | None:
        """To how many addresses the server lets one script send a message (RFC 5804 section 1.7); None: it says
        nothing."""
        said = self._offered().get("MAXREDIRECTS", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None

    def _offered(self) -> dict[str, str]:
        """The capabilities for this account, which a server may say only after the login."""
        if not self._asked:
            self._read_capabilities(self._command("CAPABILITY"))
            self._asked = True
        return self.capabilities

    def scripts(self) -> dict[str, bool]:
        """Each script's name, and whether it is the active one."""
        lines = self._command("LISTSCRIPTS").data
        return {_text(line[0]): len(line) > 1 and line[1].upper() == b"ACTIVE" for line in lines if line}

    def get(self, name: str) -> bytes:
        """One script, byte for byte."""
        data = self._command("GETSCRIPT", _string(name)).data
        return data[0][0] if data and data[0] else b""

    def check(self, script: bytes) -> Verdict:
        """Have the server compile a script without storing it."""
        return self._verdict("CHECKSCRIPT", _literal(script))

    def put(self, name: str, script: bytes) -> Verdict:
        """Store a script; an error of the compiler is a verdict, anything else (quota, name) raises Refused."""
        return self._verdict("PUTSCRIPT", _string(name), _literal(script))

    def set_active(self, name: str) -> None:
        """Make one script the active one; with "" none is."""
        self._command("SETACTIVE", _string(name))

    def delete(self, name: str) -> None:
        """Delete a script that is not active."""
        self._command("DELETESCRIPT", _string(name))

    def _verdict(self, command: str, *arguments: bytes) -> Verdict:
        self._send(b" ".join((command.encode(), *arguments)))
        answer = self._answer()
        if not answer.ok and answer.code not in ("", "WARNINGS"):
            raise Refused(command, answer)
        return Verdict(answer.ok, answer.words)

    def _command(self, command: str, *arguments: bytes) -> Answer:
        self._send(b" ".join((command.encode(), *arguments)))
        answer = self._answer()
        if not answer.ok:
            raise Refused(command, answer)
        return answer

    def _start_tls(self) -> None:
        if "STARTTLS" not in self.capabilities:
            raise ManageSieveError(f"{self._where()} offers no STARTTLS; the login is not sent in the clear")
        self._command("STARTTLS")
        self._secure()
        # RFC 5804 section 2.2: what was said before is forgotten, the server says it again.
        self._read_capabilities(self._answer())

    def _secure(self) -> None:
        context = _tls(self.endpoint.ca_file)
        assert self._socket is not None
        self._use(context.wrap_socket(self._socket, server_hostname=self.endpoint.host))

    def _authenticate(self, login: Login) -> None:
        message = "\0".join((login.authorize_as or "", login.user, login.password)).encode()
        self._send(b'AUTHENTICATE "PLAIN" ' + _literal(base64.b64encode(message)))
        answer = self._answer()
        if not answer.ok:
            whom = f" for {login.authorize_as}" if login.authorize_as else ""
            raise ManageSieveError(
                f"{self._where()} refuses the login of {login.user}{whom}: {answer.words or answer.code}"
            )

    def _read_capabilities(self, answer: Answer) -> None:
        if not answer.ok:
            raise ManageSieveError(f"{self._where()} turns the connection away: {answer.words or answer.code}")
        self.capabilities = {
            _text(line[0]).upper(): _text(line[1]) if len(line) > 1 else "" for line in answer.data if line
        }

    def _use(self, connection: socket.socket) -> None:
        if self._reader is not None:
            self._reader.close()
        self._socket = connection
        self._reader = connection.makefile("rb")

    def _send(self, command: bytes) -> None:
        if self._socket is None:
            raise ManageSieveError(f"the connection to {self._where()} is closed")
        try:
            self._socket.sendall(command + b"\r\n")
        except OSError as error:
            self._drop()
            raise ManageSieveError(f"the connection to {self._where()} broke: {error}") from error

    def _answer(self) -> Answer:
        """Lines of data until the line of OK, NO or BYE (RFC 5804 section 4)."""
        data: list[list[bytes]] = []
        while True:
            words = list(self._line())
            first = words[0] if words else None
            if isinstance(first, str) and first.upper() in ("OK", "NO", "BYE"):
                return self._finish(first.upper(), words[1:], data)
            data.append([word.encode() if isinstance(word, str) else word for word in words])

    def _finish(self, kind: str, rest: list[bytes | str], data: list[list[bytes]]) -> Answer:
        code, words = "", ""
        for word in rest:
            if isinstance(word, str):
                code = code or word.strip("()").split(" ")[0].upper()
            else:
                words = _text(word)
        if kind == "BYE":
            self._drop()
            raise ManageSieveError(f"{self._where()} ends the connection: {words or code or 'without a reason'}")
        return Answer(kind == "OK", code, words, data)

    def _line(self) -> Iterator[bytes | str]:
        """The words of one logical line: strings (quoted or literal) as bytes, atoms and "(codes)" as text."""
        line = self._read_line()
        while True:
            line = line.lstrip(b" ")
            if not line:
                return
            if literal := _LITERAL.fullmatch(line):
                yield self._read(int(literal[1]))
                line = self._read_line()
            elif quoted := _QUOTED.match(line):
                yield _UNESCAPE.sub(rb"\1", quoted[1])
                line = line[quoted.end() :]
            elif atom := _ATOM.match(line):
                yield _text(atom[0])
                line = line[atom.end() :]
            else:
                raise ManageSieveError(f"{self._where()} says what is not ManageSieve: {_text(line[:80])!r}")

    def _read_line(self) -> bytes:
        try:
            line = self._reader.readline(LONGEST_LINE) if self._reader else b""
        except OSError as error:
            self._drop()
            raise ManageSieveError(f"the connection to {self._where()} broke: {error}") from error
        if not line.endswith(b"\n"):
            self._drop()
            raise ManageSieveError(f"{self._where()} closed the connection in the middle of an answer")
        return line.rstrip(b"\r\n")

    def _read(self, size: int) -> bytes:
        if size > LARGEST_LITERAL:
            raise ManageSieveError(f"{self._where()} announces {size} bytes; no script is that long")
        try:
            data = self._reader.read(size) if self._reader else b""
        except OSError as error:
            self._drop()
            raise ManageSieveError(f"the connection to {self._where()} broke: {error}") from error
        if len(data) < size:
            self._drop()
            raise ManageSieveError(f"{self._where()} closed the connection in the middle of a script")
        return data

    def _where(self) -> str:
        return f"{self.endpoint.host}:{self.endpoint.port}"


@functools.cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """Made once for all accounts: reading the certificates costs more than a whole login."""
    return ssl.create_default_context(cafile=ca_file)


_LITERAL = re.compile(rb"\{(\d{1,18})\+?\}")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_UNESCAPE = re.compile(rb"\\(.)")
# An atom, or a response code in parentheses, whose own strings may hold parentheses.
_ATOM = re.compile(rb'\((?:[^()"]|"(?:[^"\\]|\\.)*")*\)|[^\s"(){}]+')


@contextlib.contextmanager
def connected(endpoint: Endpoint, login: Login) -> Iterator[ManageSieve]:
    """An open connection, closed at the end. Raises ManageSieveError."""
    client = ManageSieve(endpoint)
    client.open(login)
    try:
        yield client
    finally:
        client.close()


def _literal(data: bytes) -> bytes:
    return b"{%d+}\r\n%s" % (len(data), data)


def _string(text: str) -> bytes:
    """A script's name: quoted where that is simple, else a literal (which needs no escaping)."""
    data = text.encode()
    simple = len(data) < 512 and not re.search(rb'["\\\x00-\x1f\x7f]', data)
    return b'"%s"' % data if simple else _literal(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
