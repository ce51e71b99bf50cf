"""Telling people where they are: a mail through the connection of Airflow's SMTP provider, a chat through Apprise.

Nobody waits for it longer than SECONDS, and whatever goes wrong is an AccessError.
"""

import contextlib
import smtplib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from bascule.hosts import tls
from bascule.hosts.connections import AccessError, Connection
from bascule.text.harmless import harmless
from bascule.text.logs import get_logger
from bascule.text.reason import reason

log = get_logger(__name__)

ANSWER_SECONDS = 10  # for one answer of a mail server
SECONDS = 20  # for all of them: a server may also answer octet by octet


def send_mail(connection: Connection, to: Sequence[str], subject: str, text: str) -> None:
    """Raises AccessError."""
    _in_time(connection, lambda: _send_mail(connection, to, subject, text))


def _in_time(connection: Connection, act: Callable[[], object]) -> None:
    """Raises AccessError, with the reason, when it fails or has not come to its end in time."""
    done: Future[object] = Future()

    def run() -> None:
        try:
            done.set_result(act())
        except (
            Exception
        ) as error:  # an address or a password that the protocol can't take, as much as a lost connection
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        failed = done.exception(SECONDS)
    except TimeoutError:
        raise AccessError(f"the connection `{connection.conn_id}` does not answer within {SECONDS} seconds") from None
    if isinstance(failed, AccessError):
        raise failed
    if failed:
        raise AccessError(f"the connection `{connection.conn_id}` can't take notices: {reason(failed)}")


def _send_mail(connection: Connection, to: Sequence[str], subject: str, text: str) -> None:
    message = EmailMessage()
    message["From"] = _sender(connection, to)
    message["To"] = ", ".join(to)
    message["Subject"] = harmless(subject)[:200]
    message["Date"], message["Message-Id"] = formatdate(), make_msgid()
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's vacation answers
    message.set_content(text)
    try:
        with contextlib.closing(_logged_in(connection)) as server:
            refused = server.send_message(message)
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.putcmd("quit")  # it has the notice: whatever it answers, and when, it is not sent again
    except (OSError, smtplib.SMTPException) as error:
        raise AccessError(f"{connection.host} does not take the notice: {reason(error)}") from None
    if refused:
        log.warning("the mail server takes no notices for some people", host=connection.host, people=sorted(refused))


def may_send_mail(connection: Connection, to: Sequence[str]) -> None:
    """Go as far as the envelope, and send nothing. Raises AccessError."""
    _in_time(connection, lambda: _try_mail(connection, to))


def _try_mail(connection: Connection, to: Sequence[str]) -> None:
    try:
        with _logged_in(connection) as server:
            server.ehlo_or_helo_if_needed()
            _insist(server.mail(_sender(connection, to)))
            for address in to:
                _insist(server.rcpt(address))
            server.rset()
    except (OSError, smtplib.SMTPException) as error:
        raise AccessError(f"{connection.host} would not take notices: {reason(error)}") from None


def _insist(answer: tuple[int, bytes]) -> None:
    if answer[0] >= 300:
        raise smtplib.SMTPResponseException(*answer)


def _sender(connection: Connection, to: Sequence[str]) -> str:
    return str(connection.extra.get("from_email") or to[0])


def _logged_in(connection: Connection) -> smtplib.SMTP:
    """As the provider's hook does: TLS at once unless `disable_ssl`, else STARTTLS unless `disable_tls`."""
    extra, context = connection.extra, tls.context(tls.ca_file(connection))
    if not _is_set(extra.get("disable_ssl")):
        port = connection.port or smtplib.SMTP_SSL_PORT
        server: smtplib.SMTP = smtplib.SMTP_SSL(connection.host, port, timeout=ANSWER_SECONDS, context=context)
    else:
        server = smtplib.SMTP(connection.host, connection.port or smtplib.SMTP_PORT, timeout=ANSWER_SECONDS)
        if not _is_set(extra.get("disable_tls")):
            server.starttls(context=context)
    if connection.login:
        if not (connection.login + connection.password).isascii():
            raise AccessError(
                f"the connection `{connection.conn_id}` has a login or a password that is not all ASCII, which SMTP "
                "can't say: change it"
            )
        server.login(connection.login, connection.password)
    return server


def _is_set(value: object) -> bool:
    return str(value).lower() in ("true", "1", "yes")


def send_chat(connection: Connection, title: str, text: str) -> None:
    """Through the Apprise URL that stands in the connection's password, since it is one. Raises AccessError."""
    _in_time(connection, lambda: _send_chat(connection, title, text))


def _send_chat(connection: Connection, title: str, text: str) -> None:
    chat = _chat(connection)
    if not chat.notify(title=harmless(title)[:200], body=text, body_format="text"):
        raise AccessError(f"the chat of the connection `{connection.conn_id}` does not take the notice")


def may_send_chat(connection: Connection) -> None:
    """Whether Apprise knows what the connection is; nothing is sent. Raises AccessError."""
    _in_time(connection, lambda: _chat(connection))


def _chat(connection: Connection):  # type: ignore[no-untyped-def]
    import apprise  # who tells no chat pays nothing

    chat = apprise.Apprise()
    if not connection.password or not chat.add(connection.password):
        raise AccessError(
            f"the connection `{connection.conn_id}` has no URL that Apprise knows: write one into its password"
        )
    return chat
