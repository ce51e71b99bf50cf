"""Proof by behaviour: the old and the new script run on the account's own mail, on the new host, by `sieve-test`.

Nothing is executed there: `sieve-test` only says what a script would do. It runs as the SSH login, in a new directory,
with the new server's Sieve settings but without the plugins that start programs.
"""

import io
import re
import secrets
import tarfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from bascule.access import RemoteHost
from bascule.ledger.filters import digest
from bascule.sieve.foldermap import FolderMap
from bascule.sieve.language import all_roles
from bascule.sieve.plan import Plan, clean, read
from bascule.sieve.rules.folders import converted
from bascule.sieve.sample import Message, recent_messages
from bascule.sieve.servers import FilterServer
from bascule.sieve.syntax import SieveSyntaxError, parse_leniently

log = structlog.get_logger(__name__)

# What old scripts may use and Pigeonhole 0.5 still has, switched off by default: so they run there as they ran on old.
OLD_EXTENSIONS = ("imapflags", "notify", "vnd.dovecot.duplicate")
SETTINGS = re.compile(r"^plugin/(sieve_[a-z_]+)=(.*)$", re.MULTILINE)
UNWANTED_SETTINGS = re.compile(
    r"sieve_(plugins|before.*|after.*|default.*|dir|user_log|pipe_.*|filter_.*|execute_.*|trace_.*)"
)


AT_ONCE = 8  # sshd allows ten sessions in one connection


@dataclass(frozen=True)
class Action:
    """One action as `sieve-test` tells it; `folder` is the one that it stores into, if it does."""

    words: str
    folder: str | None = None

    def shown(self) -> str:
        return f"{self.words} {self.folder}" if self.folder is not None else self.words


Actions = frozenset[Action]
KEPT: Actions = frozenset({Action("store message in folder:", "INBOX")})


@dataclass
class Proof:
    """Where filters are run, and where the mail for it comes from. `sample`: how many of the most recent messages."""

    host: RemoteHost
    mail: FilterServer
    sample: int = 20
    _settings: str | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE), init=False, repr=False)

    def compare(self, account: str, plan: Plan, others: Mapping[str, Plan], folders: FolderMap) -> None:
        """Write into the plan of the active script what the new one does otherwise, and what the repaired one would.

        Raises AccessError when the host or the mail can't be reached.
        """
        plan.proved = version(plan)
        if plan.keeping == plan.original and plan.repaired in (None, plan.keeping):
            return
        messages = recent_messages(self.mail, account, _folders_of(plan), self.sample)
        if not messages:
            return
        repaired = plan.repaired if plan.repaired != plan.keeping else None
        variants = {"old": plan.original, "new": plan.keeping, "repaired": repaired}
        scripts = {name: data for name, data in variants.items() if data is not None}
        with self._turn:
            did = self._run(scripts, others, messages)
        unable = [
            name for name in scripts if name != "old" and all(did.get((name, n)) is None for n in range(len(messages)))
        ]
        if unable:
            plan.not_compared = "the new host's `sieve-test` could not run it: see whether it is installed there"
            log.warning("filter not run", account=account, filter=plan.name, why=plan.not_compared, variants=unable)
            return
        for number, message in enumerate(messages):
            # What doesn't compile keeps the message, as the old server's delivery did.
            old = did.get(("old", number)) or KEPT
            new, mended = did.get(("new", number)), did.get(("repaired", number))
            if new is not None and _mapped(old, folders) != _mapped(new, None):
                plan.behaviour.append(_difference(message, old, new))
            before = new or old
            if mended is not None and _mapped(before, None) != _mapped(mended, None):
                plan.repaired_behaviour.append(_difference(message, before, mended))
        log.info("filter run on the account's own mail", account=account, filter=plan.name, messages=len(messages),
                 differences=len(plan.behaviour), with_repair=len(plan.repaired_behaviour))  # fmt: skip

    def _run(
        self, scripts: Mapping[str, bytes], others: Mapping[str, Plan], messages: list[Message]
    ) -> dict[tuple[str, int], Actions | None]:
        """(variant, number of the message) -> what the variant does with it."""
        settings = self._settings_of_new()
        place = self.host.run(["mktemp", "-d", "--tmpdir", "bascule-sieve-XXXXXXXX"], sudo=False).output.strip()
        try:
            self.host.run(
                ["tar", "-xf", "-", "-C", place],
                input=self._files(place, settings, scripts, others, messages),
                sudo=False,
            )
            marker = secrets.token_hex(8)
            command = ["find", place, "-name", "*.eml"]
            for name in scripts:
                test = [
                    "sieve-test",
                    "-c",
                    f"{place}/{name}/dovecot.conf",
                    "-l",
                    f"maildir:{place}/mail",
                    *_extensions(name),
                ]
                run = [*test, f"{place}/{name}/active.sieve", "{}"]
                command += ["-printf", f"{marker} {name} %f\\n", "(", "-exec", *run, ";", "-o", "-true", ")"]
            output = self.host.run(command, sudo=False, check=False).output
        finally:
            self.host.run(["rm", "-rf", "--", place], sudo=False, check=False)
        return _parse(output, marker)

    @staticmethod
    def _files(
        place: str, settings: str, scripts: Mapping[str, bytes], others: Mapping[str, Plan], messages: list[Message]
    ) -> bytes:
        files = {f"{number}.eml": message.data for number, message in enumerate(messages)}
        for name, script in scripts.items():
            files[f"{name}/active.sieve"] = script
            files[f"{name}/dovecot.conf"] = _configuration(f"{place}/{name}", settings).encode()
            for plan in others.values():
                other = plan.original if name == "old" else plan.keeping or plan.original
                if "/" not in plan.name and plan.name.strip("."):
                    files[f"{name}/scripts/{plan.name}.sieve"] = other
        return _tar(files)

    def _settings_of_new(self) -> str:
        """The new server's Sieve settings, asked once; whoever asks first also opens the SSH connection for all."""
        with self._lock:
            if self._settings is None:
                told = self.host.run(["doveconf", "-S", "-n"], check=False).output
                found = [(key, value) for key, value in SETTINGS.findall(told) if not UNWANTED_SETTINGS.fullmatch(key)]
                self._settings = "".join(f"  {key} = {value}\n" for key, value in found)
            return self._settings


