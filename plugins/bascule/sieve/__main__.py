"""`python -m bascule.sieve convert FILE`, `check FILE...`, `explain FILE`: filters without Airflow, without a server.

Exit status: 0 all done; 3 done except for the problems listed; 1 not a script (with line and column), or not readable.
All output is UTF-8, in any locale.
"""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any, TextIO

from bascule.ledger import LedgerError
from bascule.sieve.convert import convert, parsed
from bascule.sieve.explain import explain, why
from bascule.sieve.folder_map_file import FolderMapRefused, read_folder_map
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.model import Context, Conversion
from bascule.sieve.plan import clean, read, write
from bascule.sieve.procmail import looks_like_procmail, to_sieve
from bascule.sieve.syntax import SieveSyntaxError
from bascule.text.harmless import harmless
from bascule.text.reason import place_of

DONE, NOT_PARSABLE, WITH_PROBLEMS = 0, 1, 3


def main(words: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        _as_utf8(stream)
    given = _parser().parse_args(words)
    try:
        return int(given.command(given))
    except (OSError, FolderMapRefused, LedgerError) as error:
        print(f"bascule.sieve: {_reason(error)}", file=sys.stderr)
    except Exception as error:
        print(f"{_shown(given.file)}: {_reason(error)}", file=sys.stderr)
    return NOT_PARSABLE


def _as_utf8(stream: TextIO) -> None:
    """File names come out as the octets that they are."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def _reason(error: Exception) -> str:
    """One sentence for people."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{_shown(str(error.filename))}: can't be read: {error.strerror}"
    if isinstance(error, SieveSyntaxError | FolderMapRefused | LedgerError | OSError):
        return clean(str(error))
    return f"Bascule has a fault and can't deal with this file ({place_of(error)}): please report it with the file"


def _shown(file: str) -> str:
    """A file's name without control characters; its octets that are not UTF-8 stay."""
    return "".join(c if "\udc80" <= c <= "\udcff" else harmless(c) for c in file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bascule.sieve", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    converting = commands.add_parser("convert", help="write the converted filter, and its edits on standard error")
    converting.add_argument("file", help="a Sieve script or a procmailrc; - for standard input")
    converting.add_argument(
        "--folder-map", type=Path, help="YAML or JSON: old folder name -> new one; see docs/filters.md"
    )
    converting.add_argument("--json", action="store_true", help="everything as one JSON object on standard output")
    converting.set_defaults(command=_convert)
    checking = commands.add_parser("check", help="say what is wrong with filters")
    checking.add_argument("files", nargs="+", metavar="FILE")
    checking.set_defaults(command=_check, file="")
    explaining = commands.add_parser("explain", help="say in plain words what a filter does, and what would be edited")
    explaining.add_argument("file")
    explaining.set_defaults(command=_explain)
    showing = commands.add_parser("page", help="an account's page as HTML, from the ledger (BASCULE_LEDGER)")
    showing.add_argument("account")
    showing.set_defaults(command=_page, file="")
    return parser


def _convert(given: argparse.Namespace) -> int:
    folders = _folder_map(given.folder_map)
    source, _ = _script(given.file, folders)
    conversion = convert(source, Context(folders=folders))
    if given.json:
        print(json.dumps(_as_data(conversion), ensure_ascii=False, indent=2))
    else:
        sys.stdout.buffer.write(write(conversion.text))
        sys.stdout.buffer.flush()
        for line in _sentences(conversion):
            print(f"{_shown(given.file)}: {clean(line)}", file=sys.stderr)
    return WITH_PROBLEMS if conversion.findings else DONE


def _check(given: argparse.Namespace) -> int:
    return max((_checked(file) for file in given.files), key=(DONE, WITH_PROBLEMS, NOT_PARSABLE).index)


def _checked(file: str) -> int:
    try:
        source, said = _script(file)
        conversion = convert(source)
    except OSError as error:
        print(f"{_shown(file)}: can't be read: {error.strerror}")
        return NOT_PARSABLE
    except Exception as error:
        print(f"{_shown(file)}: {_reason(error)}")
        return NOT_PARSABLE
    for line in said + _problems(conversion):
        print(f"{_shown(file)}: {clean(line)}")
    return WITH_PROBLEMS if conversion.findings else DONE


def _explain(given: argparse.Namespace) -> int:
    source, said = _script(given.file)
    conversion = convert(source)
    for line in (*said, *explain(parsed(source)), *why(conversion)):
        print(line[: len(line) - len(line.lstrip())] + clean(line))
    return WITH_PROBLEMS if conversion.findings else DONE


def _page(given: argparse.Namespace) -> int:
    from bascule.ledger import Ledger
    from bascule.views import filters
    from bascule.views.language import Reader

    print(filters.alone(Ledger.from_environment(), given.account, Reader.of("en", "UTC")))
    return DONE


def _source(file: str) -> str:
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return read(data)


def _script(file: str, folders: FolderMap | None = None) -> tuple[str, list[str]]:
    """The Sieve script in the file, or the one that is made of its procmail recipes, and a sentence that says so."""
    source = _source(file)
    if not looks_like_procmail(source):
        return source, []
    return to_sieve(source, folders)[0], [
        "a procmailrc: lines are counted in the Sieve script that `convert` makes of it"
    ]


def _folder_map(path: Path | None) -> FolderMap:
    return FolderMap() if path is None else read_folder_map(path)


def _sentences(conversion: Conversion) -> list[str]:
    edits = []
    for edit in conversion.edits:
        line, column = conversion.place(edit.start)
        edits.append(f"line {line}, column {column}: {edit.reason} [{edit.rule}]")
    return edits + _problems(conversion)


def _problems(conversion: Conversion) -> list[str]:
    found = []
    for finding in conversion.findings:
        line, column = conversion.place(finding.offset)
        can = "; it can be repaired by decision" if finding.repair else ""
        found.append(f"line {line}, column {column}: problem: {finding.message}{can} [{finding.rule}]")
    return found


def _as_data(conversion: Conversion) -> dict[str, Any]:
    def place(offset: int) -> dict[str, int]:
        line, column = conversion.place(offset)
        return {"line": line, "column": column}

    edits = [
        place(edit.start)
        | {"before": clean(conversion.source[edit.start : edit.end]), "after": as_json_text(edit.text),
           "rule": edit.rule, "reason": clean(edit.reason)}
        for edit in conversion.edits
    ]  # fmt: skip
    problems = [
        place(finding.offset)
        | {"rule": finding.rule, "message": clean(finding.message), "repairable": bool(finding.repair)}
        for finding in conversion.findings
    ]
    changed = conversion.proposed != conversion.text
    return {
        "text": as_json_text(conversion.text),
        "proposed": as_json_text(conversion.proposed) if changed else None,
        "edits": edits,
        "problems": problems,
    }


def as_json_text(text: str) -> str:
    """A script as JSON can hold it: octets that are not UTF-8 become question marks, line ends stay."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


if __name__ == "__main__":
    sys.exit(main())
