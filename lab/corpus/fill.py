"""`python -m lab fill`: put people, mail, filters, calendars and contacts into a fresh practice site.

Everything goes the way that a real site's went: LDAP, IMAP, CalDAV. Only what these refuse is written as files.
The inventory is written at the end, so that a site that was filled half shows.
"""

import argparse
import io
import json
import ssl
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import ldap3
from ldap3.core.exceptions import LDAPException

from lab.corpus import inventory, mailboxes
from lab.corpus.inventory import Holdings, numbers_of
from lab.corpus.mailboxes import Folder, Mailbox, Message
from lab.corpus.people import LISTS, ROLE_ALIASES, Person, people
from lab.corpus.store import Appended, Side, StoreError, Stores
from lab.facts import DOMAIN, HOSTS, PEOPLE_BASE
from lab.hosts import driver
from lab.hosts.secrets import LDAP_ADMIN_DN, Secrets, load_or_make
from lab.paths import Instance
from lab.shell import LabError

WORKERS = 4
SAY_SECONDS = 2.0
SMALL_QUOTA = 60_000  # bytes on new: less than the mailbox has
ALIAS_MAP = "/etc/postfix/virtual"
SYSTEM_LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}
Say = Callable[[str], None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab fill", description="Fill a fresh practice site from a seed.")
    parser.add_argument("--instance", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--accounts", type=int, default=24, help="how many accounts (default: 24)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other people and mail (default: 1)")
    asked = parser.parse_args()
    try:
        fill(Instance(asked.instance), asked.accounts, asked.seed, driver.say)
    except (LabError, StoreError, ValueError, LDAPException, OSError) as error:
        print(f"lab: the site can't be filled: {error}", file=sys.stderr)
        return 2
    return 0


def fill(instance: Instance, accounts: int, seed: int, say: Say) -> None:
    """Fill the site; do nothing when it already holds exactly this. Raises LabError when it holds something else."""
    began = time.monotonic()
    secrets, everybody = load_or_make(instance.secrets), people(accounts, seed)
    with _directory(instance, secrets) as directory:
        if not _is_fresh(directory):
            _check_same(instance, [person.account for person in everybody], seed)
            say(f"{instance.name} is already filled with {accounts} accounts of seed {seed}: nothing to do")
            return
        for of_an_earlier_site in (inventory.path_of(instance), numbers_of(instance)):
            of_an_earlier_site.unlink(missing_ok=True)
        for person in everybody:
            _add_person(directory, person, secrets)
    say(f"{accounts} accounts are in the directory")
    _write_aliases(instance, everybody)
    holdings = _fill_mailboxes(instance, everybody, seed, say)
    written = inventory.write(instance, seed, holdings)
    say(
        f"{instance.name} is filled: {accounts} accounts, {written.messages} messages, {time.monotonic() - began:.1f} s"
    )


# -- directory and addresses


def _directory(instance: Instance, secrets: Secrets) -> ldap3.Connection:
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(instance.ca_certificate))
    server = ldap3.Server(f"ldap.{DOMAIN}", port=636, use_ssl=True, tls=tls, connect_timeout=10)
    return ldap3.Connection(server, LDAP_ADMIN_DN, secrets.ldap_admin, auto_bind=ldap3.AUTO_BIND_NO_TLS)


def _is_fresh(directory: ldap3.Connection) -> bool:
    directory.search(PEOPLE_BASE, "(objectClass=inetOrgPerson)", search_scope=ldap3.LEVEL, size_limit=1)
    return not directory.entries


def _check_same(instance: Instance, accounts: list[str], seed: int) -> None:
    found = inventory.read(instance)
    begin_anew = f"begin anew by `python -m lab --instance {instance.name} up --fresh`"
    if found is None:
        raise LabError(f"{instance.name} holds people already, but no inventory tells what: {begin_anew}")
    if (found.seed, sorted(found.accounts)) != (seed, sorted(accounts)):
        raise LabError(
            f"{instance.name} is already filled with {len(found.accounts)} accounts of seed {found.seed}: {begin_anew}"
        )


def _add_person(directory: ldap3.Connection, person: Person, secrets: Secrets) -> None:
    host = HOSTS[person.served_by].fqdn
    attributes = {
        "uid": person.account,
        "cn": person.name,
        "sn": person.surname,
        "displayName": person.name,
        "mail": person.address,
        "mailLocalAddress": person.address,
        "mailRoutingAddress": f"{person.account}@{host}",
        "mailHost": host,
        "userPassword": secrets.password_of(person.account),
    }
    if person.given_name:
        attributes["givenName"] = person.given_name
    if person.trouble == "small quota":
        attributes["mailQuota"] = str(SMALL_QUOTA)
    if person.trouble == "nothing on old":
        attributes["employeeType"] = "newcomer"  # whom old does not let in
    if person.trouble == "nothing on new":
        attributes["employeeType"] = "forgotten"  # whom new does not let in
    dn = f"uid={person.account},{PEOPLE_BASE}"
    if not directory.add(dn, ["inetOrgPerson", "inetLocalMailRecipient"], attributes):
        raise LabError(f"the directory refuses {dn}: {directory.result['description']} {directory.result['message']}")


def _write_aliases(instance: Instance, everybody: list[Person]) -> None:
    """The alias map as the admins have kept it by hand: everybody's account as an address, roles and lists."""
    lines = [f"# Aliases of {DOMAIN}, kept by hand since 2004."]
    for person in everybody:
        if person.kind == "person":
            lines.append(f"{person.account}@{DOMAIN} {person.account}@{HOSTS[person.served_by].fqdn}")
    for address, accounts in ROLE_ALIASES.items():
        lines.append(f"{address} {', '.join(f'{account}@{DOMAIN}' for account in accounts)}")
    lines += [f"{address} {', '.join(members)}" for address, members in LISTS.items()]
    _on_host(instance, "mx", ["dd", f"of={ALIAS_MAP}", "status=none"], ("\n".join(lines) + "\n").encode())
    _on_host(instance, "mx", ["postmap", f"hash:{ALIAS_MAP}"])


# -- mailboxes, filters, calendars


def _fill_mailboxes(instance: Instance, everybody: list[Person], seed: int, say: Say) -> list[Holdings]:
    """Fill account after account, a few at once; what must be written as files comes last, in one stream."""
    filler = _Filler(instance, seed)
    holdings, files, said = [], [], time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in as_completed([pool.submit(filler.account, person) for person in everybody]):
            held, written = done.result()
            holdings.append(held)
            files += written
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                say(f"filled {len(holdings)} of {len(everybody)} accounts")
    _write_files(instance, files)
    for directory in filler.locked_on_new:
        _on_host(instance, "new", ["chmod", "0", directory])
    return holdings


@dataclass(frozen=True)
class _Place:
    """Where files of accounts lie: `directory` on a host, one directory in it per account, owned by `user`."""

    host: str
    directory: str
    user: str


HOMES = _Place("old", "/srv/mail", "vmail")
COLLECTIONS = _Place("web", "/var/lib/radicale/collections/collection-root", "radicale")


@dataclass(frozen=True)
class _File:
    """A file that must be written: its path below the place, its bytes (or a link's target), seconds since 1970."""

    place: _Place
    path: str
    content: bytes | str
    changed: float = mailboxes.EVE.timestamp()
    mode: int = 0o600
    locked: bool = False  # nobody but root may look into its directory


class _Filler:
    """Fills single accounts; used by several threads."""

    def __init__(self, instance: Instance, seed: int) -> None:
        self._stores = Stores(instance)
        self._seed = seed
        self.locked_on_new: list[str] = []  # directories into which nobody shall look, when all is written

    def account(self, person: Person) -> tuple[Holdings, list[_File]]:
        """Fill one account; returns what it holds, and the files that still must be written."""
        mailbox = mailboxes.mailbox_of(person, self._seed)
        if mailbox.old:
            self._mail("old", person.account, mailbox.old)
        if mailbox.new:
            self._mail("new", person.account, mailbox.new)
            self.locked_on_new += [directory_on_new(person.account, each.name) for each in mailbox.new if each.locked]
        files = [*_filter_files(mailbox), *_mail_files(mailbox), *_calendar_files(mailbox)]
        return inventory.holdings_of(mailbox), files

    def _mail(self, side: Side, account: str, folders: list[Folder]) -> None:
        writer = self._stores.writer(side, account)
        try:
            for folder in folders:
                if folder.on_disk:
                    continue
                if folder.name != "INBOX":
                    writer.create(folder.name)
                writer.append(
                    folder.name, [Appended(m.data, m.flags, m.date) for m in folder.messages if not m.refused]
                )
                if folder.subscribed:
                    writer.subscribe(folder.name)
                for identifier, rights in folder.shared_with:
                    writer.share(folder.name, identifier, rights)
                for entry, value in folder.notes:
                    writer.note(folder.name, entry, value)
        finally:
            writer.close()


def directory_on_new(account: str, folder: str) -> str:
    """Where new keeps the messages of a folder."""
    return f"/srv/mail/{account}/sdbox/mailboxes/{folder}/dbox-Mails"


def _filter_files(mailbox: Mailbox) -> Iterator[_File]:
    """As Pigeonhole keeps them; ManageSieve would refuse the one that is no Sieve."""
    home = mailbox.person.account
    for name, text in mailbox.filters.items():
        yield _File(HOMES, f"{home}/sieve/{name}.sieve", text.encode())
    if mailbox.active_filter:
        yield _File(HOMES, f"{home}/.dovecot.sieve", f"sieve/{mailbox.active_filter}.sieve")


def _mail_files(mailbox: Mailbox) -> Iterator[_File]:
    """Maildir files of the messages that APPEND refuses or alters, and of folders that CREATE refuses."""
    for folder in mailbox.old:
        refused = [message for message in folder.messages if message.refused]
        keywords = sorted({flag for message in refused for flag in message.flags if flag not in SYSTEM_LETTERS})
        home = f"{mailbox.person.account}/Maildir/{folder.maildir}"
        if keywords:
            lines = "".join(f"{number} {keyword}\n" for number, keyword in enumerate(keywords))
            yield _File(HOMES, f"{home}/dovecot-keywords", lines.encode())
        for number, message in enumerate(refused):
            path = f"{home}/cur/{_maildir_name(message, number, keywords)}"
            content, mode = message.data.replace(b"\r\n", b"\n"), 0 if message.damaged else 0o600
            yield _File(HOMES, path, content, message.date.timestamp(), mode, locked=folder.locked)


def _maildir_name(message: Message, number: int, keywords: Sequence[str]) -> str:
    """With the sizes that Dovecot writes, so that it knows them of a file that it can't read too."""
    letters = sorted(SYSTEM_LETTERS[flag] for flag in message.flags if flag in SYSTEM_LETTERS)
    letters += [chr(ord("a") + keywords.index(flag)) for flag in message.flags if flag in keywords]
    without_returns = message.data.replace(b"\r\n", b"\n")
    sizes = f"S={len(without_returns)},W={len(message.data)}"
    return f"{int(message.date.timestamp())}.M{number}P1.old,{sizes}:2,{''.join(letters)}"


def _calendar_files(mailbox: Mailbox) -> Iterator[_File]:
    """As Radicale keeps them: over HTTP it takes half a second for each collection."""
    home = mailbox.person.account
    collections = (("agenda", "VCALENDAR", "Agenda", "ics", mailbox.events),
                   ("contacts", "VADDRESSBOOK", "Carnet d'adresses", "vcf", mailbox.contacts))  # fmt: skip
    for name, tag, title, ending, items in collections:
        properties = json.dumps({"tag": tag, "D:displayname": title})
        yield _File(COLLECTIONS, f"{home}/{name}/.Radicale.props", properties.encode())
        for item in items:
            yield _File(COLLECTIONS, f"{home}/{name}/{item.uid}.{ending}", item.text.encode())


def _write_files(instance: Instance, files: list[_File]) -> None:
    """Write the files of each place by one tar stream, as the user who owns them."""
    for place in {file.place for file in files}:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for directory, inside in _by_directory([file for file in files if file.place == place]).items():
                locked = any(file.locked for file in inside)
                archive.addfile(_member(directory, tarfile.DIRTYPE, mode=0 if locked else 0o700))
                for file in inside:
                    if isinstance(file.content, str):
                        archive.addfile(_member(file.path, tarfile.SYMTYPE, file.changed, target=file.content))
                    else:
                        member = _member(
                            file.path, tarfile.REGTYPE, file.changed, mode=file.mode, size=len(file.content)
                        )
                        archive.addfile(member, io.BytesIO(file.content))
        as_owner = ["runuser", "-u", place.user, "--"]
        _on_host(instance, place.host, [*as_owner, "mkdir", "-p", place.directory])
        _on_host(instance, place.host, [*as_owner, "tar", "-x", "-C", place.directory], packed.getvalue())


def _by_directory(files: Iterable[_File]) -> dict[str, list[_File]]:
    """Files by directory; each Maildir folder also with the `new` and `tmp` that make it one."""
    found: dict[str, list[_File]] = {}
    for file in files:
        directory = file.path.rpartition("/")[0]
        if directory.endswith("/cur"):
            maildir = directory.removesuffix("/cur")
            for each in (maildir, f"{maildir}/new", f"{maildir}/tmp"):
                found.setdefault(each, [])
        found.setdefault(directory, []).append(file)
    return found


def _member(
    path: str,
    kind: bytes,
    changed: float = mailboxes.EVE.timestamp(),
    *,
    mode: int = 0o600,
    size: int = 0,
    target: str = "",
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.type, member.mtime, member.mode, member.size, member.linkname = kind, changed, mode, size, target
    return member


def _on_host(instance: Instance, host: str, command: list[str], data: bytes = b"") -> None:
    done = subprocess.run(driver.ssh_command(instance, host, command), input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise LabError(
            f"{host}: {' '.join(command)[:100]} failed: {done.stderr.decode(errors='replace').strip()[-500:]}"
        )


if __name__ == "__main__":
    sys.exit(main())
