"""The data that comes with Bascule is read alike by libyaml and by PyYAML itself."""

from pathlib import Path

import pytest
import yaml
from bascule.text import data_file

FILES = sorted((Path(__file__).parents[2] / "include").rglob("*.yaml"))


@pytest.mark.parametrize("with_libyaml", [True, False])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_file_holds_depends_on_no_parser(
    path: Path, with_libyaml: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", with_libyaml)
    assert data_file.read(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


def test_a_file_makes_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("!!python/object/apply:os.getcwd []", encoding="utf-8")
    with pytest.raises(yaml.YAMLError):
        data_file.read(path)
