"""Radicale's file of rights (`[rights] type = from_file`): who may read and write which collection besides its owner.

A rule holds for a user and a path when both patterns match whole; the first such rule decides.
"""

import configparser
import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from string import Formatter

from bascule.calendars.shares.sharing import EVERYBODY, PUBLIC, Grant, Level
from bascule.hosts.connections import AccessError
from bascule.text.logs import get_logger

log = get_logger(__name__)

NOBODY = "bascule-no-such-person"  # what this one may do, everybody may who can log in
_leading = re.compile(r"\{(?:user|\d*)\}(?![*+?{]|\(\?#)")  # a name that a path must begin with
_names = re.compile(r"\(?([\w@+-]+(?:\\?\.[\w@+-]+)*(?:\|[\w@+-]+(?:\\?\.[\w@+-]+)*)*)\)?")


@dataclass(frozen=True)
class Rule:
    """One section: two regular expressions, and letters (`r`, `w` for items; `R`, `W` for what holds collections)."""

    name: str
    user: str
    collection: str
    permissions: str


class Rights:
    """What a file of rights means for these people; persons that only the file names are among them.

    Most people differ in nothing but their own collections: those for whom the same rules without a name hold are
    looked at together. With a look for each person at each collection, 3,000 accounts took six minutes.
    """

    def __init__(self, text: str, people: Collection[str], own_login: str = "") -> None:
        self._rules = _parse(text)
        self._for: dict[str, list[tuple[re.Pattern[str] | None, str]]] = {}  # by person: paths, and letters for them
        self._told: set[Rule] = set()  # that are no pattern for somebody
        everyone = sorted({*people, *self._named()} - {own_login})
        self.over_everything = {
            who: level for who in everyone if (level := self._level(who, f"{NOBODY}-2/{NOBODY}")) is not None
        }
        self._alike: defaultdict[tuple[Rule, ...], list[str]] = defaultdict(list)  # by rules without a name
        self._below: defaultdict[str, set[str]] = defaultdict(
            set
        )  # by how a path begins that a rule with a name is for
        for who in everyone:
            if who not in self.over_everything:
                self._sort_in(who)

    def _sort_in(self, who: str) -> None:
        theirs = self._rules_of(who)
        self._alike[tuple(rule for rule, _ in theirs if not _fills_in(rule))].append(who)
        for rule, user in theirs:
            if _fills_in(rule):
                is_pattern = self._compiled(rule, user, who) is not None
                self._below[_beginning(rule, user, who) if is_pattern else ""].add(who)

    def _rules_of(self, who: str) -> list[tuple[Rule, re.Match[str]]]:
        return [(rule, user) for rule in self._rules if (user := re.fullmatch(rule.user.format(), who))]

    def grants(self, path: str, owner: str) -> list[Grant]:
        """Who may do what with the collection at `path` besides its owner and those who may do so with all of them."""
        public, everybody = self._level("", path), self._level(NOBODY, path)
        found = [Grant(PUBLIC, public)] if public else []
        found += [Grant(EVERYBODY, everybody)] if everybody else []
        inside = path.strip("/")
        apart = set().union(*(self._below.get(inside[:end], ()) for end in range(len(inside) + 1)))
        levels = {who: self._level(who, path) for who in apart}
        for people in self._alike.values():
            together = next((who for who in people if who not in apart), None)
            if together is not None and (level := self._level(together, path)) not in (None, everybody):
                levels |= dict.fromkeys(set(people) - apart, level)
        for who, level in sorted(levels.items()):
            if who != owner and level not in (None, everybody):
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
            self._for[who] = [(self._compiled(rule, user, who), rule.permissions) for rule, user in self._rules_of(who)]
        inside = path.strip("/")
        for pattern, letters in self._for[who]:
            if pattern is None:
                return ""
            if pattern.fullmatch(inside):
                return letters
        return ""

    def _compiled(self, rule: Rule, user: re.Match[str], who: str) -> re.Pattern[str] | None:
        """The rule's paths for this person; None where that is no pattern: Radicale then answers with an error."""
        groups = [re.escape(group or "") for group in user.groups()]
        try:
            return re.compile(rule.collection.format(*groups, user=re.escape(who)))
        except (re.error, LookupError, AttributeError, ValueError) as error:
            if rule not in self._told:
                self._told.add(rule)
                log.warning("a rule of Radicale's rights lets nobody in", section=rule.name, user=who, why=str(error))
            return None

    def _named(self) -> set[str]:
        """The persons that rules name, where a rule is no pattern but a name or several."""
        lists = [match[1] for rule in self._rules if (match := _names.fullmatch(rule.user))]
        return {name.replace("\\", "") for names in lists for name in names.split("|")}


def _fills_in(rule: Rule) -> bool:
    """Whether its paths are others for each person."""
    return any(field is not None for _, field, _, _ in Formatter().parse(rule.collection))


def _beginning(rule: Rule, user: re.Match[str], who: str) -> str:
    """What every path begins with that the rule fills in for this person; nothing where that can't be seen."""
    if (led := _leading.match(rule.collection)) is None or "|" in rule.collection:
        return ""
    return led[0].format(*(group or "" for group in user.groups()), user=who)


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
            _fills_in(rule)
        return rules
    except (configparser.Error, re.error, IndexError, KeyError, ValueError) as error:
        raise AccessError(f"Radicale's file of rights can't be read: {error}") from None
