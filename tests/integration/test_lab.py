"""The practice site itself: each host answers what it is there for, with a valid certificate, under its names."""

import imaplib
import json
import poplib
import smtplib
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator

import dns.resolver
import dns.reversename
import httpx
import ldap3
import pytest

from lab.facts import ALIASES, DOMAIN, HOSTS, PEOPLE_BASE, REVERSE_NAMES, SERVICE_ADDRESSES, USUAL
from lab.hosts.secrets import (
    CALENDAR_FILLER,
    CALENDAR_USER,
    LDAP_ADMIN_DN,
    LDAP_BASCULE_DN,
    LDAP_READER_DN,
    MASTER_USER,
)
from lab.hosts.tls import names_of
from tests.integration.conftest import Lab

# A person of these tests alone, whom no other test counts.
VISITOR = "visiteur"
SECONDS = 60


@pytest.fixture(scope="module")
def trusted(lab: Lab) -> ssl.SSLContext:
    return trusted_by(lab)


@pytest.fixture(scope="module")
def directory(lab: Lab) -> Iterator[ldap3.Connection]:
    with _bind(lab, LDAP_ADMIN_DN, lab.secrets.ldap_admin) as connection:
        yield connection


@pytest.fixture
def visitor(lab: Lab, directory: ldap3.Connection) -> Iterator[str]:
    """An account whose mailbox is on old."""
    dn = f"uid={VISITOR},{PEOPLE_BASE}"
    attributes = {
        "cn": "Zoé Visiteur",
        "sn": "Visiteur",
        "mail": f"Zoe.Visiteur@{DOMAIN}",
        "mailLocalAddress": f"Zoe.Visiteur@{DOMAIN}",
        "mailRoutingAddress": f"{VISITOR}@old.{DOMAIN}",
        "mailHost": f"old.{DOMAIN}",
        "userPassword": lab.secrets.password_of(VISITOR),
    }
    directory.delete(dn)
    assert directory.add(dn, ["inetOrgPerson", "inetLocalMailRecipient"], attributes), directory.result
    yield VISITOR
    directory.delete(dn)


TLS_SERVICES = {
    "old": (993, 995),
    "new": (993, 995),
    "proxy": (993, 995),
    "ldap": (636,),
    "sogo": (443, 8443),
    "web": (443, 5232),
}
CERTIFIED = [(host, name, port) for host, ports in TLS_SERVICES.items() for name in names_of(host) for port in ports]


@pytest.mark.parametrize(("host", "name", "port"), CERTIFIED)
def test_certificate_is_valid_for_every_name_of_the_host(
    trusted: ssl.SSLContext, host: str, name: str, port: int
) -> None:
    plain = socket.create_connection((HOSTS[host].address, port), timeout=SECONDS)
    with trusted.wrap_socket(plain, server_hostname=name) as wrapped:
        assert wrapped.getpeercert()


@pytest.mark.parametrize("address", [*HOSTS, "imap", "pop"])
def test_forward_and_reverse_names_agree(address: str) -> None:
    name = f"{address}.{DOMAIN}"
    [answer] = dns.resolver.resolve(name, "A")
    [reverse] = dns.resolver.resolve(dns.reversename.from_address(answer.address), "PTR")
    assert str(reverse) == f"{name}."
    assert REVERSE_NAMES[name] == answer.address


@pytest.mark.parametrize("name", ALIASES)
def test_alias_leads_to_its_address(name: str) -> None:
    [answer] = dns.resolver.resolve(name, "A")
    assert answer.address == ALIASES[name]


def test_mail_of_the_domain_goes_to_mx() -> None:
    [answer] = dns.resolver.resolve(DOMAIN, "MX")
    assert str(answer.exchange) == f"mx.{DOMAIN}."


