"""`python -m bascule.mailbox sync|verify|survey`: the engine without Airflow, of two URLs or by the site file.

Exit status 0: all is on the new side; 3: but for listed problems; 1: failed; 2: wrong usage.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bascule.hosts.access import opened
from bascule.hosts.connections import AccessError
from bascule.hosts.login import Endpoint, Login
from bascule.ledger import Ledger, LedgerError
from bascule.ledger.leases import LeaseHeld
from bascule.mailbox.imap.errors import MailboxFailed, Refused, TransientError
from bascule.mailbox.imap.server import Server
from bascule.mailbox.job import MailboxJob, Options, job_for
from bascule.mailbox.result import PassResult
from bascule.mailbox.sync import sync_mailbox
from bascule.problems import questions, store
from bascule.problems.model import Problem
from bascule.text.harmless import harmless
from bascule.text.logs import INFO, NOTHING, to_standard_error

DONE, FAILED, USAGE, PROBLEMS = 0, 1, 2, 3
if TYPE_CHECKING:
    from bascule.mailbox.verify.audit import Audit
    from bascule.site import Site
    from bascule.tasks.run import Run

Pass = Callable[..., PassResult]  # called with progress=
SECURITY = {"imap": ("plain", 143), "imap+starttls": ("starttls", 143), "imaps": ("tls", 993)}


class UsageError(Exception):
    """Raised when the arguments don't fit together."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    to_standard_error(INFO if asked.verbose else NOTHING)
    try:
        _check(asked)
        return {"sync": _sync, "verify": _verify, "survey": _survey}[asked.command](asked, _ledger(asked))
    except UsageError as error:
        print(f"bascule.mailbox: {error}", file=sys.stderr)
        return USAGE
    except (TransientError, MailboxFailed, Refused, AccessError, LedgerError) as error:
        return _failed(asked, error)
    except Exception as error:  # nobody who moves mail is to read a traceback
        if asked.verbose:
            import traceback

            traceback.print_exc()
        return _failed(asked, Exception(f"an error of Bascule itself ({error}); `--verbose` shows where"))
    except KeyboardInterrupt:
        print("bascule.mailbox: stopped; run it again to go on", file=sys.stderr)
        return FAILED


def _failed(asked: argparse.Namespace, error: Exception) -> int:
    print(harmless(f"bascule.mailbox: {error}"), file=sys.stderr)
    if asked.json:
        print(json.dumps(_told(error)))
    return FAILED


def _told(error: Exception) -> dict[str, str | bool]:
    return {"error": str(error), "run_again": isinstance(error, TransientError | LeaseHeld)}


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


def _check(asked: argparse.Namespace) -> None:
    if bool(asked.site) == bool(asked.old or asked.new):
        raise UsageError("give either --site and --account, or --old and --new")
    if asked.site and not asked.account:
        raise UsageError("--site needs at least one --account")
    if not asked.site and not (asked.old and asked.new):
        raise UsageError("--old and --new belong together")


def _ledger(asked: argparse.Namespace) -> Ledger:
    return Ledger(f"sqlite:///{Path(asked.ledger).resolve()}") if asked.ledger else Ledger.from_environment()


def _jobs(asked: argparse.Namespace) -> list[MailboxJob]:
    if asked.site:
        with opened(_site(asked)) as access:
            return [job_for(access, account) for account in asked.account]
    return [_job_of_urls(asked)]


def _site(asked: argparse.Namespace) -> "Site":
    """The site file, with what the command line says otherwise."""
    from bascule.site import SiteError, load

    try:
        site = load(asked.site)
    except SiteError as error:
        raise UsageError(str(error)) from None
    said = {"verify": asked.verify, "connections_per_mailbox": asked.connections}
    part = site.mailboxes.model_copy(update={name: value for name, value in said.items() if value})
    return site.model_copy(update={"mailboxes": part})


def _job_of_urls(asked: argparse.Namespace) -> MailboxJob:
    old = _server(asked, asked.old, asked.old_master, asked.old_password_file, "BASCULE_OLD_PASSWORD")
    new = _server(asked, asked.new, asked.new_master, asked.new_password_file, "BASCULE_NEW_PASSWORD")
    user = unquote(urlsplit(asked.old).username or "")
    options = Options(verify=asked.verify or Options.verify, connections=asked.connections or Options.connections)
    return MailboxJob(asked.account[0] if asked.account else user, old, new, options)


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
        try:
            password = Path(password_file).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeError) as error:
            raise UsageError(f"the password file {password_file} can't be read: {error}") from None
    elif variable in os.environ:
        password = os.environ[variable]
    else:
        raise UsageError(f"no password: set {variable}, or give a file")
    user = unquote(parts.username)
    login = Login(f"{user}*{master}" if master else user, password)
    endpoint = Endpoint(parts.hostname, parts.port or port, security, ca_file=asked.ca_file)  # type: ignore[arg-type]
    return Server(endpoint, login, compress=asked.compress)


