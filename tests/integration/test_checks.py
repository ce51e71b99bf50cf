"""Preflight and functional tests on the lab, as it is before the day; with one thing wrong at a time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bascule.changes.probes import wait_for
from bascule.checks.functional import client, delivery
from bascule.checks.functional.run import run_functional_test
from bascule.checks.preflight import (
    calendars,
    certificates,
    directory,
    domain_names,
    hosts,
    mail,
    pop3,
    postfix,
    run,
    uids,
    webmail,
)
from bascule.checks.preflight.run import preflight
from bascule.hosts.access import Access
from bascule.hosts.directory import accounts
from bascule.ledger import Ledger
from bascule.mailbox import job_for, sync_mailbox
from bascule.pop3.listing import list_by_pop3
from bascule.site import Site

from lab.facts import HOSTS

MAIL_PROGRAM = "mail-program-with-a-cache"


def changed(lab: Any, **parts: dict[str, Any]) -> Access:
    """An access to the lab's site with some keys of the site file changed."""
    raw = lab.site.model_dump()
    for path, values in parts.items():
        part = raw
        for key in filter(None, path.split("__")):
            part = part[key]
        part.update(values)
    return lab.access(Site.model_validate(raw))


def levels(found: Any) -> set[str]:
    return {finding.level for finding in found}


def test_a_site_in_order_has_no_failure(access: Access) -> None:
    found = preflight(access)
    assert [finding for finding in found if finding.level == "failure"] == []
    assert len(found) > 30
    subjects = " ".join(finding.subject for finding in found)
    for wanted in ("old: dovecot.service", "imap-proxy", "queue", "mailRoutingAddress", "IMAP on new", "certificate"):
        assert wanted in subjects


def test_it_changes_nothing_in_the_directory(lab: Any, access: Access) -> None:
    dump = "slapcat -f /etc/ldap/slapd.conf 2>/dev/null | sha256sum"
    before = lab.ssh("ldap", dump)
    assert levels(directory.writable(access)) == {"ok"}
    assert lab.ssh("ldap", dump) == before


def test_a_login_that_may_not_write_the_directory_fails(lab: Any) -> None:
    environ = dict(lab.environ)
    name = "AIRFLOW_CONN_BASCULE_LDAP"
    environ[name] = environ[name].replace("cn=bascule,", "cn=reader,")
    environ[name] = environ[name].replace(lab.secrets.ldap_bascule, lab.secrets.ldap_reader)
    found = list(directory.writable(lab.access(environ=environ)))
    attributes = ("mailRoutingAddress", "mailQuota", "mailHost", "mailHold", "mailDelayUntil")
    assert [finding.subject for finding in found] == [f"directory: {attribute}" for attribute in attributes]
    assert all(finding.level == "failure" and "access rules" in finding.sentence for finding in found)


def test_a_unit_that_does_not_exist_fails(lab: Any) -> None:
    access = changed(lab, services__imap_old={"units": ["dovecto.service"]})
    found = [finding for finding in hosts.units(access, "old") if finding.level == "failure"]
    assert [finding.subject for finding in found] == ["old: dovecto.service"]


def test_a_virtual_machine_that_virsh_does_not_know_fails(lab: Any) -> None:
    assert levels(hosts.virtual_machine(changed(lab, virtual_machine={"name": "other"}), "hv")) == {"failure"}


def test_a_queue_that_returns_mail_too_early_fails(lab: Any) -> None:
    assert levels(postfix.queue_lifetime(changed(lab, queues={"lifetime_hours": 24 * 365}), "mx")) == {"failure"}


def test_entries_that_point_elsewhere_are_named(lab: Any) -> None:
    access = changed(lab, directory__destination={"before": "{{ account }}@elsewhere.test"})
    found = [finding for finding in directory.destinations(access) if finding.level == "failure"]
    assert "@old.obs.test" in found[0].sentence


def test_a_name_for_which_the_certificate_is_not_valid_fails(lab: Any) -> None:
    found = list(certificates.service_names(changed(lab, service_addresses__imap={"name": "imap.other.test"})))
    assert [finding.level for finding in found] == ["failure", "ok"]
    assert "imap.other.test" in found[0].subject


