"""Services on real hosts: stopped, started, restarted, failing, out of reach."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from bascule.changes.base import ChangeFailed, Outcome
from bascule.changes.probes import connect_from_here
from bascule.changes.service import ServiceRestart, ServiceState
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError

from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab

__all__ = ["changing"]
DROP_IN = "/etc/systemd/system/dovecot.service.d/test.conf"
FAILS = "[Service]\nExecStartPre=/bin/sh -c 'echo the disk of the mailboxes is missing; exit 1'\n"


@pytest.fixture(scope="module", autouse=True)
def everything_runs_at_the_end(lab: Lab) -> Iterator[None]:
    yield
    lab.ssh("old", "systemctl", "start", "dovecot", "mailbox-backup.timer")
    lab.ssh("new", "systemctl", "start", "postfix")


@pytest.fixture
def failing_dovecot(lab: Lab) -> Iterator[None]:
    """On old, Dovecot can't start."""
    lab.write("old", DROP_IN, FAILS)
    lab.ssh("old", "systemctl", "daemon-reload")
    yield
    lab.ssh("old", f"rm -rf $(dirname {DROP_IN}); systemctl daemon-reload; systemctl restart dovecot")


def test_imap_on_old_is_stopped_and_put_back(access: Access, changing: Changing) -> None:
    before, after = changing.round_trip(lambda: ServiceState(access, "imap_old", "stopped"))
    assert (before["units"], after["units"]) == ({"dovecot.service": "active"}, {"dovecot.service": "inactive"})
    assert connect_from_here("old.obs.test", 993).is_open


def test_a_stopped_service_refuses_connections(access: Access, changing: Changing) -> None:
    make = lambda: ServiceState(access, "imap_old", "stopped")  # noqa: E731
    changing.run(make)
    assert connect_from_here("old.obs.test", 993).answer == "refused"
    changing.put_back(make)


def test_reception_on_new_is_stopped_with_all_its_units_and_put_back(access: Access, changing: Changing) -> None:
    changing.round_trip(lambda: ServiceState(access, "reception_new", "stopped"))


def test_the_backup_is_stopped_with_its_timer_and_put_back(access: Access, changing: Changing) -> None:
    before, after = changing.round_trip(lambda: ServiceState(access, "backup_old", "stopped"))
    assert before["units"]["mailbox-backup.timer"] == "active"
    assert set(after["units"].values()) == {"inactive"}


def test_a_stopped_service_is_started(access: Access, changing: Changing, lab: Lab) -> None:
    lab.ssh("old", "systemctl", "stop", "dovecot")
    make = lambda: ServiceState(access, "imap_old", "running")  # noqa: E731
    assert changing.run(make).outcome == Outcome.DONE
    assert connect_from_here("old.obs.test", 143).is_open
    changing.put_back(make)
    assert connect_from_here("old.obs.test", 143).answer == "refused"
    lab.ssh("old", "systemctl", "start", "dovecot")


def test_the_timers_service_need_not_run_for_the_backup_to_be_running(access: Access, changing: Changing) -> None:
    result = changing.run(lambda: ServiceState(access, "backup_old", "running"))
    assert result.outcome == Outcome.UNCHANGED


def test_a_timer_that_is_not_listed_and_would_start_it_again_is_an_error(access: Access, lab: Lab) -> None:
    part = lab.site.services.backup_old.model_copy(update={"units": ["mailbox-backup.service"]})
    services = lab.site.services.model_copy(update={"backup_old": part})
    other = lab.access(lab.site.model_copy(update={"services": services}))
    with pytest.raises(ChangeFailed, match=r"mailbox-backup\.timer would start it again"):
        ServiceState(other, "backup_old", "stopped").apply()
    other.close()


def test_a_service_that_fails_to_start_says_what_its_journal_says(
    access: Access, changing: Changing, lab: Lab, failing_dovecot: None
) -> None:
    lab.ssh("old", "systemctl", "stop", "dovecot")
    with pytest.raises(ChangeFailed, match="the disk of the mailboxes is missing"):
        changing.run(lambda: ServiceState(access, "imap_old", "running"))
    assert changing.events() == ["intent", "failed"]


def test_the_next_try_after_a_failed_start_goes_back_to_the_state_before_the_first(
    access: Access, changing: Changing, lab: Lab, failing_dovecot: None
) -> None:
    make = lambda: ServiceState(access, "imap_old", "running")  # noqa: E731
    lab.ssh("old", "systemctl", "stop", "dovecot")
    with pytest.raises(ChangeFailed):
        changing.run(make)
    lab.ssh("old", f"rm {DROP_IN}; systemctl daemon-reload; systemctl start dovecot")
    assert changing.run(make).before == {"units": {"dovecot.service": "inactive"}}
    assert changing.events() == ["intent", "failed", "done"]


def test_a_unit_that_is_not_there_is_named(lab: Lab) -> None:
    part = lab.site.services.imap_old.model_copy(update={"units": ["cyrus-imapd.service"]})
    services = lab.site.services.model_copy(update={"imap_old": part})
    other = lab.access(lab.site.model_copy(update={"services": services}))
    with pytest.raises(ChangeFailed, match=r"old has no unit cyrus-imapd\.service"):
        ServiceState(other, "imap_old", "stopped").observe()
    other.close()


def test_a_restart_is_done_once_for_one_run(access: Access, changing: Changing, lab: Lab) -> None:
    since = datetime.now(UTC).isoformat()
    make = lambda: ServiceRestart(access, "imap_old", since)  # noqa: E731
    done = changing.run(make)
    assert done.outcome == Outcome.DONE
    assert done.before["invocations"] != done.after["invocations"]
    assert changing.run(make).outcome == Outcome.UNCHANGED
    changing.put_back(make)
    assert connect_from_here("old.obs.test", 993).is_open


def test_a_service_that_was_started_since_is_not_restarted(access: Access, changing: Changing) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=300)).isoformat()
    assert changing.run(lambda: ServiceRestart(access, "imap_old", long_ago)).outcome == Outcome.UNCHANGED


def test_a_host_that_is_down_is_said_in_one_sentence(lab: Lab) -> None:
    part = lab.site.services.imap_old.model_copy(update={"host": "hv"})
    services = lab.site.services.model_copy(update={"imap_old": part})
    other = lab.access(lab.site.model_copy(update={"services": services}))
    lab.power("hv", "off")
    try:
        with pytest.raises(AccessError, match=r"hv\.obs\.test can't be reached by SSH"):
            ServiceState(other, "imap_old", "stopped").observe()
    finally:
        lab.power("hv", "on")
        other.close()


def test_a_wrong_host_key_stops_everything(lab: Lab, changing: Changing) -> None:
    environ = dict(lab.environ)
    known, other = (json.loads(environ[f"AIRFLOW_CONN_BASCULE_SSH_{name}"]) for name in ("OLD", "NEW"))
    known["extra"]["host_key"] = other["extra"]["host_key"]
    access = lab.access(environ={**environ, "AIRFLOW_CONN_BASCULE_SSH_OLD": json.dumps(known)})
    with pytest.raises(AccessError, match="shows another SSH host key"):
        changing.run(lambda: ServiceState(access, "imap_old", "stopped"))
    assert changing.events() == []
    assert connect_from_here("old.obs.test", 993).is_open