def _sync(asked: argparse.Namespace, ledger: Ledger) -> int:
    """A mailbox that fails holds up none of the others."""
    done, failed, began = [], [], time.monotonic()
    with _passes(asked, ledger) as passes:
        for account, one_pass in passes.items():
            progress = _Progress(account) if sys.stderr.isatty() and not asked.json else None
            try:
                result = one_pass(progress=progress)
            except (TransientError, MailboxFailed, LeaseHeld) as error:
                if len(passes) == 1:
                    raise
                failed.append({"account": account, **_told(error)})
                print(harmless(f"bascule.mailbox: {account}: {error}"), file=sys.stderr)
                continue
            finally:
                if progress:
                    progress.end()
            found = store.problems(ledger, account=account, room="mailbox")
            done.append({**asdict(result), "problem_list": [_problem(problem) for problem in found]})
            if not asked.json:
                _print_result(result, found)
    if asked.json:
        seconds = round(time.monotonic() - began, 3)
        print(json.dumps({"mailboxes": done, "failed": failed, "seconds": seconds}, default=str))
    if failed:
        print(f"bascule.mailbox: {len(failed)} of {len(passes)} mailboxes failed", file=sys.stderr)
        return FAILED
    return PROBLEMS if any(one["problems"] for one in done) else DONE


@contextlib.contextmanager
def _passes(asked: argparse.Namespace, ledger: Ledger) -> Iterator[dict[str, Pass]]:
    """The pass over each mailbox that was asked for. By the site file it is the one that a task of Airflow makes."""
    if not asked.site:
        (job,) = _jobs(asked)
        yield {job.account: partial(sync_mailbox, job, ledger, dry_run=asked.dry_run)}
        return
    from bascule.tasks.run import at_command_line  # with the site file's reader, for which a pass of URLs does not pay

    with at_command_line(_site(asked), ledger, "bascule.mailbox sync", dry_run=asked.dry_run) as run:
        yield {account: partial(_pass_of_site, run, account) for account in asked.account}


def _pass_of_site(run: "Run", account: str, progress: "_Progress | None") -> PassResult:
    from bascule.tasks.mailbox import pass_over
    from bascule.tasks.run import NeedsPerson, TryAgain

    try:
        result = pass_over(run, account, last_try=False, progress=progress)
    except TryAgain as error:
        raise TransientError(str(error)) from None
    except NeedsPerson as error:
        raise MailboxFailed(str(error)) from None
    if result.failed:
        raise MailboxFailed(result.failed)
    return result


def _print_result(result: PassResult, found: Sequence[Problem]) -> None:
    print(_sentence(result))
    for question in questions.of_mailbox(found):
        first = question.first
        about = first.subject if len(question.problems) == 1 else question.what
        print(f"  problem: {harmless(f'{first.explanation} ({about}) {first.server_words}'.rstrip())}")


def _sentence(result: PassResult) -> str:
    verb = "would copy" if result.dry_run else "copied"
    return (
        f"{result.account}: {verb} {result.copied} message(s), {result.bytes} bytes; {result.flags_changed} flag "
        f"change(s), {result.removed} removal(s); {result.folders} folder(s), {result.messages} message(s) in all; "
        f"{result.verified} verified; {result.problems} problem(s); {result.seconds:.2f} s"
    )


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "kind": problem.kind, "subject": problem.subject, "explanation": problem.explanation,
        "server_words": problem.server_words, "facts": problem.facts, "proposal": problem.proposal.stored(),
    }  # fmt: skip


def _verify(asked: argparse.Namespace, ledger: Ledger) -> int:
    from bascule.mailbox.verify.audit import audit

    audits = [audit(job, ledger) for job in _jobs(asked)]
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
    print(f"  compared: {one.compared}")
    for folder in one.folders:
        for counted in folder.counted:
            print(harmless(f"  (no difference) {folder.folder}: {counted}"))
    for counted in one.counted:
        print(harmless(f"  (no difference) {counted}"))


def _survey(asked: argparse.Namespace, ledger: Ledger) -> int:
    from bascule.mailbox.forecast import forecast

    forecasts = forecast(_jobs(asked), ledger, connections=asked.connections or 4)
    if asked.json:
        print(json.dumps({"mailboxes": [asdict(one) for one in forecasts]}))
    else:
        for one in forecasts:
            state = one.reason or (
                "unchanged" if one.unchanged else f"{one.new_messages} new message(s), {one.new_bytes} bytes, "
                f"changes in {one.looks} of {one.folders} folder(s), {one.gaps} gap(s) between UIDs"
            )  # fmt: skip
            print(harmless(f"{one.account}: {state}"))
            for folder, reason in one.changed_uids.items():
                print(harmless(f"  {folder}: other UIDs on new, mail programs download it once more: {reason}"))
    return FAILED if any(one.reason for one in forecasts) else DONE


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


if __name__ == "__main__":
    sys.exit(main())