@pytest.mark.parametrize("host", USUAL)
def test_bascule_becomes_root_by_its_key(lab: Lab, host: str) -> None:
    assert lab.ssh(host, "runuser", "-u", "bascule", "--", "sudo", "-n", "id", "-u").strip() == "0"
    connection = json.loads(lab.environ[f"AIRFLOW_CONN_BASCULE_SSH_{host.upper()}"])
    assert connection["extra"]["host_key"] == " ".join(
        lab.ssh(host, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
    )


@pytest.mark.parametrize("host", USUAL)
def test_no_unit_has_failed(lab: Lab, host: str) -> None:
    assert lab.ssh(host, "systemctl list-units --failed --plain --no-legend") == ""


def test_mail_through_mx_arrives_on_old(lab: Lab, trusted: ssl.SSLContext, visitor: str) -> None:
    subject = _send(trusted, f"zoe.visiteur@{DOMAIN}")
    mailbox = _imap(trusted, f"old.{DOMAIN}", visitor, lab.secrets.password_of(visitor))
    _wait_until(lambda: _found(mailbox, subject) == 1)


def test_mail_for_the_outside_arrives_there(lab: Lab, trusted: ssl.SSLContext) -> None:
    subject = _send(trusted, "quelqu.un@outside.test")
    _wait_until(lambda: subject in lab.ssh("client", "cat /var/mail/outside/new/* 2>/dev/null || true"))


@pytest.mark.parametrize("host", ["old", "new"])
def test_master_logs_in_as_anybody(lab: Lab, trusted: ssl.SSLContext, visitor: str, host: str) -> None:
    password = getattr(lab.secrets, f"master_{host}")
    mailbox = _imap(trusted, f"{host}.{DOMAIN}", f"{visitor}*{MASTER_USER}", password)
    name = "INBOX.Essai" if host == "old" else "Essai"
    assert mailbox.create(name)[0] == "OK", "a master user has the rights of the account"
    assert mailbox.delete(name)[0] == "OK"


@pytest.mark.parametrize("host", ["old", "new"])
def test_proxy_sends_an_account_where_its_entry_says(
    lab: Lab, trusted: ssl.SSLContext, directory: ldap3.Connection, visitor: str, host: str
) -> None:
    moved = {"mailHost": [(ldap3.MODIFY_REPLACE, [f"{host}.{DOMAIN}"])]}
    assert directory.modify(f"uid={visitor},{PEOPLE_BASE}", moved)
    separator = {"old": b'"."', "new": b'"/"'}[host]
    for login, password in (
        (visitor, lab.secrets.password_of(visitor)),
        (f"{visitor}*{MASTER_USER}", getattr(lab.secrets, f"master_{host}")),
    ):
        mailbox = _imap(trusted, f"proxy.{DOMAIN}", login, password)
        assert separator in mailbox.list()[1][0]


def test_proxy_refuses_a_wrong_master_password(trusted: ssl.SSLContext, visitor: str) -> None:
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        _imap(trusted, f"proxy.{DOMAIN}", f"{visitor}*{MASTER_USER}", "wrong")


def test_pop_serves_a_mailbox(lab: Lab, trusted: ssl.SSLContext, visitor: str) -> None:
    pop = poplib.POP3_SSL(f"old.{DOMAIN}", context=trusted, timeout=SECONDS)
    pop.user(visitor)
    assert pop.pass_(lab.secrets.password_of(visitor)).startswith(b"+OK")
    pop.quit()


def test_new_takes_mail_for_submission_only_with_a_login(lab: Lab, trusted: ssl.SSLContext, visitor: str) -> None:
    with smtplib.SMTP(f"smtp.{DOMAIN}", 587, timeout=SECONDS) as smtp:
        smtp.starttls(context=trusted)
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail(f"{visitor}@{DOMAIN}", ["quelqu.un@outside.test"], "Subject: x\r\n\r\nx\r\n")
        smtp.login(visitor, lab.secrets.password_of(visitor))
        smtp.sendmail(f"{visitor}@{DOMAIN}", ["quelqu.un@outside.test"], "Subject: x\r\n\r\nx\r\n")


def test_bascule_may_write_where_mail_goes_and_nothing_else(lab: Lab, visitor: str) -> None:
    dn = f"uid={visitor},{PEOPLE_BASE}"
    with _bind(lab, LDAP_BASCULE_DN, lab.secrets.ldap_bascule) as bascule:
        assert bascule.modify(dn, {"mailRoutingAddress": [(ldap3.MODIFY_REPLACE, [f"{visitor}@new.{DOMAIN}"])]})
        assert bascule.modify(dn, {"mailHost": [(ldap3.MODIFY_REPLACE, [f"new.{DOMAIN}"])]})
        assert not bascule.modify(dn, {"sn": [(ldap3.MODIFY_REPLACE, ["Autre"])]})
    with _bind(lab, LDAP_READER_DN, lab.secrets.ldap_reader) as reader:
        assert not reader.modify(dn, {"mailHost": [(ldap3.MODIFY_REPLACE, [f"old.{DOMAIN}"])]})


def test_old_calendars_can_be_read_by_bascule_but_not_written(lab: Lab) -> None:
    base = f"https://web.{DOMAIN}:5232/{VISITOR}/"
    filler, reader = (CALENDAR_FILLER, lab.secrets.calendars_filler), (CALENDAR_USER, lab.secrets.calendars_old)
    _web(lab, "DELETE", base, filler)
    assert _web(lab, "MKCOL", base, filler).status_code == 201
    assert _web(lab, "MKCALENDAR", f"{base}agenda/", filler).status_code == 201
    assert _web(lab, "PUT", f"{base}agenda/1.ics", filler, _event("1")).status_code == 201
    assert "SUMMARY:Réunion" in _web(lab, "GET", f"{base}agenda/1.ics", reader).content.decode()
    assert _web(lab, "PUT", f"{base}agenda/2.ics", reader, _event("2")).status_code == 403
    assert _web(lab, "GET", f"{base}agenda/1.ics", None).status_code == 401
    assert _web(lab, "DELETE", base, filler).status_code == 200


def test_new_calendars_can_be_written_by_bascule_and_read_by_their_owner(lab: Lab, visitor: str) -> None:
    home = f"https://sogo.{DOMAIN}/SOGo/dav/{visitor}"
    superuser, owner = (CALENDAR_USER, lab.secrets.calendars_new), (visitor, lab.secrets.password_of(visitor))
    place = f"{home}/Calendar/personal/{uuid.uuid4()}.ics"
    assert _web(lab, "PUT", place, superuser, _event(uuid.uuid4().hex)).status_code == 201
    assert "SUMMARY:Réunion" in _web(lab, "GET", place, owner).content.decode()
    assert _web(lab, "DELETE", place, owner).status_code == 204
    assert _web(lab, "PROPFIND", f"{home}/Contacts/personal/", owner).status_code == 207


def test_person_logs_in_to_the_new_webmail_and_sees_the_mailbox_on_new(
    lab: Lab, trusted: ssl.SSLContext, visitor: str
) -> None:
    with httpx.Client(verify=trusted, timeout=SECONDS) as browser:
        home = f"https://sogo.{DOMAIN}/SOGo"
        login = {"userName": visitor, "password": lab.secrets.password_of(visitor)}
        assert browser.post(f"{home}/connect", json=login).status_code == 200
        token = {"X-XSRF-TOKEN": browser.cookies["XSRF-TOKEN"]}
        folders = browser.get(f"{home}/so/{visitor}/Mail/0/view", headers=token).json()
        assert "INBOX" in [folder["path"] for folder in folders["mailboxes"]]


def test_webmail_shows_the_old_page_and_takes_a_snippet(lab: Lab) -> None:
    # The test of the redirect itself is the change's; here only that a snippet counts in both servers.
    lab.write("web", "/etc/nginx/webmail.d/lab-test.conf", "location = /lab-test { return 204; }\n")
    try:
        lab.ssh("web", "nginx -t && systemctl reload nginx")
        for scheme in ("http", "https"):
            page = _web(lab, "GET", f"{scheme}://webmail.{DOMAIN}/", None)
            assert "Ancien webmail" in page.content.decode()
            url = f"{scheme}://webmail.{DOMAIN}/lab-test"
            _wait_until(lambda url=url: _web(lab, "GET", url, None).status_code == 204)
    finally:
        lab.ssh("web", "rm /etc/nginx/webmail.d/lab-test.conf && systemctl reload nginx")


def test_a_page_leads_each_account_to_the_webmail_of_its_server(
    lab: Lab, trusted: ssl.SSLContext, directory: ldap3.Connection, visitor: str
) -> None:
    """At once, when its entry changes: nothing is remembered."""
    own, stranger = (visitor, lab.secrets.password_of(visitor)), (visitor, "wrong")
    with httpx.Client(verify=trusted, timeout=SECONDS) as browser:
        mine = f"https://webmail.{DOMAIN}:8443/mine/"
        assert browser.get(mine, auth=stranger).status_code == 401
        for host, webmail in (
            ("old", f"webmail.{DOMAIN}/"),
            ("new", f"sogo.{DOMAIN}/SOGo/"),
            ("old", f"webmail.{DOMAIN}/"),
        ):
            move = {"mailHost": [(ldap3.MODIFY_REPLACE, [f"{host}.{DOMAIN}"])]}
            assert directory.modify(f"uid={visitor},{PEOPLE_BASE}", move)
            led = browser.get(mine, auth=own)
            assert (led.status_code, led.headers["location"]) == (302, f"https://{webmail}")


def test_zones_take_updates_with_the_key_only(lab: Lab) -> None:
    update = "server 127.0.0.1\nzone obs.test.\nadd essai.obs.test. 60 A 198.51.100.99\nsend\n"
    key = lab.ssh("dns", "sed -n 's/.*secret: //p' /etc/knot/knot.conf").strip()
    assert "NOTAUTH" in lab.ssh("dns", "knsupdate 2>&1 || true", input=update)
    lab.ssh("dns", "knsupdate", input=f"key hmac-sha256:bascule {key}\n{update}")
    try:
        [answer] = dns.resolver.resolve("essai.obs.test", "A")
        assert answer.address == "198.51.100.99"
    finally:
        lab.ssh("dns", "knsupdate", input=f"key hmac-sha256:bascule {key}\n{update.replace('add', 'del')}")


def test_backup_copies_the_mailboxes(lab: Lab, trusted: ssl.SSLContext, visitor: str) -> None:
    mailbox = _imap(trusted, f"old.{DOMAIN}", visitor, lab.secrets.password_of(visitor))
    mailbox.append("INBOX", "", "", b"Subject: sauvegarde\r\n\r\nx\r\n")
    lab.ssh("old", "systemctl start mailbox-backup.service")
    assert lab.ssh("old", f"find /srv/backup/{visitor} -path '*Maildir/cur/*' -o -path '*Maildir/new/*'")


def test_service_addresses_come_back_with_their_host(lab: Lab) -> None:
    """What a host owns by its files it owns again after its power was cut."""
    lab.power("proxy", "off")
    lab.power("proxy", "on")
    assert SERVICE_ADDRESSES["imap"] in lab.ssh("proxy", "ip -4 addr show host0")


def _bind(lab: Lab, dn: str, password: str) -> ldap3.Connection:
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(lab.instance.ca_certificate))
    server = ldap3.Server(f"ldap.{DOMAIN}", port=636, use_ssl=True, tls=tls, connect_timeout=SECONDS)
    return ldap3.Connection(server, dn, password, auto_bind=True)


