"""Radicale's file of rights (`[rights] type = from_file`): who may read and write which collection besides its owner.

A rule holds for a user and a path when both patterns match whole; the first such rule decides.
"""

import configparser
import re
from collections.abc import Collection
from dataclasses import dataclass

from bascule.calendars.shares.sharing import EVERYBODY, PUBLIC, Grant, Level
from bascule.hosts.connections import AccessError

NOBODY = "bascule-no-such-person"  # what this one may do, everybody may who can log in
_names = re.compile(r"\(?([\w@+-]+(?:\\?\.[\w@+-]+)*(?:\|[\w@+-]+(?:\\?\.[\w@+-]+)*)*)\)?")


@dataclass(frozen=True)
class Rule:
    """One section: two regular expressions, and letters (`r`, `w` for items; `R`, `W` for what holds collections)."""

    name: str
    user: str
    collection: str
    permissions: str


class Rights:
    """What a file of rights means for these people; persons that only the file names are among them."""

    def __init__(self, text: str, people: Collection[str], own_login: str = "") -> None:
        self._rules = _parse(text)
        self._for: dict[str, list[tuple[re.Pattern[str], str]]] = {}  # by person: paths, and the letters for them
        self._people = sorted({*people, *self._named()} - {own_login})
        self.over_everything = {
            who: level for who in self._people if (level := self._level(who, f"{NOBODY}-2/{NOBODY}")) is not None
        }

    def grants(self, path: str, owner: str) -> list[Grant]:
        """Who may do what with the collection at `path` besides its owner and those who may do so with all of them."""
        public, everybody = self._level("", path), self._level(NOBODY, path)
        found = [Grant(PUBLIC, public)] if public else []
        found += [Grant(EVERYBODY, everybody)] if everybody else []
        for who in self._people:
            level = self._level(who, path)
            if who != owner and who not in self.over_everything and level not in (None, everybody):
                found.append(Grant(who, level))
        return found

    def _level(self, who: str, path: str) -> Level | None:
        permissions = self.permissions(who, path)
        if "r" in permissions:
            return "write" if "w" in permissions else "read"
        return "other" if "w" in permissions else None

    def permissions(self, who: str, path: str) -> str:
        """The letters that Radicale would find for this user and this path."""
        if who not in self._for:
            self._for[who] = [
                (re.compile(_filled(rule, user, who)), rule.permissions)
                for rule in self._rules
                if (user := re.fullmatch(rule.user.format(), who))
            ]
        inside = path.strip("/")
        return next((letters for pattern, letters in self._for[who] if pattern.fullmatch(inside)), "")

    def _named(self) -> set[str]:
        """The persons that rules name, where a rule is no pattern but a name or several."""
        lists = [match[1] for rule in self._rules if (match := _names.fullmatch(rule.user))]
        return {name.replace("\\", "") for names in lists for name in names.split("|")}


def _filled(rule: Rule, user: re.Match[str], who: str) -> str:
    groups = [re.escape(group or "") for group in user.groups()]
    return rule.collection.format(*groups, user=re.escape(who))


def _parse(text: str) -> list[Rule]:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
        rules = [
            Rule(
                name,
                parser.get(name, "user", fallback=""),
                parser.get(name, "collection"),
                parser.get(name, "permissions"),
            )
            for name in parser.sections()
        ]
        for rule in rules:
            re.compile(rule.user.format())
        return rules
    except (configparser.Error, re.error, IndexError, KeyError, ValueError) as error:
        raise AccessError(f"Radicale's file of rights can't be read: {error}") from None
