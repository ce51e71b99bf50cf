"""Preflight: look at everything that the day will need, change nothing, and say it in sentences."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bascule.checks.preflight import (
    address,
    calendars,
    certificates,
    directory,
    domain_names,
    filters,
    hosts,
    mail,
    moves,
    notices,
    pop3,
    postfix,
    uids,
    webmail,
    worker,
)
from bascule.checks.preflight.finding import Finding, failure, warning
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError
from bascule.site import Site
from bascule.text.logs import get_logger
from bascule.text.reason import place_of

log = get_logger(__name__)

Check = Callable[[Access], Iterable[Finding]]
THREADS = 8
MISTAKE = (
    "a mistake in Bascule stopped this check ({place}), the others went on: look yourself at what it looks at, and "
    "report it (docs/checks.md says with what)"
)


def preflight(access: Access) -> list[Finding]:
    """All findings, in the order of the checks. A check that fails or breaks is a finding and stops no other."""
    groups = _groups(access)
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="preflight") as pool:
        return [finding for found in pool.map(lambda group: _run_group(access, group), groups) for finding in found]


def preflight_of_moves(access: Access) -> list[Finding]:
    """What moves of single accounts need besides; the hold is tried with the probe's account."""
    return _run_group(access, [("moves", check) for check in moves.CHECKS])


def _groups(access: Access) -> list[list[tuple[str, Check]]]:
    """The checks by what they share: those of one host use one SSH connection, one after the other."""
    site = access.site
    groups: list[list[tuple[str, Check]]] = [
        *([(name, check) for check in _checks_of(site, name)] for name in site.hosts),
        [("directory", check) for check in directory.CHECKS],
        [("mail servers", mail.old_server), ("mail servers", mail.new_server), ("UIDs", uids.kept)],
        [("filters", filters.beside_the_filters)],
        [("certificates", certificates.service_names)],
        [("DNS", check) for check in domain_names.CHECKS],
        [("service addresses", address.removable)],
        [("disk space", hosts.disk_space)],
        [("webmail", webmail.answers)],
        [("notices", notices.ways)],
        [(worker.PLACES, worker.has_places)],
        [("calendars", calendars.old_server), ("calendars", calendars.new_server)],
    ]
    if site.functional_tests.browser:
        groups.append([("the workers' browser", worker.starts_the_browser)])
    return groups


def _checks_of(site: Site, host: str) -> list[Check]:
    """What there is to look at on a host of the site."""
    checks = [hosts.ssh_and_sudo]
    if any(part.host == host for _, part in hosts.services_of(site)):
        checks.append(hosts.units)
    if site.virtual_machine.hypervisor == host:
        checks.append(hosts.virtual_machine)
    if site.queues.mx == host:
        checks += postfix.CHECKS
    if site.functional_tests.run_from == host and site.functional_tests.mail_program:
        checks.append(uids.mail_program_connects)
    if site.mailboxes.old.host == host:
        checks.append(pop3.users)
    return [partial(check, host=host) for check in checks]


def _run_group(access: Access, group: Sequence[tuple[str, Check]]) -> list[Finding]:
    own = access.again()  # SSH connections are not shared between threads
    found: list[Finding] = []
    try:
        for subject, check in group:
            before = len(found)
            try:
                found += check(own)
            except AccessError as error:
                same = failure(subject, str(error))
                found += [] if same in found else [same]
                continue
            except Exception as error:
                # The finding is written to the same log. A preflight can be run again with Airflow's log level DEBUG.
                log.debug("a preflight check broke", subject=subject, exc_info=True)
                found.append(failure(subject, MISTAKE.format(place=place_of(error))))
            if len(found) == before:
                found.append(warning(subject, "this check found nothing to look at"))
    finally:
        own.close()
    return found
