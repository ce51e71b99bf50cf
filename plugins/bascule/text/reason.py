"""Why something failed, in the system's or the server's words, fit for the end of a sentence."""

import re
import traceback
from pathlib import Path

# What Python, OpenSSL and imaplib put around the words of others.
AROUND = re.compile(r"\[(Errno -?\d+|(SSL|X509)(: \w+)?)\] ?| \(_ssl\.c:\d+\)")
PACKAGE = Path(__file__).parents[1]
BYTES = re.compile(r"^b(['\"])(.*)\1$", re.DOTALL)


def reason(error: BaseException) -> str:
    """Why, without any name of Python's: `Connection refused`."""
    if message := getattr(error, "verify_message", ""):
        return f"the certificate can't be trusted: {message}"
    if isinstance(error, OSError) and error.strerror:
        return AROUND.sub("", error.strerror).strip()
    # By smtplib, whose import each process of the engine would pay for: SMTPRecipientsRefused, SMTPResponseException.
    if recipients := getattr(error, "recipients", None):
        return "; ".join(f"{to}: {_of_smtp(code, words)}" for to, (code, words) in recipients.items())
    if code := getattr(error, "smtp_code", 0):
        return _of_smtp(code, getattr(error, "smtp_error", b""))
    text = str(error).strip()
    if found := BYTES.match(text):
        text = found[2]
    return AROUND.sub("", text).strip() or ("no answer in time" if _is_timeout(error) else "without a reason")


def place_of(error: BaseException) -> str:
    """Where in Bascule it happened, for a report: `hosts.py, line 12`; in a library, where that was called."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "at an unknown place"
    here = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    return f"{Path(here[-1].filename).name}, line {here[-1].lineno}"


def mistake_of(error: BaseException) -> str:
    """What people read of an error that nobody foresaw: not its words, in which anything might stand."""
    return f"a mistake in Bascule ({place_of(error)}), which stands in the task's log: report it"


def _of_smtp(code: int, words: bytes | str) -> str:
    return f"{code} {words.decode('utf-8', 'replace') if isinstance(words, bytes) else words}".strip()


def _is_timeout(error: BaseException) -> bool:
    """Libraries have classes of their own for it, with no words in them."""
    return any("Timeout" in kind.__name__ for kind in type(error).__mro__)
