"""The pages name what there is: tasks, files, links."""

import re

import pytest

from lab.paths import CHECKOUT

PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("cluster/**/*.md")])
PHASES = ("freeze", "transfer", "cutover", "drain")
EVERYWHERE = {"begin", "finish"}


def tasks_of(phase: str) -> set[str]:
    """The task ids of a phase, those of a mapped group with the group's name before them."""
    source = (CHECKOUT / "dags" / f"{phase}.py").read_text(encoding="utf-8")
    group, found = "", set()
    for line in source.splitlines():
        if match := re.match(r"    def (\w+)\(account\)", line):
            group = f"{match[1]}."
        elif re.match(r"    \S", line) and not line.startswith("    @"):
            group = ""
        found |= {group + name for name in re.findall(r'task_id="(\w+)"', line)}
    return found - EVERYWHERE


def test_the_day_names_every_task_under_its_phase() -> None:
    rows = re.findall(
        r"^\| [^|]*\| ([^|]*)\|", (CHECKOUT / "docs" / "day.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    named: dict[str, set[str]] = {}
    for cell in rows:
        if match := re.fullmatch(r"\*\*`(\w+)`\*\*\s*", cell):
            phase = match[1]
            named[phase] = set()
        elif named:
            named[phase] |= set(re.findall(r"`([\w.]+)`", cell))

    assert named == {phase: tasks_of(phase) for phase in PHASES}


def test_the_readme_names_tasks_that_there_are() -> None:
    rows = re.findall(r"^\|[^|]*\|[^|]*\| `(\w+)` \| (.*) \|$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
    named = {(phase, task) for phase, cell in rows for task in re.findall(r"`([\w.]+)`", cell)}

    assert {phase for phase, _ in named} >= set(PHASES)
    assert [f"{phase}.{task}" for phase, task in sorted(named) if task not in tasks_of(phase)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_to_files_of_the_checkout(page) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_paths_lead_to_files_of_the_checkout(page) -> None:
    """YOURS and NNNN stand for a file that somebody will write."""
    paths = re.findall(r"`((?:lab|plugins|tests|dags|include|benchmarks)/[\w./-]+)`", page.read_text(encoding="utf-8"))

    assert [path for path in paths if not re.search("YOURS|NNNN", path) and not (CHECKOUT / path).exists()] == []
