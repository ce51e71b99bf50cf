"""What no server at hand does by itself: a relay that rewrites, loses or cuts, and a server that answers by a script.

    with relayed(server.port, answers=replaced(rb"RFC822.SIZE (\\d+)", rb"RFC822.SIZE 1")) as port: ...
    with relayed(server.port, whole=without_body(7)) as port: ...
    with relayed(server.port, literals=cut_at(b"poison")) as port: ...

`answers` and `commands` see each line of the server and of the client (without the literals between them), `whole` each
whole response with its literals, `literals` each whole literal of the client. They return what is passed on instead,
b"" for nothing. Raising `Cut` ends both connections. `Faults` counts whole commands over all relays that share it, and
cuts after the n-th one: executed, its answer lost.
"""

import contextlib
import io
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

Rewrite = Callable[[bytes], bytes]
Pairs = Sequence[tuple[bytes, bytes]]

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r?\n\Z")


class Cut(Exception):
    """Raised by a rewriting function: the connections end here. `last`: what the client still gets."""

    def __init__(self, last: bytes = b"") -> None:
        super().__init__("cut")
        self.last = last


class Faults:
    """When to cut: after the `cut_after`-th command from now (None: never). `count`: commands seen."""

    def __init__(self) -> None:
        self.count = 0
        self.cut_after: int | None = None
        self.lock = threading.Lock()

    def arm(self, cut_after: int | None) -> None:
        with self.lock:
            self.count, self.cut_after = 0, cut_after

    def command(self) -> bool:
        """One more command was sent whole; True when its connection is to be cut."""
        with self.lock:
            self.count += 1
            if self.cut_after is not None and self.count == self.cut_after:
                self.cut_after = None
                return True
            return False


