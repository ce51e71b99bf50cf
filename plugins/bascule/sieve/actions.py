"""What `sieve-test` says that a script would do with a message, as actions that can be compared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.sieve.foldermap import FolderMap, Unsure


@dataclass(frozen=True)
class Action:
    """One action as `sieve-test` tells it; `folder` is the one that it stores into, if it does."""

    words: str
    folder: str | None = None

    def shown(self) -> str:
        return f"{self.words} {self.folder}" if self.folder is not None else self.words


Actions = frozenset[Action]
KEPT: Actions = frozenset({Action("store message in folder:", "INBOX")})
# A folder's creation needs no decision; the draft's `:id` served only `denotify`.
NOT_COMPARED = ("+ create mailbox", "=> id ")
# The draft's `notify` and `enotify` are told in other words; `:message` is the subject of both.
TO_AGAIN = re.compile(r"( \(To: [^()]*\))(?=.*\1)")  # an address that was there under both domains is told once
SAME_WORDS = (("(deprecated) ", ""), ("'mailto:'", "'mailto'"))


def read_actions(told: str) -> Actions | None:
    """What `sieve-test` says that a script would do; None when it says nothing, since it could not run the script."""
    if "Performed actions:" not in told:
        return None
    done: list[list[str]] = []
    in_text = False
    for line in told.split("\n"):  # a folder's name may have any other blank, also at its end
        words = line.strip()
        if words == "END MESSAGE":
            in_text = False
        elif in_text or words == "START MESSAGE" or words.startswith("=> handle"):
            in_text = True  # what people wrote may look like anything; a handle is the text of an answer, too
        elif line.startswith(" * "):
            done.append([line[3:]])
        elif done and words.startswith(("+", "=>")):
            done[-1].append(words)
    return frozenset(_action(words) for words in done)


def _action(words: list[str]) -> Action:
    first, rest = words[0], [word for word in words[1:] if not word.startswith(NOT_COMPARED)]
    spaced = (re.sub(r"\s*:\s*", ": ", word.lstrip("+=> ")).strip() for word in rest)
    details = sorted(_bare(re.sub("^message:", "subject:", word)) for word in spaced)
    detail = "".join(f" ({word})" for word in details)
    store, colon, folder = first.partition("folder: ")
    if colon:
        return Action(f"{store}folder{detail}:", folder)
    said = first + detail
    for old, new in SAME_WORDS:
        said = said.replace(old, new)
    return Action(said)


def _bare(detail: str) -> str:
    """A recipient's name has no place in a URI (RFC 6068)."""
    return re.sub(r"^To: .*<([^<>]*)>$", r"To: \1", detail)


def as_on_new(done: Actions, folders: FolderMap, old_hosts: Mapping[str, str]) -> Actions:
    """The old script's actions with what is meant to change changed: folders' names, addresses of the old host."""
    return frozenset(Action(_moved(one.words, old_hosts), _folder(one.folder, folders)) for one in done)


def _moved(words: str, old_hosts: Mapping[str, str]) -> str:
    for old, new in old_hosts.items():
        words = re.sub(rf"@{re.escape(old)}(?![\w.-])", lambda _, new=new: f"@{new}", words, flags=re.IGNORECASE)  # type: ignore[misc]
    return TO_AGAIN.sub("", words)


def _folder(folder: str | None, folders: FolderMap) -> str | None:
    """Where a person must say what becomes of a name, it stays until then."""
    new = None if folder is None else folders.new_name(folder)
    return folder if isinstance(new, Unsure) else new
