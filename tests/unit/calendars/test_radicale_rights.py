"""Radicale's file of rights means to us what it means to Radicale."""

import itertools
from pathlib import Path

import pytest
from bascule.calendars.shares.radicale import Rights
from bascule.calendars.shares.sharing import EVERYBODY, PUBLIC, Grant
from bascule.hosts.connections import AccessError
from radicale import config
from radicale.rights.from_file import Rights as Radicale

PEOPLE = ["anne", "bob", "jean.dupont", "zoe"]
TEXT = r"""
[reader]
user: bascule
collection: .*
permissions: Rr

[archivist]
user: archivist
collection: .*
permissions: Rr

[team]
user: anne|bob
collection: zoe/(agenda|salle)
permissions: rw

[gone]
user: left-us
collection: zoe/agenda
permissions: r

[own]
user: .+
collection: {user}/[^/]+
permissions: rw

[secretary]
user: (jean)\.dupont
collection: {0}/[^/]+
permissions: r

[all]
user: .+
collection: zoe/public
permissions: r

[world]
user: .*
collection: zoe/world
permissions: r

[post-box]
user: bob
collection: zoe/box
permissions: w
"""


@pytest.fixture
def rights() -> Rights:
    return Rights(TEXT, PEOPLE, own_login="bascule")


def test_every_person_and_path_has_the_letters_that_radicale_finds(rights: Rights, tmp_path: Path) -> None:
    (tmp_path / "rights").write_text(TEXT)
    settings = config.load()
    settings.update({"rights": {"type": "from_file", "file": str(tmp_path / "rights")}}, "test", privileged=True)
    radicale = Radicale(settings)
    paths = ["zoe/agenda", "zoe/box", "zoe/public", "zoe/world", "jean/x", "anne/agenda", "zoe"]
    for who, path in itertools.product([*PEOPLE, "bascule", "left-us", "stranger", ""], paths):
        assert rights.permissions(who, f"/{path}/") == radicale.authorization(who, set(), f"/{path}/"), (who, path)


@pytest.mark.parametrize(
    ("path", "owner", "expected"),
    [
        ("zoe/agenda", "zoe", [Grant("anne", "write"), Grant("bob", "write"), Grant("left-us", "read")]),
        ("jean/x", "jean", [Grant("jean.dupont", "read")]),
        ("zoe/public", "zoe", [Grant(EVERYBODY, "read")]),
        ("zoe/world", "zoe", [Grant(PUBLIC, "read"), Grant(EVERYBODY, "read")]),
        ("zoe/box", "zoe", [Grant("bob", "other")]),
        ("anne/agenda", "anne", []),
    ],
)
def test_whoever_may_besides_the_owner_is_found(rights: Rights, path: str, owner: str, expected: list[Grant]) -> None:
    assert rights.grants(path, owner) == expected


def test_who_may_see_everything_is_told_once_and_our_own_login_never(rights: Rights) -> None:
    assert rights.over_everything == {"archivist": "read"}


@pytest.mark.parametrize("text", ["no section", "[a]\nuser: (\ncollection: x\npermissions: r", "[a]\nuser: x"])
def test_a_file_that_is_none_is_said(text: str) -> None:
    with pytest.raises(AccessError, match="can't be read"):
        Rights(text, PEOPLE)
