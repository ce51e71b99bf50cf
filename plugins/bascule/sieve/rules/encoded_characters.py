"""Characters by number: "encoded-character" (RFC 5228 section 2.4.2.4)."""

import re
import sys

from bascule.sieve.language import enabled
from bascule.sieve.syntax import Script, String

_CODES = r"[ \t\r\n]*+{0}(?:[ \t\r\n]++{0})*+[ \t\r\n]*+"
ENCODED = re.compile(
    rf"\$\{{(?:hex:(?P<hex>{_CODES.format('[0-9A-F]{1,2}+')})|unicode:(?P<unicode>{_CODES.format('[0-9A-F]++')}))\}}",
    re.IGNORECASE,
)
NO_TEXT = "\udfff"  # can't be encoded


def value_of(script: Script, string: String) -> str:
    """The string's value, with the characters that are meant where the extension is in force."""
    return decoded(string.value) if "encoded-character" in enabled(script) else string.value


def decoded(value: str) -> str:
    """The text that is meant; the value where it is none."""
    try:
        return ENCODED.sub(_octets, value).encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return value


def _octets(found: re.Match[str]) -> str:
    """Single octets first look like those that are not UTF-8, since several may make one character together."""
    codes = [int(code, 16) for code in (found["hex"] or found["unicode"]).split()]
    if found["hex"]:
        return bytes(codes).decode("utf-8", "surrogateescape")
    return "".join(chr(code) if _is_character(code) else NO_TEXT for code in codes)


def no_character(value: str) -> str:
    """The first `${unicode:...}` that names no character, as it stands; "" where there is none."""
    named = (found for found in ENCODED.finditer(value) if found["unicode"])
    return next((f[0] for f in named if not all(_is_character(int(code, 16)) for code in f["unicode"].split())), "")


def _is_character(code: int) -> bool:
    return code <= sys.maxunicode and not 0xD800 <= code < 0xE000
