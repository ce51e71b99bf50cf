"""How the client's host connects for the functional tests."""

import imaplib
import ssl

TIMEOUT = 20.0  # seconds for each connection


def trust(request):
    """The client's own trust store, and the site's authority when the connection names one."""
    context = ssl.create_default_context()
    if request.get("authority"):
        context.load_verify_locations(cadata=request["authority"])
    return context


def open_imap(request):
    """A logged-in IMAP session, its certificate checked for the name that users have configured."""
    session = imaplib.IMAP4_SSL(request["host"], request["port"], ssl_context=trust(request), timeout=TIMEOUT)
    session.login(request["user"], request["password"])
    return session