@contextlib.contextmanager
def relayed(
    port: int,
    *,
    answers: Rewrite | None = None,
    whole: Rewrite | None = None,
    commands: Rewrite | None = None,
    literals: Rewrite | None = None,
    faults: Faults | None = None,
) -> Iterator[int]:
    """A relay to a port of loopback; gives its own port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    _Connection(client, port, answers, whole, commands, literals, faults).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


class _Connection:
    def __init__(
        self, client: socket.socket, port: int, answers: Rewrite | None, whole: Rewrite | None,
        commands: Rewrite | None, literals: Rewrite | None, faults: Faults | None,
    ) -> None:  # fmt: skip
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", port))
        for end in (client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers, self.whole, self.commands, self.literals, self.faults = answers, whole, commands, literals, faults
        self.cut_tag: bytes | None = None
        self.asking: bytes | None = None  # the tag of a command that waits for the server to agree to its literal
        self.agreed: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.compressed_after: bytes | None = None  # the tag of the command

    def start(self) -> None:
        for run in (self._commands, self._answers):
            threading.Thread(target=self._until_cut, args=(run,), daemon=True).start()

    def _until_cut(self, run: Callable[[], None]) -> None:
        try:
            run()
        except Cut as cut:
            with contextlib.suppress(OSError):
                self.client.sendall(cut.last)
        except OSError:
            pass
        self.agreed.put(False)
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _commands(self) -> None:
        lines, tag = self.client.makefile("rb", 262_144), b""
        while line := lines.readline():
            if b" COMPRESS " in line:  # no lines come after it
                self.compressed_after = line.split(b" ", 1)[0]
                self.server.sendall(self.commands(line) if self.commands else line)
                _stream_on(lines, self.server, self.commands)
                return
            tag = tag or line.split(b" ", 1)[0]
            said = self.commands(line) if self.commands else line
            size = _LITERAL.search(line)
            if size is None and self.faults is not None and self.faults.command():
                self.cut_tag = tag  # the other thread cuts when its answer comes
            asks = size is not None and not size[2]
            self.asking = tag if asks else None
            self.server.sendall(said)
            if size is None or (asks and not self.agreed.get()):
                tag = b""
            elif self.literals:
                self.server.sendall(self.literals(lines.read(int(size[1]))))
            else:
                _stream(lines, self.server, int(size[1]))

    def _answers(self) -> None:
        lines = self.server.makefile("rb", 262_144)
        while line := lines.readline():
            if self.cut_tag is not None and line.startswith(self.cut_tag + b" "):
                return
            if self.compressed_after is not None and line.startswith(self.compressed_after + b" "):
                self.client.sendall(line)
                _stream_on(lines, self.client)
                return
            if self.asking is not None and line.startswith((b"+", self.asking + b" ")):
                self.asking = None
                self.agreed.put(line.startswith(b"+"))
            if self.whole:
                self.client.sendall(self._held(lines, line))
                continue
            self.client.sendall(self.answers(line) if self.answers else line)
            while size := _LITERAL.search(line):
                _stream(lines, self.client, int(size[1]))
                line = lines.readline()
                self.client.sendall(self.answers(line) if self.answers else line)

    def _held(self, lines: "io.BufferedReader", line: bytes) -> bytes:
        response = line
        while size := _LITERAL.search(line):
            response += lines.read(int(size[1]))
            response += (line := lines.readline())
        assert self.whole is not None
        return self.whole(response)


def _stream_on(source: "io.BufferedReader", target: socket.socket, rewrite: Rewrite | None = None) -> None:
    while data := source.read1(65_536):
        target.sendall(rewrite(data) if rewrite else data)


def _stream(source: "io.BufferedReader", target: socket.socket, size: int) -> None:
    while size:
        data = source.read(min(size, 262_144))
        if not data:
            raise OSError
        size -= len(data)
        target.sendall(data)


# -- what is often rewritten


def replaced(pattern: bytes, by: bytes | Callable[["re.Match[bytes]"], bytes]) -> Rewrite:
    """Every match of a regular expression."""
    compiled = re.compile(pattern)
    return lambda line: compiled.sub(by, line)


def one_after_another(*rewrites: Rewrite) -> Rewrite:
    """All of these."""

    def rewrite(text: bytes) -> bytes:
        for each in rewrites:
            text = each(text)
        return text

    return rewrite


def answered(command: bytes, answer: bytes) -> dict[str, Rewrite]:
    """Commands that match this are not carried out, and answered so. For `relayed(port, **answered(...))`."""
    begins, tags = re.compile(rb"(B\d+) (?i:" + command + rb")"), set[bytes]()

    def commands(line: bytes) -> bytes:
        found = begins.match(line)
        if found is None:
            return line
        tags.add(found[1])
        # A server refuses at once to append to a folder that is not there, and takes no literal.
        elsewhere = re.sub(rb'^(B\d+ APPEND )("[^"]*"|\S+)', rb'\1"no such folder"', line)
        return elsewhere if elsewhere != line else found[1] + b" NOOP\r\n"

    def answers(line: bytes) -> bytes:
        tag = line.split(b" ", 1)[0]
        if tag not in tags:
            return line
        tags.discard(tag)
        return tag + b" " + answer + b"\r\n"

    return {"commands": commands, "answers": answers}


def before(pattern: bytes, more: bytes, *, times: int = 10**9) -> Rewrite:
    """Before each line that matches, so often at most, the server says more."""
    compiled, left = re.compile(pattern), [times]

    def rewrite(line: bytes) -> bytes:
        if not compiled.search(line) or left[0] <= 0:
            return line
        left[0] -= 1
        return more + line

    return rewrite


def cut_at(octets: bytes, *, times: int = 10**9, last: bytes = b"") -> Rewrite:
    """The connections end as soon as these octets have come; so often at most."""
    left = [times]

    def rewrite(text: bytes) -> bytes:
        if octets in text and left[0] > 0:
            left[0] -= 1
            raise Cut(last)
        return text

    return rewrite


@contextlib.contextmanager
def replacing(
    port: int, *, from_server: Pairs = (), to_server: Pairs = (), said: list[bytes] | None = None
) -> Iterator[int]:
    """A relay that replaces octets wherever they come, in literals too. `said` collects what clients send."""

    def swapped(text: bytes, pairs: Pairs) -> bytes:
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    def heard(text: bytes) -> bytes:
        if said is not None:
            said.append(text)
        return swapped(text, to_server)

    with relayed(port, whole=lambda text: swapped(text, from_server), commands=heard, literals=heard) as relay_port:
        yield relay_port


@contextlib.contextmanager
def relay(port: int, faults: Faults) -> Iterator[int]:
    """A relay that cuts when its faults say so."""
    with relayed(port, faults=faults) as relay_port:
        yield relay_port


# -- a server that is a script

Answer = Callable[[bytes], bytes]  # a command line -> what the server says
CAPABILITY = b"* CAPABILITY IMAP4rev1 LITERAL+ MULTIAPPEND UIDPLUS\r\n"


class Scripted:
    """A server that answers each line by a function, and remembers the lines."""

    def __init__(self, answer: Answer, greeting: bytes = b"* OK ready\r\n") -> None:
        self.lines: list[bytes] = []
        self._answer, self._greeting = answer, greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            with client, client.makefile("rb") as lines:
                client.sendall(self._greeting)
                for line in lines:
                    self.lines.append(line)
                    client.sendall(self._answer(line))

    def close(self) -> None:
        self._listener.close()


def polite(line: bytes) -> bytes:
    """OK to everything."""
    tag, _, rest = line.partition(b" ")
    return (CAPABILITY if rest.startswith(b"CAPABILITY") else b"") + tag + b" OK done\r\n"


def after_login(answer: Answer) -> Answer:
    """Polite until the login is over."""

    def reply(line: bytes) -> bytes:
        verb = line.split(b" ")[1].strip()
        return polite(line) if verb in (b"CAPABILITY", b"LOGIN") else answer(line)

    return reply
