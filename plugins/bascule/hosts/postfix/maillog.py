"""The mail log of a host, from systemd's journal: its lines, and the times of which it does not say everything."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import RemoteHost

JOURNAL = ("journalctl", "--no-pager", "--quiet", "--output=json")
MAIL = "SYSLOG_FACILITY=2"
# systemd's own messages (sd-messages.h): lines were dropped, the journal begins, the journal ends.
DROPPED = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e"
STARTED = "MESSAGE_ID=f77379a8490b408bbe5f6940505a777b"
STOPPED = "MESSAGE_ID=d93fb3c9c24d451a97cea615ce59c00b"
# Address and port are its arguments, never part of the script.
CONNECT = """exec 3<>"/dev/tcp/$1/25" && read -r <&3 && printf 'QUIT\\r\\n' >&3 && cat <&3 >/dev/null"""
KNOCK_SECONDS = 60  # until Postfix's line is seen: longer than the 30 s over which systemd counts

Entry = dict[str, Any]


@dataclass(frozen=True)
class Gap:
    """A time (UTC) of which the log does not say everything."""

    begin: datetime
    end: datetime
    why: str
    is_silence: bool = False  # Postfix writes nothing into the journal

    def __str__(self) -> str:
        return f"from {self.begin:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC ({self.why})"


def lines(remote: RemoteHost, since: datetime | None, *more: str) -> list[tuple[datetime, str]]:
    """The lines of the mail facility, each with its instant (UTC). Raises AccessError."""
    found = _entries(remote, "--output-fields=MESSAGE,__REALTIME_TIMESTAMP", *_from(since), *more, MAIL)
    return [(_at(entry), entry["MESSAGE"]) for entry in found if isinstance(entry.get("MESSAGE"), str)]


def gaps(remote: RemoteHost, since: datetime | None) -> list[Gap]:
    """The times since an instant (UTC; None: since the journal's begin) of which lines of Postfix's may be missing.

    Raises AccessError.
    """
    silence = list(_silence(remote))  # first: it brings out what the journal has not said yet about dropped lines
    marks = _entries(remote, *_from(since), DROPPED, STARTED)
    return [
        *_before_the_journal(remote, since),
        *(gap for mark in marks for gap in (_dropped if mark["MESSAGE_ID"] in DROPPED else _crashed)(remote, mark)),
        *silence,
    ]


def _silence(remote: RemoteHost) -> Iterator[Gap]:
    """Connect to Postfix until the journal takes its line about it.

    Lines that were dropped are noted only together with the next line of the same unit that is taken.
    """
    began, deadline = datetime.now(UTC), time.monotonic() + KNOCK_SECONDS
    address = remote.run(["postconf", "-hx", "inet_interfaces"]).output.replace(",", " ").split()[:1]
    target = address[0] if address and address[0] not in ("all", "loopback-only") else "127.0.0.1"
    while time.monotonic() < deadline:
        remote.run(["timeout", "20", "bash", "-c", CONNECT, "connect", target], sudo=False, check=False)
        if lines(remote, began, "--grep=^(connect|CONNECT) from", "--reverse", "--lines=1"):
            return
        time.sleep(1)
    last = lines(remote, None, "--reverse", "--lines=1")
    yield Gap(
        last[0][0] if last else began,
        datetime.now(UTC),
        f"the journal has no line of a connection to Postfix on {target}: does it log into a file (`maillog_file`)?",
        is_silence=True,
    )


def _before_the_journal(remote: RemoteHost, since: datetime | None) -> Iterator[Gap]:
    if since is not None and not _last(remote, since):
        oldest = _read(remote, ["bash", "-c", f"{' '.join(JOURNAL)} --output-fields=MESSAGE | head -n 1"])
        yield Gap(_utc(since), _at(oldest[0]) if oldest else datetime.now(UTC), "the journal begins later")


def _dropped(remote: RemoteHost, mark: Entry) -> Iterator[Gap]:
    """What journald says of a unit, when that writes to the mail log."""
    what, _, unit = mark["MESSAGE"].partition(" messages from ")
    whose = [] if unit in ("", "(unknown)") else [f"_SYSTEMD_UNIT={unit}"]
    if last := _last(remote, _before(mark), *whose, MAIL):
        count = what.rpartition(" ")[2]
        yield Gap(_at(last), _at(mark), f"journald dropped {count} lines of {unit or 'a unit'}: its rate limit")


def _crashed(remote: RemoteHost, mark: Entry) -> Iterator[Gap]:
    """The time before a boot, when the boot before it did not end by a shutdown."""
    last = _last(remote, _before(mark))
    if last and last["_BOOT_ID"] != mark["_BOOT_ID"] and last.get("MESSAGE_ID", "?") not in STOPPED:
        yield Gap(_at(last), _at(mark), "the host ended without a shutdown")


def _last(remote: RemoteHost, until: datetime, *matches: str) -> Entry | None:
    """The last entry up to an instant."""
    return next(iter(_entries(remote, f"--until={_stamp(until)}", "--reverse", "--lines=1", *matches)), None)


def _before(entry: Entry) -> datetime:
    return _at(entry) - timedelta(microseconds=1)


def _entries(remote: RemoteHost, *options: str) -> list[Entry]:
    return _read(remote, [*JOURNAL, *options])


def _read(remote: RemoteHost, command: list[str]) -> list[Entry]:
    found = remote.run(command, check=False, private=True)
    if found.status != 0 and found.error.strip():
        raise AccessError(f"the mail log of {remote.name} can't be read: {found.error.strip()[-500:]}")
    return [json.loads(line) for line in found.output.splitlines() if line.startswith("{")]


def _from(since: datetime | None) -> list[str]:
    return [] if since is None else [f"--since={_stamp(since)}"]


def _stamp(at: datetime) -> str:
    return f"@{_utc(at).timestamp():.6f}"


def _utc(at: datetime) -> datetime:
    """The ledger's instants are UTC without a mark."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _at(entry: Entry) -> datetime:
    return datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
