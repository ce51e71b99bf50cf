"""The beginning of a session: greeting, STARTTLS, login, capabilities, and what is switched on once and for all."""

import base64

from bascule.mailbox.imap.errors import (
    ClosedByServer,
    LoginBroken,
    LoginRefused,
    MailboxFailed,
    ProtocolError,
    Refused,
    TransientError,
)
from bascule.mailbox.imap.responses import Status, parse_status
from bascule.mailbox.imap.server import Server
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.imap.syntax import string


def log_in(server: Server) -> Session:
    """A new session with the server. Raises LoginRefused, LoginBroken, MailboxFailed, TransientError."""
    session = Session(server)
    try:
        _greet(session)
        _login(session)
        _enable(session)
    except BaseException:
        session.wire.close()
        raise
    return session


def again(session: Session) -> Session:
    """A fresh session in place of this one."""
    session.wire.close()
    return log_in(session.server)


def _greet(session: Session) -> None:
    endpoint, line = session.server.endpoint, session.wire.read_line()
    if line[2:5].upper() == b"BYE":
        raise TransientError(f"{endpoint.host} does not let us in: {parse_status(b'BYE', line[6:]).text}")
    if line[2:4].upper() != b"OK" and line[2:9].upper() != b"PREAUTH":
        raise ProtocolError(f"{endpoint.host}:{endpoint.port} is no IMAP server: {line[:60]!r}")
    if endpoint.security == "starttls":
        session.run(b"STARTTLS")
        session.wire.start_tls()
        _ask_capabilities(session)
    elif not _told_capabilities(session, parse_status(line[2:4], line[5:])):
        _ask_capabilities(session)


def _login(session: Session) -> None:
    server, login = session.server, session.server.login
    if login.authorize_as and not session.has("AUTH=PLAIN"):
        raise MailboxFailed(
            f"{server.endpoint.host} has no AUTH=PLAIN, so that nobody can log in there on behalf of another"
        )
    try:
        if session.has("AUTH=PLAIN"):
            secret = "\0".join((login.authorize_as or "", login.user, login.password)).encode()
            done = _authenticate_plain(session, base64.b64encode(secret))
        else:
            user, password = string(login.user.encode()), string(login.password.encode())
            done = session.run(b"LOGIN", user, password, command="LOGIN")
    except Refused as error:
        if error.code in ("UNAVAILABLE", "INUSE", "LIMIT"):
            raise LoginBroken(server, error.text) from None
        raise LoginRefused(server, error.text, error.code) from None
    except ClosedByServer as error:
        raise LoginBroken(server, "it closes the connection and says nothing") from error
    if done.status is None or not _told_capabilities(session, done.status):
        _ask_capabilities(session)


def _authenticate_plain(session: Session, secret: bytes) -> Pending:
    if session.has("SASL-IR"):
        return session.run(b"AUTHENTICATE PLAIN " + secret, command="AUTHENTICATE")
    pending = session.begin(b"AUTHENTICATE PLAIN", command="AUTHENTICATE")
    if session.wait_for_continuation(pending):
        session.wire.write(secret + b"\r\n")
    return session.finish(pending)


def _ask_capabilities(session: Session) -> None:
    for response in session.run(b"CAPABILITY").named(b"CAPABILITY"):
        names = [value for value in response[2:] if isinstance(value, bytes)]
        session.capabilities = session.server.capabilities(names)


def _told_capabilities(session: Session, status: Status) -> bool:
    """Take the capabilities that come with a greeting or a login's OK (RFC 9051 7.1); False when there are none."""
    if status.code != "CAPABILITY":
        return False
    session.capabilities = session.server.capabilities(status.arguments.split())
    return True


def _enable(session: Session) -> None:
    if session.server.compress and session.has("COMPRESS=DEFLATE"):
        session.run(b"COMPRESS DEFLATE")
        session.wire.start_compression()
    if session.has("QRESYNC"):
        session.begin(b"ENABLE QRESYNC")  # goes out with the next command
    elif session.has("CONDSTORE") and session.has("ENABLE"):
        session.begin(b"ENABLE CONDSTORE")
