"""Where a recipe stores: paths of procmail as folders of the mailbox, as the old server names them."""

import re
from collections.abc import Mapping

from bascule.sieve.foldermap import FolderMap
from bascule.sieve.procmail.expressions import NotCarried

INBOX = "INBOX"
LONGEST = 2000  # characters of a word
HOME = "\0"  # in place of the home directory: no path has it
SPOOL = re.compile(r"/var/(spool/)?mail/\$(\{?)(LOGNAME|USER)\}?")
VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<name>[A-Za-z_][A-Za-z0-9_]*))")


class Places:
    """What is known of the paths: HOME, MAILDIR, the inbox, and variables of the file; None: what can't be known."""

    def __init__(self, folders: FolderMap) -> None:
        self.folders = folders
        self.variables: dict[str, str | None] = {"HOME": HOME, "MAILDIR": HOME}
        self.inbox: set[str] = {"$DEFAULT", "$ORGMAIL"}

    def expanded(self, pieces: list[tuple[str, bool]]) -> str:
        """One word with its variables. Raises NotCarried."""
        if sum(len(text) for text, _ in pieces) > LONGEST:
            raise NotCarried("it is too long")
        if any("\0" in text for text, _ in pieces):
            raise NotCarried("it has a NUL character")
        word = "".join(self._expanded(text) if has_variables else text for text, has_variables in pieces)
        if len(word) > LONGEST:
            raise NotCarried("it is too long")
        return word

    def _expanded(self, text: str) -> str:
        bare = VARIABLE.sub(self._value, text)
        if "$" in bare and bare not in self.inbox and not SPOOL.fullmatch(bare):
            raise NotCarried("its variables can't be known")
        return bare

    def _value(self, found: re.Match[str]) -> str:
        name = found["braced"] or found["name"]
        if name in ("DEFAULT", "ORGMAIL"):
            return f"${name}"
        if name in ("LOGNAME", "USER"):
            return found[0]
        value = self.variables.get(name)
        if value is None:
            raise NotCarried(f"the variable {name} can't be known")
        if any(character.isspace() for character in value):
            raise NotCarried(f"the variable {name} has blanks in it")
        return value

    def is_inbox(self, path: str) -> bool:
        maildir = self.variables["MAILDIR"]
        roots = {f"{HOME}/Maildir/", *([f"{maildir}/"] if maildir not in (None, HOME) else [])}
        full = path if path.startswith(("/", "$", HOME)) else f"{maildir or ''}/{path.removeprefix('./')}"
        return path in self.inbox or full in roots or SPOOL.fullmatch(path) is not None

    def folder(self, path: str) -> str:
        """The folder's name on the old server. Raises NotCarried where the path is none of MAILDIR's."""
        if self.is_inbox(path):
            return INBOX
        inside = self._inside(path)
        is_maildir = inside.endswith("/")
        bare = inside.removesuffix("/.").rstrip("/")
        if bare.startswith("."):
            if not is_maildir:
                raise NotCarried("it is a hidden file and no folder")
            levels = bare[1:].split(".")
        else:
            levels = bare.split("/")
            self._see_that_it_exists(levels, is_maildir)
        separator = self.folders.old_separator
        if any(level in ("", ".", "..") or (separator and separator in level) for level in levels):
            raise NotCarried("it is no folder's name on the old server")
        if len(levels) > 1 and not separator:
            raise NotCarried("the old server has no folders in folders")
        return self.folders.old_prefix + separator.join(levels)

    def _inside(self, path: str) -> str:
        maildir = self.variables["MAILDIR"]
        if maildir is None:
            raise NotCarried("which directory it is in can't be known")
        path = path.removeprefix("./") if maildir != HOME else path.removeprefix("./").removeprefix(f"{HOME}/")
        for root in (maildir, f"{HOME}/Maildir"):
            if path.startswith(f"{root}/"):
                path = path[len(root) + 1 :]
                break
        if path.startswith("Maildir/") and maildir == HOME:
            path = path.removeprefix("Maildir/")
        if path.startswith(("/", "~")) or HOME in path or not path:
            raise NotCarried("it lies outside of MAILDIR, and which folder of the mailbox it is can't be known")
        return path

    def _see_that_it_exists(self, levels: list[str], is_maildir: bool) -> None:
        """procmail stores into no file in a directory that is not there, and goes on with the next recipe."""
        if len(levels) > 1 and not is_maildir:
            name = self.folders.old_prefix + self.folders.old_separator.join(levels)
            if name not in self.folders.names:
                raise NotCarried("whether the directory for it is there can't be known; else the recipe does nothing")

    def copy_from(self, before: Mapping[str, str | None]) -> None:
        """After a block that may not have run: what it has changed can't be known."""
        for name in {*self.variables, *before}:
            if self.variables.get(name) != before.get(name):
                self.variables[name] = None
