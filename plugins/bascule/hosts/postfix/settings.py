"""What a host's Postfix is set to, in the parameters that Bascule goes by."""

from bascule.hosts.remembered import Remembered
from bascule.hosts.ssh import RemoteHost

ASKED = ("double_bounce_sender", "recipient_delimiter", "transport_maps", "virtual_alias_maps")

_settings: Remembered[dict[str, str]] = Remembered()


def of(remote: RemoteHost) -> dict[str, str]:
    """All of them, by one question that is asked once a minute. Raises AccessError."""
    return _settings.of(remote, lambda: _asked(remote))


def tables(maps: str) -> list[str]:
    """The tables that a parameter names, divided as Postfix does it: `inline:{a=b, c=d}` is one of them."""
    found, depth = [""], 0
    for letter in maps:
        depth += (letter == "{") - (letter == "}")
        if depth == 0 and letter in ", \t\r\n":
            found.append("")
        else:
            found[-1] += letter
    return [table for table in found if table]


def _asked(remote: RemoteHost) -> dict[str, str]:
    lines = remote.run(["postconf", "-x", *ASKED]).output.splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
