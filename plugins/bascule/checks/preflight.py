"""Preflight: look at everything that the day will need, change nothing, and say it in sentences."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from bascule.access import Access, AccessError
from bascule.checks import calendars, certificates, directory, hosts, mail, names, webmail
from bascule.checks.finding import Finding, failure

log = structlog.get_logger(__name__)

Check = Callable[[Access], Iterable[Finding]]
THREADS = 8


def preflight(access: Access) -> list[Finding]:
    """All findings, in the order of the checks. A check that fails or breaks is a finding and stops no other."""
    groups = _groups(access)
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="preflight") as pool:
        return [finding for found in pool.map(lambda group: _look(access, group), groups) for finding in found]


def _groups(access: Access) -> list[list[tuple[str, Check]]]:
    """The checks by what they share: those of one host use one SSH connection, one after the other."""
    site = access.site
    by_host: list[list[tuple[str, Check]]] = [
        [(f"host {name}", partial(check, host=name)) for check in hosts.CHECKS] for name in site.hosts
    ]  # fmt: skip
    return [
        *by_host,
        [("directory", check) for check in directory.CHECKS],
        [("mail servers", mail.old_server), ("mail servers", mail.new_server)],
        [("certificates", certificates.service_names)],
        [("DNS", check) for check in names.CHECKS],
        [("disk space", hosts.disk_space)],
        [("webmail", webmail.answers)],
        [("calendars", calendars.old_server), ("calendars", calendars.new_server)],
    ]


def _look(access: Access, group: Sequence[tuple[str, Check]]) -> list[Finding]:
    own = access.again()  # SSH connections are not shared between threads
    found: list[Finding] = []
    try:
        for subject, check in group:
            try:
                found += check(own)
            except AccessError as error:
                found.append(failure(subject, str(error)))
            except Exception as error:
                log.exception("a preflight check broke", subject=subject)
                found.append(failure(subject, f"this check broke: {type(error).__name__}: {error}"))
    finally:
        own.close()
    return found
