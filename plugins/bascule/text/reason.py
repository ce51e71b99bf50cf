"""Why something failed, in the system's or the server's words, fit for the end of a sentence."""

import re

# What Python, OpenSSL and imaplib put around the words of others.
AROUND = re.compile(r"\[(Errno -?\d+|(SSL|X509)(: \w+)?)\] ?| \(_ssl\.c:\d+\)")
BYTES = re.compile(r"^b(['\"])(.*)\1$", re.DOTALL)


def reason(error: BaseException) -> str:
    """Why, without any name of Python's: `Connection refused`."""
    if message := getattr(error, "verify_message", ""):
        return f"the certificate can't be trusted: {message}"
    if isinstance(error, OSError) and error.strerror:
        return AROUND.sub("", error.strerror).strip()
    text = str(error).strip()
    if found := BYTES.match(text):
        text = found[2]
    return AROUND.sub("", text).strip() or (
        "no answer in time" if isinstance(error, TimeoutError) else "without a reason"
    )