def test_a_service_name_that_dns_leads_elsewhere_fails(lab: Any) -> None:
    access = changed(lab, service_addresses__pop={"address": "198.51.100.99/32"})
    assert "failure" in levels(domain_names.hosts_and_services(access))
    assert "failure" in levels(domain_names.authoritative_servers(access))


def test_a_webmail_that_answers_slowly_is_told_with_its_mending(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webmail, "SLOW", 0.0)
    sentences = [finding.sentence for finding in webmail.answers(access) if finding.level == "warning"]
    assert "reverse queries" in sentences[0]


# What a postmaster can do nothing with: names of Python's, numbers of errors, a container's resolver.
NOT_FOR_PEOPLE = re.compile(r"\w+(Error|Exception|Timeout)\b|Errno|_ssl\.c|Traceback|0x[0-9a-f]{6}|Do53|\bb['\"]|None")


def wrong_connection(lab: Any, name: str, **values: Any) -> Access:
    """Bascule with one connection that is wrong in some keys, or in keys of its extra."""
    known = json.loads(lab.environ[f"AIRFLOW_CONN_{name}"])
    extra = {key: values.pop(key) for key in list(values) if key in known["extra"]}
    return lab.access(
        environ={**lab.environ, f"AIRFLOW_CONN_{name}": json.dumps(known | values | {"extra": known["extra"] | extra})}
    )


