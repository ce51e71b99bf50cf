"""What lies in each account's mailboxes before the day, made from a seed: folders, messages, filters, events, contacts.

`mailbox_of` depends on the person and the seed alone, so that a larger site holds the same mailboxes and more, and any
single one can be made again without the others.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone

from imapclient import imap_utf7

from lab.corpus import calendars
from lab.corpus import filters as sieve_filters
from lab.corpus import messages as texts
from lab.corpus.calendars import Item
from lab.corpus.people import Person
from lab.hosts.secrets import PROBE_ACCOUNT

EVE = datetime(2026, 6, 26, 18, 0, tzinfo=UTC)  # the evening before the day: the newest message in the corpus
YEARS = 20
PREFIX = "INBOX."  # of the old server's folders, whose separator is `.`
ZONES = tuple(timezone(timedelta(hours=hours)) for hours in (0, 1, 2, -4, 5.5))
KEYWORDS = ("$Label1", "$Label4", "$Forwarded", "$MDNSent", "NonJunk", "projet-CNRS", "travail")
LARGE_ONE_IN = 6  # so many accounts share one message of a few MB

ALWAYS = ("Sent", "Drafts", "Trash", "Réunions", "Réunions.2018 été", "À lire", "Reçus & factures")
SOMETIMES = (
    "Archives.2008",
    "Archives.2012",
    "Archives.2012.Élèves",
    "Projets.Étoiles doubles",
    "Projets.Étoiles doubles.Données brutes",
    "Élèves (thèses)",
    "Junk",
    "Réunions.2019 hiver",
    "Réunions.Conseil d'école",
    "京都 2010",
    "Λ-CDM",
    '"Entre guillemets"',
    "100 % sûr",
    "Notes * urgentes",
    "À l'étranger.Chili.La Silla",
    "Brouillons d'idées",
)
LONG_FOLDER = "京都大学" * 23 + "観測"  # 94 letters: 255 octets are not enough for them as new writes names
HOSTILE_FOLDER = "~<img src=x onerror=alert(1)> [a](javascript:alert(2)) \"'\u202e"  # for pages, letters and logs
# What old keeps and new refuses, or would take for something else: made over IMAP.
REFUSED_FOLDERS = ("~archives", "Budget 2019/2020", "dbox-Mails", LONG_FOLDER, HOSTILE_FOLDER)
# Many programs take them for one: by capitals, by how an accent is stored (NFC, NFD), by a space at the end.
ALIKE_FOLDERS = ("Travaux", "travaux", "Congr\u00e8s", "Congre\u0300s", "Mesures", "Mesures ")
ON_DISK_FOLDER = "Essais\tgamma"  # CREATE refuses it on old too: a program wrote the directory
LOCKED_FOLDER = "Sauvegarde 2011"  # listed, but the mail server has no right to look into it
BROKEN_FOLDER = "Essais&AOk"  # no modified UTF-7: the shift never ends; Dovecot lists it and does not find it again
DAMAGED_FOLDER = "Mémoire 2006"  # one of its messages can't be read
LONG_KEYWORD_FOLDER = "Étiquettes"
LONG_KEYWORD = "campagne-d-observation-2009-telescope-de-80-cm-nuits-de-service"  # more than 50: a program wrote it
CLOSED_ON_NEW = "Notes de service"  # a beta tester has it on both sides; new can't look into its own
USED_ON_NEW = "Brouillon de thèse"  # a beta tester goes on using it on new, after it was removed on old
LONG_NOTE = ("/private/comment", "Reçu du secrétariat. " * 3_300)  # an annotation of more than 64 kB
NEVER = datetime(2042, 11, 19, 10, 13, 20, tzinfo=UTC)  # later than a date of new can be: a clock was wrong
GONE = "stagiaire2014"  # has rights on a folder and stands in no directory any more
TOO_LARGE = 4_000_000  # bytes of an attachment: encoded more than `largest_message` of lab/site.yaml
NEW_FOLDERS = ("Sent", "Réunions/2026 automne", "À lire", "Essai du nouveau serveur")


@dataclass(frozen=True)
class Message:
    """One message in a folder. `flags` are system flags and keywords; `date` is the internal date."""

    data: bytes = field(repr=False)
    flags: tuple[str, ...]
    date: datetime
    refused: bool = False  # IMAP's APPEND doesn't take it as it is: it is written as a file
    damaged: bool = False  # the old server knows of it and can't read its file

    @property
    def served(self) -> bytes:
        """As the old server gives it over IMAP: Dovecot shows NUL as 0x80."""
        return self.data.replace(b"\0", b"\x80")


@dataclass(frozen=True)
class Folder:
    """One folder by its name on its server. `on_disk`: IMAP's CREATE refuses the name, its directory is written.

    `locked`: the mail server may not look into it. `directory`: as it is written, when no name leads to it.
    """

    name: str
    messages: list[Message] = field(default_factory=list)
    subscribed: bool = True
    on_disk: bool = False
    locked: bool = False
    directory: str = ""
    shared_with: tuple[tuple[str, str], ...] = ()  # identifier and its rights (RFC 4314)
    notes: tuple[tuple[str, str], ...] = ()  # annotations: entry and value (RFC 5464)

    @property
    def opens(self) -> bool:
        """Whether the old server opens it."""
        return not (self.locked or self.directory)

    @property
    def maildir(self) -> str:
        """Its directory in a Maildir++ (`.` for INBOX itself)."""
        if self.directory:
            return self.directory
        inner = self.name.removeprefix(PREFIX)
        return "." if self.name == "INBOX" else "." + imap_utf7.encode(inner).decode()


@dataclass(frozen=True)
class Mailbox:
    """Everything of one account before the day. `new` is what a beta tester already has on the new server."""

    person: Person
    old: list[Folder]
    new: list[Folder]
    filters: dict[str, str]
    active_filter: str | None
    events: list[Item]
    contacts: list[Item]


def mailbox_of(person: Person, seed: int) -> Mailbox:
    """The mailbox of one person, the same for the same seed."""
    maker = _Maker(person, seed)
    if person.trouble == "nothing on old":
        new = maker.new_folders(Folder("INBOX"))
        events = calendars.events(person, maker.rng)
        return Mailbox(person, [], new, {}, None, events, calendars.contacts(person, maker.rng))
    old = maker.old_folders()
    filters, active = sieve_filters.filters(person, maker.rng, PREFIX + "Réunions")
    named = {name for script in filters.values() for name in sieve_filters.folders_named(script)}
    old += [Folder(name) for name in sorted(named - {folder.name for folder in old})]
    new = maker.new_folders(old[0]) if person.beta else []
    events = calendars.events(person, maker.rng)
    return Mailbox(person, old, new, filters, active, events, calendars.contacts(person, maker.rng))


class _Maker:
    """Makes the folders of one mailbox, one random number after the other."""

    def __init__(self, person: Person, seed: int) -> None:
        self.person = person
        self.rng = random.Random(f"corpus:{seed}:{person.account}")
        self.owner = (person.name, person.address)
        self.made = 0

    def old_folders(self) -> list[Folder]:
        names = [PREFIX + name for name in (*ALWAYS, *self.rng.sample(SOMETIMES, self.rng.randrange(3, 7)))]
        folders = [self._folder("INBOX", self.rng.randrange(22, 42))]
        folders += [self._folder(name, self.rng.choice((0, 2, 3, 5, 7, 11))) for name in names]
        if self.person.account == PROBE_ACCOUNT:
            folders.append(Folder(sieve_filters.PROBE_FOLDER))
        self._twins(folders[0])
        if int(hashlib.sha256(self.person.account.encode()).hexdigest(), 16) % LARGE_ONE_IN == 0:
            folders[1].messages.append(self._message(size=self.rng.randrange(800_000, 2_500_000)))
        if self.person.trouble in ("closed on new", "used on new"):
            name = CLOSED_ON_NEW if self.person.trouble == "closed on new" else USED_ON_NEW
            folders.append(self._folder(PREFIX + name, 3))
        if self.person.trouble == "folders":
            folders += [self._folder(PREFIX + name, 5) for name in (*REFUSED_FOLDERS, *ALIKE_FOLDERS)]
            folders.append(self._folder(PREFIX + ON_DISK_FOLDER, 3, on_disk=True))
        if self.person.trouble == "messages":
            folders[0].messages.extend(self._refused())
            folders += [self._with_damage(), self._with_long_keyword()]
        if self.person.trouble in ("lost folders", "stays on old"):
            folders.append(self._unopened(LOCKED_FOLDER, locked=True))
        if self.person.trouble == "lost folders":
            folders.append(self._unopened(BROKEN_FOLDER, directory=f".{BROKEN_FOLDER}"))
            rights = (("accueil", "lrs"), (GONE, "lrswi"))
            folders[1] = replace(folders[1], shared_with=rights, notes=(LONG_NOTE,))
        return folders

    def new_folders(self, old_inbox: Folder) -> list[Folder]:
        """Weeks of the new server: what arrived there, and three mails carried over by hand at the beginning."""
        inbox = self._folder("INBOX", self.rng.randrange(12, 25), since=EVE - timedelta(weeks=6))
        inbox.messages.extend(old_inbox.messages[:3])
        folders = [inbox, *(self._folder(name, 4, since=EVE - timedelta(weeks=6)) for name in NEW_FOLDERS)]
        return [*folders, Folder(CLOSED_ON_NEW, locked=True)] if self.person.trouble == "closed on new" else folders

    def _folder(self, name: str, count: int, *, since: datetime | None = None, on_disk: bool = False) -> Folder:
        messages = sorted((self._message(since=since) for _ in range(count)), key=lambda message: message.date)
        if on_disk:
            messages = [Message(message.data, ("\\Seen",), message.date, refused=True) for message in messages]
        return Folder(name, messages, subscribed=on_disk is False and self.rng.random() < 0.9, on_disk=on_disk)

    def _message(self, *, since: datetime | None = None, size: int = 0) -> Message:
        date = self._date(since)
        self.made += 1
        serial = f"{self.rng.getrandbits(48):x}.{self.made}.{self.person.account}"
        if size:
            data = texts.with_attachment(self.rng, self.owner, date, serial, size)
        else:
            data = texts.message(self.rng, self.owner, date, serial)
        return Message(data, self._flags(), date)

    def _date(self, since: datetime | None) -> datetime:
        """More of the recent years than of the old ones."""
        span = (EVE - since) if since else timedelta(days=YEARS * 365.25)
        instant = EVE - timedelta(seconds=int(span.total_seconds() * self.rng.random() ** 2))
        return instant.astimezone(self.rng.choice(ZONES))

    def _flags(self) -> tuple[str, ...]:
        flags = [flag for flag, share in FLAG_SHARES if self.rng.random() < share]
        if self.person.account == PROBE_ACCOUNT and "\\Deleted" in flags:
            flags.remove("\\Deleted")  # the webmail of the functional tests expunges such messages, as webmails do
        if self.rng.random() < 0.15:
            flags += self.rng.sample(KEYWORDS, self.rng.randrange(1, 3))
        return tuple(flags)

    def _twins(self, inbox: Folder) -> None:
        """The same mail twice, and two mails under one Message-Id."""
        first, second = inbox.messages[1], inbox.messages[-1]
        inbox.messages.append(Message(first.data, first.flags, first.date))
        other = texts.same_identifier(second.data)
        inbox.messages.append(Message(other, self._flags(), second.date + timedelta(seconds=2)))

    def _refused(self) -> Iterator[Message]:
        """A message of no bytes, one with a NUL in its body, one of a date to come, and one larger than allowed."""
        yield Message(b"", ("\\Seen",), self._date(None), refused=True)
        with_nul = self._message()
        yield Message(with_nul.data + b"\r\nnul: \0 here\r\n", ("\\Seen",), with_nul.date, refused=True)
        yield Message(self._message().data, ("\\Seen",), NEVER, refused=True)
        yield self._message(size=TOO_LARGE)

    def _with_damage(self) -> Folder:
        folder = self._folder(PREFIX + DAMAGED_FOLDER, 3)
        damaged = self._message()
        folder.messages.append(Message(damaged.data, ("\\Seen",), damaged.date, refused=True, damaged=True))
        return folder

    def _with_long_keyword(self) -> Folder:
        folder = self._folder(PREFIX + LONG_KEYWORD_FOLDER, 2, on_disk=True)
        marked = [
            Message(message.data, ("\\Seen", LONG_KEYWORD), message.date, refused=True) for message in folder.messages
        ]
        return Folder(folder.name, marked, subscribed=False, on_disk=True)

    def _unopened(self, name: str, *, locked: bool = False, directory: str = "") -> Folder:
        inside = self._folder(PREFIX + name, 1, on_disk=True)
        return Folder(inside.name, inside.messages, subscribed=False, on_disk=True, locked=locked, directory=directory)


FLAG_SHARES = (("\\Seen", 0.8), ("\\Answered", 0.2), ("\\Flagged", 0.1), ("\\Draft", 0.03), ("\\Deleted", 0.02))
