"""A private slapd for tests, on a port of loopback: Debian's, only unpacked."""

import contextlib
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.hosts.access import Access
from bascule.hosts.connections import Connection
from bascule.site import Site

from tests.mail_servers import PASSWORD, WITH_US, free_port, wait_for_port
from tests.unpacked import environment, unpacked

PACKAGES = ["slapd", "libldap-2.5-0", "libltdl7", "libodbc2", "libperl5.36", "libwrap0", "libargon2-1"]
BASE = "ou=people,dc=obs,dc=test"
READER = f"cn=bascule,{BASE}"

_SLAPD = """
include {root}/etc/ldap/schema/core.schema
include {root}/etc/ldap/schema/cosine.schema
include {root}/etc/ldap/schema/inetorgperson.schema
include {root}/etc/ldap/schema/misc.schema
modulepath {root}/usr/lib/ldap
moduleload back_mdb
pidfile {home}/pid
access to attrs=userPassword by anonymous auth
access to * by users read
database mdb
suffix "{base}"
directory {home}/data
maxsize 268435456
index uid,mailRoutingAddress,objectClass eq,pres
{limits}
"""
_PERSON = """
dn: uid={name},{base}
objectClass: inetOrgPerson
objectClass: inetLocalMailRecipient
uid: {name}
cn: {name}
sn: {name}
mail: {name}@obs.test
mailRoutingAddress: {name}@old.obs.test
"""


@dataclass(frozen=True)
class Directory:
    """A running slapd, which `READER` may read."""

    port: int

    def get(self, conn_id: str) -> Connection:
        return Connection(conn_id, "127.0.0.1", self.port, READER, PASSWORD, {"security": "plain"})

    def access(self, site: Site, **directory: object) -> Access:
        """Bascule, its connection leading here; `directory`: keys of that part of the site file."""
        part = site.directory.model_copy(update={"base": BASE, **directory})
        return Access(site.model_copy(update={"directory": part}), self)


@contextlib.contextmanager
def slapd(home: Path, names: Iterable[str], *, limits: str = "size=unlimited") -> Iterator[Directory]:
    """A directory with these people, until the end of the block. Raises PackagesMissing.

    `limits`: what the reader may have of one search, in slapd.conf's words; empty: what OpenLDAP allows by itself.
    """
    root, port = unpacked("slapd", PACKAGES), free_port()
    (home / "data").mkdir(parents=True)
    config = home / "slapd.conf"
    config.write_text(
        _SLAPD.format(root=root, home=home, base=BASE, limits=f'limits dn.exact="{READER}" {limits}' if limits else "")
    )
    entries = (
        f"dn: {BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
        f"dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: bascule\n"
        f"userPassword: {PASSWORD}\n"
    ) + "".join(_PERSON.format(name=name, base=BASE) for name in names)
    binary, env = root / "usr/sbin/slapd", environment(root)
    subprocess.run(
        [binary, "-T", "add", "-q", "-f", config], input=entries.encode(), env=env, check=True, capture_output=True
    )
    process = subprocess.Popen(
        [*WITH_US, binary, "-d", "0", "-f", config, "-h", f"ldap://127.0.0.1:{port}"],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, process)
        yield Directory(port)
    finally:
        process.terminate()
        process.wait(15)