def _imap(trusted: ssl.SSLContext, host: str, login: str, password: str) -> imaplib.IMAP4_SSL:
    mailbox = imaplib.IMAP4_SSL(host, ssl_context=trusted, timeout=SECONDS)
    mailbox.login(login, password)
    return mailbox


def _found(mailbox: imaplib.IMAP4_SSL, subject: str) -> int:
    mailbox.select("INBOX", readonly=True)
    return len(mailbox.search(None, "SUBJECT", f'"{subject}"')[1][0].split())


def _send(trusted: ssl.SSLContext, recipient: str) -> str:
    """Send a message through the MX as a stranger would; return its subject."""
    subject = uuid.uuid4().hex
    with smtplib.SMTP(f"mx.{DOMAIN}", timeout=SECONDS) as smtp:
        smtp.starttls(context=trusted)
        smtp.sendmail("quelqu.un@outside.test", [recipient], f"Subject: {subject}\r\n\r\nBonjour\r\n")
    return subject


def trusted_by(lab: Lab) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(lab.instance.ca_certificate))


def _web(lab: Lab, method: str, url: str, login: tuple[str, str] | None, body: str = "") -> httpx.Response:
    # Without a content type SOGo answers 404 to a body that is not ASCII.
    headers = {"Content-Type": "text/calendar; charset=utf-8"} if body else {}
    tls = trusted_by(lab)
    return httpx.request(method, url, auth=login, content=body.encode(), headers=headers, verify=tls, timeout=SECONDS)


def _event(uid: str) -> str:
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//obs.test//lab//FR",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20260601T080000Z",
        "DTSTART:20260627T060000Z",
        "DTEND:20260627T070000Z",
        "SUMMARY:Réunion",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    return "\r\n".join(lines)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
