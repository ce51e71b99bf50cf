"""Folder maps as files: YAML or JSON, in which everything is text. `Off` and `2024.10` are folders, too."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from bascule.sieve.foldermap import FolderMap
from bascule.text.harmless import harmless

Name = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]
Separator = Annotated[str, StringConstraints(max_length=1, pattern=r"^[!-~]*$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
_JSON_INDENTATION = re.compile(r"^\t+", re.MULTILINE)  # which YAML does not take
REASONS = {
    "string_type": "must be one name",
    "dict_type": "must hold old names and new names, as in `INBOX.Old: New`",
    "string_too_short": "has no name",
    "string_too_long": "must be one character",
    "string_pattern_mismatch": "has a character that can't stand there",
    "bool_parsing": "must be true or false",
}


class FolderMapRefused(Exception):
    """Raised when a file is no folder map; names the file, the line and the key."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    names: dict[Name, Name] = Field(default_factory=dict)
    old_separator: Separator = "/"
    new_separator: Separator = "/"
    old_prefix: Prefix = ""
    new_prefix: Prefix = ""
    modified_utf7: bool | None = None

    @model_validator(mode="after")
    def _prefixes_end_with_their_separators(self) -> "_File":
        for side in ("old", "new"):
            prefix, separator = getattr(self, f"{side}_prefix"), getattr(self, f"{side}_separator")
            if prefix and not prefix.endswith(separator):
                raise ValueError(f"`{side}_prefix` must end with `{side}_separator` ({separator})")
        return self


KEYS = tuple(_File.model_fields)


def read_folder_map(path: Path) -> FolderMap:
    """The folder map in the file: either old names and new names, or the keys of docs/filters.md.

    Raises FolderMapRefused, or OSError when the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(_JSON_INDENTATION.sub(" ", text) if text.lstrip()[:1] == "{" else text, yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise FolderMapRefused(f"{path}: not UTF-8 at byte {error.start + 1}") from None
    except yaml.YAMLError as error:
        raise FolderMapRefused(f"{path}: {_yaml_sentence(error)}") from None
    except RecursionError:
        raise FolderMapRefused(f"{path}: nested too deeply to be a folder map") from None
    return _Reader(path).read(root)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[tuple[str, ...], int] = {}

    def read(self, root: yaml.Node | None) -> FolderMap:
        if not isinstance(root, yaml.MappingNode):
            raise self._refused(root, "a folder map holds old names and new names, as in `INBOX.Old: New`")
        data = dict(self._items(root))
        if not set(data) & set(KEYS):
            self._misspelt(data)
            data = {"names": data}
            self.lines = {("names", *key): line for key, line in self.lines.items()}
        try:
            checked = _File.model_validate(data)
        except ValidationError as error:
            raise self._invalid(error) from None
        return FolderMap(**checked.model_dump())

    def _items(self, node: yaml.MappingNode, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
        """Keys and values as text; the values of `names` as a mapping."""
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refused(key, "a name must be a text, no list or mapping")
            name = (*above, _text(key))
            if name in self.lines:
                raise self._refused(key, f"`{name[-1]}` stands in line {self.lines[name]} already")
            self.lines[name] = key.start_mark.line + 1
            yield name[-1], self._value(value, name)

    def _value(self, node: yaml.Node, name: tuple[str, ...]) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return _text(node)
        if isinstance(node, yaml.MappingNode) and name == ("names",):
            return dict(self._items(node, name))
        return None  # which no key may hold

    def _misspelt(self, data: dict[str, Any]) -> None:
        """`old_seperator: .` is no folder's name."""
        for key, value in data.items():
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.8)
            if near and ("_" in key or not isinstance(value, str)):
                raise self._at((key,), f"there is no key `{key}`; is `{near[0]}` meant?")

    def _invalid(self, error: ValidationError) -> FolderMapRefused:
        first = error.errors(include_url=False)[0]
        place = tuple(str(part) for part in first["loc"] if part != "[key]")
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(place[0], KEYS, n=1)
            hint = f"is `{near[0]}` meant?" if near else f"there are {', '.join(KEYS)}"
            return self._at(place, f"there is no key `{place[0]}`; {hint}")
        if not place:
            return self._at(place, first["msg"].removeprefix("Value error, "))
        return self._at(place, f"`{place[-1]}` {REASONS.get(first['type'], first['msg'])}")

    def _at(self, place: tuple[str, ...], sentence: str) -> FolderMapRefused:
        line = self.lines.get(place)
        return FolderMapRefused(harmless(f"{self.path}: " + (f"line {line}: " if line else "") + sentence))

    def _refused(self, node: yaml.Node | None, sentence: str) -> FolderMapRefused:
        line = f"line {node.start_mark.line + 1}: " if node is not None else ""
        return FolderMapRefused(harmless(f"{self.path}: {line}{sentence}"))


def _text(node: yaml.ScalarNode) -> str:
    """What is written there; JSON writes one character in two halves."""
    return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _yaml_sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}no YAML: {getattr(error, 'problem', None) or getattr(error, 'reason', None) or 'it cannot be read'}"
