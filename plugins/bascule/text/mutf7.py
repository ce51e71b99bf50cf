"""Folder names on the wire: modified UTF-7 (RFC 3501 section 5.1.3), and what people see of it."""

import base64
import functools
import re

_RUNS = re.compile(r"[ -~]+|[^ -~]+")
_SHIFT = re.compile(rb"&([A-Za-z0-9+,]*)-")
_SHIFT_TEXT = re.compile(r"&[A-Za-z0-9+,]*-", re.ASCII)


_REMEMBERED = 256  # octets of a name that is remembered: people's folders have the same names, and each is read often


def decode(raw: bytes) -> str:
    """Modified UTF-7 to text; raises ValueError when it is none."""
    return _decode_once(raw) if len(raw) <= _REMEMBERED else _decode(raw)


def _decode(raw: bytes) -> str:
    if any(octet < 0x20 or octet > 0x7E for octet in raw):
        raise ValueError("not ASCII")
    plain = raw.decode("ascii")
    parts, at = [], 0
    while (shift := plain.find("&", at)) >= 0:
        found = _SHIFT.match(raw, shift)
        if not found:
            raise ValueError("an unfinished shift")
        parts += [plain[at:shift], "&" if not found[1] else _unshift(found[1])]
        at = found.end()
    text = "".join([*parts, plain[at:]])
    if encode(text) != raw:
        raise ValueError("not the one way to write this")
    return text


_decode_once = functools.lru_cache(maxsize=4096)(_decode)


def _unshift(shifted: bytes) -> str:
    data = base64.b64decode(shifted.replace(b",", b"/") + b"=" * (-len(shifted) % 4), validate=True)
    return data.decode("utf-16-be")


def encode(text: str) -> bytes:
    """Text to modified UTF-7."""
    return b"".join(
        run.replace("&", "&-").encode("ascii") if " " <= run[0] <= "~" else _shift(run) for run in _RUNS.findall(text)
    )


def _shift(text: str) -> bytes:
    data = base64.b64encode(text.encode("utf-16-be", "surrogatepass")).rstrip(b"=").replace(b"/", b",")
    return b"&" + data + b"-"


def is_well_written(raw: bytes) -> bool:
    """Whether this is modified UTF-7, in the one way to write it."""
    try:
        decode(raw)
    except ValueError:
        return False
    return True


def display(raw: bytes) -> str:
    """The name as people read it; what is no modified UTF-7 is shown as it came, escaped.

    So that no badly written name looks like a well written one: an `&` that begins nothing is shown as `\\x26`.
    """
    try:
        return decode(raw)
    except ValueError:
        return "".join(
            chr(octet) if " " <= chr(octet) <= "~" and octet not in b"&\\" else f"\\x{octet:02x}" for octet in raw
        )


def readable(raw: bytes) -> str:
    """The name that was most likely meant: modified UTF-7 where it is that, else UTF-8 or Latin-1."""
    try:
        return decode(raw)
    except ValueError:
        pass  # not written well: its pieces may be
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return _SHIFT_TEXT.sub(_meant, text)


def _meant(found: re.Match[str]) -> str:
    try:
        return decode(found[0].encode("ascii"))
    except ValueError:
        return found[0]