WRONG: dict[str, tuple[Any, Any]] = {
    "directory: no such port": (lambda lab: wrong_connection(lab, "BASCULE_LDAP", port=1), directory.CHECKS),
    "directory: no such host": (
        lambda lab: wrong_connection(lab, "BASCULE_LDAP", host="no.obs.test"),
        directory.CHECKS,
    ),
    "directory: not TLS": (lambda lab: wrong_connection(lab, "BASCULE_LDAP", port=389), directory.CHECKS),
    "directory: wrong password": (lambda lab: wrong_connection(lab, "BASCULE_LDAP", password="x"), directory.CHECKS),
    "directory: no such authority": (
        lambda lab: wrong_connection(lab, "BASCULE_LDAP", ca_file="/nowhere/ca.pem"),
        directory.CHECKS,
    ),
    "directory: another authority": (
        lambda lab: wrong_connection(lab, "BASCULE_LDAP", ca_file="/etc/ssl/certs/ca-certificates.crt"),
        directory.CHECKS,
    ),
    "directory: nobody": (
        lambda lab: changed(lab, directory={"filter": "(uid=nobody-at-all)"}),
        (directory.destinations, directory.found_by_name, directory.writable),
    ),
    "mail: nobody": (lambda lab: changed(lab, directory={"filter": "(uid=nobody-at-all)"}), (mail.old_server,)),
    "mail: no such port": (lambda lab: changed(lab, mailboxes__old={"port": 1}), (mail.old_server,)),
    "mail: not TLS": (lambda lab: changed(lab, mailboxes__old={"port": 143}), (mail.old_server,)),
    "mail: wrong password": (lambda lab: wrong_connection(lab, "BASCULE_MAIL_OLD", password="x"), (mail.old_server,)),
    "certificates: no such port": (
        lambda lab: changed(lab, service_addresses__imap={"port": 1}, service_addresses__pop={"port": 110}),
        (certificates.service_names,),
    ),
    "webmail: nowhere": (
        lambda lab: changed(lab, webmail={"url": "https://no.obs.test/", "target": "https://new.obs.test:1/"}),
        (webmail.answers,),
    ),
    "calendars: nowhere": (
        lambda lab: changed(lab, calendars__old={"url": "https://no.obs.test/{{ account }}/"}),
        (calendars.old_server,),
    ),
    "storage: an empty folder": (
        lambda lab: changed(lab, mailboxes__old={"storage": "/srv"}, mailboxes__new={"storage": "/nowhere"}),
        (hosts.disk_space,),
    ),
    "storage: nothing there": (lambda lab: changed(lab, mailboxes__old={"storage": "/var/empty"}), (hosts.disk_space,)),
    "names: no zone": (
        lambda lab: changed(lab, **{"": {"domain": "no.obs.test"}}),
        (domain_names.mail_exchanger,),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_words_for_people_and_nothing_is_in_order_unseen(lab: Any, what: str) -> None:
    make, checks = WRONG[what]
    access = make(lab)
    found = run._run_group(access, [(what, check) for check in checks])
    access.close()
    assert found
    assert "ok" not in levels(found), found
    for finding in found:
        print(f"{finding.level}: {finding.subject}: {finding.sentence}")
        assert not NOT_FOR_PEOPLE.search(finding.sentence), finding.sentence


def test_people_who_use_pop3_are_named(lab: Any, access: Access) -> None:
    account = accounts(access)[0].name
    own = {
        "user": account,
        "password": lab.secrets.password_of(account),
        "authority": client.login(access)["authority"],
    }
    client.ask(access, "pop3_login", {"host": "old.obs.test", "port": 995, **own})
    list_by_pop3(job_for(access, other := accounts(access)[1].name).old, 995)  # Bascule's own look is nobody's use
    told = list(pop3.users(access, "old"))
    assert levels(told) == {"ok"}
    assert account in told[0].sentence
    assert other not in told[0].sentence
    maildir = list(pop3.users(changed(lab, mailboxes__new={"host": "old"}), "old"))  # where mail lies in a Maildir
    assert [(finding.level, "sdbox only" in finding.sentence) for finding in maildir] == [("failure", True)]
    by_themselves = list(pop3.users(changed(lab, mailboxes={"pop3": None}), "old"))
    assert [(finding.level, "UID and UIDVALIDITY" in finding.sentence) for finding in by_themselves] == [("ok", True)]
    not_carried = list(pop3.users(changed(lab, mailboxes={"pop3": None, "uids": "new"}), "old"))
    assert levels(not_carried) == {"warning"}
    assert account in not_carried[0].sentence


def test_whether_uids_can_be_kept(lab: Any, access: Access) -> None:
    assert levels(uids.kept(access)) == {"ok"}
    no_dovecot = changed(lab, mailboxes__new={"host": "web"})
    assert levels(uids.kept(no_dovecot)) == {"warning"}
    assert levels(uids.kept(changed(lab, mailboxes={"uids": "keep"}, mailboxes__new={"host": "web"}))) == {"failure"}


def test_a_mail_program_with_a_cache_notices_nothing(lab: Any, access: Access, tmp_path: Path) -> None:
    lab.ssh("client", "sh", "-c", "rm -rf /home/*/.cache/bascule-mail-program /root/.cache/bascule-mail-program")
    before, after = (changed(lab, service_addresses__imap={"name": f"{side}.obs.test"}) for side in ("old", "new"))
    assert "no cache" in run_functional_test(after, MAIL_PROGRAM).sentence
    lab.ssh("client", "sh", "-c", "rm -rf /home/*/.cache/bascule-mail-program /root/.cache/bascule-mail-program")
    assert levels(uids.mail_program_connects(before, "client")) == {"ok"}
    sync_mailbox(job_for(access, access.site.functional_tests.account), Ledger(f"sqlite:///{tmp_path}/ledger.db"))
    evidence = run_functional_test(after, MAIL_PROGRAM)
    assert evidence.ok, evidence.sentence
    assert "0 of them anew, lost 0, doubled 0" in evidence.sentence


def test_a_calendar_server_that_would_invite_people_fails(lab: Any, access: Access) -> None:
    assert levels(calendars.new_server(access)) == {"ok"}
    ordinary = lab.site.calendars.new.url.replace(":8443", "")
    environ = dict(lab.environ)
    login = {"login": "sonde", "password": lab.secrets.password_of("sonde")}
    environ["AIRFLOW_CONN_BASCULE_CALENDARS_NEW"] = json.dumps(
        json.loads(environ["AIRFLOW_CONN_BASCULE_CALENDARS_NEW"]) | login
    )
    raw = lab.site.model_dump()
    raw["calendars"]["new"] |= {"url": ordinary, "contacts_url": None, "login": "superuser"}
    found = list(calendars.new_server(lab.access(Site.model_validate(raw), environ)))
    assert [finding.level for finding in found] == ["ok", "failure"]
    assert "(sonde@obs.test): it would put every meeting into its guests' calendars" in found[1].sentence


def test_an_event_is_written_read_and_removed_from_the_client(access: Access) -> None:
    evidence = run_functional_test(access, "calendar-event")
    assert evidence.ok, evidence.sentence


def test_the_certificate_is_checked_for_the_name_that_users_have(lab: Any) -> None:
    wrong = changed(lab, service_addresses__pop={"name": "old", "port": 995})
    evidence = run_functional_test(wrong, "pop3-login")
    assert not evidence.ok
    assert "certificate is not valid for old" in evidence.sentence


def test_submission_and_the_way_out(access: Access) -> None:
    evidence = run_functional_test(access, "mail-to-outside")
    assert evidence.ok, evidence.sentence


OLD_SIEVE = {"name": "old.obs.test", "port": 4190}


def test_a_vacation_answers_two_messages_once_and_leaves_the_probes_filter_as_it_was(lab: Any) -> None:
    shown = ["doveadm", "sieve", "list", "-u", "sonde"]
    before = lab.ssh("old", *shown)
    assert "ACTIVE" in before
    evidence = run_functional_test(changed(lab, functional_tests={"sieve": OLD_SIEVE}), "vacation-answers-once")
    assert evidence.ok, evidence.sentence
    assert lab.ssh("old", *shown) == before


def test_a_filter_is_seen_by_managesieve_with_its_certificate_checked(lab: Any) -> None:
    evidence = run_functional_test(changed(lab, functional_tests={"sieve": OLD_SIEVE}), "managesieve-login")
    assert evidence.ok, evidence.sentence
    wrong = {"sieve": {"name": "old", "port": 4190}}
    evidence = run_functional_test(changed(lab, functional_tests=wrong), "managesieve-login")
    assert not evidence.ok
    assert "certificate is not valid for old" in evidence.sentence


def test_what_exceeds_the_quota_is_refused_politely_and_nothing_of_it_is_kept(access: Access) -> None:
    evidence = run_functional_test(access, "quota-refuses")
    assert evidence.ok, evidence.sentence
    assert "[OVERQUOTA]" in evidence.sentence


def test_mail_to_a_list_reaches_the_probe_and_the_member_outside_once(lab: Any, access: Access) -> None:
    counted = "grep -rlF 'To: liste-essais@obs.test' /var/mail/outside | wc -l"
    before = int(lab.ssh("client", counted))
    evidence = delivery.mail_to("list", access)
    assert evidence.ok, evidence.sentence
    assert wait_for(lambda: int(lab.ssh("client", counted)) == before + 1, 30)


@pytest.fixture
def sogo_without_reverse_dns(lab: Any) -> Iterator[None]:
    """SOGo that is asked from an address without a name in its /etc/hosts, and whose name server doesn't answer."""
    ldap = HOSTS["ldap"]
    files = "/etc/hosts /etc/resolv.conf /etc/sogo/sogo.conf"
    mute = "table inet mute { chain input { type filter hook input priority 0; udp sport 53 drop; }; }"
    restart = "systemctl restart sogo"
    lab.ssh("sogo", f"tar -cPf /root/good.tar {files}")
    lab.ssh("sogo", "sed -i 's/127.0.0.1:20000/0.0.0.0:20000/' /etc/sogo/sogo.conf")
    lab.ssh("sogo", f"echo '{ldap.address} {ldap.fqdn}' > /etc/hosts; sed -i '/^options/d' /etc/resolv.conf")
    lab.ssh("sogo", f"echo '{mute}' | nft -f -; {restart}")
    assert wait_for(lambda: bool(lab.ssh("sogo", "ss -Hltn 'sport = :20000'")), 60)
    yield
    lab.ssh("sogo", f"nft delete table inet mute; tar -xPf /root/good.tar; rm /root/good.tar; {restart}")
    assert wait_for(lambda: bool(lab.ssh("sogo", "ss -Hltn 'sport = :20000'")), 60)


def test_a_sogo_that_can_not_look_its_clients_up_is_told_with_its_mending(
    lab: Any, sogo_without_reverse_dns: None
) -> None:
    # Past the lab's nginx, which sits beside SOGo and tells it a client's name.
    direct = changed(lab, webmail={"target": f"http://{HOSTS['sogo'].fqdn}:20000/SOGo/"})
    found = list(webmail.answers(direct))
    slow = {finding.subject: finding.sentence for finding in found if finding.level == "warning"}
    assert set(slow) == {"new webmail"}, found
    assert int(re.findall(r"took (\d+) s", slow["new webmail"])[0]) >= 5
    assert "name server that answers reverse queries" in slow["new webmail"]
    assert "/etc/hosts" in slow["new webmail"]
