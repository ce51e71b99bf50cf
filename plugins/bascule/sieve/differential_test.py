"""Proof by behaviour: the old and the new script run on the account's own mail, on the new host, by `sieve-test`.

Nothing is executed there: `sieve-test` only says what a script would do. It runs as the SSH login, in a new directory,
with the new server's Sieve settings but without the plugins that start programs.
"""

import io
import re
import secrets
import shlex
import tarfile
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bascule.hosts.connections import AccessError
from bascule.ledger.filters import digest
from bascule.sieve.actions import KEPT, Actions, as_on_new, read_actions
from bascule.sieve.language import all_roles
from bascule.sieve.model import Context
from bascule.sieve.parser import parse_leniently
from bascule.sieve.plan import Plan, clean, read, write
from bascule.sieve.sample import Message, recent_messages
from bascule.sieve.servers import FilterServer
from bascule.sieve.shared import SharedHost
from bascule.sieve.syntax import SieveSyntaxError
from bascule.text.logs import get_logger

log = get_logger(__name__)

# What old scripts may use and Pigeonhole 0.5 still has, switched off by default: so they run there as they ran on old.
OLD_EXTENSIONS = ("imapflags", "notify", "vnd.dovecot.duplicate")
TEMPORARY = "/tmp"  # noqa: S108 - of the host; `mkdir` takes no directory that is there
INCLUDE = b"include"  # a script without this word includes none
SETTINGS = re.compile(r"^plugin/(sieve_[a-z_]+)=(.*)$", re.MULTILINE)
UNWANTED_SETTINGS = re.compile(
    r"sieve_(plugins|before.*|after.*|default.*|global.*|dir|user_log|pipe_.*|filter_.*|execute_.*|trace_.*)"
)


@dataclass
class Proof:
    """Where filters are run, and where the mail for it comes from. `sample`: how many of the most recent messages."""

    host: SharedHost
    mail: FilterServer
    sample: int = 20
    _settings: str | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def compare(self, account: str, plan: Plan, others: Mapping[str, Plan], context: Context) -> None:
        """Write into the plan of the active script what the new one does otherwise, and what the repaired one would.

        Raises AccessError when the host or the mail can't be reached, or the host can't run what its server accepts.
        """
        if _may_differ(plan, others, context):
            messages = recent_messages(self.mail, account, _folders_of(plan), self.sample)
            if messages:
                self._compare(account, plan, others, context, messages)
        plan.proved = version(plan, others, context)

    def _compare(
        self, account: str, plan: Plan, others: Mapping[str, Plan], context: Context, messages: list[Message]
    ) -> None:
        repaired = plan.repaired if plan.repaired != plan.faithful else None
        variants = {"old": plan.original, "new": plan.faithful, "repaired": repaired}
        scripts = {name: data for name, data in variants.items() if data is not None}
        did = self._run(scripts, others, context, messages)
        numbers = range(len(messages))
        if any(all(did.get((name, number)) is None for number in numbers) for name in scripts if name != "old"):
            raise AccessError(f"{self.host.name}: `sieve-test` is not installed, or can't run what ManageSieve accepts")
        old_ran = any(did.get(("old", number)) is not None for number in numbers)
        if not old_ran and not plan.never_ran:
            plan.not_compared = "the old form uses what the new server doesn't have, so it can't be run there"
        for number, message in enumerate(messages):
            # What no server ran kept every message.
            old = did.get(("old", number)) or KEPT
            new, mended = did.get(("new", number)), did.get(("repaired", number))
            if new is not None and not plan.not_compared and as_on_new(old, context.folders, context.old_hosts) != new:
                plan.behaviour.append(_difference(message, old, new))
            before = new or old
            if mended is not None and before != mended:
                plan.repaired_behaviour.append(_difference(message, before, mended))
        log.info("filter run on the account's own mail", account=account, filter=plan.name, messages=len(messages),
                 differences=len(plan.behaviour), with_repair=len(plan.repaired_behaviour))  # fmt: skip

    def _run(
        self, scripts: Mapping[str, bytes], others: Mapping[str, Plan], context: Context, messages: list[Message]
    ) -> dict[tuple[str, int], Actions | None]:
        """(variant, number of the message) -> what the variant does with it."""
        settings = self._settings_of_new()
        place = f"{TEMPORARY}/bascule-sieve-{secrets.token_hex(8)}"
        marker = secrets.token_hex(8)
        try:
            output = self.host.run(
                ["sh", "-c", _commands(place, marker, scripts)],
                input=self._files(place, settings, scripts, others, context, messages),
                sudo=False,
                private=True,
            ).output
        except BaseException:  # the shell removes it, but who knows whether it still runs
            with suppress(AccessError):
                self.host.run(["rm", "-rf", "--", place], sudo=False, check=False)
            raise
        return _parse(output, marker)

    @staticmethod
    def _files(
        place: str,
        settings: str,
        scripts: Mapping[str, bytes],
        others: Mapping[str, Plan],
        context: Context,
        messages: list[Message],
    ) -> bytes:
        files = {f"{number}.eml": message.data for number, message in enumerate(messages)}
        for name, script in scripts.items():
            files[f"{name}/active.sieve"] = script
            files[f"{name}/dovecot.conf"] = _configuration(f"{place}/{name}", settings).encode()
            for plan in others.values():
                other = plan.original if name == "old" else plan.faithful or plan.original
                if _is_file_name(plan.name):
                    files[f"{name}/scripts/{plan.name}.sieve"] = other
            for included, text in (_global_scripts(context, name) or {}).items():
                if _is_file_name(included):
                    files[f"{name}/global/{included}.sieve"] = write(text)
        return _tar(files)

    def _settings_of_new(self) -> str:
        """The new server's Sieve settings, asked once."""
        with self._lock:
            if self._settings is None:
                told = self.host.run(["doveconf", "-S", "-n"], check=False).output
                found = [(key, value) for key, value in SETTINGS.findall(told) if not UNWANTED_SETTINGS.fullmatch(key)]
                self._settings = "".join(f"  {key} = {value}\n" for key, value in found)
            return self._settings


