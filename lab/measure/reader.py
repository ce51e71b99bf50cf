"""A mail program of one user that only looks: it logs in again and again, and says each time how it went.

It runs by itself in a host's Python, with the standard library alone, and knows nothing of Bascule. Its standard input
begins with one line of JSON (host, port, account, password, trust, pause) and stays open as long as the program is to
work. Each of its lines: Unix time at the end of an act, then `ok` or what went wrong.
"""

import contextlib
import imaplib
import json
import select
import socket
import ssl
import sys
import time
from typing import Any

CONNECT_SECONDS = 1  # an address that nobody has answers nothing: it is tried anew soon
ANSWER_SECONDS = 10  # a busy server's answer is waited for longer


class Session(imaplib.IMAP4_SSL):
    """A connection that is given up sooner than an answer over it."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        reached = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        reached.settimeout(ANSWER_SECONDS)
        try:
            return self.ssl_context.wrap_socket(reached, server_hostname=self.host)
        except OSError:
            reached.close()
            raise


def main() -> None:
    """Act until the standard input ends."""
    asked = json.loads(sys.stdin.readline())
    trust = ssl.create_default_context(cadata=asked["trust"])
    pause = 0.0
    while not select.select([sys.stdin], [], [], pause)[0]:
        began = time.monotonic()
        said = one_act(asked, trust)
        print(f"{time.time():.3f} {said}", flush=True)
        pause = max(0.0, asked["pause"] - (time.monotonic() - began))


def one_act(asked: dict[str, Any], trust: ssl.SSLContext) -> str:
    """Log in, open INBOX without changing anything in it, log out. Returns `ok`, or what went wrong."""
    session: Session | None = None
    try:
        session = Session(asked["host"], asked["port"], ssl_context=trust)
        session.login(asked["account"], asked["password"])
        status, words = session.select("INBOX", readonly=True)
        if status != "OK":
            raise imaplib.IMAP4.error(f"INBOX: {status} {words}")
        session.logout()
    except (imaplib.IMAP4.error, OSError) as error:
        if session is not None:
            with contextlib.suppress(OSError):
                session.shutdown()
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return "ok"


if __name__ == "__main__":
    main()
