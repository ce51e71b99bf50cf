"""The example of a site file: right, complete, and every key explained above or before it."""

import itertools
import re
from pathlib import Path

import yaml
from bascule import site
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "include" / "site.example.yaml"


def keys_of_models(model: type[BaseModel], path: str = "") -> set[str]:
    """Every key that the models know, as dotted paths; keys of free maps (hosts) are not theirs."""
    found = set()
    for name, part in model.model_fields.items():
        here = f"{path}.{name}".lstrip(".")
        found.add(here)
        if isinstance(part.annotation, type) and issubclass(part.annotation, BaseModel):
            found |= keys_of_models(part.annotation, here)
    return found


def keys_of_file(raw: object, path: str = "") -> set[str]:
    if not isinstance(raw, dict):
        return set()
    found = set()
    for name, value in raw.items():
        here = f"{path}.{name}".lstrip(".")
        found |= {here} | keys_of_file(value, here)
    return found


# Sections of one shape that repeat: explained at the first.
REPEATED = re.compile(r"^(mailboxes\.new|calendars\.new|isolation\.new|service_addresses\.pop)\.")


def test_the_example_is_a_right_site_file() -> None:
    assert site.load(EXAMPLE).name == "univ-exemple"


def test_the_example_has_every_key() -> None:
    missing = keys_of_models(site.Site) - keys_of_file(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")))
    assert not {key for key in missing if not REPEATED.match(key)}


def test_every_section_begins_with_a_comment() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    bare = [line for before, line in itertools.pairwise(lines) if re.match(r"^\w+:", line) and before[:1] != "#"]
    assert bare == []


def test_no_secret_stands_in_a_site_file() -> None:
    for path in (EXAMPLE, ROOT / "lab" / "site.yaml"):
        keys = keys_of_file(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert not [key for key in keys if re.search("password|passwd|token", key.lower())]
