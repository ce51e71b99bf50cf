"""The URIs of notifications (RFC 5435 section 3.8): what no compiler takes in one of `mailto:` (RFC 6068)."""

import re
from urllib.parse import unquote

from bascule.sieve.model import shown
from bascule.sieve.rules.addresses import URI_FIELDS

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+):")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}|%00", re.DOTALL)
_NOT_IN_ADDRESSES = re.compile(r"[^A-Za-z0-9!$'*+._~@,%-]")
_NOT_IN_FIELDS = re.compile(r"[^A-Za-z0-9!$&'()*+,./:;=@_~%-]|/")


def scheme(uri: str) -> str:
    """The method, in small letters; "" where there is none."""
    found = SCHEME.match(uri)
    return found[1].lower() if found else ""


def mailto_error(uri: str, address: "re.Pattern[str]") -> str:
    """What is wrong with a `mailto:` URI; "" where nothing certainly is. `address`: what one address looks like."""
    path, _, fields = uri[len("mailto:") :].partition("?")
    if wrong := _PERCENT.search(uri):
        return f"{shown(wrong[0])} is no character: a % stands before its number, in two digits"
    if wrong := _NOT_IN_ADDRESSES.search(path) or _NOT_IN_FIELDS.search(fields):
        return f"{shown(wrong[0])} can't stand so in a `mailto:` URI"
    named = [re.split("[:=]", field, maxsplit=1)[1] for field in URI_FIELDS.findall(uri)]
    addresses = [one for field in named if field for one in map(unquote, field.split(","))]
    wrong_one = next((one for one in addresses if not address.fullmatch(one)), None)
    if wrong_one == "":
        return 'an address is missing before or behind a ","'
    return f"{shown(wrong_one)} is not one address" if wrong_one is not None else ""
