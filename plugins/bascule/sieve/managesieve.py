"""A ManageSieve client (RFC 5804): what `sync` needs of it, with errors and warnings as the server words them.

Written here because the two clients on PyPI can't do it: managesieve 0.8.1 has no CHECKSCRIPT and no authorization
identity; sievelib 1.6.0 drops the text of an OK answer (where the warnings stand), rewrites line ends, and takes a
script's line that begins with "OK" for the server's answer.
"""

import base64
import contextlib
import itertools
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from bascule.hosts import tls
from bascule.hosts.login import Endpoint, Login
from bascule.sieve.managesieve_answers import LONGEST_LINE, Answer, AnswerReader, Line, ManageSieveError, text
from bascule.text.reason import reason

ANY_SERVER_TAKES = 8 << 10  # octets of a script
MOST_ANSWERS = 5  # to one command, with capabilities that nobody asked for


class Refused(ManageSieveError):
    """Raised when the server answers NO to a command; `code` is its response code, such as QUOTA or NONEXISTENT."""

    def __init__(self, command: str, answer: Answer) -> None:
        self.code, self.words = answer.code, answer.words
        super().__init__(f"the server refuses {command}: {answer.words or answer.code or 'no reason given'}")


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
    """One authenticated connection. Use it through `connected`.

    Every command is followed by one whose answer is known beforehand (NOOP with a tag; CAPABILITY where there is none),
    so that no answer is ever taken for another command's: servers say capabilities that nobody asked for, or one thing
    twice.
    """

    procmail = None  # no script here is a procmailrc

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.capabilities: dict[str, str] = {}
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None
        self._login: Login | None = None
        self._tags = itertools.count(1)
        self._has_noop = False
        self._names: dict[str, bytes] = {}  # scripts' names as the server has written them
        self._answers = AnswerReader(self._read_line, self._read, self._where)

    def open(self, login: Login) -> None:
        """Connect, secure the connection as the endpoint says (certificates are checked), and log in."""
        self._login = login
        try:
            self._use(socket.create_connection((self.endpoint.host, self.endpoint.port), self.endpoint.timeout))
            if self.endpoint.security == "tls":
                self._secure()
            self._read_capabilities(self._answer())
            if self.endpoint.security == "starttls":
                self._start_tls()
            self._authenticate(login)
            self._get_in_step()
        except (OSError, ManageSieveError) as error:
            self.close()
            if isinstance(error, ManageSieveError):
                raise
            raise ManageSieveError(f"{self._where} can't be reached by ManageSieve: {reason(error)}") from error

    def reopen(self) -> None:
        """Once more, after the connection broke."""
        self.close()
        if self._login is not None:
            self.open(self._login)

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
        return frozenset(self.capabilities.get("SIEVE", "").split())

    @property
    def redirects(self) -> int | None:
        """To how many addresses the server lets one script send a message (RFC 5804 section 1.7); None: it says
        nothing."""
        said = self.capabilities.get("MAXREDIRECTS", "")
        return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None

    @property
    def notify_methods(self) -> frozenset[str] | None:
        """By what the server can notify, as schemes of URIs (RFC 5804 section 1.7); None: it says nothing."""
        said = self.capabilities.get("NOTIFY")
        return None if said is None else frozenset(said.lower().split())

    @property
    def modified_utf7(self) -> bool | None:
        """Whether the server reads folders' names in scripts as modified UTF-7: Cyrus does, Pigeonhole doesn't."""
        name = self.capabilities.get("IMPLEMENTATION", "").lower()
        return next((reads for word, reads in (("pigeonhole", False), ("cyrus", True)) if word in name), None)

    def scripts(self) -> dict[str, bool]:
        """Each script's name, and whether it is the active one. Octets that are not UTF-8 are written out.

        A name that the server can't write down (Cyrus escapes no quotes) is the nearest that it may be.
        """
        found: dict[str, bool] = {}
        for line in self._command("LISTSCRIPTS").data:
            name, active = _listed(line)
            self._names[text(name)] = name
            found[text(name)] = active
        if sum(found.values()) > 1:
            raise ManageSieveError(f"{self._where} lists more than one active script")
        return found

    def get(self, name: str) -> bytes:
        """One script, byte for byte."""
        data = self._command("GETSCRIPT", self._string(name)).data
        if len(data) != 1 or data[0].strings is None or len(data[0].strings) != 1:
            raise ManageSieveError(f"{self._where} gives no script where {name!r} was asked for")
        return data[0].strings[0]

    def check(self, script: bytes) -> Verdict:
        """Have the server compile a script without storing it."""
        self._have_space("bascule", script)
        return self._verdict("CHECKSCRIPT", _literal(script))

    def put(self, name: str, script: bytes) -> Verdict:
        """Store a script; an error of the compiler is a verdict, anything else (quota, name) raises Refused."""
        self._have_space(name, script)
        return self._verdict("PUTSCRIPT", self._string(name), _literal(script))

    def set_active(self, name: str) -> None:
        """Make one script the active one; with "" none is."""
        self._command("SETACTIVE", self._string(name))

    def delete(self, name: str) -> None:
        """Delete a script that is not active."""
        self._command("DELETESCRIPT", self._string(name))

    def _have_space(self, name: str, script: bytes) -> None:
        """Cyrus does not read a literal that is too long for it, and takes its lines for commands."""
        if len(script) > ANY_SERVER_TAKES:
            self._command("HAVESPACE", self._string(name), b"%d" % len(script))

    def _verdict(self, command: str, *arguments: bytes) -> Verdict:
        answer = self._ask(command, *arguments)
        if not answer.ok and answer.code not in ("", "WARNINGS"):
            raise Refused(command, answer)
        return Verdict(answer.ok, answer.words)

    def _command(self, command: str, *arguments: bytes) -> Answer:
        answer = self._ask(command, *arguments)
        if not answer.ok:
            raise Refused(command, answer)
        return answer

    def _ask(self, command: str, *arguments: bytes) -> Answer:
        """The one answer that stands before the marker's."""
        tag = b"bascule-%d" % next(self._tags)
        marker = b'NOOP "%s"' % tag if self._has_noop else b"CAPABILITY"
        self._send(b" ".join((command.encode(), *arguments)) + b"\r\n" + marker)
        answers: list[Answer] = []
        for _ in range(MOST_ANSWERS):
            answer = self._answer()
            if self._has_noop and answer.code == "TAG" and answer.arguments == (tag,):
                break
            if answer.capabilities is None:
                answers.append(answer)
                continue
            self.capabilities = answer.capabilities
            if answers and not self._has_noop:
                break
        if len(answers) != 1:
            self._drop()
            raise ManageSieveError(f"{self._where} gives {len(answers)} answers to {command}: none can be trusted")
        return answers[0]

    def _get_in_step(self) -> None:
        """Pass over what a server says after the login unasked (RFC 5804 section 2.1), and read what it can do now."""
        self._send(b'NOOP "bascule"\r\nCAPABILITY')
        answered = False
        for _ in range(MOST_ANSWERS):
            answer = self._answer()
            if answer.capabilities is None:
                self._has_noop |= answer.code == "TAG" and answer.arguments == (b"bascule",)
                answered |= self._has_noop or not answer.ok  # those that know no NOOP refuse it
                continue
            self.capabilities = answer.capabilities
            if answered:
                return
        self._drop()
        raise ManageSieveError(f"{self._where} does not say what it can do, as every ManageSieve server must")

    def _start_tls(self) -> None:
        if "STARTTLS" not in self.capabilities:
            raise ManageSieveError(f"{self._where} offers no STARTTLS; the login is not sent in the clear")
        self._send(b"STARTTLS")
        if not (answer := self._answer()).ok:
            raise Refused("STARTTLS", answer)
        self._secure()
        # RFC 5804 section 2.2: what was said before is forgotten, the server says it again.
        self._read_capabilities(self._answer())

    def _secure(self) -> None:
        context = tls.context(self.endpoint.ca_file)
        assert self._socket is not None
        self._use(context.wrap_socket(self._socket, server_hostname=self.endpoint.host))

    def _authenticate(self, login: Login) -> None:
        message = "\0".join((login.authorize_as or "", login.user, login.password)).encode("utf-8", "surrogateescape")
        self._send(b'AUTHENTICATE "PLAIN" ' + _literal(base64.b64encode(message)))
        answer = self._answer()
        if not answer.ok:
            whom = f" for {login.authorize_as}" if login.authorize_as else ""
            raise ManageSieveError(
                f"{self._where} refuses the login of {login.user}{whom}: {answer.words or answer.code}"
            )

    def _read_capabilities(self, answer: Answer) -> None:
        if not answer.ok:
            raise ManageSieveError(f"{self._where} turns the connection away: {answer.words or answer.code}")
        if answer.capabilities is None:
            raise ManageSieveError(f"{self._where} does not say what it can do, as every ManageSieve server must")
        self.capabilities = answer.capabilities

    def _use(self, connection: socket.socket) -> None:
        if self._reader is not None:
            self._reader.close()
        self._socket = connection
        self._reader = connection.makefile("rb")

    def _send(self, command: bytes) -> None:
        if self._socket is None:
            raise ManageSieveError(f"the connection to {self._where} is closed")
        try:
            self._socket.sendall(command + b"\r\n")
        except OSError as error:
            self._drop()
            raise ManageSieveError(f"the connection to {self._where} broke: {reason(error)}") from error

    def _answer(self) -> Answer:
        answer = self._answers.answer()
        if answer.kind == "BYE":
            self._drop()
            reason = answer.words or answer.code or "without a reason"
            raise ManageSieveError(f"{self._where} ends the connection: {reason}")
        return answer

    def _read_line(self) -> bytes:
        line = self._received(lambda reader: reader.readline(LONGEST_LINE))
        if not line.endswith(b"\n"):
            self._drop()
            raise ManageSieveError(f"{self._where} closed the connection in the middle of an answer")
        return line.rstrip(b"\r\n")

    def _read(self, size: int) -> bytes:
        data = self._received(lambda reader: reader.read(size))
        if len(data) < size:
            self._drop()
            raise ManageSieveError(f"{self._where} closed the connection in the middle of a script")
        return data

    def _received(self, read: Callable[[BinaryIO], bytes]) -> bytes:
        try:
            return read(self._reader) if self._reader else b""
        except OSError as error:
            self._drop()
            raise ManageSieveError(f"the connection to {self._where} broke: {reason(error)}") from error

    def _string(self, name: str) -> bytes:
        """A script's name: quoted where that is simple, else a literal.

        A literal needs no escaping; and Cyrus takes no quoted é, and then the script's lines for commands.
        """
        data = self._names.get(name, name.encode("utf-8", "surrogateescape"))
        simple = len(data) < 512 and not re.search(rb'["\\\x00-\x1f\x7f-\xff]', data)
        return b'"%s"' % data if simple else _literal(data)

    @property
    def _where(self) -> str:
        return f"{self.endpoint.host}:{self.endpoint.port}"


_ACTIVE = re.compile(rb"\s+ACTIVE\s*$", re.IGNORECASE)


def _listed(line: Line) -> tuple[bytes, bool]:
    """A name of LISTSCRIPTS, and whether it is the active script's (RFC 5804 section 2.7)."""
    words = line.words or ()
    wrongly_escaped = re.match(rb'"(?:[^"\\]|\\["\\])*\\[^"\\]', line.raw)
    if words and isinstance(words[0], bytes) and (len(words) == 1 or _is_active(words)) and not wrongly_escaped:
        return words[0], len(words) == 2
    bare = _ACTIVE.sub(b"", line.raw).strip()
    name = bare[1:-1] if len(bare) > 1 and bare[:1] == bare[-1:] == b'"' else bare
    return name, _ACTIVE.search(line.raw) is not None


def _is_active(words: tuple[bytes | str, ...]) -> bool:
    return len(words) == 2 and isinstance(words[1], str) and words[1].upper() == "ACTIVE"


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
