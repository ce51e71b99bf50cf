"""Services over a systemd in memory: what is started and stopped, in which order, and what is waited for."""

from collections.abc import Sequence
from typing import Any

import pytest
from bascule.changes import service, systemd
from bascule.changes.base import ChangeFailed
from bascule.changes.service import ServiceState
from bascule.hosts.ssh import Finished
from bascule.site import Site

from tests.unit.changes.fakes import FakeAccess


class FakeSystemd:
    """Units of one host. `slow` units are `deactivating` for some looks; `broken` ones fail to start."""

    def __init__(self, access: FakeAccess, host: str, **active: str) -> None:
        self.host = access.remote(host)
        self.active = {name.replace("__", "."): state for name, state in active.items()}
        self.triggers: dict[str, str] = {}
        self.slow: dict[str, int] = {}
        self.broken: set[str] = set()
        self.listens = ""
        self.jobs: list[str] = []
        self.host.answers |= {
            "systemctl show": self._show,
            "systemctl start": self._start,
            "systemctl stop": self._stop,
            "journalctl": "dovecot[7]: Fatal: no disk\n",
            "ss -H": lambda _: self.listens,
        }

    def _show(self, command: Sequence[str]) -> str:
        return "\n".join(self._block(unit) for unit in command[command.index("--") + 1 :])

    def _block(self, unit: str) -> str:
        state = self.active.get(unit, "inactive")
        if self.slow.get(unit) and not state.startswith("act"):
            self.slow[unit] -= 1
            state = "deactivating"
        values: dict[str, Any] = {
            "Id": unit,
            "LoadState": "loaded" if unit in self.active else "not-found",
            "ActiveState": state,
            "SubState": state,
            "TriggeredBy": self.triggers.get(unit, ""),
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())

    def _start(self, command: Sequence[str]) -> str | Finished:
        self.jobs.append(f"start {command[-1]}")
        if command[-1] in self.broken:
            self.active[command[-1]] = "failed"
            return Finished(1, "", "Job for dovecot.service failed.", 0)
        self.active[command[-1]] = "active"
        return ""

    def _stop(self, command: Sequence[str]) -> str:
        self.jobs.append(f"stop {command[-1]}")
        self.active[command[-1]] = "inactive"
        return ""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(service, "PORT_SECONDS", 0)


@pytest.fixture
def access() -> FakeAccess:
    return FakeAccess()


def listening(*ports: int) -> str:
    return "".join(f'LISTEN 0 100 0.0.0.0:{port} 0.0.0.0:* users:(("dovecot",pid=7,fd=9))\n' for port in ports)


def test_a_stop_waits_until_the_unit_is_no_longer_deactivating(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", dovecot__service="active")
    units.slow["dovecot.service"] = 3
    ServiceState(access, "imap_old", "stopped").apply()
    assert units.slow["dovecot.service"] == 0


def test_a_stop_that_does_not_end_is_an_error_with_the_units_journal(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = FakeSystemd(access, "old", dovecot__service="active")
    units.slow["dovecot.service"] = 1_000_000
    monkeypatch.setattr(systemd.time, "monotonic", iter(range(0, 1_000_000, 60)).__next__)
    with pytest.raises(ChangeFailed, match=r"after 180 s dovecot.service is deactivating(?s:.*)no disk"):
        ServiceState(access, "imap_old", "stopped").apply()


def test_a_failed_start_says_what_systemd_and_the_journal_said(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", dovecot__service="inactive")
    units.broken.add("dovecot.service")
    change = ServiceState(access, "imap_old", "running")
    change.observe()
    with pytest.raises(ChangeFailed, match=r"(?s)systemctl start dovecot.service.*Job for.*failed.*Fatal: no disk"):
        change.apply()


def test_a_timer_is_stopped_before_what_it_starts(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", **{"mailbox-backup__timer": "active", "mailbox-backup__service": "activating"})
    units.triggers["mailbox-backup.service"] = "mailbox-backup.timer"
    ServiceState(access, "backup_old", "stopped").apply()
    assert units.jobs == ["stop mailbox-backup.timer", "stop mailbox-backup.service"]


def test_a_backup_in_the_middle_of_its_work_is_not_waited_for_when_it_is_looked_at(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", **{"mailbox-backup__timer": "active", "mailbox-backup__service": "activating"})
    change = ServiceState(access, "backup_old", "stopped")
    assert change.observe() == {"units": dict(units.active)}
    assert not change.is_desired(change.observe())


def test_putting_a_backup_back_starts_the_timer_only(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", **{"mailbox-backup__timer": "inactive", "mailbox-backup__service": "inactive"})
    units.triggers["mailbox-backup.service"] = "mailbox-backup.timer"
    change = ServiceState(access, "backup_old", "stopped")
    change.revert({"units": {"mailbox-backup.timer": "active", "mailbox-backup.service": "active"}})
    assert units.jobs == ["start mailbox-backup.timer"]


def test_each_unit_goes_back_to_its_own_state(access: FakeAccess) -> None:
    units = FakeSystemd(access, "new", **{"postfix__service": "active", "postfix@-__service": "inactive"})
    change = ServiceState(access, "reception_new", "stopped")
    change.revert({"units": {"postfix.service": "inactive", "postfix@-.service": "active"}})
    assert units.active == {"postfix.service": "inactive", "postfix@-.service": "active"}


def test_a_failed_unit_is_as_good_as_stopped(access: FakeAccess) -> None:
    FakeSystemd(access, "old", dovecot__service="failed")
    change = ServiceState(access, "imap_old", "stopped")
    assert change.is_desired(change.observe())


def test_a_stopped_service_whose_port_somebody_still_holds_is_an_error(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", dovecot__service="inactive")
    units.listens = listening(993)
    with pytest.raises(ChangeFailed, match=r"old still listens on 993 by users:\(\(\"dovecot\""):
        ServiceState(access, "imap_old", "stopped").verify()


def test_a_running_service_that_does_not_listen_is_an_error(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", dovecot__service="active")
    units.listens = listening(143)
    with pytest.raises(ChangeFailed, match=r"does not listen on 993"):
        ServiceState(access, "imap_old", "running").verify()


def test_a_socket_that_is_active_and_not_listed_is_named_before_anything_is_stopped(access: FakeAccess) -> None:
    units = FakeSystemd(access, "old", dovecot__service="active", dovecot__socket="active")
    units.triggers["dovecot.service"] = "dovecot.socket"
    with pytest.raises(ChangeFailed, match=r"dovecot\.socket would start it again"):
        ServiceState(access, "imap_old", "stopped").apply()
    assert units.jobs == []


def test_a_unit_name_reaches_systemctl_as_one_word(site: Site) -> None:
    part = site.services.imap_old.model_copy(update={"units": [r"mail-a\x2db.service"]})
    access = FakeAccess(site.model_copy(update={"services": site.services.model_copy(update={"imap_old": part})}))
    FakeSystemd(access, "old", **{r"mail-a\x2db__service": "active"})
    ServiceState(access, "imap_old", "stopped").apply()
    assert access.remote("old").did(r"systemctl stop -- 'mail-a\x2db.service'")


@pytest.fixture
def site() -> Site:
    return FakeAccess().site
