"""The passwords of one instance: random, made at its first `up`, kept in `secrets.json` (mode 600)."""

import hashlib
import hmac
import json
import secrets as random
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from lab.facts import LDAP_BASE

MASTER_USER = "bascule"  # Dovecot's master user on old, new and proxy: log in as `{account}*bascule`
CALENDAR_USER = "bascule"  # on Radicale may read everything; on SOGo it is a superuser
CALENDAR_FILLER = "filler"  # on Radicale may write everything: the lab fills the old calendars with it
PROBE_ACCOUNT = "sonde"  # role account for functional tests
TSIG_NAME = "bascule"  # hmac-sha256 key that may update the zones

LDAP_ADMIN_DN = f"cn=admin,{LDAP_BASE}"  # may do everything; the lab fills the directory with it
LDAP_BASCULE_DN = f"cn=bascule,ou=services,{LDAP_BASE}"  # may write where mail and logins go
CALENDAR_USER_DN = f"uid={CALENDAR_USER},ou=superusers,{LDAP_BASE}"  # SOGo's second source of users
LDAP_READER_DN = f"cn=reader,ou=services,{LDAP_BASE}"  # mail servers and SOGo look people up with it


def _password() -> str:
    return random.token_urlsafe(18)


def _key() -> str:
    return random.token_hex(32)


@dataclass(frozen=True)
class Secrets:
    ldap_admin: str = field(default_factory=_password, repr=False)
    ldap_bascule: str = field(default_factory=_password, repr=False)
    ldap_reader: str = field(default_factory=_password, repr=False)
    master_old: str = field(default_factory=_password, repr=False)
    master_new: str = field(default_factory=_password, repr=False)
    calendars_old: str = field(default_factory=_password, repr=False)
    calendars_filler: str = field(default_factory=_password, repr=False)
    calendars_new: str = field(default_factory=_password, repr=False)
    sogo_database: str = field(default_factory=_password, repr=False)
    tsig: str = field(default_factory=_key, repr=False)  # hexadecimal, 256 bits
    people: str = field(default_factory=_key, repr=False)  # every account's password comes from it

    def password_of(self, account: str) -> str:
        """The password of one account of the directory (in LDAP, hence IMAP, SMTP and SOGo; also on Radicale)."""
        return hmac.new(self.people.encode(), account.encode(), hashlib.sha256).hexdigest()[:20]


def load_or_make(path: Path) -> Secrets:
    """Read the secrets file; make it when it isn't there, or complete it when it lacks a secret."""
    known = json.loads(path.read_text()) if path.exists() else {}
    names = {secret.name for secret in fields(Secrets)}
    secrets = Secrets(**{name: value for name, value in known.items() if name in names})
    if asdict(secrets) != known:
        _write(path, secrets)
    return secrets


def _write(path: Path, secrets: Secrets) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(secrets), indent=2) + "\n")
    partial.replace(path)
