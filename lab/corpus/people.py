"""Who works at the observatory: accounts, their names and addresses, made from a seed.

Some accounts are always the same, whatever the seed and the number, because the day's prepared answers, the site file
and the tests name them: the role accounts, two beta testers and the problem mailboxes.
"""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.facts import DOMAIN
from lab.hosts.secrets import PROBE_ACCOUNT

Kind = Literal["person", "role"]
Trouble = Literal[
    "folders",
    "messages",
    "filter that never matches",
    "filter that is no Sieve",
    "lost folders",
    "stays on old",
    "small quota",
    "nothing on old",
    "nothing on new",
    "closed on new",
    "used on new",
]
MINIMUM = 14  # the fixed accounts below

# name, given name, surname, beta tester, trouble
FIXED: tuple[tuple[str, str, str, bool, Trouble | None], ...] = (
    ("egarcon", "Éloïse", "Garçon", True, "closed on new"),
    ("nlefevre", "Noël", "Lefèvre", True, "used on new"),
    ("jmunoz", "José", "Muñoz", False, "folders"),
    ("cdaubigne", "Chloé", "d'Aubigné", False, "messages"),
    ("fstjean", "François-Xavier", "Saint-Jean", False, "filter that never matches"),
    ("zkovacs", "Zoé", "Kovács", False, "filter that is no Sieve"),
    ("mlacour", "Maëlle", "Lacour", False, "lost folders"),
    ("rzeller", "René", "Zeller", False, "stays on old"),
    ("tnguyen", "Thu", "Nguyễn", False, "small quota"),
    ("npatel", "Nadia", "Patel", False, "nothing on old"),
    ("iweiss", "Ilse", "Weiß", False, "nothing on new"),
)
ROLES = (("accueil", "Accueil"), ("direction", "Direction"), (PROBE_ACCOUNT, "Sonde"))

# Aliases and lists that the MX knows by its map alone (LDAP knows the accounts' own addresses).
ROLE_ALIASES = {
    f"contact@{DOMAIN}": ("accueil",),
    f"webmaster@{DOMAIN}": ("accueil",),
    f"postmaster@{DOMAIN}": (PROBE_ACCOUNT,),
    f"directeur@{DOMAIN}": ("direction",),
    f"bureau@{DOMAIN}": ("accueil", "direction"),
    f"essais@{DOMAIN}": (PROBE_ACCOUNT,),
}

# Lists with members outside of the house. No numbered messages are sent to them: those are looked for in mailboxes.
LISTS = {f"liste-essais@{DOMAIN}": (f"{PROBE_ACCOUNT}@{DOMAIN}", "visiteur@outside.test")}

GIVEN_NAMES = (Path(__file__).parent / "given_names.txt").read_text(encoding="utf-8").split()
SURNAMES = (Path(__file__).parent / "surnames.txt").read_text(encoding="utf-8").split()
FOLDED = str.maketrans(
    {
        "œ": "oe",
        "Œ": "Oe",
        "æ": "ae",
        "Æ": "Ae",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "ß": "ss",
        "ğ": "g",
        "'": "",
        "’": "",
    }
)


@dataclass(frozen=True)
class Person:
    """One account of the directory: a person, or a role that several people share."""

    account: str
    given_name: str
    surname: str
    address: str  # First.Last@obs.test, as the outside writes to it
    kind: Kind = "person"
    beta: bool = False  # tests the new server since weeks: mail is delivered and read there
    trouble: Trouble | None = None  # what can't be carried over unchanged from this mailbox

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.surname}".strip()

    @property
    def served_by(self) -> Literal["old", "new"]:
        """Where the account's mail goes before the day."""
        return "new" if self.beta or self.trouble == "nothing on old" else "old"

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that reaches the account through the directory."""
        return tuple(dict.fromkeys((self.address, f"{self.account}@{DOMAIN}")))


def people(count: int = 24, seed: int = 1) -> list[Person]:
    """The first `count` accounts of this seed. A larger count begins with the same people.

    Raises ValueError when the number is too small for the fixed accounts.
    """
    if count < MINIMUM:
        raise ValueError(f"the practice site has at least {MINIMUM} accounts (asked for: {count})")
    everybody = [*_fixed(), *_roles()]
    taken = {person.account for person in everybody}
    addresses = {person.address for person in everybody}
    for given, surname in _names(seed):
        if len(everybody) == count:
            break
        account = _unused(_account(given, surname), taken)
        address = _unused(fold(f"{given}.{surname}"), addresses, f"@{DOMAIN}")
        everybody.append(Person(account, given, surname, address))
    return everybody


def fold(text: str) -> str:
    """Without accents and apostrophes: what may stand in an address."""
    plain = unicodedata.normalize("NFKD", text.translate(FOLDED))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).replace(" ", "-")


def _fixed() -> Iterator[Person]:
    for account, given, surname, beta, trouble in FIXED:
        yield Person(account, given, surname, f"{fold(given)}.{fold(surname)}@{DOMAIN}", beta=beta, trouble=trouble)


def _roles() -> Iterator[Person]:
    for account, name in ROLES:
        yield Person(account, "", name, f"{account}@{DOMAIN}", kind="role")


def _names(seed: int) -> Iterator[tuple[str, str]]:
    """Names without end: every pair once in an order of the seed's, then again."""
    pairs = [(given, surname) for given in GIVEN_NAMES for surname in SURNAMES]
    random.Random(f"people:{seed}").shuffle(pairs)
    while True:
        yield from pairs


def _account(given: str, surname: str) -> str:
    return (fold(given)[0] + fold(surname).replace("-", "")).lower()


def _unused(wanted: str, taken: set[str], ending: str = "") -> str:
    """The wanted name, or the first free one with a number behind it; from now on taken."""
    name, number = wanted + ending, 1
    while name in taken:
        number += 1
        name = f"{wanted}{number}{ending}"
    taken.add(name)
    return name
