"""Radicale's file of rights means to us what it means to Radicale."""

import itertools
from pathlib import Path

import pytest
from bascule.calendars.shares.radicale import Rights
from bascule.calendars.shares.sharing import EVERYBODY, PUBLIC, Grant
from bascule.hosts.connections import AccessError
from hypothesis import given
from hypothesis import strategies as st
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


# Names of which one begins another, or holds what means something in a pattern; rules that fill in a name, or a part
# of it, at the beginning, behind it, or in a way from which no path's beginning can be seen.
ALIKE = ["ab", "abc", "a.b", "aXb", "b", "abc.d", "zoe"]
USERS = st.sampled_from([".+", ".*", "ab", "ab|b", "(a)(.*)", "(.+)c", r"a\.b", "[^a].*", "gone"])
COLLECTIONS = st.sampled_from(
    ["{user}(/.*)?", "{user}/[^/]+", "{user}", "{user}?/x", "{user}{{1}}/x", "{user}(?#that)*/x", "{user}|zoe/x",
     "shared/{user}", "({user})?/?x", ".*", "zoe/x", "a.*", "ab/.+", "[^/]+/y", "(?i){user}/x", ".*{user}.*",
     "(", "{user}(", "{0}/x", "{other}/x", "{user.x}"]
)  # fmt: skip
OF_GROUPS = st.sampled_from(["{0}/x", "{0}", "{1}?/x", "x{0}", "{}/x"])  # for users with groups
PATHS = [f"{name}{rest}" for name in (*ALIKE, "a", "ABC", "shared") for rest in ("", "/x", "/y", "/ab")] + ["x"]
RULE = st.one_of(
    st.tuples(USERS, COLLECTIONS, st.sampled_from(["r", "rw", "w", "R", ""])),
    st.tuples(st.sampled_from(["(a)(.*)", "(.)(.+)"]), OF_GROUPS, st.sampled_from(["r", "rw"])),
)


@pytest.fixture
def rights() -> Rights:
    return Rights(TEXT, PEOPLE, own_login="bascule")


def as_radicale_reads(text: str, folder: Path) -> Radicale:
    (folder / "rights").write_text(text)
    settings = config.load()
    settings.update({"rights": {"type": "from_file", "file": str(folder / "rights")}}, "test", privileged=True)
    return Radicale(settings)


def test_every_person_and_path_has_the_letters_that_radicale_finds(rights: Rights, tmp_path: Path) -> None:
    radicale = as_radicale_reads(TEXT, tmp_path)
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


@given(rules=st.lists(RULE, min_size=1, max_size=6))
def test_whatever_the_rules_are_those_are_found_whom_radicale_lets_in(
    rules: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    parts = (
        f"[{n}]\nuser: {user}\ncollection: {paths}\npermissions: {letters}\n"
        for n, (user, paths, letters) in enumerate(rules)
    )
    text = "\n".join(parts)
    rights, radicale = Rights(text, ALIKE), as_radicale_reads(text, tmp_path_factory.mktemp("rights"))

    def may(who: str, path: str) -> tuple[bool, bool]:
        try:
            letters = radicale.authorization(who, set(), f"/{path}/")
        except RuntimeError:  # with this name, a rule is no pattern: the person gets an error
            letters = ""
        return "r" in letters, "w" in letters

    for path in PATHS:
        everybody = may("bascule-no-such-person", path)
        expected = {
            who
            for who in {*ALIKE, *rights._named()} - set(rights.over_everything)
            if any(may(who, path)) and may(who, path) != everybody
        }
        assert {grant.who for grant in rights.grants(f"/{path}/", "nobody")} - {PUBLIC, EVERYBODY} == expected, path


@pytest.mark.parametrize("people", [30, 3000])
def test_a_collection_costs_as_many_looks_however_many_people_there_are(
    monkeypatch: pytest.MonkeyPatch, people: int
) -> None:
    rights = Rights(TEXT, [*PEOPLE, *(f"person{n}" for n in range(people))])
    looks: list[str] = []
    real = Rights.permissions

    def counted(self: Rights, who: str, path: str) -> str:
        looks.append(who)
        return real(self, who, path)

    monkeypatch.setattr(Rights, "permissions", counted)
    assert rights.grants("/zoe/agenda/", "zoe") == [
        Grant("anne", "write"), Grant("bob", "write"), Grant("left-us", "read")
    ]  # fmt: skip
    assert len(looks) <= 10, looks


def test_who_may_see_everything_is_told_once_and_our_own_login_never(rights: Rights) -> None:
    assert rights.over_everything == {"archivist": "read"}


@pytest.mark.parametrize(
    "text",
    [
        "no section",
        "[a]\nuser: (\ncollection: x\npermissions: r",
        "[a]\nuser: x",
        "[a]\nuser: x\ncollection: {\npermissions: r",
    ],
)
def test_a_file_that_is_none_is_said(text: str) -> None:
    with pytest.raises(AccessError, match="can't be read"):
        Rights(text, PEOPLE)
