"""Data that comes with Bascule: the YAML files of `include/`."""

from pathlib import Path
from typing import Any


def read(path: Path) -> Any:
    """What the file holds. libyaml, where PyYAML has it, reads it ten times faster than PyYAML itself does."""
    import yaml  # who reads none pays nothing

    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe ones