def _configuration(place: str, settings: str) -> str:
    return (
        "mail_plugins =\nfirst_valid_uid = 0\nssl = no\n"
        f"plugin {{\n{settings}  sieve = file:{place}/scripts;active={place}/active.sieve\n}}\n"
    )


def version(plan: Plan) -> str:
    """What a comparison stands on: it is not made again while this stays the same."""
    return digest(b"\0".join([plan.original, plan.keeping or b"", plan.repaired or b""]))


def _extensions(variant: str) -> list[str]:
    return ["-x", " ".join(f"+{name}" for name in OLD_EXTENSIONS)] if variant == "old" else []


def _folders_of(plan: Plan) -> list[str]:
    try:
        script = parse_leniently(read(plan.original))
    except SieveSyntaxError:
        return []
    return [
        string.value for role in all_roles(script, "mailbox") for string in role.strings() if "${" not in string.value
    ]


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _parse(output: str, marker: str) -> dict[tuple[str, int], Actions | None]:
    found = {}
    for part in output.split(f"{marker} ")[1:]:
        head, _, told = part.partition("\n")
        name, file = head.split(" ", 1)
        found[name, int(file.removesuffix(".eml"))] = actions(told)
    return found


def actions(told: str) -> Actions | None:
    """What `sieve-test` says that a script would do; None when it says nothing, since it could not run the script."""
    if "Performed actions:" not in told:
        return None
    done: list[list[str]] = []
    in_text = False
    for line in told.splitlines():
        words = line.strip()
        if words == "END MESSAGE":
            in_text = False
        elif in_text or words == "START MESSAGE" or words.startswith("=> handle"):
            in_text = True  # what people wrote may look like anything; a handle is the text of an answer, too
        elif line.startswith(" * "):
            done.append([words[2:]])
        elif done and words.startswith(("+", "=>")):
            done[-1].append(words)
    return frozenset(_action(words) for words in done)


def _action(words: list[str]) -> Action:
    first, rest = words[0], [word for word in words[1:] if not word.startswith("+ create mailbox")]
    detail = "".join(f" ({word.lstrip('+=> ')})" for word in sorted(rest))
    store, colon, folder = first.partition("folder: ")
    if colon:
        return Action(f"{store}folder{detail}:", folder)
    return Action(first + detail)


def _mapped(done: Actions, folders: FolderMap | None) -> Actions:
    """The same with the new server's folder names, and INBOX always written so."""
    return frozenset(Action(action.words, _new_folder(action.folder, folders)) for action in done)


def _new_folder(folder: str | None, folders: FolderMap | None) -> str | None:
    if folder is None or folders is None:
        return "INBOX" if folder is not None and folder.upper() == "INBOX" else folder
    return converted(folders, folder)


def _difference(message: Message, before: Actions, after: Actions) -> dict[str, Any]:
    return {"message": clean(message.title), "before": _shown(before), "after": _shown(after)}


def _shown(done: Iterable[Action]) -> list[str]:
    return sorted(clean(action.shown()) for action in done)
