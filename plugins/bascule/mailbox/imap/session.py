"""One IMAP session: commands that may be pipelined, their answers, and the folder that is selected."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bascule.mailbox.imap.capabilities import Capabilities, Capability, needed_by
from bascule.mailbox.imap.connection import Wire
from bascule.mailbox.imap.errors import NotUnderstood, ProtocolError, Refused, TransientError
from bascule.mailbox.imap.responses import Status, parse_status, parse_tagged, read_response, text, whole_number
from bascule.mailbox.imap.server import Server
from bascule.mailbox.imap.syntax import Literal, Part, number, string
from bascule.text import mutf7

Handler = Callable[[bytes], None]

MOST_HELD = 8_000_000  # bytes of one command's answers that are held: some 80,000 folders


@dataclass
class Pending:
    """A command that was sent: what it was (for messages), its answer when there is one, what came before it."""

    tag: bytes
    command: str
    handler: Handler | None
    status: Status | None = None
    responses: list[list[Any]] = field(default_factory=list)
    held: int = 0  # bytes of the responses

    def named(self, name: bytes, least: int = 2) -> list[list[Any]]:
        """The untagged responses of this name that have at least so many values."""
        return [
            response
            for response in self.responses
            if len(response) >= least and isinstance(response[1], bytes) and response[1].upper() == name
        ]


@dataclass(frozen=True)
class FolderStatus:
    """What STATUS, SELECT or EXAMINE says of a folder; `modseq` is 0 where the server keeps none."""

    messages: int
    uidnext: int
    uidvalidity: int
    modseq: int


@dataclass(frozen=True)
class Selected:
    """The folder that is selected, and what the server said of it then."""

    name: bytes
    status: FolderStatus
    writable: bool


class Session:
    """A connection to a server; `login.log_in` makes one. Not safe in threads: one pair of sessions owns it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.capabilities = Capabilities()
        self.selected: Selected | None = None
        self.wire = Wire(server.endpoint)
        self.continued = False  # the server has asked for more of a command
        self._unanswered: list[Pending] = []
        self._bad: Pending | None = None  # the command that the server did not understand, whereby all ends
        self._count = 0

    def has(self, capability: Capability) -> bool:
        return self.capabilities.has(capability)

    # -- commands

    def start(self, *parts: Part, handler: Handler | None = None, command: str = "") -> Pending:
        """Send the beginning of a command; `announce` and the wire go on, `end` ends it.

        Literals are synchronising: the server agrees to each, or answers the command.
        """
        self._count += 1
        pending = Pending(b"B%d" % self._count, command or _text(parts), handler)
        self._unanswered.append(pending)
        self.wire.write(pending.tag)
        for part in parts:
            if not isinstance(part, Literal):
                self.wire.write(part if part == b")" else b" " + part)
            elif self.announce(pending, len(part.data), b" ~" if part.binary else b" "):
                self.wire.write(part.data)
            else:
                break
        return pending

    def announce(self, pending: Pending, size: int, before: bytes = b" ") -> bool:
        """Announce a synchronising literal; False when the server answers the command instead."""
        self.wire.write(b"%s{%d}\r\n" % (before, size))
        return self.wait_for_continuation(pending)

    def wait_for_continuation(self, pending: Pending) -> bool:
        """Whether the server asks for more of the command; False when it answers it instead."""
        self.continued = False
        self.wire.flush()
        while not self.continued and pending.status is None:
            self.pump()
        return pending.status is None

    def begin(self, *parts: Part, handler: Handler | None = None, command: str = "") -> Pending:
        """Send a command without waiting for its answer."""
        pending = self.start(*parts, handler=handler, command=command)
        if pending.status is None:
            self.wire.write(b"\r\n")
        return pending

    def finish(self, pending: Pending) -> Pending:
        """Wait for the answer. Raises Refused on NO, NotUnderstood on BAD."""
        self.wire.flush()
        while pending.status is None:
            self.pump()
        if pending.status.kind == "NO":
            raise Refused(pending.command, pending.status.text, pending.status.code, self.server.side)
        if pending.status.kind == "BAD":
            raise self._not_understood(pending)
        return pending

    def _not_understood(self, pending: Pending) -> NotUnderstood:
        capability = needed_by(pending.command) or ""
        if capability:
            self.server.not_understood.update({capability, "QRESYNC" if capability == "CONDSTORE" else capability})
        words = pending.status.text if pending.status else ""
        text = f"{self.server.endpoint.host} did not understand {pending.command}: {words}"
        return NotUnderstood(text, side=self.server.side, learned=bool(capability))

    def run(self, *parts: Part, handler: Handler | None = None, command: str = "") -> Pending:
        """Send a command and wait for its answer."""
        return self.finish(self.begin(*parts, handler=handler, command=command))

    def pump(self) -> None:
        """Read one response and hand it to the oldest command that is not answered."""
        if self._bad is not None:
            raise self._not_understood(self._bad)
        line = self.wire.read_line()
        if line.startswith(b"* "):
            self._untagged(line)
        elif line.startswith(b"+"):
            self.continued = True
        else:
            self._tagged(line)

    def _untagged(self, line: bytes) -> None:
        if line[2:5].upper() == b"BYE":
            self.wire.close()
            raise TransientError(f"{self.server.endpoint.host} says good-bye: {parse_status(b'BYE', line[6:]).text}")
        oldest = self._unanswered[0] if self._unanswered else None
        try:
            if oldest is not None and oldest.handler is not None:
                oldest.handler(line)
            else:
                self._hold(oldest, line)
        except ProtocolError:
            self.wire.close()
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # No answer is trusted to be of the type that is due. What the rest of it means is not known. The words of
            # the error are Python's own.
            self.wire.close()
            raise ProtocolError(
                f"{self.server.endpoint.host} sent an answer that can't be understood: {line[:80]!r}"
            ) from error

    def _hold(self, oldest: Pending | None, line: bytes) -> None:
        """Keep a response for the command; words for people (`* OK ...` without a code) are passed over."""
        response: list[Any]
        if line[2:5].upper() in (b"OK ", b"NO ", b"BAD"):
            kind, _, words = line[2:].partition(b" ")
            status = parse_status(kind, words)
            if not status.code:
                return
            response = [b"*", status]
        else:
            response = read_response(self.wire, line)
        if oldest is None or len(response) < 2:
            return
        oldest.held += len(line) + _octets(response)
        if oldest.held > MOST_HELD:
            self.wire.close()
            raise ProtocolError(
                f"{self.server.endpoint.host} sent more than {MOST_HELD} bytes in answer to one command"
            )
        oldest.responses.append(response)

    def _tagged(self, line: bytes) -> None:
        found = parse_tagged(line)
        pending = next((p for p in self._unanswered if found and p.tag == found[0]), None)
        if found is None or pending is None:
            self.wire.close()
            raise ProtocolError(f"{self.server.endpoint.host} sent a line that belongs to nothing: {line[:80]!r}")
        pending.status = found[1]
        self._unanswered.remove(pending)
        if found[1].kind == "BAD":
            # What the server made of the rest of the command is not known; see docs/engine.md, security.
            self._bad = pending
            self.wire.close()

    def close(self) -> None:
        """Say good-bye if the connection still stands."""
        if not self.wire.lost and not self._unanswered:
            try:
                self.wire.write(b"BZ LOGOUT\r\n")
                self.wire.flush()
            except TransientError:
                pass  # the server was faster: all that was asked has been answered, and the connection ends anyway
        self.wire.close()

    # -- the selected folder

    def begin_select(self, name: bytes, *, write: bool = False) -> Pending:
        self.selected = None
        return self.begin(b"SELECT" if write else b"EXAMINE", string(name))

    def finish_select(self, pending: Pending, name: bytes, *, write: bool = False) -> Selected:
        self.finish(pending)
        told: dict[str, int] = {"UIDVALIDITY": 0, "UIDNEXT": 0, "HIGHESTMODSEQ": 0}
        messages = 0
        for response in pending.responses:
            if isinstance(response[1], Status):
                if response[1].code in told:
                    told[response[1].code] = number(response[1].arguments)
            elif len(response) > 2 and text(response[2]).upper() == b"EXISTS":
                messages = whole_number(response[1])
        modseq = told["HIGHESTMODSEQ"] if self.capabilities.modseq else 0
        status = FolderStatus(messages, told["UIDNEXT"], told["UIDVALIDITY"], modseq)
        self.selected = Selected(name, status, write)
        return self.selected

    def select(self, name: bytes, *, write: bool = False) -> Selected:
        """Select a folder, by default for reading only (EXAMINE). Raises Refused."""
        return self.finish_select(self.begin_select(name, write=write), name, write=write)

    def ensure_selected(self, name: bytes, *, write: bool = False) -> Selected:
        """Select the folder unless it is selected already, and fit for writing if that is asked."""
        return self.begin_selected(name, write=write)()

    def begin_selected(self, name: bytes, *, write: bool = False) -> Callable[[], Selected]:
        """Like `ensure_selected`, without waiting: commands for the folder may follow at once.

        The caller calls what is returned before he reads their answers. When it raises Refused, the session is of no
        use any more, since the commands that followed are not understood.
        """
        selected = self.selected
        if selected and selected.name == name and (selected.writable or not write):
            return lambda: selected
        pending = self.begin_select(name, write=write)
        return lambda: self.finish_select(pending, name, write=write)

    def unselect(self) -> None:
        """Have no folder selected (UNSELECT, RFC 3691)."""
        if self.selected is not None:
            self.selected = None
            self.run(b"UNSELECT")

    def unselect_unless_writable(self, name: bytes) -> None:
        """Before an APPEND: some servers (Courier) refuse it while the folder is selected for reading only."""
        if self.selected is None or self.selected.name != name or self.selected.writable:
            return
        if self.has("UNSELECT"):
            self.selected = None
            self.begin(b"UNSELECT")
        else:
            self.select(name, write=True)


def _octets(value: Any) -> int:
    """How much of literals there is in a response."""
    if isinstance(value, list):
        return sum(map(_octets, value))
    return len(value) if isinstance(value, bytes) else 0


def _text(parts: tuple[Part, ...]) -> str:
    """The command as it stands in messages to people."""
    texts = [
        mutf7.display(part.data) if isinstance(part, Literal) else part.decode("utf-8", "replace") for part in parts
    ]
    return " ".join(texts)[:200]
