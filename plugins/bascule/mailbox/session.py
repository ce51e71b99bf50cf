"""One IMAP session: login, capabilities, commands that may be pipelined, and what every part of the engine asks."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bascule.logs import get_logger
from bascule.mailbox import names
from bascule.mailbox.errors import (
    ClosedByServer,
    LoginBroken,
    LoginRefused,
    MailboxFailed,
    NotUnderstood,
    ProtocolError,
    Refused,
    TransientError,
)
from bascule.mailbox.parse import Status, parse_status, parse_tagged, read_response
from bascule.mailbox.server import Server
from bascule.mailbox.wire import Wire

log = get_logger(__name__)

Handler = Callable[[bytes], None]
_NUMBER = re.compile(rb"\d+")


@dataclass
class Pending:
    """A command that was sent: what it was (for messages), its answer when there is one, what came before it."""

    tag: bytes
    shown: str
    handler: Handler | None
    status: Status | None = None
    responses: list[list[Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Selected:
    """What SELECT or EXAMINE says of a folder. `modseq` is 0 where the server keeps none."""

    name: bytes
    uidvalidity: int
    uidnext: int
    modseq: int
    messages: int
    keywords: bool  # new keywords can be made


class Session:
    """A logged-in connection. Not safe in threads: one lane owns it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.capabilities: set[str] = set()
        self.selected: Selected | None = None
        self.selected_writable = False
        self._queue: list[Pending] = []
        self._count = 0
        self._continued = False
        self.wire = Wire(server.endpoint)
        try:
            self._greet()
            self._login()
            self._enable()
        except BaseException:
            self.wire.close()
            raise

    # -- commands

    def begin(self, *parts: bytes | names.Literal, handler: Handler | None = None, shown: str = "") -> Pending:
        """Send a command without waiting for its answer. Literals are synchronising: the server agrees to each."""
        self._count += 1
        tag = b"B%d" % self._count
        pending = Pending(tag, shown or _shown(parts), handler)
        self._queue.append(pending)
        self.wire.write(tag)
        for part in parts:
            if isinstance(part, names.Literal):
                if not self._agree(pending, len(part.data), b"~" if part.binary else b""):
                    return pending
                self.wire.write(part.data)
            else:
                self.wire.write(part if part == b")" else b" " + part)
        self.wire.write(b"\r\n")
        return pending

    def finish(self, pending: Pending) -> Pending:
        """Wait for the answer. Raises Refused on NO, NotUnderstood on BAD."""
        self.wire.flush()
        while pending.status is None:
            self.pump()
        if pending.status.kind == "NO":
            raise Refused(pending.shown, pending.status.words, pending.status.code)
        if pending.status.kind == "BAD":
            raise NotUnderstood(
                f"{self.server.endpoint.host} did not understand {pending.shown}: {pending.status.words}"
            )
        return pending

    def run(self, *parts: bytes | names.Literal, handler: Handler | None = None, shown: str = "") -> Pending:
        """Send a command and wait for its answer."""
        return self.finish(self.begin(*parts, handler=handler, shown=shown))

    def _agree(self, pending: Pending, size: int, mark: bytes = b"") -> bool:
        self._continued = False
        self.wire.write(b" %s{%d}\r\n" % (mark, size))
        self.wire.flush()
        while not self._continued and pending.status is None:
            self.pump()
        return pending.status is None

    def begin_append(self, name: bytes | names.Literal) -> Pending:
        """Send the beginning of an APPEND; the caller writes the messages and the end of the line."""
        self._count += 1
        tag = b"B%d" % self._count
        pending = Pending(tag, "APPEND", None)
        self._queue.append(pending)
        self.wire.write(tag + b" APPEND")
        if isinstance(name, bytes):
            self.wire.write(b" " + name)
        elif self._agree(pending, len(name.data)):
            self.wire.write(name.data)
        return pending

    def agree(self, pending: Pending, size: int, head: bytes) -> bool:
        """Announce a synchronising literal after `head`; False when the server answers the command instead."""
        self.wire.write(head)
        return self._agree(pending, size)

    def pump(self) -> None:
        """Read one response and hand it to the oldest command that is not answered."""
        line = self.wire.read_line()
        if line.startswith(b"* "):
            self._untagged(line)
        elif line.startswith(b"+"):
            self._continued = True
        else:
            self._tagged(line)

    def _untagged(self, line: bytes) -> None:
        if line[2:5].upper() == b"BYE":
            self.wire.close()
            words = parse_status(b"BYE", line[6:]).words
            raise TransientError(f"{self.server.endpoint.host} says good-bye: {words}")
        oldest = self._queue[0] if self._queue else None
        if oldest is not None and oldest.handler is not None:
            oldest.handler(line)
        elif line[2:5].upper() in (b"OK ", b"NO ", b"BAD"):
            kind, _, text = line[2:].partition(b" ")
            status = parse_status(kind, text)
            if oldest is not None:
                oldest.responses.append([b"*", status])
        else:
            response = read_response(self.wire, line)
            if oldest is not None:
                oldest.responses.append(response)

    def _tagged(self, line: bytes) -> None:
        found = parse_tagged(line)
        pending = next((p for p in self._queue if found and p.tag == found[0]), None)
        if found is None or pending is None:
            self.wire.close()
            raise ProtocolError(f"{self.server.endpoint.host} sent a line that belongs to nothing: {line[:80]!r}")
        pending.status = found[1]
        self._queue.remove(pending)
        if found[1].kind == "BAD":
            # What the server made of the rest of the command is not known; see docs/engine.md, security.
            self.wire.close()

    def again(self) -> "Session":
        """A fresh session in place of this one."""
        self.wire.close()
        return Session(self.server)

    def close(self) -> None:
        """Say good-bye if the connection still stands."""
        if not self.wire.lost and not self._queue:
            try:
                self.wire.write(b"BZ LOGOUT\r\n")
                self.wire.flush()
            except TransientError:
                pass  # the server was faster: all that was asked has been answered, and the connection ends anyway
        self.wire.close()

    # -- beginning

    def _greet(self) -> None:
        line = self.wire.read_line()
        if line[2:5].upper() == b"BYE":
            raise TransientError(
                f"{self.server.endpoint.host} does not let us in: {parse_status(b'BYE', line[6:]).words}"
            )
        if line[2:4].upper() != b"OK" and line[2:9].upper() != b"PREAUTH":
            raise ProtocolError(
                f"{self.server.endpoint.host}:{self.server.endpoint.port} is no IMAP server: {line[:60]!r}"
            )
        if self.server.endpoint.security == "starttls":
            self.run(b"STARTTLS")
            self.wire.start_tls()
            self._ask_capabilities()
        elif not self._told_capabilities(parse_status(line[2:4], line[5:])):
            self._ask_capabilities()

    def _login(self) -> None:
        login = self.server.login
        if login.authorize_as and "AUTH=PLAIN" not in self.capabilities:
            raise MailboxFailed(
                f"{self.server.endpoint.host} has no AUTH=PLAIN, so that nobody can log in there on behalf of another"
            )
        try:
            if "AUTH=PLAIN" in self.capabilities:
                secret = "\0".join((login.authorize_as or "", login.user, login.password)).encode()
                done = self._authenticate_plain(base64.b64encode(secret))
            else:
                user, password = names.argument(login.user.encode()), names.argument(login.password.encode())
                done = self.run(b"LOGIN", user, password, shown="LOGIN")
        except Refused as error:
            if error.code in ("UNAVAILABLE", "INUSE", "LIMIT"):
                raise LoginBroken(self.server, error.words) from None
            raise LoginRefused(self.server, error.words, error.code) from None
        except ClosedByServer as error:
            raise LoginBroken(self.server, "it closes the connection and says nothing") from error
        if done.status is None or not self._told_capabilities(done.status):
            self._ask_capabilities()

    def _authenticate_plain(self, secret: bytes) -> Pending:
        if "SASL-IR" in self.capabilities:
            return self.run(b"AUTHENTICATE PLAIN " + secret, shown="AUTHENTICATE")
        self._continued = False
        pending = self.begin(b"AUTHENTICATE PLAIN", shown="AUTHENTICATE")
        self.wire.flush()
        while not self._continued and pending.status is None:
            self.pump()
        if pending.status is None:
            self.wire.write(secret + b"\r\n")
        return self.finish(pending)

    def _ask_capabilities(self) -> None:
        for response in self.run(b"CAPABILITY").responses:
            if response[1] == b"CAPABILITY":
                self._take_capabilities([value for value in response[2:] if isinstance(value, bytes)])

    def _told_capabilities(self, status: Status) -> bool:
        """Take the capabilities that come with a greeting or a login's OK (RFC 9051 7.1); False when there are none."""
        if status.code != "CAPABILITY":
            return False
        self._take_capabilities(status.arguments.split())
        return True

    def _take_capabilities(self, words: list[bytes]) -> None:
        told = {word.decode("ascii", "replace").upper() for word in words}
        self.capabilities = told - {name.upper() for name in self.server.without}

    def _enable(self) -> None:
        if self.server.compress and "COMPRESS=DEFLATE" in self.capabilities:
            self.run(b"COMPRESS DEFLATE")
            self.wire.start_compression()
        if "QRESYNC" in self.capabilities:
            self.begin(b"ENABLE QRESYNC")  # goes out with the next command
        elif "CONDSTORE" in self.capabilities and "ENABLE" in self.capabilities:
            self.begin(b"ENABLE CONDSTORE")

    # -- what every part asks

    def has(self, capability: str) -> bool:
        return capability in self.capabilities

    @property
    def literal_plus_limit(self) -> int:
        """How large a literal may be sent without asking (RFC 7888): LITERAL- allows 4096 bytes."""
        if self.has("LITERAL+"):
            return 2**63
        return 4096 if self.has("LITERAL-") or self.has("IMAP4REV2") else 0

    @property
    def keeps_modseq(self) -> bool:
        return self.has("CONDSTORE") or self.has("QRESYNC")

    def begin_select(self, raw: bytes, *, write: bool = False) -> Pending:
        self.selected = None
        return self.begin(b"SELECT" if write else b"EXAMINE", names.argument(raw))

    def finish_select(self, pending: Pending, raw: bytes, *, write: bool = False) -> Selected:
        self.finish(pending)
        told: dict[str, int] = {"UIDVALIDITY": 0, "UIDNEXT": 0, "HIGHESTMODSEQ": 0}
        messages, keywords = 0, True
        for response in pending.responses:
            if isinstance(response[1], Status):
                status = response[1]
                if status.code in told:
                    told[status.code] = number(status.arguments)
                if status.code == "PERMANENTFLAGS":
                    keywords = b"\\*" in status.arguments
            elif len(response) > 2 and isinstance(response[2], bytes) and response[2].upper() == b"EXISTS":
                messages = number(response[1])
        modseq = told["HIGHESTMODSEQ"] if self.keeps_modseq else 0
        self.selected = Selected(raw, told["UIDVALIDITY"], told["UIDNEXT"], modseq, messages, keywords)
        self.selected_writable = write
        return self.selected

    def select(self, raw: bytes, *, write: bool = False) -> Selected:
        """Select a folder; by default for reading only. Raises Refused."""
        return self.finish_select(self.begin_select(raw, write=write), raw, write=write)

    def leave_unless_writable(self, raw: bytes) -> None:
        """Before an APPEND: some servers (Courier) refuse it while the folder is selected for reading only."""
        if self.selected is None or self.selected.name != raw or self.selected_writable:
            return
        if self.has("UNSELECT"):
            self.selected = None
            self.begin(b"UNSELECT")
        else:
            self.select(raw, write=True)

    def begin_selected(self, raw: bytes, *, write: bool = False) -> Callable[[], Selected]:
        """Like `ensure_selected`, without waiting: commands for the folder may follow at once.

        The caller calls what is returned before he reads their answers. When it raises Refused, the session is of no
        use any more, since the commands that followed are not understood.
        """
        selected = self.selected
        if selected and selected.name == raw and (self.selected_writable or not write):
            return lambda: selected
        pending = self.begin_select(raw, write=write)
        return lambda: self.finish_select(pending, raw, write=write)

    def ensure_selected(self, raw: bytes, *, write: bool = False) -> Selected:
        """Select the folder unless it is selected already, and fit for writing if that is asked."""
        if self.selected and self.selected.name == raw and (self.selected_writable or not write):
            return self.selected
        return self.select(raw, write=write)


def number(text: bytes) -> int:
    """The first number in a response's text; 0 when there is none."""
    found = _NUMBER.search(text)
    return int(found[0]) if found else 0


def _shown(parts: tuple[bytes | names.Literal, ...]) -> str:
    words = [
        names.display(part.data) if isinstance(part, names.Literal) else part.decode("utf-8", "replace")
        for part in parts
    ]
    return " ".join(words)[:200]
