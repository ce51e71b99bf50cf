"""From one SOGo to another: preferences and shares come by SOGo's own tool, and CalDAV compares and goes on from there.

The old one runs on the lab's SOGo host beside the new one, with a database of its own; a second sshd, which sees the
old one's configuration in the usual place, is what a second host would be. The old one has tables of their own
for each folder, as SOGo makes them by itself, the new one one set for all.
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from bascule.calendars import ical_compare, sync_account
from bascule.calendars.dav import xml
from bascule.calendars.dav.client import Session
from bascule.calendars.sogo import acl
from bascule.calendars.sogo.tool import AS_SOGO, bring_over
from bascule.calendars.sync import sync_shares
from bascule.hosts.access import Access
from bascule.ledger import Ledger
from bascule.site import Site

from tests.integration.test_calendars import calendar, people

__all__ = ["people"]

MAKE = """
set -eu
mkdir -p /run/sogo-old /run/sshd; chown sogo /run/sogo-old
runuser -u postgres -- dropdb --if-exists -f sogo_old
runuser -u postgres -- createdb -O sogo -E UTF8 -T template0 sogo_old
sed -E -e 's/^( *WOPort = ).*/\\10.0.0.0:20002; SOGoTrustProxyAuthentication = YES;/' \\
    -e 's/^( *SOGoMemcachedHost = ).*/\\1"127.0.0.1:11213";/' -e 's#5432/sogo/#5432/sogo_old/#' \\
    -e 's/^( *SOGoAppointmentSendEMailNotifications = ).*/\\1NO;/' -e '/OCS(Store|Acl|CacheFolder)URL/d' \\
    /etc/sogo/sogo.conf > /run/sogo-old/sogo.conf
