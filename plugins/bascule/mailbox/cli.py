"""The command line. Exit status 0: all is on the new side; 3: but for listed problems; 1: failed; 2: wrong usage."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bascule.access import AccessError, Endpoint, Login, opened
from bascule.ledger import Ledger, LedgerError, problems
from bascule.logs import to_standard_error
from bascule.mailbox.endpoints import MailboxJob, Options, job_for
from bascule.mailbox.engine import sync_mailbox
from bascule.mailbox.errors import MailboxFailed, TransientError
from bascule.mailbox.server import Server
from bascule.text import harmless

DONE, FAILED, USAGE, PROBLEMS = 0, 1, 2, 3
if TYPE_CHECKING:
    from bascule.mailbox.audit import Audit

SECURITY = {"imap": ("plain", 143), "imap+starttls": ("starttls", 143), "imaps": ("tls", 993)}


class UsageError(Exception):
    """Raised when the arguments don't fit together."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    to_standard_error(asked.verbose)
    try:
        ledger = _ledger(asked)
        jobs = _jobs(asked)
        return {"sync": _sync, "verify": _verify, "survey": _survey}[asked.command](asked, jobs, ledger)
    except UsageError as error:
        print(f"bascule.mailbox: {error}", file=sys.stderr)
        return USAGE
    except (TransientError, MailboxFailed, AccessError, LedgerError) as error:
        print(harmless(f"bascule.mailbox: {error}"), file=sys.stderr)
        if asked.json:
            print(json.dumps({"error": str(error), "run_again": isinstance(error, TransientError)}))
        return FAILED
    except KeyboardInterrupt:
        print("bascule.mailbox: stopped; run it again to go on", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bascule.mailbox", description=__doc__)
    parser.add_argument("command", choices=["sync", "verify", "survey"])
    parser.add_argument("--site", help="the site file; then --account names the mailboxes")
    parser.add_argument("--account", action="append", default=[], help="an account; may be given several times")
    parser.add_argument("--old", metavar="URL", help="imap://USER@HOST:PORT, imap+starttls://... or imaps://...")
    parser.add_argument("--new", metavar="URL", help="the same for the new server")
    parser.add_argument("--old-master", metavar="USER", help="log in to old as USER on behalf of the URL's user")
    parser.add_argument("--new-master", metavar="USER", help="log in to new as USER on behalf of the URL's user")
    parser.add_argument("--old-password-file", help="else BASCULE_OLD_PASSWORD")
    parser.add_argument("--new-password-file", help="else BASCULE_NEW_PASSWORD")
    parser.add_argument("--ca-file", help="certificates that both servers are checked with")
    parser.add_argument("--ledger", help="a file; else BASCULE_LEDGER, an SQLAlchemy URL")
    parser.add_argument("--verify", choices=["none", "counts", "attributes", "content"])
    parser.add_argument("--connections", type=int, help="to each server and mailbox; 2 by default")
    parser.add_argument("--compress", action="store_true", help="COMPRESS=DEFLATE where a server has it")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--verbose", action="store_true", help="log every step to the standard error")
    return parser


def _ledger(asked: argparse.Namespace) -> Ledger:
    return Ledger(f"sqlite:///{Path(asked.ledger).resolve()}") if asked.ledger else Ledger.from_environment()


def _jobs(asked: argparse.Namespace) -> list[MailboxJob]:
    if bool(asked.site) == bool(asked.old or asked.new):
        raise UsageError("give either --site and --account, or --old and --new")
    if asked.site:
        if not asked.account:
            raise UsageError("--site needs at least one --account")
        from bascule.site import SiteError, load

        try:
            site = load(asked.site)
        except SiteError as error:
            raise UsageError(str(error)) from None
        with opened(site) as access:
            jobs = [job_for(access, account) for account in asked.account]
    else:
        if not (asked.old and asked.new):
            raise UsageError("--old and --new belong together")
        jobs = [_job_of_urls(asked)]
    return [replace(job, options=_options(asked, job.options)) for job in jobs]


def _job_of_urls(asked: argparse.Namespace) -> MailboxJob:
    old = _server(asked, asked.old, asked.old_master, asked.old_password_file, "BASCULE_OLD_PASSWORD")
    new = _server(asked, asked.new, asked.new_master, asked.new_password_file, "BASCULE_NEW_PASSWORD")
    user = unquote(urlsplit(asked.old).username or "")
    return MailboxJob(asked.account[0] if asked.account else user, old, new)


def _server(
    asked: argparse.Namespace, url: str, master: str | None, password_file: str | None, variable: str
) -> Server:
    parts = urlsplit(url)
    if parts.scheme not in SECURITY or not parts.hostname or not parts.username:
        raise UsageError(f"{url!r} is no imap://USER@HOST:PORT, imap+starttls://USER@HOST:PORT or imaps://...")
    if parts.password:
        raise UsageError(f"passwords are not given as an argument: set {variable}, or give a file")
    security, port = SECURITY[parts.scheme]
    if password_file:
        password = Path(password_file).read_text(encoding="utf-8").rstrip("\n")
    elif variable in os.environ:
        password = os.environ[variable]
    else:
        raise UsageError(f"no password: set {variable}, or give a file")
    user = unquote(parts.username)
    login = Login(f"{user}*{master}" if master else user, password)
    endpoint = Endpoint(parts.hostname, parts.port or port, security, ca_file=asked.ca_file)  # type: ignore[arg-type]
    return Server(endpoint, login, compress=asked.compress)


def _options(asked: argparse.Namespace, options: Options) -> Options:
    if asked.verify:
        options = replace(options, verify=asked.verify)
    if asked.connections:
        options = replace(options, lanes=asked.connections)
    return options


def _sync(asked: argparse.Namespace, jobs: list[MailboxJob], ledger: Ledger) -> int:
    done, began = [], time.monotonic()
    for job in jobs:
        shown = _Progress(job.account) if sys.stderr.isatty() and not asked.json else None
        result = sync_mailbox(job, ledger, dry_run=asked.dry_run, progress=shown)
        if shown:
            shown.end()
        found = problems.problems(ledger, account=job.account, room="mailbox")
        done.append({**asdict(result), "problem_list": [_problem(problem) for problem in found]})
        if not asked.json:
            print(_sentence(result))
            for problem in found:
                words = f"{problem.explanation} ({problem.subject}) {problem.server_words}".rstrip()
                print(f"  problem: {harmless(words)}")
    if asked.json:
        print(json.dumps({"mailboxes": done, "seconds": round(time.monotonic() - began, 3)}, default=str))
    return PROBLEMS if any(one["problems"] for one in done) else DONE


def _sentence(result: Any) -> str:
    words = "would copy" if result.dry_run else "copied"
    return (
        f"{result.account}: {words} {result.copied} message(s), {result.bytes} bytes; {result.flags_changed} flag "
        f"change(s), {result.removed} removal(s); {result.folders} folder(s), {result.messages} message(s) in all; "
        f"{result.verified} verified; {result.problems} problem(s); {result.seconds:.2f} s"
    )


def _problem(problem: problems.Problem) -> dict[str, Any]:
    return {
        "kind": problem.kind, "subject": problem.subject, "explanation": problem.explanation,
        "server_words": problem.server_words, "facts": problem.facts, "proposal": problem.proposal,
    }  # fmt: skip


def _verify(asked: argparse.Namespace, jobs: list[MailboxJob], ledger: Ledger) -> int:
    from bascule.mailbox.audit import audit

    audits = [audit(job, ledger) for job in jobs]
    if asked.json:
        print(json.dumps({"mailboxes": [asdict(one) for one in audits]}, default=str))
    else:
        for one in audits:
            _print_audit(one)
    return PROBLEMS if any(one.differences for one in audits) else DONE


def _print_audit(one: "Audit") -> None:
    print(f"{one.account}: {one.messages} message(s), {one.bytes} bytes are the same on both sides ({one.level})")
    for folder in one.folders:
        for difference in folder.differences:
            print(harmless(f"  {folder.folder}: {difference}"))


def _survey(asked: argparse.Namespace, jobs: list[MailboxJob], ledger: Ledger) -> int:
    from bascule.mailbox.survey import survey

    forecasts = survey(jobs, ledger, connections=asked.connections or 4)
    if asked.json:
        print(json.dumps({"mailboxes": [asdict(one) for one in forecasts]}))
    else:
        for one in forecasts:
            state = one.trouble or (
                "unchanged" if one.unchanged else f"{one.new_messages} new message(s), {one.new_bytes} bytes, "
                f"changes in {one.looks} of {one.folders} folder(s)"
            )  # fmt: skip
            print(harmless(f"{one.account}: {state}"))
    return FAILED if any(one.trouble for one in forecasts) else DONE


class _Progress:
    """One line on the terminal that is written over."""

    def __init__(self, account: str) -> None:
        self._account, self._began = account, time.monotonic()

    def __call__(self, copied: int, bytes: int) -> None:
        rate = bytes / 1e6 / max(0.001, time.monotonic() - self._began)
        line = f"\r{self._account}: {copied} messages, {bytes / 1e6:.1f} MB, {rate:.1f} MB/s"
        sys.stderr.write(f"{line:<70}")
        sys.stderr.flush()

    def end(self) -> None:
        sys.stderr.write("\r" + " " * 70 + "\r")
