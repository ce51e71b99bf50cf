"""Whether anything grows faster than the mailbox: `python -m benchmarks.growth`.

Many folders, and many messages in one folder, in three sizes each. Writes a table into docs/performance.md between
markers of its own.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mailbox import machine, write_page
from benchmarks.memory import write_folder
from benchmarks.tools import Bench, Cost, bascule, run_engine
from tests.mail_servers import two_dovecots

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
EACH = 5  # messages in each of many folders


@dataclass(frozen=True)
class Size:
    """One mailbox. `unit`: what there are many of."""

    number: int
    unit: str

    @property
    def user(self) -> str:
        return f"{self.unit}{self.number}"

    def write(self, maildir: Path) -> None:
        """Make it in Maildir++ form."""
        if self.unit == "messages":
            write_folder(maildir, self.number)
            return
        write_folder(maildir, EACH)
        for number in range(1, self.number):
            folder = maildir / f".Folder{number:04d}"
            write_folder(folder, EACH)
            (folder / "maildirfolder").touch()


SIZES = [Size(number, "folders") for number in (500, 1_000, 2_000)]
SIZES += [Size(number, "messages") for number in (50_000, 100_000, 200_000)]


def measure(bench: Bench, size: Size) -> dict[str, Cost]:
    """Every kind of pass over one mailbox."""
    acts: dict[str, Callable[[], Cost]] = {
        "first copy, verified": lambda: bascule(bench, size.user, size.user, "--verify", "attributes"),
        "nothing changed": lambda: bascule(bench, size.user, size.user, "--verify", "attributes"),
        "verification of everything": lambda: run_engine(
            bench, "verify", size.user, size.user, "--verify", "attributes"
        ),
    }
    found = {}
    for case, act in acts.items():
        cost = found[case] = act()
        what = f"{size.number} {size.unit}: {case}"
        print(f"{what:48} wall {cost.wall:7.2f}  cpu {cost.cpu:6.2f}  {cost.memory:5.0f} MB", flush=True)
    return found


def table(found: dict[Size, dict[str, Cost]]) -> list[str]:
    """The rows of the page."""
    lines = [
        "| mailbox | pass | wall s | CPU s | CPU ms for each folder, or 1,000 messages | memory MB |",
        "|---|---|---|---|---|---|",
    ]
    for size, costs in found.items():
        units = size.number if size.unit == "folders" else size.number / 1000
        for case, cost in costs.items():
            each = f"{cost.cpu * 1000 / units:.1f}"
            row = [f"{size.number:,} {size.unit}", case, f"{cost.wall:.1f}", f"{cost.cpu:.1f}", each]
            lines.append(f"| {' | '.join(row)} | {cost.memory:.0f} |")
    return lines


def main() -> None:
    """Measure, print as it comes, write the page."""
    found: dict[Size, dict[str, Cost]] = {}
    with two_dovecots(new={"location": "mdbox:~/mdbox"}) as (old, new):
        bench = Bench(old.home.parent, old, new, old.port, new.port)
        for size in SIZES:
            user = old.home / "mail" / size.user
            size.write(user / "Maildir")
            subprocess.run(["chown", "-R", "--reference", str(old.home / "mail"), str(user)], check=True)
            found[size] = measure(bench, size)
        lines = [machine(), "", *table(found)]
        write_page(lines, BEGIN, END)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
