"""The corpus: scripts with what must come of each, several in a file (`corpus/*.txt`), and hostile ones made here."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from bascule.sieve.foldermap import FolderMap
from bascule.sieve.model import Context

CORPUS = Path(__file__).parent / "corpus"
HEAD = re.compile(r"^=== (?P<name>.+?) => (?P<kind>\w+) ?(?P<what>.*)$")
BUSY_SECONDS = 30  # of a busy machine's processor, for two of a quiet one; more than linear would be minutes

FOLDERS = FolderMap(
    {
        "INBOX": "INBOX",
        "INBOX.Travail": "Travail",
        "INBOX.Archives": "Archives",
        "INBOX.R&D": "R&D",
        "INBOX.Devis / factures": "Devis - factures",
        "INBOX.Réunions.2018 été": "Réunions/2018",
    },
    old_separator=".",
    new_separator="/",
    old_prefix="INBOX.",
    modified_utf7=True,
)
CONTEXT = Context(
    folders=FOLDERS,
    own_addresses=frozenset({"moi@obs.test"}),
    old_hosts={"old.obs.test": "obs.test"},
    scripts={"commun": "keep;"},
)


@dataclass(frozen=True)
class Case:
    """One script; `kind`: identical, edits, asks, refused (see the files), `what` belongs to it."""

    file: str
    name: str
    kind: str
    what: str
    text: str

    @property
    def rules(self) -> list[str]:
        return sorted(self.what.split())

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


def cases(*files: str) -> list[Case]:
    """The cases of these files, or of all with Sieve scripts."""
    names = files or ("rules", "editors", "dialects", "extensions", "broken")
    return [case for name in names for case in _read(name)]


def _read(name: str) -> list[Case]:
    found: list[Case] = []
    head, lines = None, []
    for line in (CORPUS / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True):
        if (match := HEAD.match(line)) is not None:
            if head is not None:
                found.append(Case(name, head["name"], head["kind"], head["what"], "".join(lines)))
            head, lines = match, []
        elif head is not None:
            lines.append(line)
    if head is not None:
        found.append(Case(name, head["name"], head["kind"], head["what"], "".join(lines)))
    return found


def hostile() -> dict[str, bytes]:
    """Scripts that a parser of Sieve should survive, by name."""
    rule = b'if header :contains "Subject" "x" { keep; }\n'
    return {
        "NUL between commands": b"keep;\0keep;\n",
        "NUL in a string": b'redirect "a\0b@example.org";\n',
        "byte order mark": b"\xef\xbb\xbfkeep;\n",
        "byte order mark in UTF-16": b"\xff\xfek\0e\0e\0p\0;\0",
        "mixed line ends": b"keep;\r\nkeep;\nkeep;\r\nif true {\r\n\tkeep;\n}\n",
        "old Macintosh line ends": b"keep;\rkeep;\r",
        "Latin-1 in a comment": b"# R\xe8gle d'\xe9t\xe9\nkeep;\n",
        "Latin-1 in a string": b'if header :contains "Subject" "\xe9t\xe9" { keep; }\n',
        "Latin-1 in the address of an old notification": b'require "notify";\nnotify :options "ren\xe9@example.org";\n',
        "Windows-1252 quotes": b'if header :contains "Subject" "\x93x\x94" { keep; }\n',
        "surrogate half in UTF-8": b'if header :is "Subject" "\xed\xa0\x80" { keep; }\n',
        "10,000 rules": rule * 10_000,
        "deep blocks": b"if true {" * 20_000 + b"keep;" + b"}" * 20_000,
        "deep tests": b"if " + b"not " * 100_000 + b"true { keep; }",
        "deep lists of tests": b"if " + b"anyof (" * 50_000 + b"true" + b")" * 50_000 + b" { keep; }",
        "a list of 50,000": b'if header :is "Subject" ["x"' + b', "x"' * 50_000 + b"] { keep; }",
        "a string of a megabyte": b'if header :is "Subject" "' + b"x" * 1_000_000 + b'" { keep; }',
        "backslashes": b'if header :is "Subject" "' + b"\\\\" * 300_000 + b'" { keep; }',
        "comments only": b"# x\n" * 200_000,
        "a comment of stars": b"/*" + b"*" * 800_000 + b"*/ keep;",
        "a text of dots": b"reject text:\n" + b"..\n" * 200_000 + b".\n;\n",
        "opened quotes": b'"' * 999_999,
        "opened brackets": b"[" * 500_000,
        "opened parentheses": b"a(" * 300_000,
        "colons": b"a " + b":" * 500_000,
        "semicolons": b";" * 500_000,
        "huge number": b"if size :over " + b"9" * 100_000 + b" { keep; }",
        "right-to-left and zero-width": 'if header :is "\u202eSubject\u200b" "x" { keep; }\n'.encode(),
        "emoji folder": 'require "fileinto";\nfileinto "INBOX.\U0001f52d";\n'.encode(),
        "composed and decomposed": 'require "fileinto";\nfileinto "INBOX.\u00e9";\nfileinto "e\u0301";\n'.encode(),
    }


def hostile_recipes() -> dict[str, str]:
    """procmailrc files that give their reader as much work as they can, by name."""
    return {
        "blanks behind the flags": f":0{' ' * 1_000_000}!\n",
        "recipes": ":0\n* ^Subject:.*a\nb\n" * 16_000,
        "conditions": ":0\n" + "* ^Subject:.*a\n" * 50_000 + "b\n",
        "a long condition": f":0\n* ^Subject:.*{'a' * 1_000_000}\nb\n",
        "parentheses": f":0\n* ^Subject:.*{'(' * 900}{')' * 900}\nb\n",
        "ways to begin": f":0\n* ^Subject:{'(( *)*)*' * 240}x\nb\n",
        "texts to be": f":0\n* ^Subject:.*{'(a|b)' * 390}\nb\n",
        "blocks in blocks": ":0\n{\n" * 50_000,
        "a line that goes on": f":0\n* ^Subject:.*{'a' + chr(92) + chr(10)}" * 50_000,
        "quotes": ":0\n" + '"a' * 100_000 + "\n",
        "a variable that doubles": "X=ab\n" + "X=$X$X\n" * 60 + ":0\n$X\n",
        "a variable many times": f"X={'a' * 1900}\n:0\n{'$X' * 500_000}\n",
        "opened comments": "/*" * 400_000 + "\n:0\nb\n",
    }


@functools.cache
def megabytes() -> dict[str, str]:
    """Scripts of about a megabyte that give one rule after the other as much work as they can, by name."""
    parts = {
        "rules": '# x\nif anyof (header :contains ["Subject", "To"] "a", address "From" "a@b.c") { keep; }\n',
        "redirections in branches": 'if true { redirect "a@b.c"; } elsif true { redirect "d@e.f"; }\n',
        "variables": 'set "a" "INBOX.Travail"; fileinto "${a}"; fileinto "${a}.b";\n',
        "colons in names": 'if header :is "Subject:" "b" { keep; }\n',
        "included scripts": 'include "a"; include :global "b";\n',
        "flags": 'addflag "x"; mark;\n',
        "extensions": 'require "imapflags"; require "a";\n',
        "asked extensions": 'if ihave "x" { fileinto "y"; }\n',
        "Latin-1": 'if header :is "\udce9" "b" { keep; }\n',
        "old notifications": 'notify :options "a@b.c";\n',
        "notifications by the message": 'notify :options "a@b.c" :message "$from$";',
        "notifications that are cancelled": "denotify;",
        "addresses": 'redirect "A <a@old.obs.test>"; vacation :addresses ["a@old.obs.test", "a@obs.test"] "x";\n',
        "answers": 'vacation :from "a@old.obs.test" "x";\n',
    }
    head = 'require ["include", "variables", "imapflags", "encoded-character", "notify"];\n'
    found = {name: head + part * (1_000_000 // len(part)) for name, part in parts.items()}
    nested = 34_000
    return found | {
        "a folder of many levels": f'fileinto "INBOX{".a" * 500_000}";',
        "a folder in modified UTF-7": f'fileinto "{"&AOk-" * 200_000}";',
        "characters by number": head + f'fileinto "{"${hex:41}" * 110_000}{"${hex:" * 10_000}";',
        "folders that are asked about": 'fileinto "A/B";\n' * 60_000,
        "a folder of many levels with new's separator": f'fileinto "INBOX{".a" * 400_000}/b";',
        "addresses in one": f'redirect "{"a@b " * 250_000}";',
        "comments in an address": f'redirect "a@b{" (x)" * 250_000}y";',
        "URIs": f'notify "mailto:{"a@old.obs.test," * 60_000}";',
        "nested redirections": 'if true { redirect "a@b.c"; ' * nested + "}" * nested,
    }
