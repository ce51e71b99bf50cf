"""The site file: one organisation's migration, read and checked.

A wrong file gives every error at once, each with the line, the key's path, what is wrong and what would be right.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bascule.site.accounts import CalendarServerPart, CalendarsPart, MailServerPart, PopPart
from bascule.site.day import FunctionalTestsPart, NotifyPart, OutsidePart
from bascule.site.infrastructure import (
    IsolationPart,
    PointPart,
    PreferencesPart,
    ServiceAddressPart,
    ServicePart,
    VirtualMachinePart,
)
from bascule.site.moves import HoursPart, MovesPart
from bascule.site.site import Site
from bascule.site.values import Side

__all__ = [
    "CalendarServerPart",
    "CalendarsPart",
    "FunctionalTestsPart",
    "HoursPart",
    "IsolationPart",
    "MailServerPart",
    "MovesPart",
    "NotifyPart",
    "OutsidePart",
    "PointPart",
    "PopPart",
    "PreferencesPart",
    "ServiceAddressPart",
    "ServicePart",
    "Side",
    "Site",
    "SiteError",
    "VirtualMachinePart",
    "from_environment",
    "load",
    "parse",
]


class SiteError(Exception):
    """Raised when the site file can't be used; its text lists every error with its line."""


def load(path: str | os.PathLike[str]) -> Site:
    """Read the site file. Raises SiteError, whose text has one line for every error."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SiteError(f"the site file {path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SiteError(f"the site file {path} is not UTF-8 text") from None
    return parse(text, str(path))


@lru_cache(maxsize=4)  # a task's process finds it as its worker has read it, unless the file has changed since
def parse(text: str, name: str = "site.yaml") -> Site:
    """Read a site from text; `name` stands in the errors. Raises SiteError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise SiteError(f"{name}: {where}: this is no YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(raw, dict):
        raise SiteError(f"{name}: the file must hold keys and values, beginning with `name:`")
    try:
        return Site.model_validate(raw)
    except ValidationError as error:
        lines = [_sentence(name, node, item) for item in error.errors(include_url=False)]
        raise SiteError(f"{name} has {len(lines)} error(s):\n" + "\n".join(lines)) from None


def from_environment() -> Site:
    """The site file that `BASCULE_SITE` names, or `site.yaml` beside Airflow's home. Raises SiteError."""
    path = os.environ.get("BASCULE_SITE")
    if not path:
        raise SiteError("no site file: set BASCULE_SITE to its path")
    return load(path)


def _sentence(name: str, root: yaml.Node | None, item: Any) -> str:
    keys = [key for key in item["loc"] if not (isinstance(key, str) and "[" in key)]
    path = ".".join(str(key) for key in keys) or "the file"
    line = _line_of(root, keys)
    wrong = item["msg"].removeprefix("Value error, ")
    wrong = {"missing": "this key is missing", "extra_forbidden": "no such key; is it a typing error?"}.get(
        item["type"], wrong[:1].lower() + wrong[1:]
    )
    given = item.get("input")
    shown = (
        f" (it is {given!r})"
        if isinstance(given, (str, int, float, bool)) and item["type"] != "extra_forbidden"
        else ""
    )
    return f"  line {line}: {path}: {wrong}{shown}"


def _line_of(node: yaml.Node | None, keys: list[Any]) -> int:
    """The line of the deepest part of the path that the file has (a missing key: the line of its section)."""
    line = node.start_mark.line + 1 if node else 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            match = next(((k, v) for k, v in node.value if k.value == str(key)), None)
            if match is None:
                return line
            line, node = match[0].start_mark.line + 1, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            return line
    return line
