"""What runs beside the users' filters on both mail servers: limits, scripts for everybody, how mail is delivered."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bascule.checks.preflight.finding import Finding, failure, ok, some, warning
from bascule.hosts.access import Access
from bascule.hosts.ssh import RemoteHost

SUBJECT = "filters"
# How 2.4 writes these settings is not read here.
KNOWN_VERSIONS = ("2.0.", "2.1.", "2.2.", "2.3.")
SETTINGS = ("protocols", "mail_plugins", "recipient_delimiter", "lda_mailbox_autocreate", "plugin")
# Limits with Pigeonhole's defaults (0: none), and what comes of a lower one.
LIMITS = {
    "sieve_max_actions": ("32", "a filter with more actions fails when mail comes, and the mail stays in the inbox"),
    "sieve_max_redirects": ("4", "a filter that sends on to more addresses fails when mail comes"),
    "sieve_max_script_size": ("1M", "larger filters are refused"),
    "sieve_max_cpu_time": ("30s", "a filter that takes longer fails"),
    "sieve_quota_max_scripts": ("0", "more filters of one account are refused"),
    "sieve_quota_max_storage": ("0", "larger filters together are refused"),
}
# Settings that change what the same filter does.
SAME = {
    "recipient_delimiter": "+", "lda_mailbox_autocreate": "no", "plugin/sieve_redirect_envelope_from": "sender",
    "plugin/sieve_vacation_min_period": "1d", "plugin/sieve_vacation_max_period": "0",
    "plugin/sieve_vacation_default_period": "7d", "plugin/sieve_vacation_send_from_recipient": "no",
    "plugin/sieve_vacation_use_original_recipient": "no", "plugin/sieve_vacation_dont_check_recipient": "no",
    "plugin/sieve_spamtest_status_header": "", "plugin/sieve_spamtest_max_value": "", "plugin/sieve_user_email": "",
    "plugin/sieve_virustest_status_header": "",
}  # fmt: skip
FAMILIES = {
    "sieve_before": "before each filter",
    "sieve_after": "after each filter",
    "sieve_default": "for whoever has no filter",
    "sieve_discard": "for mail that is thrown away",
    "sieve_global": "for filters that include it (`include :global`)",
}
INCLUDED = "sieve_global"  # its scripts are asked for by their names
OLD_NAMES = {
    "sieve_default": "sieve_global_path",
    INCLUDED: "sieve_global_dir",
}  # of these settings, before Pigeonhole 0.4
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "s": 1, "secs": 1, "mins": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class _Server:
    """One server's settings in effect at delivery, and its scripts for everybody: family -> file -> digest."""

    host: str
    protocol: str
    settings: dict[str, str]
    scripts: dict[str, dict[str, str]]
    absent: list[str]  # places that are set and not there
    unknown: list[str]  # places that depend on the user, or are no files


def beside_the_filters(access: Access) -> Iterator[Finding]:
    """A filter that is carried unchanged does the same only when what runs beside it is the same."""
    parts = access.site.mailboxes.old, access.site.mailboxes.new
    remotes = [access.remote(part.host) for part in parts]
    for remote in remotes:
        version = remote.run(["dovecot", "--version"], check=False)
        if version.status != 0 or not version.output.startswith(KNOWN_VERSIONS):
            yield warning(SUBJECT, f"not compared: {remote.name} runs no Dovecot 2.0 to 2.3; compare what runs beside "
                          "the users' filters by hand")  # fmt: skip
            return
    old, new = (_looked_at(remote) for remote in remotes)
    found = [*_delivery(old, new), *_limits(old, new), *_settings(old, new), *_scripts(old, new)]
    yield from found or [ok(SUBJECT, f"what runs beside the users' filters is the same on {old.host} and {new.host}")]


def _looked_at(remote: RemoteHost) -> _Server:
    protocol = "lmtp" if "lmtp" in _read(remote, "lmtp")["protocols"].split() else "lda"
    settings = _read(remote, protocol)
    server = _Server(remote.name, protocol, settings, {}, [], [])
    for family in FAMILIES:
        server.scripts[family] = {}
        for place in _places(settings, family):
            if "%" in place or not place.startswith("/"):
                server.unknown.append(f"{family} = {place}")
                continue
            files = _digests(remote, place)
            if not files:
                server.absent.append(f"{family} = {place}")
            server.scripts[family] |= files
    return server


