"""The house is as docs/how-it-works.md draws it: every room is named, imports go down only; one thing in one place."""

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from lab.paths import CHECKOUT

PACKAGE = CHECKOUT / "plugins" / "bascule"
PAGE = (CHECKOUT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
COMMAND_LINE = "__main__"  # of a room: it stands above all rooms
Floors = Sequence[Collection[str]]


def plan(after: str) -> tuple[Floors, str]:
    """The rooms that the page draws next after these words, floor by floor from the ground up, and the drawing."""
    drawing = re.search(r"\n\n((?:    .*\n|\n)+)", PAGE[PAGE.index(after) :])
    assert drawing, after
    floors = [re.findall(r"^ {4}(\w+)", floor, re.MULTILINE) for floor in drawing[1].strip("\n").split("\n\n")]
    return [{*floor} for floor in reversed(floors)], drawing[1]


HOUSE, DRAWING = plan("## The house")
ENGINE, _ = plan("Inside `mailbox/`")
AROUND, DRAWING_AROUND = plan("Around the package")


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}:{node.lineno}: write the whole name of what is imported"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms(house: Path) -> set[str]:
    return {
        path.stem
        for path in house.iterdir()
        if (path.suffix == ".py" or any(path.rglob("*.py"))) and path.stem not in ("__init__", COMMAND_LINE)
    }


def arrows(house: Path, package: str) -> set[tuple[str, str]]:
    """(room, what else it imports of the package): another room, or by a name that is no room the package's face."""
    known, found = rooms(house), set()
    for path in house.rglob("*.py"):
        room = path.relative_to(house).parts[0].removesuffix(".py")
        for module in imports(path) if path.stem != COMMAND_LINE and room in known else ():
            other = module.removeprefix(f"{package}.").split(".")[0] if module.startswith(f"{package}.") else room
            if other != room:
                found.add((room, other))
    return found


def upward(floors: Floors, found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is no room (the package's face, a command line) stands above all."""
    floor = {room: number for number, on_it in enumerate(floors) for room in on_it}
    return sorted((room, other) for room, other in found if floor[room] <= floor.get(other, len(floors)))


@pytest.mark.parametrize(("floors", "house"), [(HOUSE, PACKAGE), (ENGINE, PACKAGE / "mailbox")], ids=["all", "engine"])
def test_every_room_is_drawn_and_every_drawn_room_is_there(floors: Floors, house: Path) -> None:
    assert rooms(house) == set().union(*floors)


def test_every_room_inside_a_room_is_named_in_its_sentence() -> None:
    """The engine's stand in a drawing of their own."""
    named = set(re.findall(r"`(\w+)/`", DRAWING)) - {"tasks"}
    houses = [PACKAGE / room for room in set().union(*HOUSE) - {"mailbox"}]
    assert {path.name for house in houses for path in house.iterdir() if any(path.glob("*.py"))} == named
    named_in_lab = set(re.findall(r"`(\w+)/`", DRAWING_AROUND))
    assert {path.parent.name for path in (CHECKOUT / "lab").glob("*/*.py")} == named_in_lab


def test_what_lies_around_the_package_is_named() -> None:
    folders = {path.name for path in CHECKOUT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders - {"var"} == set().union(*AROUND)


@pytest.mark.parametrize(
    ("floors", "package"), [(HOUSE, "bascule"), (ENGINE, "bascule.mailbox")], ids=["all", "engine"]
)
def test_imports_go_down_only(floors: Floors, package: str) -> None:
    assert upward(floors, arrows(CHECKOUT / "plugins" / package.replace(".", "/"), package)) == []


def test_only_operators_and_the_dashboard_import_airflow() -> None:
    others = {
        path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ("operators", "dashboard")
    }
    assert [path for path in others if any(module.split(".")[0] == "airflow" for module in imports(path))] == []


def test_dags_import_operators_only_and_a_command_line_no_airflow() -> None:
    by_dags = {module for path in (CHECKOUT / "dags").glob("*.py") for module in imports(path)}
    assert {".".join(module.split(".")[:2]) for module in by_dags if module.startswith("bascule.")} == {
        "bascule.operators"
    }
    by_command_lines = {module for path in PACKAGE.rglob(f"{COMMAND_LINE}.py") for module in imports(path)}
    assert not [module for module in by_command_lines if re.match(r"bascule\.(operators|dashboard)\b", module)]


def test_the_product_imports_neither_its_tests_nor_the_practice_site_nor_a_command_line() -> None:
    product = [*(CHECKOUT / "dags").glob("*.py"), *(CHECKOUT / "plugins").rglob("*.py")]
    above = {"lab", "tests", "benchmarks", COMMAND_LINE}
    theirs = [path for path in product if any(above.intersection(m.split(".")) for m in imports(path))]
    assert theirs == []


def test_the_protocol_knows_nothing_of_what_it_is_used_for() -> None:
    known = {module for path in (PACKAGE / "mailbox" / "imap").glob("*.py") for module in imports(path)}
    ours = {module for module in known if module.startswith("bascule.")}
    assert not [m for m in ours if not re.match(r"bascule\.(mailbox\.(imap|columns)|hosts|text)(\.|$)", m + ".")]
    assert not [module for module in known if module.startswith("sqlalchemy")]


@pytest.mark.parametrize(
    ("what", "place"),
    [
        (r'b"UID FETCH"', "imap/fetch.py"),
        (r"BODY(\.PEEK)?\[\]", "imap/fetch.py"),
        (r'b"APPEND"', "imap/append.py"),
        (r'b"UID (STORE|EXPUNGE|SEARCH)"', "imap/store.py"),
    ],
)
def test_what_is_done_in_one_place(what: str, place: str) -> None:
    engine = PACKAGE / "mailbox"
    sources = {str(path.relative_to(engine)): path.read_text(encoding="utf-8") for path in engine.rglob("*.py")}
    code = {name: re.sub(r'"""[\s\S]*?"""', "", text) for name, text in sources.items()}
    assert [name for name, text in code.items() if re.search(what, text)] == [place]


def test_commands_are_written_in_the_protocols_room_only() -> None:
    engine = PACKAGE / "mailbox"
    elsewhere = [path for path in engine.rglob("*.py") if path.parent.name != "imap"]
    assert not [
        path for path in elsewhere if re.search(r'\.(run|begin|start)\(\s*b"', path.read_text(encoding="utf-8"))
    ]