chown sogo /run/sogo-old/sogo.conf; chmod 600 /run/sogo-old/sogo.conf
bound="-p BindReadOnlyPaths=/run/sogo-old/sogo.conf:/etc/sogo/sogo.conf"
systemd-run -q --unit=memcached-old -p User=memcache memcached -l 127.0.0.1 -p 11213 -m 16
systemd-run -q --unit=sogo-old $bound -p User=sogo -p Type=forking sogod -WOPidFile /run/sogo-old/pid -WOLogFile -
systemd-run -q --unit=sshd-old $bound /usr/sbin/sshd -D -p 2222
for number in $(seq 100); do ss -ltn | grep -q :20002 && ss -ltn | grep -q :2222 && exit 0; sleep 0.1; done
exit 1
"""
# By force: nothing of the old one is looked at afterwards, and sogod would wait long for its workers.
UNMAKE = """
systemctl kill --signal=KILL sogo-old sshd-old memcached-old 2>/dev/null || true
systemctl stop sogo-old sshd-old memcached-old || true
systemctl reset-failed sogo-old sshd-old memcached-old 2>/dev/null || true
runuser -u postgres -- dropdb --if-exists -f sogo_old
rm -rf /run/sogo-old
"""


@dataclass
class Two:
    """Two SOGo, and an account that uses the old one and has never seen the new one."""

    access: Access
    owner: str
    guest: str

    def tool(self, host: str, *command: str) -> str:
        done = self.access.remote(host).run([*AS_SOGO, "sogo-tool", *command], check=False)
        return done.output + done.error

    def preference(self, host: str, account: str, key: str) -> str:
        return self.tool(host, "user-preferences", "get", "defaults", account, key)

    def prefer(self, host: str, account: str, key: str, value: str) -> None:
        self.tool(host, "user-preferences", "set", "defaults", account, key, json.dumps({key: value}))

    def session(self, side: str, account: str) -> Session:
        from bascule.calendars import servers

        part = getattr(self.access.site.calendars, side)
        connection = self.access.connections.get(part.connection)
        base = re.match(r"https?://[^/]+", part.url)
        assert base is not None
        client = httpx.Client(
            base_url=base[0],
            verify=servers.trust(connection),
            timeout=60.0,
            **servers._login(part, connection, account),
        )
        return Session(client)


@pytest.fixture
def two(lab: Any, people: list[Any]) -> Iterator[Two]:
    lab.ssh("sogo", "sh", "-s", input=UNMAKE)
    lab.ssh("sogo", "sh", "-s", input=MAKE)
    owner, guest = people[-5].name, people[-6].name
    raw, environ = lab.site.model_dump(mode="json"), dict(lab.environ)
    ssh = json.loads(environ["AIRFLOW_CONN_BASCULE_SSH_SOGO"])
    environ["AIRFLOW_CONN_BASCULE_SSH_SOGO_OLD"] = json.dumps({**ssh, "port": 2222})
    environ["AIRFLOW_CONN_SOGO_OLD"] = json.dumps({"conn_type": "http", "host": "sogo.obs.test"})
    raw["hosts"]["sogo_old"] = {**raw["hosts"]["sogo"], "ssh": "bascule_ssh_sogo_old"}
    url = "http://sogo.obs.test:20002/SOGo/dav/{{ account }}/"
    raw["calendars"] |= {
        "old": {
            "connection": "sogo_old",
            "login": "proxy",
            "url": f"{url}Calendar/",
            "contacts_url": f"{url}Contacts/",
        },
        "rights": None,
        "sogo_tool": {"old": "sogo_old", "new": "sogo"},
    }
    access = lab.access(Site.model_validate(raw), environ)
    for account in (owner, guest):
        lab.ssh("sogo", *AS_SOGO, "sogo-tool", "remove", account)
    restart_caches(lab)
    yield Two(access, owner, guest)
    access.close()
    for account in (owner, guest):
        lab.ssh("sogo", *AS_SOGO, "sogo-tool", "remove", account)
    restart_caches(lab)
    lab.ssh("sogo", "sh", "-s", input=UNMAKE)


def restart_caches(lab: Any) -> None:
    lab.ssh("sogo", "systemctl", "restart", "memcached", "sogo-quiet-memcached")


def test_preferences_shares_and_items_come_along_and_a_further_run_changes_nothing(
    lab: Any, two: Two, ledger: Ledger
) -> None:
    name, signature = f"projet-{secrets.token_hex(3)}", "Zoé — Observatoire"
    old, new = two.session("old", two.owner), two.session("new", two.owner)
    place = f"/SOGo/dav/{two.owner}/Calendar/{name}/"
    old.make_collection(place, "calendar", {"{DAV:}displayname": "Projet d'été"})
    old.set_properties(place, {xml.COLOUR: "#FF8800FF", xml.TRANSPARENCY: "transparent"})
    text = calendar("e", "SUMMARY:Revue du projet", "RRULE:FREQ=WEEKLY;COUNT=5")
    old.put(f"{place}e.ics", "calendar", text)
    roles = {"PublicViewer", "ConfidentialDAndTViewer"}
    acl.set_roles(old, place, two.guest, roles)
    two.prefer("sogo_old", two.owner, "SOGoMailSignature", signature)

    first = sync_account(two.access, ledger, two.owner)
    assert first.problems == 0
    sync_shares(two.access, ledger, [two.owner])
    restart_caches(lab)
    there = new.get(f"{place}e.ics")
    assert there is not None
    assert ical_compare.same(text, there.text, "Europe/Paris")
    assert acl.roles(new, place, two.guest) == roles
    shown = new.collection(place)
    assert shown is not None
    assert shown.properties == {xml.NAME: "Projet d'été", xml.COLOUR: "#FF8800FF", xml.TRANSPARENCY: "transparent"} | {
        name: value for name, value in shown.properties.items() if name.endswith(("order", "timezone"))
    }
    assert signature in two.preference("sogo", two.owner, "SOGoMailSignature")
    seen = two.session("new", two.guest).collection(f"/SOGo/dav/{two.guest}/Calendar/{two.owner}_{name}/")
    assert seen is not None
    assert lab.ssh("sogo", "ls /tmp | grep bascule-sogo || true") == ""

    two.prefer("sogo_old", two.owner, "SOGoMailSignature", "later on old")
    assert bring_over(two.access, ledger, two.owner) is False
    again = sync_account(two.access, ledger, two.owner)
    assert (again.copied, again.updated, again.deleted, again.problems) == (0, 0, 0, 0)
    assert sync_shares(two.access, ledger, [two.owner]).given == 0
    assert "later on old" not in two.preference("sogo", two.owner, "SOGoMailSignature")


def test_a_group_of_addresses_is_carried_by_the_tool_and_later_by_carddav(two: Two, ledger: Ledger) -> None:
    """SOGo has a form of its own for groups: VLIST."""
    old, new = two.session("old", two.owner), two.session("new", two.owner)
    book = f"/SOGo/dav/{two.owner}/Contacts/personal/"
    group = (
        "BEGIN:VLIST\r\nVERSION:1.0\r\nUID:{0}.vlf\r\nFN:Équipe\r\nCARD;EMAIL=a@obs.test;FN=A:c1.vcf\r\nEND:VLIST\r\n"
    )
    old.collections(f"/SOGo/dav/{two.owner}/Contacts/", "addressbook")  # makes the personal address book
    card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:A\r\nN:A;;;;\r\nEMAIL:a@obs.test\r\nEND:VCARD\r\n"
    old.put(f"{book}c1.vcf", "addressbook", card)
    for name in ("first", "later"):
        old.put(f"{book}{name}.vlf", "addressbook", group.format(name))
        assert sync_account(two.access, ledger, two.owner).problems == 0
        there = new.get(f"{book}{name}.vlf")
        assert there is not None
        assert ical_compare.same(group.format(name), there.text)
    again = sync_account(two.access, ledger, two.owner)
    assert (again.copied, again.updated, again.deleted) == (0, 0, 0)


def test_what_somebody_has_set_or_shared_on_new_stays(lab: Any, two: Two, ledger: Ledger) -> None:
    personal = f"/SOGo/dav/{two.owner}/Calendar/personal/"
    old, new = two.session("old", two.owner), two.session("new", two.owner)
    for session, who in ((old, "PublicModifier"), (new, "PublicViewer")):
        session.collections(f"/SOGo/dav/{two.owner}/Calendar/", "calendar")  # makes the personal calendar
        acl.set_roles(session, personal, two.guest, {who})
    two.prefer("sogo_old", two.owner, "SOGoMailSignature", "old's")
    two.prefer("sogo", two.owner, "SOGoMailSignature", "new's")
    bring_over(two.access, ledger, two.owner)
    restart_caches(lab)
    assert acl.roles(new, personal, two.guest) == {"PublicViewer"}
    assert "new's" in two.preference("sogo", two.owner, "SOGoMailSignature")


def test_an_account_that_the_old_one_does_not_know_is_none_of_its_business(two: Two, ledger: Ledger) -> None:
    assert bring_over(two.access, ledger, "no-such-account") is False


def test_a_dry_run_restores_nothing(two: Two, ledger: Ledger) -> None:
    two.prefer("sogo_old", two.owner, "SOGoMailSignature", "old's")
    assert bring_over(two.access, ledger, two.owner, dry_run=True) is True
    assert "old's" not in two.preference("sogo", two.owner, "SOGoMailSignature")
    assert bring_over(two.access, ledger, two.owner) is True
