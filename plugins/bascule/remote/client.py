"""What runs on the client's host for the functional tests: sent to `python3 -` there, standard library only.

Each function takes the request as a dict and returns what it saw; what is judged about it is judged by the sender. One
calls curl besides, one mbsync. The request comes with the program on standard input, so no secret is ever in a list of
processes.
"""

import imaplib
import poplib
import smtplib
import ssl
import urllib.error

from bascule.remote.client_connection import TIMEOUT
from bascule.remote.client_filters import sieve_login, sieve_restore, sieve_swap
from bascule.remote.client_mail import (
    find_message,
    imap_login,
    pop3_login,
    quota,
    remove_message,
    send,
    uids_in_inbox,
)
from bascule.remote.client_mail_program import mail_program
from bascule.remote.client_web import calendar_event, web_page

FUNCTIONS = {
    function.__name__: function
    for function in (
        *(imap_login, pop3_login, quota, send, find_message, uids_in_inbox, remove_message),
        *(sieve_login, sieve_swap, sieve_restore, web_page, calendar_event, mail_program),
    )
}


def run(request):
    """Run the function that the request names: {"done": what it saw}, or {"failed": one sentence}."""
    try:
        return {"done": FUNCTIONS[request["function"]](request)}
    except ssl.SSLCertVerificationError as error:
        return {
            "failed": f"the certificate is not valid for {request.get('host', 'this name')}: {error.verify_message}"
        }
    except (OSError, imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException) as error:
        return {"failed": f"{where(request)}: {reason(error)}"}
    except (ValueError, LookupError, TypeError, AttributeError):  # Python's words for what it met help nobody
        return {"failed": f"{where(request)}: its answer is not one that this test understands"}


def where(request):
    return f"{request['host']}:{request['port']}" if "port" in request else request.get("url", "here")


def reason(error):
    """Why, in the server's or the system's words."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {text_of(error.smtp_error)}"
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT:.0f} s"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        return reason(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text_of(error.args[0]) if error.args else "the connection ended without an answer"


def text_of(words):
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)


def answer(request):
    """Print the answer as a Python literal in ASCII, whatever the host's locale is."""
    print(ascii(run(request)))