def _read(remote: RemoteHost, protocol: str) -> dict[str, str]:
    told = remote.run(["doveconf", "-f", f"protocol={protocol}", "-S", *SETTINGS]).output
    return dict(line.partition("=")[::2] for line in told.splitlines())


def _places(settings: dict[str, str], family: str) -> list[str]:
    """The places of `sieve_before`, `sieve_before2`, ..., and of what a setting was called before."""
    names = re.compile(rf"plugin/(?:{family}[0-9]*|{OLD_NAMES.get(family, family)})$")
    found = [value for name, value in sorted(settings.items()) if names.fullmatch(name) and value]
    return [place.removeprefix("file:").partition(";")[0] for place in found]


def _digests(remote: RemoteHost, place: str) -> dict[str, str]:
    command = ["find", "-L", place, "-maxdepth", "1", "-type", "f", "(", "-name", "*.sieve", "-o", "-path", place, ")",
               "-exec", "sha256sum", "--", "{}", "+"]  # fmt: skip
    told = remote.run(command, check=False).output
    lines = (line.split("  ", 1) for line in told.splitlines() if "  " in line)
    return {posixpath.basename(path): digest for digest, path in lines}


def _delivery(old: _Server, new: _Server) -> Iterator[Finding]:
    if "sieve" in old.settings["mail_plugins"].split() and "sieve" not in new.settings["mail_plugins"].split():
        yield failure(
            SUBJECT,
            f"delivery on {new.host} runs no filter at all: `mail_plugins` in `protocol {new.protocol}` lacks `sieve`",
        )


def _limits(old: _Server, new: _Server) -> Iterator[Finding]:
    for name, (default, what) in LIMITS.items():
        before, after = (server.settings.get(f"plugin/{name}") or default for server in (old, new))
        if _number(after) < _number(before):
            yield warning(SUBJECT, f"`{name}` is {before} on {old.host} and {after} on {new.host}: {what}")


def _number(value: str) -> float:
    """A count, size or time; infinite for none. Raises ValueError on what is none of them."""
    found = re.fullmatch(r"([0-9]+) *([a-z]*)", value.strip().lower())
    if found is None:
        return float("inf")
    return int(found[1]) * UNITS.get(found[2], 1) or float("inf")


def _settings(old: _Server, new: _Server) -> Iterator[Finding]:
    for name, default in SAME.items():
        before, after = (server.settings.get(name) or default for server in (old, new))
        if before != after:
            shown = [value or "not set" for value in (before, after)]
            yield warning(
                SUBJECT,
                f"`{name.removeprefix('plugin/')}` is {shown[0]} on {old.host} and {shown[1]} on {new.host}: the same "
                "filter may act otherwise",
            )


def _scripts(old: _Server, new: _Server) -> Iterator[Finding]:
    for family, when in FAMILIES.items():
        before, after = old.scripts[family], new.scripts[family]
        there = {*after.values()} if family != INCLUDED else set()
        lacking = sorted(name for name, digest in before.items() if name not in after and digest not in there)
        others = sorted(name for name, digest in before.items() if name in after and digest != after[name])
        added = sorted(name for name, digest in after.items() if name not in before and digest not in before.values())
        if lacking and family == INCLUDED:
            yield warning(
                SUBJECT,
                f"{old.host} has {some(lacking)} {when}, and {new.host} does not: such a filter fails there, and its "
                "mail stays in the inbox. Install it under the same name",
            )
        elif lacking:
            yield warning(
                SUBJECT,
                f"{old.host} runs {some(lacking)} {when} (`{family}`), and {new.host} does not: mail is sorted "
                "otherwise there, so that spam may stay in the inbox or be sent on. Install it, or its counterpart",
            )
        if others:
            yield warning(SUBJECT, f"{some(others)}, run {when} (`{family}`), is another text on {new.host}: compare")
        if added and family != INCLUDED:
            yield warning(SUBJECT, f"{new.host} runs {some(added)} {when} (`{family}`), and {old.host} does not")
    for server in (old, new):
        if server.absent:
            yield warning(SUBJECT, f"there is no script on {server.host} where its settings say: {some(server.absent)}")
        if server.unknown:
            yield warning(
                SUBJECT,
                f"not compared on {server.host}, since it is no file that all have in common: {some(server.unknown)}",
            )
