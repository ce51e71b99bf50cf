"""The Airflow connections of an instance: how Bascule reaches its hosts and services, with the secrets for it."""

import json
from pathlib import Path
from typing import Any

from lab.facts import DOMAIN, HOSTS
from lab.hosts.secrets import CALENDAR_USER, LDAP_BASCULE_DN, MASTER_USER, PROBE_ACCOUNT, Secrets
from lab.paths import Instance

Connection = dict[str, Any]


def of(instance: Instance, secrets: Secrets) -> dict[str, Connection]:
    """Every connection by its id, in Airflow's JSON form."""
    ca = {"ca_file": str(instance.ca_certificate)}
    found = {f"bascule_ssh_{name}": _ssh(instance, name) for name in HOSTS}
    found["bascule_ldap"] = _generic(
        f"ldap.{DOMAIN}", LDAP_BASCULE_DN, secrets.ldap_bascule, port=636, extra={**ca, "security": "ldaps"}
    )
    found["bascule_mail_old"] = _generic(f"old.{DOMAIN}", MASTER_USER, secrets.master_old, extra=ca)
    found["bascule_mail_new"] = _generic(f"new.{DOMAIN}", MASTER_USER, secrets.master_new, extra=ca)
    found["bascule_calendars_old"] = _generic(
        f"web.{DOMAIN}", CALENDAR_USER, secrets.calendars_old, port=5232, schema="https", extra=ca
    )
    found["bascule_calendars_new"] = _generic(
        f"sogo.{DOMAIN}", CALENDAR_USER, secrets.calendars_new, port=443, schema="https", extra=ca
    )
    found["bascule_probe"] = _generic("", PROBE_ACCOUNT, secrets.password_of(PROBE_ACCOUNT), extra=ca)
    return found


def write(instance: Instance, secrets: Secrets) -> None:
    """Write them as `connections.json` and as `connections.env`, which a shell reads with `set -a; . FILE`."""
    found = of(instance, secrets)
    _write_private(instance.state / "connections.json", json.dumps(found, indent=2) + "\n")
    lines = [f"AIRFLOW_CONN_{name.upper()}='{json.dumps(connection)}'\n" for name, connection in found.items()]
    _write_private(instance.state / "connections.env", "".join(lines))


def _ssh(instance: Instance, host: str) -> Connection:
    host_key = " ".join(instance.host_key(host).with_suffix(".pub").read_text().split()[:2])
    extra = {
        "key_file": str(instance.ssh_key),
        "host_key": host_key,
        "no_host_key_check": False,
        "allow_host_key_change": False,
        "look_for_keys": False,
    }
    return {"conn_type": "ssh", "host": HOSTS[host].fqdn, "login": "bascule", "port": 22, "extra": extra}


def _generic(
    host: str, login: str, password: str, *, port: int | None = None, schema: str | None = None, extra: dict[str, str]
) -> Connection:
    connection: Connection = {
        "conn_type": "generic",
        "host": host,
        "login": login,
        "password": password,
        "extra": extra,
    }
    if port:
        connection["port"] = port
    if schema:
        connection["schema"] = schema
    return connection


def _write_private(path: Path, text: str) -> None:
    partial = path.with_suffix(path.suffix + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)
