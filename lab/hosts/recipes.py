"""What each host is made of: its image, the templates written into it, what is enabled, what must answer.

A recipe's templates are directories below `lab/templates/` that mirror the host's filesystem: to see what is configured
on `old`, look into `common/`, `store/`, `postfix/` and `old/`. Later directories win.
"""

from dataclasses import dataclass

from lab.hosts.images import BASE, Image

MAIL = Image(
    "mail",
    packages=(
        "dovecot-imapd",
        "dovecot-pop3d",
        "dovecot-lmtpd",
        "dovecot-sieve",
        "dovecot-managesieved",
        "dovecot-ldap",
        "postfix",
        "postfix-ldap",
    ),
    debconf=("postfix postfix/main_mailer_type select No configuration",),
    commands=(
        ("useradd", "--system", "--user-group", "--home-dir", "/srv/mail", "--shell", "/usr/sbin/nologin", "vmail"),
        ("install", "-d", "-o", "vmail", "-g", "vmail", "-m", "770", "/srv/mail"),
    ),
)
PROXY = Image("proxy", packages=("dovecot-imapd", "dovecot-pop3d", "dovecot-managesieved", "dovecot-ldap"))
LDAP = Image("ldap", packages=("slapd", "ldap-utils"), debconf=("slapd slapd/no_configuration boolean true",))
DNS = Image("dns", packages=("knot", "knot-dnsutils"))
WEB = Image(
    "web",
    packages=("nginx-light", "apache2", "radicale"),
    commands=(("a2enmod", "-q", "ssl", "authnz_ldap", "rewrite"),),
)
SOGO = Image("sogo", packages=("sogo", "postgresql", "memcached", "nginx-light"))
HYPERVISOR = Image("hv", packages=("python3",))
CLIENT = Image("client", packages=("python3", "python3-aiosmtpd", "knot-dnsutils", "isync"))
# Debian 12's Docker and Compose are older than what the cluster's files need; PostgreSQL 17 is Debian 13's too.
TRIXIE = Image("trixie", packages=BASE.packages, commands=BASE.commands, release="trixie")
DOCKER = Image(
    "docker",
    packages=("docker.io", "docker-cli", "docker-compose", "docker-buildx", "iptables", "jq"),
    commands=(("systemctl", "-q", "disable", "docker.socket", "containerd"),),
    base=TRIXIE,
)

IMAGES = {image.name: image for image in (MAIL, PROXY, LDAP, DNS, WEB, SOGO, HYPERVISOR, CLIENT, DOCKER)}


@dataclass(frozen=True)
class Owner:
    """Who may read a file: user, group and mode."""

    user: str
    group: str
    mode: int


ROOT_ONLY = Owner("root", "root", 0o600)
POSTFIX_ONLY = Owner("root", "postfix", 0o640)
CERTIFICATE_KEY = "/etc/ssl/obs/host.key"


@dataclass(frozen=True)
class Recipe:
    templates: tuple[str, ...]
    ports: tuple[int, ...] = ()  # besides 22; the host is up when all answer
    owners: tuple[tuple[str, Owner], ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()  # run inside when the host is made, before it boots
    nspawn: tuple[str, ...] = ()  # what systemd-nspawn must allow it besides


STORE_SECRETS = (
    ("/etc/dovecot/ldap.conf", ROOT_ONLY),
    ("/etc/dovecot/master-users", Owner("root", "dovecot", 0o640)),
    ("/etc/postfix/accounts.cf", POSTFIX_ONLY),
    ("/etc/postfix/moved.cf", POSTFIX_ONLY),
)

RECIPES = {
    "old": Recipe(
        templates=("common", "store", "postfix", "old"),
        ports=(25, 110, 143, 993, 995, 4190),
        owners=STORE_SECRETS,
        enable=("mailbox-backup.timer", "nftables"),
    ),
    "new": Recipe(
        templates=("common", "store", "postfix"),
        ports=(25, 110, 143, 587, 993, 995, 4190),
        owners=STORE_SECRETS,
        enable=("nftables",),
    ),
    "mx": Recipe(
        templates=("common", "postfix", "mx"),
        ports=(25,),
        owners=tuple((f"/etc/postfix/{name}.cf", POSTFIX_ONLY) for name in ("addresses", "hold", "moved")),
        disable=("dovecot",),
        commands=(("postmap", "hash:/etc/postfix/virtual", "hash:/etc/postfix/transport"),),
    ),
    "ldap": Recipe(
        templates=("common", "ldap"),
        ports=(389, 636),
        owners=(
            ("/etc/ldap/slapd.conf", Owner("root", "openldap", 0o640)),
            ("/etc/ldap/initial.ldif", Owner("root", "openldap", 0o640)),
            (CERTIFICATE_KEY, Owner("root", "openldap", 0o640)),
        ),
        commands=(
            ("slapadd", "-q", "-f", "/etc/ldap/slapd.conf", "-l", "/etc/ldap/initial.ldif"),
            ("chown", "-R", "openldap:openldap", "/var/lib/ldap"),
        ),
    ),
    "dns": Recipe(
        templates=("common", "dns"),
        ports=(53,),
        owners=(
            ("/etc/knot/knot.conf", Owner("root", "knot", 0o640)),
            ("/var/lib/knot/obs.test.zone", Owner("knot", "knot", 0o640)),
            ("/var/lib/knot/100.51.198.in-addr.arpa.zone", Owner("knot", "knot", 0o640)),
        ),
    ),
    "sogo": Recipe(
        templates=("common", "sogo"),
        ports=(80, 443, 8443),
        owners=(
            ("/etc/sogo/sogo.conf", Owner("root", "sogo", 0o640)),
            ("/etc/sogo/database.sql", Owner("root", "postgres", 0o640)),
            ("/etc/nginx/bascule.htpasswd", Owner("root", "www-data", 0o640)),
        ),
        enable=("lab-sogo-database", "sogo-quiet"),
    ),
    "web": Recipe(
        templates=("common", "web"),
        ports=(80, 443, 5232, 8080, 8443),
        owners=(
            ("/etc/apache2/by-account.conf", ROOT_ONLY),
            ("/etc/radicale/users", Owner("root", "radicale", 0o640)),
            (CERTIFICATE_KEY, Owner("root", "radicale", 0o640)),
        ),
        enable=("radicale",),
        commands=(("install", "-d", "-o", "radicale", "-g", "radicale", "-m", "750", "/var/lib/radicale/collections"),),
    ),
    "hv": Recipe(templates=("common", "hv")),
    "client": Recipe(templates=("common", "client"), ports=(25,), enable=("outside-mail",)),
    "proxy": Recipe(
        templates=("common", "proxy"),
        ports=(110, 143, 993, 995, 4190),
        owners=(("/etc/dovecot/ldap.conf", ROOT_ONLY), ("/etc/dovecot/ldap-master.conf", ROOT_ONLY)),
    ),
    "docker": Recipe(
        templates=("common", "docker"),
        enable=("docker",),
        commands=(("systemctl", "-q", "mask", "systemd-modules-load.service"),),  # the kernel is this machine's
        nspawn=("--capability=all", "--system-call-filter=add_key keyctl bpf"),
    ),
}
