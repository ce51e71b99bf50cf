"""The octets: one TCP connection to an IMAP server, with TLS, compression, and limits on what it may make us hold."""

import re
import select
import socket
import ssl
import zlib
from collections.abc import Iterator

from bascule.hosts import tls
from bascule.hosts.login import Endpoint
from bascule.mailbox.imap.errors import ClosedByServer, MailboxFailed, ProtocolError, TransientError
from bascule.text.reason import reason

LONGEST_LINE = 4_000_000  # bytes: VANISHED of a huge folder is the longest honest line
LARGEST_HELD_LITERAL = 1_000_000  # bytes of a literal that is kept in memory (names, headers); messages are streamed
CHUNK = 262_144  # bytes that are read or written at once
COMPRESSED_CHUNK = 16_384  # bytes that are read at once and may become a thousand times more

LITERAL = re.compile(rb"\{(\d{1,12})\+?\}\r?\n\Z")


class Wire:
    """Lines and literals in, octets out. Not safe in threads: one pair of sessions owns it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.lost = False
        self._buffer = b""
        self._position = 0
        self._out = bytearray()
        self._inflate: zlib._Decompress | None = None
        self._deflate: zlib._Compress | None = None
        try:
            self._socket: socket.socket = socket.create_connection(
                (endpoint.host, endpoint.port), timeout=endpoint.timeout
            )
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise TransientError(f"{endpoint.host}:{endpoint.port} can't be reached: {reason(error)}") from None
        if endpoint.security == "tls":
            self.start_tls()

    def start_tls(self) -> None:
        """Go on under TLS, with the certificate checked. What came in clear before is thrown away (RFC 9051 11.3)."""
        self._buffer, self._position = b"", 0
        context = tls.context(self.endpoint.ca_file)
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=self.endpoint.host)
        except ssl.SSLCertVerificationError as error:
            raise MailboxFailed(
                f"the certificate of {self.endpoint.host}:{self.endpoint.port} can't be trusted: {error.verify_message}"
            ) from None
        except OSError as error:
            raise TransientError(f"no TLS with {self.endpoint.host}:{self.endpoint.port}: {reason(error)}") from None

    def start_compression(self) -> None:
        """Go on under DEFLATE (RFC 4978)."""
        self._inflate, self._deflate = zlib.decompressobj(-15), zlib.compressobj(level=6, wbits=-15)
        rest, self._buffer, self._position = self._buffer[self._position :], b"", 0
        if rest:
            self._buffer = self._inflated(rest)

    def read_line(self) -> bytes:
        """One line with its end."""
        while True:
            end = self._buffer.find(b"\n", self._position)
            if end >= 0:
                line = self._buffer[self._position : end + 1]
                self._position = end + 1
                return line
            if len(self._buffer) - self._position > LONGEST_LINE:
                self.close()
                raise ProtocolError(f"{self.endpoint.host} sent a line of more than {LONGEST_LINE} bytes")
            self._fill()

    def read_literal(self, size: int) -> bytes:
        """A literal that is held in memory."""
        if size > LARGEST_HELD_LITERAL:
            self.close()
            raise ProtocolError(f"{self.endpoint.host} sent {size} bytes where a name or a header was expected")
        return b"".join(self.stream(size))

    def stream(self, size: int) -> Iterator[bytes]:
        """A literal in chunks, as they come."""
        while size:
            if self._position >= len(self._buffer):
                self._fill()
            chunk = self._buffer[self._position : self._position + size]
            self._position += len(chunk)
            size -= len(chunk)
            yield chunk

    def write(self, data: bytes) -> None:
        """Send soon: small pieces are gathered."""
        self._out += data
        if len(self._out) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered; nothing more once the connection is lost, which whoever reads is told."""
        if not self._out or self.lost:
            return
        data, self._out = self._out, bytearray()
        if self._deflate:
            data = bytearray(self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH))
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._broken(error) from None

    def has_input(self) -> bool:
        """Whether the server has said something that was not read yet."""
        if self._position < len(self._buffer):
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        """Cut the connection, whatever is under way."""
        self.lost = True
        self._out.clear()
        self._socket.close()

    def _fill(self) -> None:
        data = b""
        while not data:
            data = self._receive()
            if self._inflate:
                data = self._inflated(data)
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._position = 0

    def _receive(self) -> bytes:
        if self.lost:
            raise TransientError(f"the connection to {self.endpoint.host}:{self.endpoint.port} is closed")
        try:
            data = self._socket.recv(COMPRESSED_CHUNK if self._inflate else CHUNK)
        except OSError as error:
            raise self._broken(error) from None
        if not data:
            self.close()
            raise ClosedByServer(
                f"the connection to {self.endpoint.host}:{self.endpoint.port} is lost: closed by the server"
            )
        return data

    def _inflated(self, data: bytes) -> bytes:
        assert self._inflate is not None
        try:
            return self._inflate.decompress(data)
        except zlib.error as error:
            raise self._broken(f"it is not compressed as agreed ({error})") from None

    def _broken(self, why: object) -> TransientError:
        self.close()
        return TransientError(f"the connection to {self.endpoint.host}:{self.endpoint.port} is lost: {why}")