def _commands(place: str, marker: str, variants: Iterable[str]) -> str:
    """What the host's shell does: all in one command, since a command over SSH costs more than what is done in it."""
    return "\n".join(
        [
            "umask 077",
            f"mkdir {place} || exit 1",
            f"trap 'rm -rf -- {place}' EXIT",
            "trap 'exit 1' HUP INT PIPE TERM",
            f"tar -xf - -C {place} || exit 1",
            *(shlex.join(_run_of(place, marker, variant)) for variant in variants),
            "exit 0",
        ]
    )


def _run_of(place: str, marker: str, variant: str) -> list[str]:
    """One variant on all messages.

    `sieve-test -c` begins with just this `doveconf`, which starts it again with the settings in its environment. Here
    they are read once, for all messages.
    """
    settings = ["doveconf", "-f", "service=sieve-test", "-m", "mail", "-c", f"{place}/{variant}/dovecot.conf", "-e"]
    find = ["find", place, "-maxdepth", "1", "-name", "*.eml", "-printf", f"{marker} {variant} %f\\n"]
    test = ["sieve-test", "-l", f"maildir:{place}/mail", *_extensions(variant), f"{place}/{variant}/active.sieve", "{}"]
    return [*settings, *find, "-exec", *test, ";"]


def _configuration(place: str, settings: str) -> str:
    return (
        "mail_plugins =\nfirst_valid_uid = 0\nssl = no\n"
        f"plugin {{\n{settings}  sieve = file:{place}/scripts;active={place}/active.sieve\n"
        f"  sieve_global = {place}/global\n}}\n"
    )


def _global_scripts(context: Context, variant: str) -> Mapping[str, str] | None:
    return context.old_global_scripts if variant == "old" else context.global_scripts


def _is_file_name(name: str) -> bool:
    return "/" not in name and "\0" not in name and bool(name.strip("."))


def version(plan: Plan, others: Mapping[str, Plan], context: Context) -> str:
    """What a comparison stands on: it is not made again while this stays the same."""
    parts = [plan.original, plan.faithful or b"", plan.repaired or b""]
    for one in _included(plan, others):
        parts += [one.name.encode(), one.original, one.faithful or b""]
    if INCLUDE in plan.original:
        for texts in (context.old_global_scripts, context.global_scripts):
            parts += [write(part) for item in sorted((texts or {}).items()) for part in item]
    return digest(b"\0".join(parts))


def _may_differ(plan: Plan, others: Mapping[str, Plan], context: Context) -> bool:
    """Whether the old and the new filter differ, or what they may include."""
    if plan.faithful != plan.original or plan.repaired not in (None, plan.faithful):
        return True
    if any(one.faithful != one.original for one in _included(plan, others)):
        return True
    return INCLUDE in plan.original and context.old_global_scripts != context.global_scripts


def _included(plan: Plan, others: Mapping[str, Plan]) -> list[Plan]:
    return [others[name] for name in sorted(others)] if INCLUDE in plan.original else []


def _extensions(variant: str) -> list[str]:
    return ["-x", " ".join(f"+{name}" for name in OLD_EXTENSIONS)] if variant == "old" else []


def _folders_of(plan: Plan) -> list[str]:
    try:
        script = parse_leniently(plan.as_sieve or read(plan.original))
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
        found[name, int(file.removesuffix(".eml"))] = read_actions(told)
    return found


def _difference(message: Message, before: Actions, after: Actions) -> dict[str, Any]:
    return {"message": clean(message.title), "before": _shown(before), "after": _shown(after)}


def _shown(done: Actions) -> list[str]:
    return sorted(clean(action.shown()) for action in done)
